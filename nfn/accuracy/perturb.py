"""Label-preserving perturbations of images; a network that memorized its training images is less accurate on them.

All take images `(n, c, h, w)` with values from 0 to 1, return the same shape, and are deterministic.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def flip(x: Tensor) -> Tensor:
    """Flip horizontally."""
    return x.flip(3)


def rotate(x: Tensor, degrees: float, zoom: float) -> Tensor:
    """Rotate each image by up to `degrees` and scale it by up to `zoom` (a fraction)."""
    drawn = torch.rand(2, len(x), generator=torch.Generator().manual_seed(round(degrees))) * 2 - 1
    angle, size = drawn[0] * math.radians(degrees), 1 + zoom * drawn[1]
    sine, cosine = angle.sin() / size, angle.cos() / size
    zero = torch.zeros_like(sine)
    rows = [torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


PERTURBATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda x: x,
    "flipped": flip,
    "turned by 10 degrees": lambda x: rotate(x, 10, 0.1),
    "turned by 25 degrees": lambda x: rotate(x, 25, 0.2),
}
"""Perturbations by name, the identity included. Shifts, noise, blur, mixup, cutout and brightness were tried too, and
did not improve the likelihood of held-out runs."""
