"""The parts of a network's drawing as SVG: boxes, lines, labels."""

from dataclasses import dataclass

from app.page.html import escape
from app.tabs.generalization.graph_boxes import Box

COLOURS = 10
"""The number of group colours, the classes `g1` to `g10` of `generalization.css`."""
PAD = 12
TALL, LOW, JOIN = 46, 30, 24
"""Heights of boxes with weights, without weights, and of the circles where lines join."""
INLET = 11
"""Pixels between two lines that enter a box from the side."""
LETTER, BOLD, CODE = 6.2, 7.8, 6.7
"""Approximate width of a letter of soft text, a title and code, in pixels."""
CHIPS = 3
"""Groups that are named beside a line."""
STRIPES, STRIPE = 4, 7
"""Maximum number of group colours in one line, and the length of each stripe in pixels."""


@dataclass(frozen=True)
class Label:
    """The label of a line: (group, colour) pairs, the groups' size if they agree, and the shape.

    `colours` belong to the value itself, while `groups` covers all repetitions; None for channels without a group.
    """

    groups: tuple[tuple[int, int], ...]
    size: int | None
    colours: tuple[int | None, ...]
    shape: str

    @property
    def first(self) -> str:
        """The class of the value's first colour."""
        return class_of(self.colours[0])


@dataclass(frozen=True)
class Column:
    """The x positions of the boxes' left and right sides, and of the line between boxes, in pixels."""

    left: float
    right: float
    line: float


def class_of(colour: int | None) -> str:
    """The CSS class of a colour, counted from 0."""
    return "" if colour is None else f"g{colour + 1}"


def edge(kind: str, label: Label, path: str) -> str:
    """A line in the colour of its group, or striped in the colours of several groups."""
    colours = label.colours[:STRIPES]
    if len(colours) < 2:
        return f'<path class="{kind} {label.first}" d="{path}"/>'
    gap = STRIPE * (len(colours) - 1)
    return "".join(
        f'<path class="{kind} {class_of(colour)}" stroke-dasharray="{STRIPE} {gap}" '
        f'stroke-dashoffset="{-STRIPE * place}" d="{path}"/>'
        for place, colour in enumerate(colours)
    )


def box_pieces(box: Box, column: Column, y: float, inlets: int) -> tuple[float, str]:
    """The height and the SVG of a box at `y` with `inlets` lines that enter from the side."""
    tooltip = f"<title>{escape(' · '.join(filter(None, (box.words, box.name))), 300)}</title>"
    draw = {"join": _join, "plain": _plain, "weights": _weights}[box.style]
    height, pieces = draw(box, column, y, INLET * (inlets + 1))
    return height, f"<g>{tooltip}{''.join(pieces)}</g>"


def _join(box: Box, column: Column, y: float, least: float) -> tuple[float, list[str]]:
    """A circle, taller if many lines join, with the title beside it."""
    height = max(JOIN, least)
    circle = rect("join", column.line - JOIN / 2, y, JOIN, height, JOIN / 2)
    middle = y + height / 2
    sign = text("sign", column.line, middle, box.sign, "middle")
    return height, [circle, sign, _words(box, column.line + 22, middle + 4)]


def _plain(box: Box, column: Column, y: float, least: float) -> tuple[float, list[str]]:
    """Title and details in one row, or in two rows if they are long."""
    x, end = column.left + PAD, column.right - PAD
    details, room = " · ".join(box.details), int((end - x) / LETTER)
    beside = BOLD * len(box.title) + LETTER * len(details) + PAD < end - x
    height = max(LOW if beside else TALL, least)
    top = y + height / 2 + (4 if beside else -4)
    words = (
        [_words(box, x, top)]
        if beside
        else [text("name", x, top, box.title), text("soft", x, top + 17, _start_of(details, room))]
    )
    shape = rect("plain", column.left, y, column.right - column.left, height, LOW / 2)
    return height, [shape, *words]


def _words(box: Box, x: float, y: float) -> str:
    """Title and details in one row."""
    details = escape(" · ".join(box.details), 40)
    soft = f'<tspan class="soft" dx="7">{details}</tspan>' if details else ""
    return f'<text class="name" x="{x:g}" y="{y:g}">{escape(box.title, 40)}{soft}</text>'


def _weights(box: Box, column: Column, y: float, least: float) -> tuple[float, list[str]]:
    """Title and parameters in one row, details and layer name below, the layer in a third row if it is long."""
    x, end = column.left + PAD, column.right - PAD
    details, layer = " · ".join(box.details), _end_of(box.name, int((end - x) / CODE))
    beside = LETTER * len(details) + CODE * len(layer) + PAD < end - x
    rows = [
        text("name", x, y + 19, box.title),
        text("soft", end, y + 19, f"{box.parameters:,} parameters", "end"),
    ]
    if details:
        rows.append(text("soft", x, y + 36, _start_of(details, int((end - x) / LETTER))))
    low = y + 36 if beside or not details else y + 52
    rows.append(text("code", end, low, layer, "end") if details and beside else text("code", x, low, layer))
    height = max(TALL + low - y - 36, least)
    return height, [rect("weights", column.left, y, column.right - column.left, height, 8), *rows]


def label_pieces(label: Label, x: float, y: float) -> list[str]:
    """The group marks, the size and the shape, from left to right at `y`."""
    pieces = []
    for group, colour in label.groups[:CHIPS]:
        width = 10 + 6.4 * len(str(group))
        pieces.append(rect(f"chip {class_of(colour)}", x, y - 8, width, 16, 4))
        pieces.append(text("chip-name", x + width / 2, y + 4, str(group), "middle"))
        x += width + 2
    if len(label.groups) > CHIPS:
        more = f"+{len(label.groups) - CHIPS}"
        pieces.append(text("soft", x + 3, y + 4, more))
        x += 10 + 7.2 * len(more)
    if label.groups and label.size:
        width = 10 + 6.4 * len(str(label.size))
        pieces.append(rect(f"size {class_of(label.groups[0][1])}", x, y - 8, width, 16, 4))
        pieces.append(text("size-name", x + width / 2, y + 4, str(label.size), "middle"))
        x += width
    return [*pieces, text("shape", x + (8 if label.groups else 0), y + 4, label.shape)]


def rect(kind: str, x: float, y: float, width: float, height: float, radius: float) -> str:
    """A rectangle with the CSS class `kind`."""
    size = f'width="{width:g}" height="{height:g}" rx="{radius:g}"'
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" {size}/>'


def text(kind: str, x: float, y: float, words: str, anchor: str = "") -> str:
    """Untrusted text, escaped; `anchor` is `end` or `middle`."""
    anchored = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{anchored}>{escape(words)}</text>'


def _start_of(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _end_of(name: str, most: int) -> str:
    """The end of a long name, which is more specific than its beginning."""
    return name if len(name) <= most else "…" + name[1 - most :]
