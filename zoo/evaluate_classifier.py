"""Measure `InrClassifier` on SIRENs of held-out images, on their mirror copies, and on networks that show nothing."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from nfn.classifier import InrClassifier
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.permutation import permute, permute_uncoupled, random_permutations
from nfn.siren import FitRecipe, apply_signs, fit_sirens, random_sirens
from nfn.spec import NetworkSpec
from zoo.collection import Collection

BATCH = 500


def evaluate_classifier(model: InrClassifier, collections: Sequence[Path], seed: int = 0) -> dict[str, Any]:
    """All figures of the model card."""
    generator = torch.Generator().manual_seed(seed)
    opened = [Collection(path) for path in collections]
    return {
        "accuracy": [accuracy_row(model, collection) for collection in opened],
        "symmetry": [symmetry_row(model, collection, generator) for collection in opened],
        "unlike_the_zoo": unlike_rows(model, opened, generator),
        "typical_from": model.config.typical_from,
        "milliseconds": latency(model, opened[0]),
    }


def probabilities(model: InrClassifier, features: WeightSpaceFeatures) -> torch.Tensor:
    """Probabilities `(n, classes + 1)` of many SIRENs."""
    count = len(features.weights[0])
    return torch.cat(
        [model.probabilities(features.select(slice(i, i + BATCH))) for i in range(0, count, BATCH)]
    )


def accuracy_row(model: InrClassifier, collection: Collection) -> dict[str, Any]:
    """Accuracy with the domain told and found, and of the worst-fitted tenth; mean confidence; share called typical."""
    results, domain = probabilities(model, collection.normalized()), collection.spec.images["name"]
    told = [model.explain(row, domain) for row in results]
    found = [model.explain(row) for row in results]
    names = [collection.spec.label_names[label] for label in collection.labels.tolist()]
    right = [r.label == name for r, name in zip(told, names, strict=True)]
    right_found = [r.label == name and r.domain == domain for r, name in zip(found, names, strict=True)]
    blurred = torch.tensor(collection.rows["psnr"].to_numpy()).argsort()[: max(1, len(right) // 10)].tolist()
    return {
        **describe(collection),
        "accuracy": mean(right),
        "accuracy_blurred": mean([right[i] for i in blurred]),
        "psnr_blurred": round(float(collection.rows["psnr"].to_numpy()[blurred].max()), 1),
        "accuracy_auto": mean(right_found),
        "confidence": mean([max(r.probabilities.values()) for r in told]),
        "typical": mean([r.typical for r in found]),
    }


def describe(collection: Collection) -> dict[str, Any]:
    """What a row of figures was measured on."""
    build = collection.spec.build
    return {
        "collection": collection.folder.name,
        "images": collection.spec.images["name"],
        "split": build["split"],
        "recipe": build["recipe"],
        "networks": len(collection),
        "psnr": round(float(collection.rows["psnr"].to_numpy().mean()), 1),
    }


def symmetry_row(model: InrClassifier, collection: Collection, generator: torch.Generator) -> dict[str, Any]:
    """The largest change of any probability when hidden neurons are permuted and their signs flipped."""
    features = collection.normalized(slice(0, BATCH))
    before = probabilities(model, features)
    changes = {
        name: float((probabilities(model, copy) - before).abs().max())
        for name, copy in disguises(features, generator).items()
    }
    return {"collection": collection.folder.name, "networks": len(before), **changes}


def disguises(features: WeightSpaceFeatures, generator: torch.Generator) -> dict[str, WeightSpaceFeatures]:
    """Copies of SIRENs that compute the same: with hidden neurons permuted, and with their signs flipped."""
    order = random_permutations(network_spec_from_wsfeat(features, set_all_dims=True), generator)
    signs = [(torch.rand(b.shape, generator=generator) < 0.5) * 2.0 - 1 for b in features.biases[:-1]]
    return {"permuted": permute(features, order), "sign_flipped": apply_signs(features, signs)}


def unlike_rows(
    model: InrClassifier, collections: Sequence[Collection], generator: torch.Generator
) -> list[dict[str, Any]]:
    """How often networks that show nothing are called typical; the last two kinds were never trained on."""
    return [unlike_row(model, kind, features) for kind, features in unlike_networks(collections, generator)]


def unlike_networks(
    collections: Sequence[Collection], generator: torch.Generator
) -> Iterator[tuple[str, WeightSpaceFeatures]]:
    """Networks that show nothing, by kind: untrained, fitted to noise, and made of the collections' own."""
    for channels in sorted({c.spec.network.get_io()[1] for c in collections}):
        yield (
            f"untrained, {channels} channel(s)",
            random_sirens(BATCH, NetworkSpec.mlp(2, 32, 32, channels), generator),
        )
        noise = torch.rand(50, channels, 28, 28, generator=generator) * 2 - 1
        yield f"fitted to noise, {channels} channel(s)", fit_sirens(noise, FitRecipe(), generator)[0]
    for collection in collections:
        features = collection.normalized(slice(0, BATCH))
        order = random_permutations(network_spec_from_wsfeat(features, set_all_dims=True), generator)
        broken = permute_uncoupled(features, (*order, None), (None,) * len(features))
        yield f"{collection.folder.name}, neurons permuted on one side only", broken
    for collection in collections:
        mixed = collection.normalized(slice(0, BATCH)).map(lambda x: shuffle_entries(x, generator))
        yield f"{collection.folder.name}, entries permuted within each tensor", mixed


def shuffle_entries(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The same numbers in each network's tensor, in another order."""
    order = torch.randperm(x[0].numel(), generator=generator)
    return x.flatten(1)[:, order].view_as(x)


def unlike_row(model: InrClassifier, kind: str, features: WeightSpaceFeatures) -> dict[str, Any]:
    """The share of these networks that the predictor calls typical."""
    typical = [model.explain(row).typical for row in probabilities(model, features)]
    return {"kind": kind, "networks": len(typical), "called_typical": mean(typical)}


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
