"""Fit one SIREN to one picture, small or large, while somebody watches: Adam on batches of pixels.

The networks are those of arXiv:2006.09661 (initialization: section 3.2), in our convention (`SirenConvention()`).
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.interrupt import between_steps
from nfn.siren import coordinate_grid, random_sirens, render
from nfn.siren_convention.convention import OMEGA
from nfn.spec import NetworkSpec

BATCH = 4096
"""Pixels of one step."""
PASSES = 90
"""How often every pixel is seen, between the fewest and the most steps of a size."""
FEWEST = 150
BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class FitSize:
    """Hidden widths of a network, the learning rate that suits them, and the most steps."""

    hidden: tuple[int, ...]
    learning_rate: float
    most: int

    def steps(self, pixels: int) -> int:
        """How many steps a picture of so many pixels is fitted for, if nobody says otherwise."""
        return max(FEWEST, min(self.most, math.ceil(PASSES * pixels / BATCH)))

    def spec(self, channels: int) -> NetworkSpec:
        """The networks of this size."""
        return NetworkSpec.mlp(2, *self.hidden, channels)


SIZES = {
    "small": FitSize((32, 32), 1e-2, 600),
    "medium": FitSize((128, 128, 128), 2e-3, 1400),
    "large": FitSize((256, 256, 256), 1e-3, 500),
}
"""By name: some 1,200, 34,000 and 133,000 weights."""


@dataclass(frozen=True, eq=False)
class FitProgress:
    """A SIREN `(1, 1, ...)` after `step` of `steps`, what it shows `(c, H, W)`, and how close that is in dB."""

    step: int
    steps: int
    features: WeightSpaceFeatures
    picture: Tensor
    psnr: float


def fit_picture(
    image: Tensor, size: FitSize, steps: int | None = None, seed: int = 0, every: float = 0.5
) -> Iterator[FitProgress]:
    """Fit a new SIREN to `image` `(c, H, W)` in [-1, 1]; say how far it is `every` so many seconds, and at the end.

    The result depends on image, size, steps and seed alone, not on `every`.

    Example: `*_, done = fit_picture(image, SIZES["medium"])`.
    """
    generator = torch.Generator().manual_seed(seed)
    start = random_sirens(1, size.spec(len(image)), generator)
    steps = size.steps(image[0].numel()) if steps is None else steps
    said = time.monotonic()
    for step, layers in enumerate(_descend(start, image, size.learning_rate, steps, generator), 1):
        if step == steps or time.monotonic() - said > every:
            yield _progress(step, steps, _features(layers), image)
            said = time.monotonic()


def descend_in_batches(
    features: WeightSpaceFeatures, image: Tensor, learning_rate: float, steps: int
) -> WeightSpaceFeatures:
    """A SIREN `(1, 1, ...)` of a linear output moved towards `image` `(c, H, W)`, for pictures of many pixels."""
    generator = torch.Generator().manual_seed(0)
    *_, layers = _descend(features, image, learning_rate, steps, generator)
    return _features(layers)


Layers = list[tuple[Tensor, Tensor]]


def _descend(
    start: WeightSpaceFeatures, image: Tensor, rate: float, steps: int, generator: torch.Generator
) -> Iterator[Layers]:
    """The layers after each step of Adam, with a cosine decay to zero; the same tensors each time."""
    layers = [(w[0, 0].clone().requires_grad_(), b[0, 0].clone().requires_grad_()) for w, b in start]
    optimizer = torch.optim.Adam([x for layer in layers for x in layer], rate, betas=BETAS, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    points, colours = coordinate_grid(image.shape[1], image.shape[2]), image.flatten(1).T.contiguous()
    batches = _batches(len(points), generator)
    for _ in range(steps):
        between_steps()
        chosen = next(batches)
        with torch.enable_grad():
            loss = F.mse_loss(_run(layers, points[chosen]), colours[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield layers


def _run(layers: Layers, x: Tensor) -> Tensor:
    for weight, bias in layers[:-1]:
        x = torch.sin(OMEGA * F.linear(x, weight, bias))
    return F.linear(x, *layers[-1])


def _batches(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows of pixels, shuffled anew for every pass; a last batch that is not whole is left out."""
    size = min(BATCH, count)
    while True:
        yield from torch.randperm(count, generator=generator)[: count // size * size].split(size)


def _features(layers: Layers) -> WeightSpaceFeatures:
    return WeightSpaceFeatures.from_zipped(
        [(w.detach().clone()[None, None], b.detach().clone()[None, None]) for w, b in layers]
    )


@torch.no_grad()
def _progress(step: int, steps: int, features: WeightSpaceFeatures, image: Tensor) -> FitProgress:
    picture = render(features, *image.shape[1:])[0].clamp(-1, 1)
    error = float((picture - image).square().mean())
    return FitProgress(step, steps, features, picture, 10 * math.log10(4 / max(error, 1e-10)))
