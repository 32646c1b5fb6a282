"""Random architectures of the wild zoo: image classifiers as plain data."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

Family = Literal["mlp", "gelu-mlp", "cnn", "resnet", "depthwise"]
FAMILIES: tuple[Family, ...] = ("mlp", "gelu-mlp", "cnn", "resnet", "depthwise")
UNSEEN: tuple[Family, ...] = ("gelu-mlp", "resnet", "depthwise")
"""Families that no predictor trains on, to measure predictions for unfamiliar architectures."""
MAX_COST = 2_500_000
"""The largest number of multiply-adds for one picture."""
MAX_FEATURES = 2_500
"""The largest number of features that convolutions pass to the first linear layer."""


@dataclass(frozen=True)
class Stage:
    """A convolution (in a ResNet: a block of two; in a depthwise network: a depthwise and a 1x1), then a pool."""

    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: Literal["none", "max", "average"] = "none"
    pool_kernel: int = 2
    pool_stride: int = 2


@dataclass(frozen=True)
class WildRecipe:
    """An architecture. `linear` are the widths of hidden linear layers, `slope` is that of LeakyReLU.

    `norm` is the position of batch norm relative to the activation. Pictures have `channels` and are `size` pixels wide
    and high; there are 10 classes.
    """

    family: Family
    channels: int
    size: int
    stages: tuple[Stage, ...] = ()
    linear: tuple[int, ...] = ()
    norm: Literal["none", "before", "after"] = "none"
    activation: str = "relu"
    slope: float = 0.01
    head: Literal["flatten", "average", "max"] = "flatten"
    dropout: float = 0.0
    bias: bool = True

    @classmethod
    def from_json(cls, text: str) -> "WildRecipe":
        """Parse the recipe that a row of the zoo contains as JSON."""
        fields = json.loads(text)
        stages = tuple(Stage(**stage) for stage in fields.pop("stages"))
        return cls(**{**fields, "stages": stages, "linear": tuple(fields["linear"])})


class Draw:
    """Random choices from one seeded generator."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """A number between the two, uniformly distributed."""
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def log_uniform(self, low: float, high: float) -> float:
        """A number between the two, log-uniformly distributed."""
        return low * (high / low) ** self.uniform(0, 1)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform(0, 1) < probability

    def choose(self, *options: Any) -> Any:
        """One of the options, each equally likely."""
        return options[int(torch.randint(len(options), (), generator=self.generator))]

    def weighted(self, options: Mapping[Any, float]) -> Any:
        """One of the keys, with probability proportional to its weight."""
        at = self.uniform(0, sum(options.values()))
        for option, weight in options.items():
            at -= weight
            if at < 0:
                return option
        return list(options)[-1]


ACTIVATIONS = {"relu": 40, "leaky_relu": 12, "gelu": 11, "tanh": 11, "silu": 10, "elu": 9, "sigmoid": 5}


def draw_recipe(family: Family, channels: int, size: int, draw: Draw) -> WildRecipe:
    """A random architecture of a family, within the cost limits."""
    if family in ("mlp", "gelu-mlp"):
        return _draw_mlp(family, channels, size, draw)
    while True:
        recipe = _draw_convolutions(family, channels, size, draw)
        sizes = picture_sizes(recipe)
        if min(sizes) < 1 or _features(recipe, sizes[-1]) > MAX_FEATURES:
            continue
        if cost(recipe) <= MAX_COST * draw.uniform(0.1, 1):
            return recipe


def _draw_mlp(family: Family, channels: int, size: int, draw: Draw) -> WildRecipe:
    width = draw.choose(16, 32, 64, 100, 128, 200, 256)
    shrink = draw.choose(1.0, 1.0, 0.5, 0.75)
    depth = draw.choose(0, 1, 1, 2, 2, 3, 4) if family == "mlp" else draw.choose(1, 2, 2, 3, 4)
    activations = {name: weight for name, weight in ACTIVATIONS.items() if name != "gelu"}
    return WildRecipe(
        family, channels, size,
        linear=tuple(max(10, int(width * shrink**i)) for i in range(depth)),
        norm=draw.weighted({"none": 70, "before": 20, "after": 10}),
        activation=draw.weighted(activations) if family == "mlp" else "gelu",
        slope=draw.choose(0.01, 0.1, 0.2),
        dropout=draw.choose(0.0, 0.0, 0.1, 0.2, 0.5),
        bias=draw.chance(0.95),
    )  # fmt: skip


def _draw_convolutions(family: Family, channels: int, size: int, draw: Draw) -> WildRecipe:
    norms = {"none": 50, "before": 35, "after": 15} if family == "cnn" else {"none": 15, "before": 85}
    linear = {(): 50, (draw.choose(32, 64, 84, 128),): 35, (draw.choose(120, 128), draw.choose(64, 84)): 15}
    return WildRecipe(
        family, channels, size,
        stages=_draw_stages(family, draw),
        linear=draw.weighted(linear),
        norm=draw.weighted(norms),
        activation=draw.weighted(ACTIVATIONS),
        slope=draw.choose(0.01, 0.1, 0.2),
        head=draw.weighted({"flatten": 50, "average": 38, "max": 12}),
        dropout=draw.choose(0.0, 0.0, 0.0, 0.1, 0.25, 0.5),
        bias=draw.chance(0.88),
    )  # fmt: skip


def _draw_stages(family: Family, draw: Draw) -> tuple[Stage, ...]:
    depth = draw.choose(*range(2, 9)) if family == "cnn" else draw.choose(2, 3, 4)
    kernel = draw.weighted({3: 75, 5: 25}) if family == "cnn" else 3
    padding = draw.choose(0, 1, kernel // 2) if family == "cnn" else 1
    width, most = draw.choose(8, 12, 16, 16, 24, 32), draw.choose(16, 32, 48, 64)
    style = draw.weighted({"stride": 40, "max": 35, "average": 10, "mixed": 15})
    reductions = draw.weighted({1: 15, 2: 40, 3: 35, 4: 10})
    places = torch.randperm(depth, generator=draw.generator)[:reductions].tolist()
    window = draw.weighted({(2, 2): 70, (3, 2): 20, (2, 1): 4, (3, 1): 6})
    stages = []
    for i in range(depth):
        way = draw.choose("stride", "max", "average") if style == "mixed" else style
        reduces = i in places
        stages.append(
            Stage(
                min(width, max(most, 8)), kernel, 2 if reduces and way == "stride" else 1, padding,
                way if reduces and way != "stride" else "none", *window,
            )
        )  # fmt: skip
        if reduces or draw.chance(0.25):
            width = draw.choose(width, 2 * width, 3 * width // 2)
    return tuple(stages)


def picture_sizes(recipe: WildRecipe) -> list[int]:
    """Pixels per side after the input and each stage; 0 or less if a window does not fit."""
    sizes = [recipe.size]
    for stage in recipe.stages:
        size = _after_convolution(sizes[-1], stage)
        if stage.pool != "none":
            size = (size - stage.pool_kernel) // stage.pool_stride + 1 if size >= stage.pool_kernel else 0
        sizes.append(size if sizes[-1] > 0 else 0)
    return sizes


def cost(recipe: WildRecipe) -> int:
    """Approximate multiply-adds for one picture."""
    total, before = 0, recipe.channels
    sizes = picture_sizes(recipe)
    for number, (stage, size) in enumerate(zip(recipe.stages, sizes[:-1], strict=True)):
        after, window = _after_convolution(size, stage), stage.kernel**2
        if recipe.family == "cnn" or number == 0:
            weights = before * stage.width * window
        elif recipe.family == "resnet":
            weights = (before + stage.width) * stage.width * window
        else:
            weights = before * window + before * stage.width
        total += weights * after**2
        before = stage.width
    widths = [_features(recipe, sizes[-1]), *recipe.linear, 10]
    return total + sum(a * b for a, b in itertools.pairwise(widths))


def activations(recipe: WildRecipe) -> int:
    """Approximate number of hidden values for one picture, which determines the cost of element-wise layers."""
    sizes: Sequence[int] = picture_sizes(recipe)
    values = [s.width * _after_convolution(n, s) ** 2 for s, n in zip(recipe.stages, sizes[:-1], strict=True)]
    return sum(values) * (1 if recipe.family == "cnn" else 2) + sum(recipe.linear)


def _after_convolution(size: int, stage: Stage) -> int:
    room = size + 2 * stage.padding - stage.kernel
    return room // stage.stride + 1 if room >= 0 else 0


def _features(recipe: WildRecipe, size: int) -> int:
    if not recipe.stages:
        return recipe.channels * recipe.size**2
    return recipe.stages[-1].width * (size**2 if recipe.head == "flatten" else 1)
