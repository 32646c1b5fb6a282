"""Measure `GeneralizationPredictor` on the test splits of its collections, permuted copies and unusual networks."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.generalization import Generalization, GeneralizationPredictor
from zoo.build_cnn import gray_images, measure
from zoo.collection import Collection
from zoo.evaluate_classifier import permuted_copies
from zoo.train_generalization import noise_like, shuffle, uncouple, untrained


def evaluate_generalization(
    model: GeneralizationPredictor, collections: Sequence[Path], seed: int = 0
) -> dict[str, Any]:
    """All figures of the model card."""
    generator = torch.Generator().manual_seed(seed)
    tested = [tested_networks(Collection(path)) for path in collections]
    names = list(dict.fromkeys(images for _, _, images in tested))
    rows = []
    for name in names:
        features = WeightSpaceFeatures.cat([f for f, _, images in tested if images == name])
        facts = [fact for _, part, images in tested if images == name for fact in part]
        rows += accuracy_rows(model, features, facts, name)
    features = tested[0][0]
    return {
        "accuracy": rows,
        "unlike_the_zoo": unlike_rows(model, features, generator),
        "symmetry": symmetry(model, features.select(slice(0, 100)), generator),
        "coverage": model.config.coverage,
        "typical_from": model.config.typical_from,
        "milliseconds": milliseconds(model, features.select(0)),
    }


def tested_networks(collection: Collection) -> tuple[WeightSpaceFeatures, list[dict[str, Any]], str]:
    """The test split: networks, facts, and the name of their images."""
    table = collection.rows.to_pylist()
    chosen = [i for i, row in enumerate(table) if row["split"] == "test"]
    return collection.features(chosen), [table[i] for i in chosen], collection.images


def accuracy_rows(
    model: GeneralizationPredictor, features: WeightSpaceFeatures, facts: list[dict[str, Any]], images: str
) -> list[dict[str, Any]]:
    """Rows for finished networks (all, ReLU, tanh, activation not given), and for earlier checkpoints."""
    given = model.predict_features(features, [fact["activation"] for fact in facts])
    detected = model.predict_features(features, [None] * len(facts))
    groups: list[tuple[str, list[Generalization], Callable[[dict], bool]]] = [
        ("finished", given, lambda fact: fact["final"]),
        ("finished, ReLU", given, lambda fact: fact["final"] and fact["activation"] == "relu"),
        ("finished, tanh", given, lambda fact: fact["final"] and fact["activation"] == "tanh"),
        ("finished, activation not given", detected, lambda fact: fact["final"]),
        ("checkpoints along training", given, lambda fact: not fact["final"]),
    ]
    rows = []
    for title, results, belongs in groups:
        selected = [i for i, fact in enumerate(facts) if belongs(fact)]
        row = figures([results[i] for i in selected], [facts[i] for i in selected], images)
        rows.append({"images": images, "which": title, **row})
    return rows


def figures(results: list[Generalization], facts: list[dict[str, Any]], images: str) -> dict[str, Any]:
    """Kendall's tau and its ceiling, R2, mean absolute error, coverage and width of the intervals where typical."""
    truth = torch.tensor([fact["test_accuracy"] for fact in facts], dtype=torch.float64)
    predicted = torch.tensor([r.test_accuracy for r in results], dtype=torch.float64)
    inside = [r.low <= t <= r.high for r, t in zip(results, truth.tolist(), strict=True) if r.typical]
    widths = torch.tensor([r.high - r.low for r in results if r.typical])
    guessed = [r.activation == fact["activation"] for r, fact in zip(results, facts, strict=True)]
    return {
        "networks": len(facts),
        "accuracy_spread": [
            round(float(q), 3) for q in truth.quantile(torch.tensor([0.1, 0.5, 0.9]).double())
        ],
        "tau": round(kendall_tau(predicted, truth), 4),
        "tau_ceiling": round(tie_ceiling(truth), 4),
        "r2": round(float(1 - ((predicted - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()), 4),
        "mae": round(float((predicted - truth).abs().mean()), 4),
        "coverage": round(sum(inside) / max(1, len(inside)), 4),
        "width": round(float(widths.mean()), 4),
        "narrowest_tenth": round(float(widths.quantile(0.1)), 4),
        "widest_tenth": round(float(widths.quantile(0.9)), 4),
        "typical": round(sum(r.typical for r in results) / len(results), 4),
        "images_found": round(sum(r.images == images for r in results) / len(results), 4),
        "activation_found": round(sum(guessed) / len(guessed), 4),
    }


def kendall_tau(a: Tensor, b: Tensor) -> float:
    """Kendall's tau-b of two vectors `(n,)`; 0 if all entries of one are equal.

    Raises ValueError for numbers that are not finite, which would all count as tied.
    """
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("Kendall's tau expects finite numbers; got infinity or NaN.")
    first, second = (a[:, None] - a).sign(), (b[:, None] - b).sign()
    pairs = ((first != 0).sum() * (second != 0).sum()).double()
    return float((first * second).sum() / pairs.sqrt()) if pairs else 0.0


def tie_ceiling(truth: Tensor) -> float:
    """The largest tau-b that predictions without ties can have, given the ties in `truth`."""
    different = (truth[:, None] != truth).sum()
    return float((different / (len(truth) * (len(truth) - 1))).double().sqrt())


def unlike_rows(
    model: GeneralizationPredictor, features: WeightSpaceFeatures, generator: torch.Generator
) -> list[dict[str, Any]]:
    """How often networks unlike the zoo's are called typical, and how often with a wrong number, by kind."""
    some = features.select(slice(0, 200))
    count = len(some.weights[0])
    wide = WeightSpaceFeatures(
        [duplicate(w, i, len(some)) for i, w in enumerate(some.weights)],
        [torch.cat([b, b], 2) if i < len(some) - 1 else b for i, b in enumerate(some.biases)],
    )
    kinds = {
        "untrained": untrained(count, generator),
        "rows permuted without their columns": uncouple(some, generator),
        "entries shuffled": some.map(lambda x: shuffle(x, generator)),
        "noise of the same mean and spread": some.map(lambda x: noise_like(x, generator)),
        "twice as wide": wide,
    }
    rows = []
    for kind, networks in kinds.items():
        results = model.predict_features(networks, [None] * count)
        typical = sum(r.typical for r in results)
        wrong = sum(is_wrong(result, networks.select(slice(i, i + 1))) for i, result in enumerate(results))
        rows.append({"kind": kind, "networks": count, "called_typical": round(typical / count, 4),
                     "wrong": round(wrong / count, 4)})  # fmt: skip
    return rows


def is_wrong(result: Generalization, network: WeightSpaceFeatures) -> bool:
    """Whether a network `(1, 1, ...)` is called typical and its accuracy on the test images is not in its interval.

    Many copies that were taken apart are at chance, as a dead network is before and after, and are predicted to be.
    """
    if not result.typical:
        return False
    assert result.activation in ("relu", "tanh"), "The predictor knows no other."
    accuracy, _ = measure(network, *gray_images(result.images, "test"), result.activation)
    return not result.low <= float(accuracy[0]) <= result.high


def duplicate(weight: Tensor, layer: int, layers: int) -> Tensor:
    """A layer's weight after doubling every hidden channel, which leaves the computed function unchanged."""
    weight = torch.cat([weight, weight], 3) / 2 if layer else weight
    return weight if layer == layers - 1 else torch.cat([weight, weight], 2)


def symmetry(
    model: GeneralizationPredictor, features: WeightSpaceFeatures, generator: torch.Generator
) -> dict[str, Any]:
    """The largest change of a predicted accuracy when neurons are permuted."""
    count = len(features.weights[0])
    copies = permuted_copies(features, generator)
    before, after = (model.predict_features(f, [None] * count) for f in (features, copies))
    change = max(abs(a.test_accuracy - b.test_accuracy) for a, b in zip(before, after, strict=True))
    return {"networks": count, "permuted": change}


def milliseconds(model: GeneralizationPredictor, features: WeightSpaceFeatures) -> float:
    """Median time of one prediction."""
    model.predict_features(features, [None])
    times = []
    for _ in range(21):
        start = time.perf_counter()
        model.predict_features(features, [None])
        times.append(time.perf_counter() - start)
    return round(1000 * sorted(times)[len(times) // 2], 1)
