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


def turn(x: Tensor, degrees: float, zoom: float) -> Tensor:
    """Each picture turned by up to so many degrees, and enlarged or made smaller by up to that share."""
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
    "turned by 10 degrees": lambda x: turn(x, 10, 0.1),
    "turned by 25 degrees": lambda x: turn(x, 25, 0.2),
}
"""Perturbations by name, the pictures as they are among them. Shifts, noise, blur, mixtures, covered squares and other
light were tried too, and made runs left out no more likely."""
