"""Figures of the Lucky weights tab: masks as pictures, and the curves of a race.

Pruned weights are transparent, so that the pictures fit both a light and a dark page.
"""

import html

import numpy as np
from gradio.components.plot import PlotData
from torch import Tensor

from app.page.plots import BLUE, GRAY, ORANGE, PURPLE, Curve, fraction_curves
from app.page.widgets import inline_image
from app.tabs.tickets.race import Race

KEPT_COLOUR = (26, 133, 199)
LARGE_COLOUR = (200, 121, 0)
BOTH_COLOUR = (112, 120, 133)
BELOW_COLOUR = (214, 69, 65)
"""Blue, orange, gray and red: distinguishable for colour-blind people, with enough contrast on white and dark blue."""
FAINT_COLOUR = (128, 140, 160, 40)
"""The colour of pruned weights."""
SIDE = 28
NEURONS = 24
MAX_CELLS = 160
"""Neurons of a layer that are drawn along one side: more cells are not readable."""
WIDE = 96
"""From this many columns on, a picture needs half of the page's width."""


def reads_pixels(mask: Tensor) -> bool:
    """Whether a layer `(out, in)` reads the 28x28 pixels of an image, so that its mask can be drawn as an image."""
    return mask.dim() == 2 and mask.shape[1] == SIDE * SIDE


def pixel_map(mask: Tensor, maximum: float) -> np.ndarray:
    """How many neurons keep each pixel, `(28, 28, 4)`: the more, the more opaque; `maximum` is fully opaque."""
    counts = mask.sum(0).reshape(SIDE, SIDE).numpy() / max(maximum, 1)
    colours = np.empty((SIDE, SIDE, 4))
    colours[..., :3], colours[..., 3] = KEPT_COLOUR, 255 * (0.08 + 0.92 * np.sqrt(counts.clip(0, 1)))
    return colours.round().astype(np.uint8)


def fields(mask: Tensor, weight: Tensor) -> list[tuple[int, np.ndarray]]:
    """The neurons that keep the most pixels: index and pixels `(28, 28, 4)`, blue above zero and red below."""
    order = mask.sum(1).argsort(descending=True, stable=True)[:NEURONS].tolist()
    return [(i, _signed(mask[i].reshape(SIDE, SIDE), weight[i].reshape(SIDE, SIDE))) for i in order]


def _signed(mask: Tensor, weight: Tensor) -> np.ndarray:
    colours = np.empty((*mask.shape, 4), np.uint8)
    colours[:] = FAINT_COLOUR
    colours[(mask & (weight >= 0)).numpy()] = (*KEPT_COLOUR, 255)
    colours[(mask & (weight < 0)).numpy()] = (*BELOW_COLOUR, 255)
    return colours


def mask_picture(mask: Tensor, other: Tensor | None = None) -> np.ndarray:
    """A mask as pixels: a row per neuron, kernels as tiles; with `other`, which of the two keeps each weight."""
    cells = _cells(mask).numpy()
    colours = np.empty((*cells.shape, 4), np.uint8)
    colours[:] = FAINT_COLOUR
    colours[cells == 1] = (*KEPT_COLOUR, 255)
    if other is not None:
        other_keeps = _cells(other).numpy() == 1
        colours[other_keeps & (cells == 0)] = (*LARGE_COLOUR, 255)
        colours[other_keeps & (cells == 1)] = (*BOTH_COLOUR, 255)
    colours[cells == -1] = 0
    return colours


def _cells(mask: Tensor) -> Tensor:
    """`(out, in)` or `(out, in, kh, kw)` as one matrix of 0 and 1; -1 is the gap between kernels."""
    cells = mask[:MAX_CELLS, :MAX_CELLS].int()
    if cells.dim() == 2:
        return cells if cells.shape[0] <= cells.shape[1] else cells.T
    rows, columns, height, width = cells.shape
    padded = cells.new_full((rows, columns, height + 1, width + 1), -1)
    padded[:, :, :height, :width] = cells
    table = padded.transpose(1, 2).reshape(rows * (height + 1), columns * (width + 1))
    return table if len(table) <= table.shape[1] * 2 else table.T


def cut(mask: Tensor) -> bool:
    """Whether only part of the layer is drawn."""
    return not reads_pixels(mask) and max(mask.shape[:2]) > MAX_CELLS


def picture(pixels: np.ndarray, alt: str, kind: str = "mask") -> str:
    """A picture whose cells are drawn as large as possible, with hard edges; `alt` is trusted text."""
    return f'<div class="{kind}" style="--columns:{pixels.shape[1]}">{inline_image(pixels, html.escape(alt))}</div>'


NAMES = {"ticket": "ticket", "random": "random", "magnitude": "largest weights", "dense": "all weights"}
"""The lanes' names on screen."""
LINES = {
    "ticket": (BLUE, "solid"),
    "random": (PURPLE, "dot"),
    "magnitude": (ORANGE, "dash"),
    "dense": (GRAY, "longdash"),
}


def race_curves(race: Race) -> PlotData:
    """Test accuracy over steps, a line per lane."""
    curves = [Curve(NAMES[lane.name], lane.steps, lane.accuracy, *LINES[lane.name]) for lane in race.lanes]
    return fraction_curves(curves, "training steps", (0, race.total), ",d")
