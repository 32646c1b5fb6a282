"""Perturbed pictures: how a network answers them, beside the originals, shows what it only learned by heart.

All take pictures `(n, c, h, w)` with values from 0 to 1, keep shape and labels, and do the same every time.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def flip(x: Tensor) -> Tensor:
    """Left and right exchanged."""
    return x.flip(3)


def shift(x: Tensor, most: int) -> Tensor:
    """Each picture moved by up to `most` pixels along each axis, black moving in."""
    n, _, height, width = x.shape
    by = torch.randint(-most, most + 1, (2, n), generator=_generator(most))
    rows, columns = (
        by[axis][:, None] + most + torch.arange(size) for axis, size in enumerate((height, width))
    )
    padded = F.pad(x, (most,) * 4).permute(0, 2, 3, 1)
    moved = padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2).contiguous()


def noise(x: Tensor, deviation: float) -> Tensor:
    """Normal noise added."""
    drawn = torch.randn(x.shape, generator=_generator(round(1000 * deviation)))
    return (x + deviation * drawn).clamp(0, 1)


def turn(x: Tensor, degrees: float, zoom: float) -> Tensor:
    """Each picture turned by up to so many degrees, and enlarged or made smaller by up to that share."""
    drawn = torch.rand(2, len(x), generator=_generator(round(degrees))) * 2 - 1
    angle, size = drawn[0] * math.radians(degrees), 1 + zoom * drawn[1]
    sine, cosine = angle.sin() / size, angle.cos() / size
    zero = torch.zeros_like(sine)
    rows = [torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


def cover(x: Tensor, size: int) -> Tensor:
    """A square of that size somewhere in each picture gets the picture's mean colour."""
    n, _, height, width = x.shape
    generator = _generator(size)
    top, left = (
        torch.randint(0, side - size + 1, (n, 1, 1), generator=generator) for side in (height, width)
    )
    row, column = torch.arange(height)[:, None], torch.arange(width)
    inside = (row >= top) & (row < top + size) & (column >= left) & (column < left + size)
    return torch.where(inside[:, None], x.mean((2, 3), keepdim=True), x)


def blur(x: Tensor) -> Tensor:
    """Smoothed by the binomial filter 1 2 1 along each axis."""
    line = x.new_tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1,) * 4, mode="replicate"), kernel, groups=x.shape[1])


def mix(x: Tensor, share: float) -> Tensor:
    """Every picture with a share of another one."""
    other = torch.randperm(len(x), generator=_generator(round(1000 * share)))
    return (1 - share) * x + share * x[other]


def light(x: Tensor) -> Tensor:
    """Contrast changed by up to 30%, brightness by up to 0.15."""
    drawn = torch.rand(2, len(x), 1, 1, 1, generator=_generator(0)) * 2 - 1
    mean = x.mean((1, 2, 3), keepdim=True)
    return ((x - mean) * (1 + 0.3 * drawn[0]) + mean + 0.15 * drawn[1]).clamp(0, 1)


PERTURBATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda x: x,
    "flipped": flip,
    "shifted by 1": lambda x: shift(x, 1),
    "shifted by 2": lambda x: shift(x, 2),
    "shifted by 4": lambda x: shift(x, 4),
    "noise of 0.05": lambda x: noise(x, 0.05),
    "noise of 0.15": lambda x: noise(x, 0.15),
    "turned by 10 degrees": lambda x: turn(x, 10, 0.1),
    "turned by 25 degrees": lambda x: turn(x, 25, 0.2),
    "covered by 8": lambda x: cover(x, 8),
    "covered by 14": lambda x: cover(x, 14),
    "blurred": blur,
    "mixed": lambda x: mix(x, 0.3),
    "other light": light,
    "flipped and turned": lambda x: turn(flip(x), 10, 0.1),
}
"""Perturbations by name, the pictures as they are among them."""


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
