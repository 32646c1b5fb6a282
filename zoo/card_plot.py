"""Plots of model cards as SVG: the reliability of the accuracy predictor, the learning curve of a reader."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SIDE, LEFT, TOP, GAP = 240, 56, 48, 84
"""The side of a panel, its distance from the picture's edges, and between panels, in pixels."""
SHADES = ("#2563a8", "#c2701a")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """A square plot of fractions from `low` to 1, whose left edge is at `x`."""

    x: float
    low: float

    def at(self, point: tuple[float, float]) -> str:
        """A point as `x y` in pixels."""
        across, up = ((value - self.low) / (1 - self.low) * SIDE for value in point)
        return f"{self.x + across:.1f} {TOP + SIDE - up:.1f}"

    def axes(self, title: str, across: str, up: str) -> str:
        """Frame, diagonal, four ticks on each axis, and words."""
        end = f"{self.x} {TOP + SIDE}"
        lines = f'<path d="M{self.x} {TOP}v{SIDE}h{SIDE}" fill="none" stroke="#888"/>'
        diagonal = f'<path d="M{end}l{SIDE} -{SIDE}" stroke="#999" stroke-dasharray="4 4"/>'
        middle = self.x + SIDE / 2
        side = f"rotate(-90 {self.x - 40} {TOP + SIDE / 2})"
        return (
            f'{lines}{diagonal}{"".join(self._ticks())}<g fill="#444" text-anchor="middle">'
            f'<text x="{middle}" y="{TOP + SIDE + 36}">{across}</text>'
            f'<text x="{self.x - 40}" y="{TOP + SIDE / 2}" transform="{side}">{up}</text>'
            f'<text x="{middle}" y="{TOP - 28}" font-weight="bold">{title}</text></g>'
        )

    def _ticks(self) -> Iterable[str]:
        for step in range(5):
            value = self.low + (1 - self.low) * step / 4
            x, y = self.at((value, value)).split()
            label = f"{100 * value:.4g}%"
            yield f'<text x="{x}" y="{TOP + SIDE + 16}" text-anchor="middle" fill="#444">{label}</text>'
            yield f'<text x="{self.x - 6}" y="{float(y) + 4:.1f}" text-anchor="end" fill="#444">{label}</text>'

    def line(self, points: Points, shade: str) -> str:
        """A line with a dot at every point."""
        path = "L".join(map(self.at, points))
        return f'<path d="M{path}" fill="none" stroke="{shade}" stroke-width="2"/>{self.dots(points, shade, 6, 1)}'

    def dots(self, points: Points, shade: str, size: float, opacity: float) -> str:
        """A dot at every point."""
        path = "".join(f"M{self.at(point)}h0" for point in points)
        return f'<path d="{path}" stroke="{shade}" stroke-width="{size}" stroke-linecap="round" opacity="{opacity}"/>'


def reliability_svg(rows: Sequence[dict[str, Any]]) -> str:
    """Observed coverage by nominal coverage, and measured by predicted accuracy, from the rows of
    `zoo.evaluate_accuracy.reliability`."""
    coverage, accuracy = Panel(LEFT, 0.4), Panel(LEFT + SIDE + GAP, 0.0)
    marks = []
    for number, (row, shade) in enumerate(zip(rows, SHADES, strict=True)):
        marks.append(coverage.line([(float(level), seen) for level, seen in row["levels"].items()], shade))
        marks.append(accuracy.dots(list(zip(row["predicted"], row["measured"], strict=True)), shade, 4, 0.5))
        x, y = LEFT + SIDE + GAP + 56, TOP + SIDE - 30 + 18 * number
        marks.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{shade}"/>')
        marks.append(
            f'<text x="{x + 10}" y="{y + 4}" fill="{shade}">{row["which"]} ({len(row["measured"])})</text>'
        )
    width, height = LEFT + 2 * SIDE + GAP + 24, TOP + SIDE + 52
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><title>Reliability of the accuracy predictor</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f"{coverage.axes('Truth inside the interval', 'nominal', 'observed')}"
        f"{accuracy.axes('Test accuracy', 'predicted', 'measured')}{''.join(marks)}</svg>\n"
    )


WIDTH, HEIGHT, EDGE = 480, 260, 56
"""Of the learning curve, and the distance of its axes from the picture's edges, in pixels."""


@dataclass(frozen=True)
class LearningPlot:
    """Points of (training runs, tau): the runs on a logarithmic axis, tau between tenths `low` and `high`."""

    points: Points
    low: int
    high: int

    def at(self, runs: float, tau: float) -> tuple[float, float]:
        """A point in pixels."""
        first, last = self.points[0][0], self.points[-1][0]
        share = math.log(runs / first) / math.log(last / first) if last > first else 0.0
        height = (10 * tau - self.low) / (self.high - self.low)
        return EDGE + (WIDTH - 2 * EDGE) * share, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * height

    def grid(self) -> Iterable[str]:
        """A line and its number for every tenth."""
        for tenth in range(self.low, self.high + 1):
            _, y = self.at(self.points[0][0], tenth / 10)
            yield f'<path d="M{EDGE} {y:.1f}H{WIDTH - EDGE}" stroke="#ddd"/>'
            yield f'<text x="{EDGE - 20}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{tenth / 10:.1f}</text>'

    def curve(self) -> Iterable[str]:
        """A line through the points, each with its tau above and its runs below the axis."""
        places = [self.at(*point) for point in self.points]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path d="M{line}" fill="none" stroke="{SHADES[0]}" stroke-width="2"/>'
        for (runs, tau), (x, y) in zip(self.points, places, strict=True):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{SHADES[0]}"/><g text-anchor="middle">'
            yield f'<text x="{x:.1f}" y="{y - 10:.1f}" fill="{SHADES[0]}">{tau:.3f}</text>'
            yield f'<text x="{x:.1f}" y="{HEIGHT - EDGE + 20}" fill="#444">{runs:,}</text></g>'


def learning_curve_svg(rows: Sequence[dict[str, Any]], networks: int) -> str:
    """Kendall's tau on `networks` held-out networks by the number of training runs.

    `rows` are the `learning_curve` of a reader's training facts, in any order.
    """
    points = sorted((row["runs"], row["tau"]) for row in rows)
    taus = [tau for _, tau in points]
    plot = LearningPlot(points, math.floor(10 * min(taus)), math.floor(10 * max(taus)) + 1)
    title = f"Kendall's tau on {networks:,} held-out networks"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>{title}, by training runs</title><rect width="100%" height="100%" fill="#fff"/>'
        f'{"".join((*plot.grid(), *plot.curve()))}<g fill="#444" text-anchor="middle">'
        f'<text x="{WIDTH / 2:g}" y="28" font-weight="bold">{title}</text>'
        f'<text x="{WIDTH / 2:g}" y="{HEIGHT - 12}">training runs</text></g></svg>\n'
    )
