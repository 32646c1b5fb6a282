"""SIRENs that show none of the zoo's classes: fitted to pictures of other things, or the zoo's own, read wrongly."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from nfn.features import WeightSpaceFeatures
from nfn.siren import fit_sirens
from nfn.siren_convention.convention import SirenConvention
from zoo.build_siren import GROUP, draw_recipe
from zoo.files import write_whole
from zoo.foreign_pictures import PictureKind, foreign_pictures

RECIPES = ("quick", "fixed", "varied")
"""Of groups of networks, in turn."""


@dataclass(frozen=True)
class Misreading:
    """A convention in which networks written in ours are read wrongly; `held_out` from training."""

    name: str
    convention: SirenConvention
    held_out: bool = False


MISREADINGS = (
    Misreading("black taken for white", SirenConvention(low=1.0, high=-1.0)),
    Misreading("pixels 0 to 1 taken for ours", SirenConvention(low=-3.0, high=1.0)),
    Misreading("pixels taken for 0 to 1", SirenConvention(low=0.0, high=1.0)),
    Misreading("coordinates taken for 0 to 1", SirenConvention(start=0.0, end=1.0)),
    Misreading("coordinates taken for -2 to 2", SirenConvention(start=-2.0, end=2.0)),
    Misreading("omega 30 taken for 20", SirenConvention(first_omega=20.0, hidden_omega=20.0)),
    Misreading("omega 30 taken for 45", SirenConvention(first_omega=45.0, hidden_omega=45.0)),
    Misreading(
        "coordinates taken for -pi to pi", SirenConvention(start=-math.pi, end=math.pi), held_out=True
    ),
    Misreading("omega 30 taken for 30 and 1", SirenConvention(hidden_omega=1.0), held_out=True),
    Misreading("omega 30 taken for 60", SirenConvention(first_omega=60.0, hidden_omega=60.0), held_out=True),
)


def misread(features: WeightSpaceFeatures, held_out: bool) -> Iterator[tuple[str, WeightSpaceFeatures]]:
    """Networks in our convention, read wrongly in each way that is held out from training, or in each other way."""
    for way in MISREADINGS:
        if way.held_out == held_out:
            yield way.name, way.convention.normalize(features)


def foreign_sirens(
    kind: PictureKind, count: int, channels: int, seed: int, folder: Path
) -> WeightSpaceFeatures:
    """SIRENs `(count, 1, ...)` fitted to pictures of a kind; those that `folder` keeps are read."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind.name.replace(' ', '-')}-{channels}-{count}-{seed}.safetensors"
    if not path.exists():
        tensors = fit_groups(foreign_pictures(kind, count, channels, seed), seed).tensors
        named = {str(i): tensor for i, tensor in enumerate(tensors)}
        write_whole(path, lambda part: save_file(named, part))
    stored = load_file(path)
    tensors = [stored[str(i)] for i in range(len(stored))]
    return WeightSpaceFeatures(tensors[::2], tensors[1::2])


def fit_groups(pictures: torch.Tensor, seed: int, recipes: Sequence[str] = RECIPES) -> WeightSpaceFeatures:
    """A SIREN for each picture `(n, c, H, W)`, by the recipes of our collections in turn."""
    generator, parts = torch.Generator().manual_seed(seed), []
    for i, group in enumerate(pictures.split(GROUP)):
        recipe = draw_recipe(recipes[i % len(recipes)], generator)
        parts.append(fit_sirens(group, recipe, generator)[0])
    return WeightSpaceFeatures.cat(parts)
