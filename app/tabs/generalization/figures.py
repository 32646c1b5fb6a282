"""Figures of the Accuracy tab, as SVG and PNG inside HTML: they follow the page's colours, and can be clicked.

Positions are percentages of the drawing, so that a narrow screen shrinks the axes but not the text.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from app.page.figures import colours, robust_limit
from app.page.widgets import inline_image

BINS = 24
HISTOGRAM_HEIGHT = 72
STRIP_HEIGHT = 132
MAX_LAYERS, MAX_NAME = 24, 40
MAX_CHANNELS = 32
"""Channels of a layer that are drawn, the first ones: more kernels are not readable."""
FEW_CHANNELS = 4
"""Input channels up to which several neurons share a row."""
WIDTH, GAP = 224, 2
"""Approximate width of a layer's picture, and minimum gap between two kernels, in pixels."""
MAX_CELL = 14
"""Maximum width of one weight in pixels."""


@dataclass(frozen=True)
class Axis:
    """A range of accuracies `low` to `high`, 0 to 1, and its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, accuracy: float) -> float:
        """The position of an accuracy in percent, clipped to the axis."""
        return round(100 * min(1.0, max(0.0, (accuracy - self.low) / (self.high - self.low))), 2)


def axis_for(accuracies: Sequence[float]) -> Axis:
    """An axis from 0 to a round number above all `accuracies`, with at most six ticks."""
    step = next(s for s in (0.05, 0.1, 0.2) if max(accuracies, default=1.0) <= 5 * s)
    count = next(n for n in range(1, 6) if max(accuracies, default=1.0) <= n * step)
    return Axis(0.0, count * step, tuple(i * step for i in range(count + 1)))


@dataclass(frozen=True)
class Span:
    """An accuracy and the interval around it, all 0 to 1."""

    value: float
    low: float
    high: float


def interval_strip(
    predicted: Span | None, measured: Span | None, zoo: Sequence[float], description: str
) -> str:
    """The zoo's accuracies as bars, the predicted interval below them, and the measured accuracy as a mark.

    `predicted` is None without a reliable prediction. `description` is the figure in words (escaped here).
    """
    axis = axis_for([*zoo, *(x for span in (predicted, measured) if span for x in (span.high,))])
    counts, edges = np.histogram(zoo, BINS, (axis.low, axis.high))
    tallest = max(1, counts.max())
    bars = [
        _rect("zoo", axis.at(a), axis.at(b), HISTOGRAM_HEIGHT * (1 - n / tallest) + 8, HISTOGRAM_HEIGHT + 8)
        for n, a, b in zip(counts, edges, edges[1:], strict=False)
        if n
    ]
    base = HISTOGRAM_HEIGHT + 8
    parts = [*bars, _line("base", 0, 100, base, base), *_strip_ticks(axis, base + 46)]
    if predicted:
        parts += [
            _rect("band", axis.at(predicted.low), axis.at(predicted.high), base + 10, base + 26, radius=8),
            f'<circle class="predicted" cx="{axis.at(predicted.value)}%" cy="{base + 18}" r="7"/>',
        ]
    if measured:
        parts.append(_diamond(axis.at(measured.value), f"{base + 18}", "measured"))
        parts.append(_line("truth", axis.at(measured.value), axis.at(measured.value), 4, base + 9))
    return _figure("strip", STRIP_HEIGHT, parts, description)


def _strip_ticks(axis: Axis, y: float) -> list[str]:
    return [f'<text class="tick" x="{axis.at(t)}%" y="{y}">{t:.0%}</text>' for t in axis.ticks]


@dataclass(frozen=True)
class Dot:
    """One network of the zoo in the scatter plot."""

    zoo_id: str
    measured: float
    predicted: Span
    label: str


def scatter(dots: Sequence[Dot], predicted: Span | None, measured: Span | None, description: str) -> str:
    """Predicted (y) against measured accuracy (x), with the chosen network's interval and measured accuracy.

    A dot has its `zoo_id` as `data-zoo-id` and its `label` as `data-label` (see `networks.js`).
    """
    spans = [span for span in (predicted, measured) if span]
    axis = axis_for([*(max(d.measured, d.predicted.high) for d in dots), *(span.high for span in spans)])
    parts = [*_grid(axis), _line("diagonal", "0%", "100%", "100%", "0%")]
    if predicted:
        low, high = 100 - axis.at(predicted.low), 100 - axis.at(predicted.high)
        parts.append(f'<rect class="band" x="0" width="100%" y="{high:.2f}%" height="{low - high:.2f}%"/>')
        middle = f"{100 - axis.at(predicted.value):.2f}%"
        parts.append(_line("guess", "0%", "100%", middle, middle))
    parts += [_dot(axis, dot) for dot in dots]
    if measured:
        height = 100 - axis.at(predicted.value) if predicted else 100.0
        parts.append(
            _line("truth", axis.at(measured.low), axis.at(measured.high), f"{height}%", f"{height}%")
        )
        parts.append(_diamond(axis.at(measured.value), f"{height}%", "measured"))
    description = f"{description} Arrow keys go from dot to dot, Enter chooses."
    return _figure("scatter", None, parts, description, keys=True)


def _grid(axis: Axis) -> list[str]:
    lines = []
    for tick in axis.ticks:
        x = axis.at(tick)
        lines.append(_line("grid", x, x, "0%", "100%"))
        lines.append(_line("grid", "0%", "100%", f"{100 - x}%", f"{100 - x}%"))
        lines.append(f'<text class="tick" x="{x}%" y="100%" dy="18">{tick:.0%}</text>')
        lines.append(f'<text class="tick up" x="0" dx="-8" y="{100 - x}%" dy="4">{tick:.0%}</text>')
    return lines


def _dot(axis: Axis, dot: Dot) -> str:
    x, y = axis.at(dot.measured), 100 - axis.at(dot.predicted.value)
    ends = (f"{100 - axis.at(end):.2f}%" for end in (dot.predicted.low, dot.predicted.high))
    return _line("reach", x, x, *ends) + (
        f'<circle class="dot" data-zoo-id="{html.escape(dot.zoo_id)}" data-label="{html.escape(dot.label)}" '
        f'cx="{x}%" cy="{y:.2f}%" r="4"/>'
    )


def _line(kind: str, x1: float | str, x2: float | str, y1: float | str, y2: float | str) -> str:
    """A line; numbers are percentages for x, and pixels for y."""
    left, right = (x if isinstance(x, str) else f"{x}%" for x in (x1, x2))
    return f'<line class="{kind}" x1="{left}" x2="{right}" y1="{y1}" y2="{y2}"/>'


def _rect(kind: str, left: float, right: float, top: float, bottom: float, radius: int = 1) -> str:
    """A rectangle from `left` to `right` in percent, `top` to `bottom` in pixels."""
    size = f'width="{right - left:.2f}%" height="{bottom - top:.1f}"'
    return f'<rect class="{kind}" x="{left}%" y="{top:.1f}" rx="{radius}" {size}/>'


def _diamond(x: float, y: str, kind: str) -> str:
    return f'<svg class="{kind}" x="{x}%" y="{y}" overflow="visible"><path d="M0-9 9 0 0 9-9 0z"/></svg>'


def _figure(kind: str, height: int | None, parts: Iterable[str], description: str, keys: bool = False) -> str:
    """A drawing with a description for screen readers; with `keys` it takes keyboard focus."""
    size = f'height="{height}"' if height else 'height="100%"'
    drawing = f'<svg class="drawing" width="100%" {size} overflow="visible">{"".join(parts)}</svg>'
    role = 'role="application" tabindex="0"' if keys else 'role="img"'
    return f'<div class="{kind}" {role} aria-label="{html.escape(description)}">{drawing}</div>'


def kernel_mosaic(weight: np.ndarray) -> np.ndarray:
    """Weights `(out, in, kh, kw)` or `(out, in)` as pixels `(H, W, 4)`: a row of kernels per neuron, transparent gaps.

    With few input channels a row has several neurons, so that the picture is about as wide as high. Each layer has its
    own colour range.
    """
    kernels = weight[:MAX_CHANNELS, :MAX_CHANNELS]
    kernels = kernels if kernels.ndim == 4 else kernels[:, :, None, None]
    if kernels.shape[1] <= FEW_CHANNELS:
        kernels = _squared(kernels)
    columns, across = kernels.shape[1], kernels.shape[3]
    cell = min(MAX_CELL, max(1, (WIDTH - GAP * columns) // (columns * across)))
    gap = GAP if across == 1 else max(GAP, cell // 2)
    cells = colours(kernels, robust_limit(weight)).repeat(cell, 2).repeat(cell, 3)
    padded = np.pad(cells, ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0)))
    return np.concatenate(np.concatenate(list(padded), 1), 1)[:-gap, :-gap]


def _squared(kernels: np.ndarray) -> np.ndarray:
    """Arrange kernels `(n, c, kh, kw)` in about a square, `(rows, neurons * c, kh, kw)`, padded with NaN."""
    channels = kernels.shape[1]
    neurons = max(1, round(np.sqrt(len(kernels) / channels)))
    rows = -(-len(kernels) // neurons)
    square = np.full((rows * neurons, *kernels.shape[1:]), np.nan)
    square[: len(kernels)] = kernels
    return square.reshape(rows, neurons * channels, *kernels.shape[2:])


def weight_bars(weight: np.ndarray) -> str:
    """A histogram of a layer's weights over the colour range of its picture; the end bars include the tails."""
    limit = robust_limit(weight)
    counts, edges = np.histogram(np.clip(weight, -limit, limit), BINS + 1, (-limit, limit))
    middles = (edges[1:] + edges[:-1]) / 2
    width = 100 / len(counts)
    bars = [
        _rect("minus" if m < -width * limit / 100 else "plus" if m > width * limit / 100 else "zero",
              i * width, i * width + 0.86 * width, 40 * (1 - n / counts.max()), 40)
        for i, (n, m) in enumerate(zip(counts, middles, strict=True))
    ]  # fmt: skip
    return _figure(
        "spread", 40, bars, f"{counts.sum():,} weights from {weight.min():.2g} to {weight.max():.2g}"
    )


