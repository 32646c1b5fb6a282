"""Measure which networks the classifier calls typical: the zoo's, of other pictures, read wrongly, and of nothing."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from nfn.classifier import InrClassifier
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.permutation import permute_uncoupled, random_permutations
from nfn.siren import FitRecipe, fit_sirens, random_sirens
from nfn.spec import NetworkSpec
from nfn.weight_reader import WeightReader
from zoo.collection import Collection
from zoo.evaluate_classifier import mean
from zoo.foreign_pictures import KINDS, PRINTED_DIGITS
from zoo.foreign_sirens import foreign_sirens, misread
from zoo.train_typicality import answers, in_batches

SEED_OF_FITS = 2
SHADES = {1: "gray", 3: "colour"}
UNLIKE = 500
"""Networks of each kind that shows nothing."""
MISREAD = 200
"""Networks of each collection that are read wrongly."""
HELD_OUT = tuple(kind for kind in KINDS.values() if kind.held_out)


def evaluate_typicality(
    model: InrClassifier,
    collections: Sequence[Path],
    work: Path,
    beside: WeightReader | None = None,
    fits: int = 100,
) -> dict[str, Any]:
    """The figures of the card, with those of both readings of gray SIRENs where a reader of weights is given.

    Fits are kept in `work`.
    """
    opened = [Collection(path) for path in collections]
    classes = [{**c.describe(), **shares(model, beside, c.normalized())} for c in opened]
    other: list[dict[str, Any]] = []
    for kind in HELD_OUT:
        for channels, shade in SHADES.items():
            features = foreign_sirens(kind, fits, channels, SEED_OF_FITS, work)
            other.append({"kind": f"{kind.name}, {shade}", **shares(model, beside, features)})
    wrong = [
        {"kind": f"{collection.folder.name}, {way}", **shares(model, beside, features)}
        for collection in opened
        for way, features in misread(collection.normalized(slice(0, MISREAD)), held_out=True)
    ]
    nothing = [
        {"kind": kind, **shares(model, beside, features)}
        for kind, features in unlike_networks(opened, torch.Generator().manual_seed(0))
    ]
    digits = foreign_sirens(PRINTED_DIGITS, fits, 1, SEED_OF_FITS, work)
    return {
        "known": classes,
        "other": other,
        "other_typical": mean([row["typical"] for row in other]),
        "misread": wrong,
        "misread_typical": mean([row["typical"] for row in wrong]),
        "nothing": nothing,
        "printed_digits": shares(model, beside, digits),
    }


def shares(
    model: InrClassifier, beside: WeightReader | None, features: WeightSpaceFeatures
) -> dict[str, Any]:
    """The share of these networks that are typical and, where weights alone are read too, named alike as well."""
    first = answers(model, features)
    row = {"networks": len(first), "typical": mean([a.typical for a in first])}
    if beside is None or tuple(weight.shape[2:] for weight in features.weights) != beside.config.shapes:
        return row
    second = [beside.explain(said) for part in in_batches(features) for said in beside.read(part)]
    alike = [
        a.typical and (a.domain, a.label) == (b.domain, b.label) for a, b in zip(first, second, strict=True)
    ]
    return row | {"and_alike": mean(alike)}


def unlike_networks(
    collections: Sequence[Collection], generator: torch.Generator
) -> Iterator[tuple[str, WeightSpaceFeatures]]:
    """Networks that show nothing, by kind: untrained, fitted to noise, and made of the collections' own."""
    for channels in sorted({c.spec.network.get_io()[1] for c in collections}):
        yield (
            f"untrained, {channels} channel(s)",
            random_sirens(UNLIKE, NetworkSpec.mlp(2, 32, 32, channels), generator),
        )
        noise = torch.rand(50, channels, 28, 28, generator=generator) * 2 - 1
        yield f"fitted to noise, {channels} channel(s)", fit_sirens(noise, FitRecipe(), generator)[0]
    for collection in collections:
        features = collection.normalized(slice(0, UNLIKE))
        order = random_permutations(network_spec_from_wsfeat(features, set_all_dims=True), generator)
        broken = permute_uncoupled(features, (*order, None), (None,) * len(features))
        yield f"{collection.folder.name}, neurons permuted on one side only", broken
    for collection in collections:
        mixed = collection.normalized(slice(0, UNLIKE)).map(lambda x: shuffle_entries(x, generator))
        yield f"{collection.folder.name}, entries permuted within each tensor", mixed


def shuffle_entries(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The same numbers in each network's tensor, in another order."""
    order = torch.randperm(x[0].numel(), generator=generator)
    return x.flatten(1)[:, order].view_as(x)
