"""Measure `WeightReader` on networks that no training step saw, and on disguised copies of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn.classifier import InrClassifier
from nfn.weight_reader import WeightReader
from zoo.collection import Collection
from zoo.evaluate_classifier import (
    describe,
    disguises,
    mean,
    median_milliseconds,
    probabilities,
    unlike_networks,
)
from zoo.evaluate_generalization import kendall_tau, tie_ceiling
from zoo.train_generalization import describe as describe_cnns
from zoo.train_reader import answers, column_of

BATCH = 500


def evaluate_reader(
    model: WeightReader, collections: Sequence[Path], best: InrClassifier | None = None, seed: int = 0
) -> dict[str, Any]:
    """All figures of the model card; `best` is the classifier beside which a reader of labels stands."""
    generator = torch.Generator().manual_seed(seed)
    opened = [Collection(path) for path in collections]
    measure = label_row if model.config.labels else number_row
    network = opened[0].network(opened[0].rows["id"][0].as_py())
    beside = {} if best is None else {"agreement": agreement_rows(model, best, opened, generator)}
    return {
        "task": model.config.task,
        "rows": [measure(model, collection) for collection in opened],
        "symmetry": [symmetry_row(model, collection, generator) for collection in opened],
        "views": model.config.views,
        "parameters": sum(p.numel() for p in model.parameters()),
        "milliseconds": median_milliseconds(lambda: model.predict(network)),
        **beside,
    }


def agreement_rows(
    model: WeightReader, best: InrClassifier, collections: Sequence[Collection], generator: torch.Generator
) -> list[dict[str, Any]]:
    """Of held-out networks and of those that show nothing: how many are typical, and how many of these read alike."""
    known = [(f"{c.folder.name}, held out", c.normalized(slice(0, BATCH))) for c in collections]
    rows = []
    for kind, features in (*known, *unlike_networks(collections, generator)):
        first = [best.explain(row) for row in probabilities(best, features)]
        second = [model.explain(row) for row in answers(model.read, features)]
        alike = [(a.domain, a.label) == (b.domain, b.label) for a, b in zip(first, second, strict=True)]
        both = [a.typical and same for a, same in zip(first, alike, strict=True)]
        typical = mean([result.typical for result in first])
        rows.append(
            {"kind": kind, "networks": len(first), "typical": typical, "typical_and_alike": mean(both)}
        )
    return rows


def label_row(model: WeightReader, collection: Collection) -> dict[str, Any]:
    """The share of right labels with the image set told and found, and the mean confidence."""
    rows = answers(model.read, collection.normalized())
    told = [model.explain(row, collection.images) for row in rows]
    found = [model.explain(row) for row in rows]
    names = [collection.spec.label_names[label] for label in collection.labels.tolist()]
    right = [r.label == name for r, name in zip(told, names, strict=True)]
    right_found = [
        r.label == name and r.domain == collection.images for r, name in zip(found, names, strict=True)
    ]
    return {
        **describe(collection),
        "accuracy": mean(right),
        "accuracy_auto": mean(right_found),
        "confidence": mean([max(r.probabilities.values()) for r in told]),
    }


def number_row(model: WeightReader, collection: Collection) -> dict[str, Any]:
    """Kendall's tau, its ceiling and the mean error on the test split's networks that ended their training."""
    chosen = tested_rows(collection)
    numbers = read_numbers(model, collection, chosen)
    truth = truth_of(model, collection, chosen)
    return {
        **describe_cnns(collection),
        "networks": len(chosen),
        "tau": round(kendall_tau(numbers, truth), 4),
        "tau_ceiling": round(tie_ceiling(truth), 4),
        "error": round(float((numbers - truth).abs().mean()), 4),
    }


def tested_rows(collection: Collection) -> list[int]:
    """The test split, without checkpoints along a training."""
    rows = collection.rows.to_pylist()
    return [i for i, row in enumerate(rows) if row["split"] == "test" and row.get("final", True)]


def truth_of(model: WeightReader, collection: Collection, rows: Sequence[int]) -> Tensor:
    """The column that the reader reads."""
    return torch.tensor(collection.rows[column_of(model.config.task)].to_numpy()).double()[list(rows)]


def read_numbers(model: WeightReader, collection: Collection, rows: Sequence[int]) -> Tensor:
    """What the reader says of these rows."""
    out = answers(model.read, collection.normalized(rows))
    return torch.tensor([model.explain(row).number for row in out], dtype=torch.float64)


def symmetry_row(model: WeightReader, collection: Collection, generator: torch.Generator) -> dict[str, Any]:
    """The largest change of any output when hidden units are permuted and, for sines, their signs flipped."""
    features = collection.normalized(slice(0, BATCH))
    before = answers(model.read, features)
    copies = disguises(features, generator)
    if collection.spec.kind != "siren":
        copies.pop("sign_flipped")
    changes = {name: float((answers(model.read, copy) - before).abs().max()) for name, copy in copies.items()}
    return {"collection": collection.folder.name, "networks": len(before), **changes}
