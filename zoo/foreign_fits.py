"""SIRENs fitted the way other people do it: recipes, shapes and conventions drawn at random, by plain autograd.

What `find_convention` is trained on: what a convention got wrong looks like can be seen only on networks that were
fitted in it.
"""

import itertools
import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nfn.features import WeightSpaceFeatures
from nfn.network import LayerNames, Network
from nfn.siren_convention.convention import Layer, Output, SirenConvention
from zoo.images import find_image_set, load_images, split_size, to_gray

IMAGES = ("mnist", "fashion_mnist", "cifar10", "mnist", "fashion_mnist", "cifar10", "cifar10")
OMEGAS = (10.0, 15.0, 20.0, 25.0, 40.0, 50.0, 60.0)
RANGES = (((-1.0, 1.0), 0.64), ((0.0, 1.0), 0.2), ((-0.5, 0.5), 0.08), ((-math.pi, math.pi), 0.08))
OUTPUTS: tuple[tuple[Output, float], ...] = (
    ("linear", 0.76),
    ("sigmoid", 0.09),
    ("tanh", 0.06),
    ("sine", 0.09),
)
DEPTHS = ((1, 0.08), (2, 0.46), (3, 0.28), (4, 0.1), (5, 0.08))
WIDTHS = ((16, 0.05), (24, 0.08), (32, 0.45), (48, 0.16), (64, 0.2), (128, 0.06))
BIASES = (("torch", 0.6), ("zero", 0.2), ("as weights", 0.2))


@dataclass(frozen=True)
class ForeignRecipe:
    """One way to fit: the convention, the shape, how weights and biases begin, full-batch Adam, and whether in gray."""

    convention: SirenConvention
    depth: int
    width: int
    weights: str
    biases: str
    learning_rate: float
    steps: int
    gray: bool = False


@dataclass(frozen=True)
class ForeignFits:
    """Networks `(n, 1, ...)` in the file's own units, what they were fitted to (rows of the split) and how well."""

    recipe: ForeignRecipe
    features: WeightSpaceFeatures
    images: str
    rows: list[int]
    labels: torch.Tensor
    psnr: torch.Tensor


def draw_recipe(images: str, generator: torch.Generator) -> ForeignRecipe:
    """A recipe that somebody might use."""
    first, hidden = _draw_omegas(generator)
    (start, end), output = _draw(RANGES, generator), _draw(OUTPUTS, generator)
    size = find_image_set(images).size
    low, high = _draw_levels(output, generator)
    convention = SirenConvention(
        first, hidden, low, high,
        omega_scales_bias=_chance(0.88, generator),
        start=start, end=end,
        pixel_centres=size if _chance(0.25, generator) else None,
        output=output,
    )  # fmt: skip
    depth, width = _draw(DEPTHS, generator), _draw(WIDTHS, generator)
    slow = 1 / math.sqrt(max(1.0, depth / 2) * max(1.0, width / 32) * max(0.3, hidden / 30))
    return ForeignRecipe(
        convention, depth, width,
        weights="siren" if _chance(0.92, generator) else "torch",
        biases=_draw(BIASES, generator),
        learning_rate=8e-4 * 6 ** _uniform(generator) * slow,
        steps=150 + round(450 * _uniform(generator) ** 1.5),
        gray=_chance(0.5, generator),
    )  # fmt: skip


def _draw_omegas(generator: torch.Generator) -> tuple[float, float]:
    kind, any_ = _uniform(generator), _draw(tuple((omega, 1 / len(OMEGAS)) for omega in OMEGAS), generator)
    free = 5 * 20 ** _uniform(generator)
    shares = ((0.42, (30.0, 30.0)), (0.6, (any_, any_)), (0.72, (30.0, 1.0)), (0.78, (1.0, 1.0)),
              (0.86, (any_, 30.0)), (0.92, (any_, 1.0)), (1.0, (free, free)))  # fmt: skip
    return next(omegas for bound, omegas in shares if kind <= bound)


def _draw_levels(output: Output, generator: torch.Generator) -> tuple[float, float]:
    """Black and white; a mean and deviation stand for all data sets' own."""
    mean, std = 0.1 + 0.4 * _uniform(generator), 0.2 + 0.15 * _uniform(generator)
    scaled = (-mean / std, (1 - mean) / std)
    choices = {
        "linear": (((-1.0, 1.0), 0.35), ((0.0, 1.0), 0.35), ((-0.5, 0.5), 0.15), (scaled, 0.15)),
        "sigmoid": (((0.0, 1.0), 1.0),),
        "tanh": (((-1.0, 1.0), 0.7), ((0.0, 1.0), 0.3)),
        "sine": (((-1.0, 1.0), 0.7), ((0.0, 1.0), 0.3)),
    }
    low, high = _draw(choices[output], generator)
    return (high, low) if _chance(0.08, generator) else (low, high)


