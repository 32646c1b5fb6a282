"""One part of a network's drawing as SVG: boxes under one another, lines between them, lanes at the side."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.graph_boxes import Box
from app.graph_layout import Lane
from app.graph_pieces import JOIN, LOW, Column, Label, box_pieces, edge, label_pieces, rect, text

WIDTH = 320
"""Pixels across: what a card has on a telephone."""
LANE, SIDE = 12.0, 84.0
"""Pixels between two lanes, and of all lanes together, at most."""
LINE, RADIUS = 24, 8
"""Pixels from a box's left to the line that comes into it, and of the turns of lines."""
GAP, TOP, FRAME = 30, 13, 10
"""Pixels under a box, over the first one of a part, and around a part that is repeated."""


@dataclass(frozen=True)
class Shown:
    """A part: its boxes, the label of each one's result, and whether each takes the result of the one before.

    `entering` is the label of what comes in from above, `leaving` of what goes on after the last repetition.
    """

    boxes: Sequence[Box]
    labels: Sequence[Label]
    entering: Label
    leaving: Label
    follows: Sequence[bool]
    lanes: Sequence[Lane]
    times: int


@dataclass(frozen=True)
class Margin:
    """What all parts of a network leave room for at the side: so many lanes, and frames of repeated parts."""

    lanes: int
    framed: bool


def part_drawing(
    shown: Shown | None, at_input: Label, ends: tuple[str | None, str | None], margin: Margin
) -> str:
    """A part as SVG, with what stands over and under it (the input, the output) if anything does."""
    drawing = _Drawing(margin)
    if ends[0]:
        drawing.end(ends[0])
        drawing.leave(at_input)
    if shown:
        drawing.part(shown)
    if ends[1]:
        drawing.arrive(shown.leaving if shown else at_input)
        drawing.end(ends[1])
    return drawing.svg()


