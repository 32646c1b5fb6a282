"""Pictures of results, as pixel arrays."""

import math
from collections.abc import Sequence

import numpy as np
import torch

MAX_SIDE = 72
"""Cells per side of the picture of all weights."""


def to_pixels(image: torch.Tensor) -> np.ndarray:
    """Convert a picture `(c, H, W)` in [-1, 1] to `(H, W, 3)` uint8."""
    pixels = ((image.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.expand(3, -1, -1).movedim(0, 2).numpy())


def robust_limit(values: np.ndarray) -> float:
    """The 99th percentile of the magnitudes: a colour range that is robust to outliers."""
    return float(np.percentile(np.abs(values), 99)) or 1.0


_STOPS = np.array(
    [(103, 0, 31), (178, 24, 43), (214, 96, 77), (244, 165, 130), (253, 219, 199), (247, 247, 247), (209, 229, 240),
     (146, 197, 222), (67, 147, 195), (33, 102, 172), (5, 48, 97)], float
)  # fmt: skip
"""RdBu of ColorBrewer."""


def colours(values: np.ndarray, limit: float) -> np.ndarray:
    """RGBA of `values`: red at -limit, white at 0, blue at +limit, transparent for NaN."""
    places = np.linspace(-limit, limit, len(_STOPS))
    channels = [np.interp(np.nan_to_num(values), places, stop) for stop in _STOPS.T]
    return np.stack([*channels, 255.0 * np.isfinite(values)], -1).round().astype(np.uint8)


def weights_square(
    weights: Sequence[torch.Tensor], masks: Sequence[torch.Tensor] | None = None
) -> np.ndarray:
    """The weights of a network, layer after layer, as one square RGBA picture; with `masks`, only those that are kept.

    Of more than `MAX_SIDE` squared, it shows that many, evenly spaced. Each layer has its own colour range.
    """
    flat = [weight.detach().cpu().float().flatten() for weight in weights]
    values = torch.cat([part / robust_limit(part.numpy()) for part in flat])
    if masks is not None:
        values[~torch.cat([mask.flatten().bool().cpu() for mask in masks])] = torch.nan
    side = min(MAX_SIDE, math.ceil(math.sqrt(len(values))))
    shown = values[torch.linspace(0, len(values) - 1, min(len(values), side**2)).long()]
    cells = torch.full((side**2,), torch.nan)
    cells[: len(shown)] = shown
    return colours(cells.reshape(side, side).numpy(), 1.0)


def red_blue(cells: torch.Tensor) -> np.ndarray:
    """Colour numbers `(H, W)`: white at zero, red below, blue above, full at the largest magnitude; NaN is gray."""
    values = cells.float()
    strength = values / (values.nan_to_num().abs().max() + 1e-12)
    red, blue = torch.tensor([178.0, 24.0, 43.0]), torch.tensor([33.0, 102.0, 172.0])
    ends = torch.where((strength > 0)[..., None], blue, red)
    colours = 255 + (ends - 255) * strength.abs()[..., None]
    return colours.nan_to_num(nan=200).round().to(torch.uint8).numpy()