def fit_foreign(recipe: ForeignRecipe, images: str, split: str, rows: list[int], seed: int) -> ForeignFits:
    """Fit one network to each image."""
    pixels, labels = load_images(images, split, rows)
    pixels = to_gray(pixels) if recipe.gray else pixels
    convention = recipe.convention
    target = (convention.low + pixels.float() / 255 * (convention.high - convention.low)).flatten(2)  # type: ignore[operator]
    layers = _initial(recipe, len(rows), target.shape[1], torch.Generator().manual_seed(seed))
    inputs = file_coordinates(convention, pixels.shape[-1]).T.expand(len(rows), 2, -1)
    optimizer = torch.optim.Adam([x for layer in layers for x in layer], recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    for _ in range(recipe.steps):
        loss = (run_foreign(convention, layers, inputs) - target).square().mean((1, 2)).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        error = (run_foreign(convention, layers, inputs) - target).square().mean((1, 2))
    features = WeightSpaceFeatures.from_zipped(
        [(w.detach()[:, None], b.detach()[:, None, :, 0]) for w, b in layers]
    )
    psnr = 10 * torch.log10((convention.high - convention.low) ** 2 / error)  # type: ignore[operator]
    return ForeignFits(recipe, features, images, rows, labels, psnr)


def run_foreign(convention: SirenConvention, layers: list[Layer], x: torch.Tensor) -> torch.Tensor:
    """Outputs `(n, c, P)` at the file's own coordinates `(n, 2, P)`, straight from the definition."""
    for i, (weight, bias) in enumerate(layers):
        if i == len(layers) - 1 and convention.output != "sine":
            x = torch.bmm(weight, x) + bias
            return {"linear": torch.clone, "sigmoid": torch.sigmoid, "tanh": torch.tanh}[convention.output](x)
        omega = convention.first_omega if i == 0 else convention.hidden_omega
        product = torch.bmm(weight, x)
        x = torch.sin(omega * (product + bias) if convention.omega_scales_bias else omega * product + bias)
    return x


def file_coordinates(convention: SirenConvention, size: int) -> torch.Tensor:
    """The inputs `(size * size, 2)` of all pixels, row by row, in a (row, col) convention that grows downwards."""
    steps = (
        torch.arange(size) / (size - 1)
        if convention.pixel_centres is None
        else (torch.arange(size) + 0.5) / size
    )
    axis = convention.start + (convention.end - convention.start) * steps
    return torch.cartesian_prod(axis, axis)


def _initial(recipe: ForeignRecipe, count: int, outputs: int, generator: torch.Generator):
    sizes, layers = [2, *[recipe.width] * recipe.depth, outputs], []
    for i, (inputs, out) in enumerate(itertools.pairwise(sizes)):
        plain = 1 / math.sqrt(inputs)
        siren = 1 / inputs if i == 0 else math.sqrt(6 / inputs) / recipe.convention.hidden_omega
        bound = plain if recipe.weights == "torch" else siren
        at_bias = {"torch": plain, "zero": 0.0, "as weights": bound}[recipe.biases]
        weight = (torch.rand(count, out, inputs, generator=generator) * 2 - 1) * bound
        bias = (torch.rand(count, out, 1, generator=generator) * 2 - 1) * at_bias
        layers.append((weight.requires_grad_(), bias.requires_grad_()))
    return layers


def _draw(choices, generator: torch.Generator):
    """One of `(value, probability)` pairs."""
    at = _uniform(generator) * sum(share for _, share in choices)
    for value, share in choices:
        at -= share
        if at <= 0:
            return value
    return choices[-1][0]


def _chance(share: float, generator: torch.Generator) -> bool:
    return _uniform(generator) < share


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def as_network(fits: ForeignFits, number: int) -> Network:
    """One network of a group, as its file would have it, the convention declared."""
    features = fits.features.select(slice(number, number + 1))
    names = tuple(LayerNames(f"net.{i}.weight", f"net.{i}.bias") for i in range(len(features)))
    return Network(features, fits.recipe.convention, names)


def fit_many(folder: Path, count: int, split: str, seed: int, group: int = 10) -> Iterator[ForeignFits]:
    """Groups of fits to random images of a split, each under a recipe of its own; those in `folder` are read."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"fits-{split}-{seed}-{number:05d}.safetensors"
        if not path.exists():
            generator = torch.Generator().manual_seed((seed << 32) + number)
            images = IMAGES[number % len(IMAGES)]
            recipe = draw_recipe(images, generator)
            rows = torch.randint(split_size(images, split), (group,), generator=generator).tolist()
            save_fits(fit_foreign(recipe, images, split, rows, (seed << 32) + number), path)
        yield load_fits(path)


def save_fits(fits: ForeignFits, path: Path) -> None:
    """Write a group of fits, its recipe in the metadata."""
    tensors = {
        f"{i}.{part}": x for i, pair in enumerate(fits.features) for part, x in zip("wb", pair, strict=True)
    }
    facts = {"recipe": asdict(fits.recipe), "images": fits.images, "rows": fits.rows}
    tensors |= {"labels": fits.labels, "psnr": fits.psnr}
    save_file(tensors, f"{path}.part", {"facts": json.dumps(facts)})
    os.replace(f"{path}.part", path)


def load_fits(path: Path) -> ForeignFits:
    """Read a group of fits."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        facts = json.loads(file.metadata()["facts"])
    layers = [(tensors[f"{i}.w"], tensors[f"{i}.b"]) for i in range(len(tensors) // 2 - 1)]
    settings = facts["recipe"]
    recipe = ForeignRecipe(**{**settings, "convention": SirenConvention(**settings["convention"])})
    features = WeightSpaceFeatures.from_zipped(layers)
    return ForeignFits(recipe, features, facts["images"], facts["rows"], tensors["labels"], tensors["psnr"])