class _Drawing:
    """Pieces of SVG from top to bottom; `y` is where the next one begins."""

    def __init__(self, margin: Margin):
        self.step = min(LANE, SIDE / max(1, margin.lanes))
        lanes = margin.lanes * self.step + 6 if margin.lanes else 0
        left = 1 + max(lanes, FRAME if margin.framed else 0)
        self.column = Column(left, WIDTH - FRAME, left + LINE)
        self.y = 0.0
        self.under: list[str] = []
        self.over: list[str] = []

    def svg(self) -> str:
        """All pieces, the lines under the boxes."""
        pieces = "".join((*self.under, *self.over))
        size = f'viewBox="0 0 {WIDTH} {self.y:.0f}" width="{WIDTH}" height="{self.y:.0f}"'
        return f'<svg class="graph-part" aria-hidden="true" {size}>{pieces}</svg>'

    def end(self, name: str) -> None:
        """The input, the output, or what is left out."""
        width = 32 + 7 * len(name)
        self.over.append(rect("end", self.column.left, self.y, width, LOW, LOW / 2))
        self.over.append(text("name", self.column.left + width / 2, self.y + 19.5, name, "middle"))
        self.y += LOW

    def leave(self, label: Label) -> None:
        """The line that goes on downwards, and its label."""
        self._down(label, GAP)
        self.over += label_pieces(label, self.column.line + 13, self.y + GAP / 2 + 1)
        self.y += GAP

    def arrive(self, label: Label) -> None:
        """The line that comes in from above, with its arrow."""
        self._down(label, TOP - 4)
        self.y += TOP
        x, y = self.column.line, self.y
        self.under.append(f'<path class="arrow {label.first}" d="M{x - 4.5:g} {y - 8:g}h9l-4.5 7z"/>')

    def _down(self, label: Label, length: float) -> None:
        self.under.append(edge("edge", label, f"M{self.column.line:g} {self.y:g}v{length:g}"))

    def part(self, shown: Shown) -> None:
        """The boxes of a part, framed if they are repeated, and the line on."""
        start = self.y
        if shown.times > 1:
            self._down(shown.entering, 2 * FRAME)
            self.y += 2 * FRAME
        entering = self.y
        if any(lane.source < 0 for lane in shown.lanes):
            self._down(shown.entering, RADIUS)
            self.y += RADIUS
        spans = self._boxes(shown)
        self._lanes(shown, entering, spans)
        if shown.times > 1:
            if shown.labels[-1] != shown.leaving:
                self.leave(shown.labels[-1])
            self._frame(start + FRAME, self.y + FRAME, shown.times)
            self._down(shown.leaving, FRAME)
            self.y += FRAME
        self.leave(shown.leaving)

    def _boxes(self, shown: Shown) -> list[tuple[float, float]]:
        """Draws them with the lines between them; where each one begins and ends."""
        spans, above = [], shown.entering
        for i, (box, label) in enumerate(zip(shown.boxes, shown.labels, strict=True)):
            if shown.follows[i]:
                self.arrive(above)
            else:
                self.y += TOP
            top = self.y
            height, pieces = box_pieces(box, self.column, top, sum(i in lane.to for lane in shown.lanes))
            self.over.append(pieces)
            self.y += height
            spans.append((top, self.y))
            above = label
            if i + 1 == len(shown.boxes):
                continue
            if shown.follows[i + 1]:
                self.leave(label)
            else:
                self.over += label_pieces(label, self.column.line + 13, self.y + GAP / 2 + 1)
                self.y += GAP
        return spans

    def _frame(self, top: float, bottom: float, times: int) -> None:
        words = f"{times} times"
        width = 18 + 6.5 * len(words)
        self.under.insert(0, rect("frame", 0.5, top, WIDTH - 1, bottom - top, 14))
        self.over.append(rect("times", WIDTH - 14 - width, top - 10, width, 20, 10))
        self.over.append(text("times-name", WIDTH - 14 - width / 2, top + 4, words, "middle"))

    def _lanes(self, shown: Shown, entering: float, spans: Sequence[tuple[float, float]]) -> None:
        """What skips boxes: from its line to the left, down, and into the boxes that take it."""
        for lane in sorted(shown.lanes, key=lambda lane: -lane.lane):
            inside = lane.source >= 0
            label = shown.labels[lane.source] if inside else shown.entering
            colour, x = (
                label.first,
                self.column.left - 6 - self.step * (lane.lane + 0.5),
            )
            y = spans[lane.source][1] + 9 if inside else entering + 3
            if shown.follows[lane.source + 1]:
                start = f"M{self.column.line:g} {y:g}"
                self.over.append(
                    f'<circle class="dot {colour}" cx="{self.column.line:g}" cy="{y:g}" r="3.5"/>'
                )
            else:
                start = f"M{self.column.line:g} {y - 9:g}v{9 - RADIUS}q0 {RADIUS} {-RADIUS} {RADIUS}"
            ends = [self._entry(shown, lane, i, spans[i]) for i in lane.to]
            turn = f"H{x + RADIUS:g}q{-RADIUS} 0 {-RADIUS} {RADIUS}"
            self.under.append(
                edge("edge", label, f"{start}{turn}V{ends[-1][1] - RADIUS:g}{self._into(ends[-1])}")
            )
            for end in ends[:-1]:
                self.under.append(edge("edge", label, f"M{x:g} {end[1] - RADIUS:g}{self._into(end)}"))
            for end_x, end_y in ends:
                self.under.append(f'<path class="arrow {colour}" d="M{end_x - 7:g} {end_y - 4:g}v8l6-4z"/>')

    def _into(self, end: tuple[float, float]) -> str:
        return f"q0 {RADIUS} {RADIUS} {RADIUS}H{end[0] - 5:g}"

    def _entry(self, shown: Shown, lane: Lane, box: int, span: tuple[float, float]) -> tuple[float, float]:
        """Where a lane meets the left side of a box; several meet it one under the other."""
        meeting = sorted((other for other in shown.lanes if box in other.to), key=lambda o: -o.source)
        place = (meeting.index(lane) + 1) / (len(meeting) + 1)
        x = self.column.line - JOIN / 2 if shown.boxes[box].style == "join" else self.column.left
        return x, span[0] + (span[1] - span[0]) * place
