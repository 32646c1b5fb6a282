"""Measure `WeightReader` on held-out networks, and on permuted copies of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn.canonical import scale_units
from nfn.features import WeightSpaceFeatures
from nfn.weight_reader import WeightReader
from zoo.collection import Collection
from zoo.evaluate_classifier import (
    equivalent_copies,
    mean,
    median_milliseconds,
    permuted_copies,
)
from zoo.evaluate_generalization import kendall_tau, tie_ceiling
from zoo.train_reader import activations_of, are_sirens, column_of, run_batched

BATCH = 500


def evaluate_reader(model: WeightReader, collections: Sequence[Path], seed: int = 0) -> dict[str, Any]:
    """The figures of the model card, except those of `zoo.evaluate_typicality`."""
    generator = torch.Generator().manual_seed(seed)
    opened = [Collection(path) for path in collections]
    measure = label_row if model.config.labels else number_row
    network = opened[0].network(opened[0].rows["id"][0].as_py())
    return {
        "task": model.config.task,
        "rows": [measure(model, collection) for collection in opened],
        "symmetry": [symmetry_row(model, collection, generator) for collection in opened],
        "views": model.config.views,
        "mirror": list(model.config.mirror),
        "parameters": sum(p.numel() for p in model.parameters()),
        "milliseconds": median_milliseconds(lambda: model.predict(network)),
    }


def label_row(model: WeightReader, collection: Collection) -> dict[str, Any]:
    """Top-1 accuracy with the image set given and detected, and the mean confidence."""
    rows = run_batched(model.read, collection.normalized())
    given = [model.explain(row, collection.images) for row in rows]
    detected = [model.explain(row) for row in rows]
    names = [collection.spec.label_names[label] for label in collection.labels.tolist()]
    correct = [r.label == name for r, name in zip(given, names, strict=True)]
    correct_detected = [
        r.label == name and r.domain == collection.images for r, name in zip(detected, names, strict=True)
    ]
    return {
        **collection.describe(),
        "accuracy": mean(correct),
        "accuracy_auto": mean(correct_detected),
        "confidence": mean([max(r.probabilities.values()) for r in given]),
    }


def number_row(model: WeightReader, collection: Collection) -> dict[str, Any]:
    """Kendall's tau, its ceiling and the mean error on the fully trained networks of the test split."""
    chosen = tested_rows(collection)
    numbers = read_numbers(model, collection, chosen)
    truth = truth_of(model, collection, chosen)
    return {
        **collection.describe(),
        "networks": len(chosen),
        "tau": round(kendall_tau(numbers, truth), 4),
        "tau_ceiling": round(tie_ceiling(truth), 4),
        "error": round(float((numbers - truth).abs().mean()), 4),
    }


def tested_rows(collection: Collection) -> list[int]:
    """Rows of the test split, without earlier checkpoints of a training."""
    rows = collection.rows.to_pylist()
    return [i for i, row in enumerate(rows) if row["split"] == "test" and row.get("final", True)]


def truth_of(model: WeightReader, collection: Collection, rows: Sequence[int]) -> Tensor:
    """The true values of the column that the reader predicts."""
    return torch.tensor(collection.rows[column_of(model.config.task)].to_numpy()).double()[list(rows)]


def read_numbers(model: WeightReader, collection: Collection, rows: Sequence[int]) -> Tensor:
    """The reader's predictions for these rows."""
    activations = activations_of(collection)
    out = run_batched(model.read, collection.normalized(rows), [activations[i] for i in rows if activations])
    return torch.tensor([model.explain(row).number for row in out], dtype=torch.float64)


def symmetry_row(model: WeightReader, collection: Collection, generator: torch.Generator) -> dict[str, Any]:
    """The largest change of any output when hidden units are permuted, and sines' signs flipped or ReLUs rescaled."""
    features, activations = collection.normalized(slice(0, BATCH)), activations_of(collection)[:BATCH]
    before = run_batched(model.read, features, activations)
    if are_sirens([collection]):
        copies = equivalent_copies(features, generator)
    else:
        copies = {"permuted": permuted_copies(features, generator)}
        copies |= {"rescaled": rescaled(features, activations, generator)} if activations else {}
    changes = {
        name: float((run_batched(model.read, copy, activations) - before).abs().max())
        for name, copy in copies.items()
    }
    return {"collection": collection.folder.name, "networks": len(before), **changes}


def rescaled(
    features: WeightSpaceFeatures, activations: Sequence[str], generator: torch.Generator
) -> WeightSpaceFeatures:
    """Copies that compute the same: ReLU units scaled by 1/4 to 4, signs of tanh units flipped, others unchanged."""

    def factors(bias: Tensor, activation: str) -> Tensor:
        random = torch.rand(bias.shape[2:], generator=generator)
        scales = {"relu": 4 ** (2 * random - 1), "tanh": torch.where(random < 0.5, -1.0, 1.0)}
        return scales.get(activation, torch.ones_like(random))[None]

    return scale_units(
        features,
        [torch.stack([factors(bias, name) for name in activations]) for bias in features.biases[:-1]],
    )