def layer_figures(tensors: Mapping[str, torch.Tensor], drawn: str = "the weights") -> str:
    """The weights (of two or four dimensions) of a network as kernels and histograms, side by side.

    `drawn` says what the numbers are, in trusted words, to those who do not see the picture.
    """
    weights = [(name, tensor) for name, tensor in tensors.items() if tensor.dim() in (2, 4)]
    figures = "".join(_layer(name, tensor.cpu().numpy(), drawn) for name, tensor in weights[:MAX_LAYERS])
    more = len(weights) - MAX_LAYERS
    rest = f'<p class="line">{more} more layers are not drawn.</p>' if more > 0 else ""
    return f'<div class="layers">{figures}</div>{rest}'


def _left_out(weight: np.ndarray) -> str:
    """A remark on the channels that a layer's picture leaves out."""
    if max(weight.shape[:2]) <= MAX_CHANNELS:
        return ""
    shown = "×".join(str(min(count, MAX_CHANNELS)) for count in weight.shape[:2])
    return f"<br>only the first {shown} are drawn"


def _layer(name: str, weight: np.ndarray, drawn: str) -> str:
    shape = "×".join(map(str, weight.shape[:2])) + (
        "" if weight.ndim == 2 else f", {weight.shape[2]}×{weight.shape[3]}"
    )
    shown = html.escape(name.removesuffix(".weight")[:MAX_NAME])
    image = inline_image(kernel_mosaic(weight), f"{shown}: {drawn} as colours")
    title = f"<b>{shown}</b> {shape}<br>colours up to ±{robust_limit(weight):.2g}{_left_out(weight)}"
    return f"<figure><figcaption>{title}</figcaption>{image}{weight_bars(weight)}</figure>"
