"""One part of a network's drawing as SVG: boxes from top to bottom, lines between them, skip lanes at the side."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.tabs.generalization.graph_boxes import Box
from app.tabs.generalization.graph_layout import Lane
from app.tabs.generalization.graph_pieces import (
    JOIN,
    LOW,
    Column,
    Label,
    box_pieces,
    edge,
    label_pieces,
    rect,
    text,
)

WIDTH = 320
"""Width in pixels: that of a card on a phone."""
LANE, SIDE = 12.0, 84.0
"""Maximum pixels between two lanes, and of all lanes together."""
LINE, RADIUS = 24, 8
"""Pixels from a box's left side to its incoming line, and the radius of turns."""
GAP, TOP, FRAME = 30, 13, 10
"""Pixels below a box, above the first box of a part, and around a repeated part."""


@dataclass(frozen=True)
class DrawnPart:
    """A part: its boxes, the label of each box's result, and whether each box takes the result of the previous one.

    `entering` is the label of the part's input, `leaving` that of its output after the last repetition.
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
    """The margin of all parts of a network: room for `lanes`, and for frames of repeated parts."""

    lanes: int
    framed: bool


def part_drawing(
    part: DrawnPart | None, at_input: Label, ends: tuple[str | None, str | None], margin: Margin
) -> str:
    """A part as SVG, with the network's input above and its output below, if any."""
    drawing = _Drawing(margin)
    if ends[0]:
        drawing.end(ends[0])
        drawing.leave(at_input)
    if part:
        drawing.part(part)
    if ends[1]:
        drawing.arrive(part.leaving if part else at_input)
        drawing.end(ends[1])
    return drawing.svg()


class _Drawing:
    """SVG pieces from top to bottom; `y` is the top of the next one."""

    def __init__(self, margin: Margin):
        self.step = min(LANE, SIDE / max(1, margin.lanes))
        lanes = margin.lanes * self.step + 6 if margin.lanes else 0
        left = 1 + max(lanes, FRAME if margin.framed else 0)
        self.column = Column(left, WIDTH - FRAME, left + LINE)
        self.y = 0.0
        self.under: list[str] = []
        self.over: list[str] = []

    def svg(self) -> str:
        """All pieces, with the lines below the boxes."""
        pieces = "".join((*self.under, *self.over))
        size = f'viewBox="0 0 {WIDTH} {self.y:.0f}" width="{WIDTH}" height="{self.y:.0f}"'
        return f'<svg class="graph-part" aria-hidden="true" {size}>{pieces}</svg>'

    def end(self, name: str) -> None:
        """The input, the output, or a note on omitted steps."""
        width = 32 + 7 * len(name)
        self.over.append(rect("end", self.column.left, self.y, width, LOW, LOW / 2))
        self.over.append(text("name", self.column.left + width / 2, self.y + 19.5, name, "middle"))
        self.y += LOW

    def leave(self, label: Label) -> None:
        """The line that leaves downwards, and its label."""
        self._down(label, GAP)
        self.over += label_pieces(label, self.column.line + 13, self.y + GAP / 2 + 1)
        self.y += GAP

    def arrive(self, label: Label) -> None:
        """The line that enters from above, with its arrow."""
        self._down(label, TOP - 4)
        self.y += TOP
        x, y = self.column.line, self.y
        self.under.append(f'<path class="arrow {label.first}" d="M{x - 4.5:g} {y - 8:g}h9l-4.5 7z"/>')

    def _down(self, label: Label, length: float) -> None:
        self.under.append(edge("edge", label, f"M{self.column.line:g} {self.y:g}v{length:g}"))

    def part(self, part: DrawnPart) -> None:
        """The boxes of a part, framed if they are repeated, and the leaving line."""
        start = self.y
        if part.times > 1:
            self._down(part.entering, 2 * FRAME)
            self.y += 2 * FRAME
        entering = self.y
        if any(lane.source < 0 for lane in part.lanes):
            self._down(part.entering, RADIUS)
            self.y += RADIUS
        spans = self._boxes(part)
        self._lanes(part, entering, spans)
        if part.times > 1:
            if part.labels[-1] != part.leaving:
                self.leave(part.labels[-1])
            self._frame(start + FRAME, self.y + FRAME, part.times)
            self._down(part.leaving, FRAME)
            self.y += FRAME
        self.leave(part.leaving)

    def _boxes(self, part: DrawnPart) -> list[tuple[float, float]]:
        """Draw the boxes and the lines between them; return the top and bottom of each box."""
        spans, above = [], part.entering
        for i, (box, label) in enumerate(zip(part.boxes, part.labels, strict=True)):
            if part.follows[i]:
                self.arrive(above)
            else:
                self.y += TOP
            top = self.y
            height, pieces = box_pieces(box, self.column, top, sum(i in lane.to for lane in part.lanes))
            self.over.append(pieces)
            self.y += height
            spans.append((top, self.y))
            above = label
            if i + 1 == len(part.boxes):
                continue
            if part.follows[i + 1]:
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

    def _lanes(self, part: DrawnPart, entering: float, spans: Sequence[tuple[float, float]]) -> None:
        """The skip connections: from their line to the left, down, and into the boxes that take them."""
        for lane in sorted(part.lanes, key=lambda lane: -lane.lane):
            inside = lane.source >= 0
            label = part.labels[lane.source] if inside else part.entering
            colour, x = (
                label.first,
                self.column.left - 6 - self.step * (lane.lane + 0.5),
            )
            y = spans[lane.source][1] + 9 if inside else entering + 3
            if part.follows[lane.source + 1]:
                start = f"M{self.column.line:g} {y:g}"
                self.over.append(
                    f'<circle class="dot {colour}" cx="{self.column.line:g}" cy="{y:g}" r="3.5"/>'
                )
            else:
                start = f"M{self.column.line:g} {y - 9:g}v{9 - RADIUS}q0 {RADIUS} {-RADIUS} {RADIUS}"
            ends = [self._entry(part, lane, i, spans[i]) for i in lane.to]
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

    def _entry(self, part: DrawnPart, lane: Lane, box: int, span: tuple[float, float]) -> tuple[float, float]:
        """The point where a lane enters the left side of a box; several lanes enter one below the other."""
        meeting = sorted((other for other in part.lanes if box in other.to), key=lambda o: -o.source)
        place = (meeting.index(lane) + 1) / (len(meeting) + 1)
        x = self.column.line - JOIN / 2 if part.boxes[box].style == "join" else self.column.left
        return x, span[0] + (span[1] - span[0]) * place
