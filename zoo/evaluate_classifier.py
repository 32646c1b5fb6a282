"""Measure `InrClassifier` on SIRENs of held-out images, and on equivalent copies of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from nfn.classifier import InrClassifier
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.permutation import permute, random_permutations
from nfn.siren import apply_signs
from zoo.collection import Collection

BATCH = 500


def evaluate_classifier(model: InrClassifier, collections: Sequence[Path], seed: int = 0) -> dict[str, Any]:
    """All figures of the model card."""
    generator = torch.Generator().manual_seed(seed)
    opened = [Collection(path) for path in collections]
    return {
        "accuracy": [accuracy_row(model, collection) for collection in opened],
        "symmetry": [symmetry_row(model, collection, generator) for collection in opened],
        "milliseconds": latency(model, opened[0]),
    }


def probabilities(model: InrClassifier, features: WeightSpaceFeatures) -> torch.Tensor:
    """Probabilities `(n, classes + 1)` of many SIRENs."""
    count = len(features.weights[0])
    return torch.cat(
        [model.probabilities(features.select(slice(i, i + BATCH))) for i in range(0, count, BATCH)]
    )


def accuracy_row(model: InrClassifier, collection: Collection) -> dict[str, Any]:
    """Accuracy with the domain given and detected, and of the worst-fitted tenth; mean confidence."""
    results, domain = probabilities(model, collection.normalized()), collection.spec.images["name"]
    given = [model.explain(row, domain) for row in results]
    detected = [model.explain(row) for row in results]
    names = [collection.spec.label_names[label] for label in collection.labels.tolist()]
    correct = [r.label == name for r, name in zip(given, names, strict=True)]
    correct_detected = [
        r.label == name and r.domain == domain for r, name in zip(detected, names, strict=True)
    ]
    blurred = (
        torch.tensor(collection.rows["psnr"].to_numpy()).argsort()[: max(1, len(correct) // 10)].tolist()
    )
    return {
        **collection.describe(),
        "accuracy": mean(correct),
        "accuracy_blurred": mean([correct[i] for i in blurred]),
        "psnr_blurred": round(float(collection.rows["psnr"].to_numpy()[blurred].max()), 1),
        "accuracy_auto": mean(correct_detected),
        "confidence": mean([max(r.probabilities.values()) for r in given]),
    }


def symmetry_row(model: InrClassifier, collection: Collection, generator: torch.Generator) -> dict[str, Any]:
    """The largest change of any probability when hidden neurons are permuted or their signs flipped."""
    features = collection.normalized(slice(0, BATCH))
    before = probabilities(model, features)
    changes = {
        name: float((probabilities(model, copy) - before).abs().max())
        for name, copy in equivalent_copies(features, generator).items()
    }
    return {"collection": collection.folder.name, "networks": len(before), **changes}


def equivalent_copies(
    features: WeightSpaceFeatures, generator: torch.Generator
) -> dict[str, WeightSpaceFeatures]:
    """Copies of SIRENs that compute the same function: with hidden neurons permuted, and with their signs flipped."""
    permuted = permuted_copies(features, generator)
    signs = [(torch.rand(b.shape, generator=generator) < 0.5) * 2.0 - 1 for b in features.biases[:-1]]
    return {"permuted": permuted, "sign_flipped": apply_signs(features, signs)}


def permuted_copies(features: WeightSpaceFeatures, generator: torch.Generator) -> WeightSpaceFeatures:
    """Copies of networks with hidden neurons in another order, the same for all."""
    return permute(
        features, random_permutations(network_spec_from_wsfeat(features, set_all_dims=True), generator)
    )


def latency(model: InrClassifier, collection: Collection) -> float:
    """The median time of `predict` on one network, in milliseconds."""
    network = collection.network(collection.rows["id"][0].as_py())
    return median_milliseconds(lambda: model.predict(network))


def median_milliseconds(call: Callable[[], object], times: int = 30) -> float:
    """The median time of a call."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds) * 1000, 2)


def mean(values: Sequence[float]) -> float:
    """The average, rounded for a table."""
    return round(sum(values) / len(values), 4)
