"""Pictures of weights, for families whose networks are not pictures themselves."""

import math

import torch
from torch import Tensor

SIDE = 64
"""The smallest side of a picture of weights, in pixels."""


def mosaic(weight: Tensor) -> Tensor:
    """Arrange a weight `(out, in, ...)` in [-1, 1] as a picture `(1, H, W)`: a tile per output, inputs as squares."""
    tiles = weight.mean(1) if weight.dim() == 4 else _square(weight)
    columns = math.ceil(math.sqrt(len(tiles)))
    full = torch.full((columns * math.ceil(len(tiles) / columns), *tiles.shape[1:]), -1.0)
    full[: len(tiles)] = tiles
    rows = full.unflatten(0, (-1, columns)).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    times = math.ceil(SIDE / len(rows))
    return rows.repeat_interleave(times, 0).repeat_interleave(times, 1)[None]


def _square(weight: Tensor) -> Tensor:
    """Weights `(out, in)` as `(out, h, w)`: of a flat gray picture or, averaged over its channels, a colour picture."""
    for channels in (1, 3):
        side = math.isqrt(weight.shape[1] // channels)
        if channels * side**2 == weight.shape[1]:
            return weight.unflatten(1, (channels, side, side)).mean(1)
    return weight.unflatten(1, (1, -1))
