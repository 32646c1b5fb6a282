"""Figures of the Tickets tab, as PNG and SVG inside HTML: masks as pictures, and the curves of a race.

What is not kept is see-through, so that the pictures lie on a light page as well as on a dark one.
"""

import html
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from app.race import Race
from app.widgets import inline_image

KEPT = (26, 133, 199)
LARGE = (200, 121, 0)
BOTH = (112, 120, 133)
BELOW = (214, 69, 65)
"""Blue, orange, gray and red, told apart by colour-blind people, and strong enough on white and on night blue."""
FAINT = (128, 140, 160, 40)
"""What is not kept."""
SIDE = 28
NEURONS = 24
MAX_CELLS = 160
"""Neurons of a layer that are drawn along one side: more cells than that are not readable."""
WIDE = 96
"""Cells across from which on a picture needs half of the page's width."""
HEIGHT = 300
LABEL_HEIGHT = 18


def reads_pixels(mask: Tensor) -> bool:
    """Whether a layer `(out, in)` reads the pixels of a digit, so that its mask can be drawn as the digit lies."""
    return mask.dim() == 2 and mask.shape[1] == SIDE * SIDE


def pixel_map(mask: Tensor, most: float) -> np.ndarray:
    """How many neurons keep each pixel, `(28, 28, 4)`: the more, the more opaque; `most` is opaque."""
    counts = mask.sum(0).reshape(SIDE, SIDE).numpy() / max(most, 1)
    colours = np.empty((SIDE, SIDE, 4))
    colours[..., :3], colours[..., 3] = KEPT, 255 * (0.08 + 0.92 * np.sqrt(counts.clip(0, 1)))
    return colours.round().astype(np.uint8)


def fields(mask: Tensor, weight: Tensor) -> list[tuple[int, np.ndarray]]:
    """The neurons `(out, in)` that keep most pixels: number and `(28, 28, 4)`, blue above zero and red below."""
    order = mask.sum(1).argsort(descending=True, stable=True)[:NEURONS].tolist()
    return [(i, _signed(mask[i].reshape(SIDE, SIDE), weight[i].reshape(SIDE, SIDE))) for i in order]


def _signed(mask: Tensor, weight: Tensor) -> np.ndarray:
    colours = np.empty((*mask.shape, 4), np.uint8)
    colours[:] = FAINT
    colours[(mask & (weight >= 0)).numpy()] = (*KEPT, 255)
    colours[(mask & (weight < 0)).numpy()] = (*BELOW, 255)
    return colours


def mask_picture(mask: Tensor, other: Tensor | None = None) -> np.ndarray:
    """A mask as pixels: a row per neuron, kernels as tiles; with `other`, which of both keeps a weight."""
    cells = _cells(mask).numpy()
    colours = np.empty((*cells.shape, 4), np.uint8)
    colours[:] = FAINT
    colours[cells == 1] = (*KEPT, 255)
    if other is not None:
        there = _cells(other).numpy() == 1
        colours[there & (cells == 0)] = (*LARGE, 255)
        colours[there & (cells == 1)] = (*BOTH, 255)
    colours[cells == -1] = 0
    return colours


def _cells(mask: Tensor) -> Tensor:
    """`(out, in)` or `(out, in, kh, kw)` as one table of 0 and 1; -1 is the gap between kernels."""
    shown = mask[:MAX_CELLS, :MAX_CELLS].int()
    if shown.dim() == 2:
        return shown if shown.shape[0] <= shown.shape[1] else shown.T
    rows, columns, height, width = shown.shape
    padded = shown.new_full((rows, columns, height + 1, width + 1), -1)
    padded[:, :, :height, :width] = shown
    table = padded.transpose(1, 2).reshape(rows * (height + 1), columns * (width + 1))
    return table if len(table) <= table.shape[1] * 2 else table.T


def cut(mask: Tensor) -> bool:
    """Whether only a part of the layer is drawn."""
    return not reads_pixels(mask) and max(mask.shape[:2]) > MAX_CELLS


def picture(pixels: np.ndarray, alt: str, kind: str = "mask") -> str:
    """A picture whose cells are drawn as large as there is room, with hard edges; `alt` is ours."""
    return f'<div class="{kind}" style="--columns:{pixels.shape[1]}">{inline_image(pixels, html.escape(alt))}</div>'


NAMES = {"ticket": "ticket", "random": "random", "magnitude": "largest weights", "dense": "all weights"}
"""What the lanes are called on screen."""


def race_curves(race: Race, says: str) -> str:
    """Test accuracy over steps, a line per lane with its name at the end."""
    top = 1.0 if max(max(lane.accuracy) for lane in race.lanes) > 0.5 else 0.5
    lines = "".join(_curve(lane.name, lane.steps, lane.accuracy, race.total, top) for lane in race.lanes)
    heights = [HEIGHT * (1 - lane.accuracy[-1] / top) for lane in race.lanes]
    labels = "".join(
        f'<text class="lane-{lane.name}" x="100%" dx="10" y="{y + 4:.1f}">{NAMES[lane.name]} '
        f"{100 * lane.accuracy[-1]:.1f}%</text>"
        for lane, y in zip(race.lanes, spread(heights), strict=True)
    )
    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{HEIGHT * (1 - t):.0f}" y2="{HEIGHT * (1 - t):.0f}"/>'
        f'<text class="tick up" x="0" dx="-8" y="{HEIGHT * (1 - t) + 4:.0f}">{t * top:.0%}</text>'
        for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    )
    ticks = "".join(
        f'<text class="tick" x="{100 * step / race.total:.2f}%" y="{HEIGHT + 20}">{step:,}</text>'
        for step in round_steps(race.total)
    )
    plot = (
        f'<svg width="100%" height="{HEIGHT}" viewBox="0 0 100 100" preserveAspectRatio="none">{lines}</svg>'
    )
    inside = f"{grid}{ticks}{plot}{labels}"
    drawing = f'<svg class="drawing" width="100%" height="{HEIGHT}" overflow="visible">{inside}</svg>'
    return f'<div class="race" role="img" aria-label="{html.escape(says)}">{drawing}</div>'


def round_steps(total: int) -> list[int]:
    """Round numbers from 0 on, not more than six, up to `total`."""
    step = next(s * 10**p for p in range(9) for s in (1, 2, 5) if total <= 5 * s * 10**p)
    return list(range(0, total + 1, step))


def _curve(name: str, steps: Sequence[int], accuracy: Sequence[float], total: int, top: float) -> str:
    points = " ".join(
        f"{100 * s / total:.2f},{100 * (1 - a / top):.2f}" for s, a in zip(steps, accuracy, strict=True)
    )
    return f'<polyline class="lane-{name}" points="{points}" vector-effect="non-scaling-stroke"/>'


def spread(heights: Sequence[float]) -> list[float]:
    """Where labels go that would stand at these heights: in the same order, and none on another."""
    order = np.argsort(heights, kind="stable")
    places, last = [0.0] * len(heights), -np.inf
    for i in order:
        last = places[i] = max(heights[i], last + LABEL_HEIGHT)
    return places
