"""The drawing of a network: boxes from top to bottom, skip connections at the side, permutation groups in colours.

It is cut into parts where only one value is live, so that the page can arrange them in columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.page.html import as_table, escape
from app.tabs.generalization.graph_boxes import Box, boxes_of, groups_of_values, layer_of
from app.tabs.generalization.graph_layout import Lane, Part, Step, lanes_of, parts_of
from app.tabs.generalization.graph_pieces import COLOURS, Label, class_of
from app.tabs.generalization.graph_svg import DrawnPart, Margin, part_drawing
from nfn.architecture import Architecture, Axes
from nfn.architecture.axes import Piece

MOST_STEPS, MOST_SKIPS = 240, 2_000
"""Maximum steps and skip connections in a drawing; the table has all of them."""
MOST_ROWS = 600
MOST_GROUPS = 15
"""Groups that are named under the drawing, those with the most layers."""
MOST_LAYERS = 3
"""Layers that are named for each group."""
SHORT = 11
"""Boxes that fit in one column, with the groups beside it."""
TALL_SHARE = 0.6
"""With this fraction of the boxes in one part, columns do not help."""

LEGEND = (
    "Each colour is a group of units that can be permuted, in all its layers at once, without changing what the "
    "network computes. The mark shows the group’s number and its number of units."
)


def graph_drawing(architecture: Architecture, axes: Axes) -> str:
    """A figure of a network with its groups, and a table of its steps, as HTML."""
    network = _Drawn(architecture, axes)
    parts = "".join(_parts(network))
    tall = max(len(part.steps) for part in network.parts)
    form = "short" if network.steps_drawn <= max(SHORT, tall / TALL_SHARE) else "long"
    flow = f'<div class="graph-flow" role="img" aria-label="{escape(_description(network), 1_000)}">{parts}</div>'
    return f'<figure class="graph {form}">{flow}{_legend(network)}</figure>{_table(network)}'


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A network's boxes and their layout."""

    architecture: Architecture
    axes: Axes

    @cached_property
    def boxes(self) -> list[Box]:
        return boxes_of(self.architecture)

    @cached_property
    def steps(self) -> list[Step]:
        """The boxes as steps, which refer to each other by index."""
        step_of = {0: -1, **{box.output: number for number, box in enumerate(self.boxes)}}
        return [
            Step(
                tuple(step_of[value] for value in box.inputs),
                (box.words, box.parameters, self.architecture.values[box.output]),
            )
            for box in self.boxes
        ]

    @cached_property
    def parts(self) -> list[Part]:
        return parts_of(self.steps)

    @cached_property
    def lanes(self) -> list[list[Lane]]:
        return [lanes_of(self.steps, part) for part in self.parts]

    @property
    def steps_drawn(self) -> int:
        return sum(len(part.steps) for part in self.parts)

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The number of each permuting group, counted from 1."""
        return {group: number for number, group in enumerate(self.axes.hidden, 1)}

    @cached_property
    def layers(self) -> dict[int, list[str]]:
        """By group number, the layers that have its units on an axis."""
        layers: dict[int, dict[str, None]] = {number: {} for number in self.numbers.values()}
        for piece in self.axes.pieces:
            for number in self._groups_of(piece):
                layers[number][layer_of(piece.name)] = None
        return {number: list(names) for number, names in layers.items()}

    @cached_property
    def colours(self) -> dict[int, int]:
        """By group number: groups in the same tensor get different colours, as far as possible."""
        beside: dict[int, set[int]] = {number: set() for number in self.numbers.values()}
        for piece in self.axes.pieces:
            groups = set(self._groups_of(piece))
            for number in groups:
                beside[number] |= groups
        chosen: dict[int, int] = {}
        for number in sorted(beside, key=lambda n: (-len(self.layers[n]), n)):
            near = [chosen[other] for other in beside[number] if other in chosen]
            used = list(chosen.values())
            chosen[number] = min(range(COLOURS), key=lambda c: (near.count(c), used.count(c), c))
        return chosen

    def _groups_of(self, piece: Piece) -> list[int]:
        """The numbers of the permuting groups along the axes of a tensor."""
        along = {
            group for labels in piece.axes if labels is not None for group in np.unique(labels.group).tolist()
        }
        return [self.numbers[group] for group in along if group in self.numbers]

    @cached_property
    def value_groups(self) -> list[list[int]]:
        """By value, the numbers of the permuting groups along its channels; -1 for channels that do not permute."""
        return [
            list(dict.fromkeys(self.numbers.get(g, -1) for g in dict.fromkeys(channels.tolist())))
            for channels in groups_of_values(self.architecture, self.axes)
        ]

    def size(self, number: int) -> int:
        """The units of the permuting group with this number."""
        return self.axes.groups[self.axes.hidden[number - 1]].size

    def label(self, values: Sequence[int]) -> Label:
        """The label of a value, or of the corresponding values in all repetitions."""
        found = [self.value_groups[value] for value in values]
        groups = list(dict.fromkeys(number for some in found for number in some if number > 0))
        sizes = {self.size(number) for number in groups}
        size = sizes.pop() if len(sizes) == 1 else None
        colours = tuple(self.colours[n] if n > 0 else None for n in found[0])
        return Label(
            tuple((n, self.colours[n]) for n in groups),
            size,
            colours,
            self._shape(values[0], len(found[0]) == 1, size),
        )

    def _shape(self, value: int, one_group: bool, size: int | None) -> str:
        """The shape of a value; after a flatten, the units and the entries of each."""
        shape = self.architecture.values[value]
        if len(shape) == 1 and size is not None and one_group and size < shape[0]:
            return f"{shape[0]} = {size} × {shape[0] // size}"
        return shape_in_words(shape)


def shape_in_words(shape: Sequence[int]) -> str:
    """`16 × 32 × 32`."""
    return " × ".join(map(str, shape))


def _parts(network: _Drawn) -> list[str]:
    """The drawing from input to output, in parts; only the beginning of very long networks."""
    widest = max((lane.lane + 1 for lanes in network.lanes for lane in lanes), default=0)
    margin = Margin(widest, any(len(part.repetitions) > 1 for part in network.parts))
    drawn, steps, skips = [], 0, 0
    for number, (part, lanes) in enumerate(zip(network.parts, network.lanes, strict=True)):
        steps, skips = steps + len(part.steps), skips + sum(len(lane.to) for lane in lanes)
        last = number == len(network.parts) - 1
        rest = (
            sum(len(r) for p in network.parts[number:] for r in p.repetitions)
            if steps > MOST_STEPS or skips > MOST_SKIPS
            else 0
        )
        ends = (None if number else "Input", f"{rest:,} more steps" if rest else "Output" if last else None)
        shown = _drawn_part(network, part, lanes) if not rest else None
        drawn.append(part_drawing(shown, network.label([0]), ends, margin))
        if rest:
            break
    return drawn


def _drawn_part(network: _Drawn, part: Part, lanes: list[Lane]) -> DrawnPart:
    places = zip(*part.repetitions, strict=True)
    labels = [network.label([network.boxes[i].output for i in place]) for place in places]
    first = part.steps[0]
    return DrawnPart(
        boxes=[network.boxes[i] for i in part.steps],
        labels=labels,
        entering=network.label([network.boxes[first - 1].output if first else 0]),
        leaving=network.label([network.boxes[part.repetitions[-1][-1]].output]),
        follows=[i - 1 in network.steps[i].inputs for i in part.steps],
        lanes=lanes,
        times=len(part.repetitions),
    )


def _description(network: _Drawn) -> str:
    """The drawing in words, for screen readers."""
    skips = sum(len(lane.to) for lanes in network.lanes for lane in lanes)
    input_shape, output_shape = (shape_in_words(network.architecture.values[i]) for i in (0, -1))
    skip_text = f" It has {skips} skip connections." if skips else ""
    parameters = sum(box.parameters for box in network.boxes)
    return (
        f"A network of {len(network.boxes)} steps and {parameters:,} parameters, from an input of {input_shape} to an "
        f"output of {output_shape}.{skip_text} {len(network.numbers)} groups of units permute. The table below lists "
        "every step."
    )


def _legend(network: _Drawn) -> str:
    """The groups by colour and number, with their layers."""
    if not network.numbers:
        return '<div class="graph-groups"><p>No units of this network can be permuted.</p></div>'
    shown = sorted(network.layers, key=lambda n: (-len(network.layers[n]), n))[:MOST_GROUPS]
    rows = [_group(network, number, network.layers[number]) for number in sorted(shown)]
    more = len(network.numbers) - len(rows)
    rest = f"<p>{more} groups with fewer layers are listed in the table.</p>" if more > 0 else ""
    return f'<div class="graph-groups"><p>{LEGEND}</p><ul>{"".join(rows)}</ul>{rest}</div>'


def _group(network: _Drawn, number: int, layers: list[str]) -> str:
    names = ", ".join(escape(name, 40) for name in layers[:MOST_LAYERS])
    left_out = len(layers) - MOST_LAYERS
    more = f" and {left_out} more" if left_out > 0 else ""
    mark = (
        f'<span class="chip {class_of(network.colours[number])}"><b>{number}</b>{network.size(number)}</span>'
    )
    return (
        f"<li>{mark}<span>{'layers' if len(layers) > 1 else 'layer'} <code>{names}</code>{more}</span></li>"
    )


def _table(network: _Drawn) -> str:
    """A table with one row per step."""
    heads = ["step", "operation", "inputs", "output", "layer", "parameters", "groups"]
    rows = [
        [
            str(number),
            box.words,
            ", ".join("input" if i < 0 else f"step {i + 1}" for i in step.inputs),
            shape_in_words(network.architecture.values[box.output]),
            box.name or "–",
            f"{box.parameters:,}",
            ", ".join(f"{g} ({network.size(g)} units)" for g in network.value_groups[box.output] if g > 0)
            or "–",
        ]
        for number, (box, step) in enumerate(zip(network.boxes, network.steps, strict=True), 1)
    ]
    if len(rows) > MOST_ROWS:
        rows = [*rows[:MOST_ROWS], ["…", f"{len(rows) - MOST_ROWS:,} more steps", "", "", "", "", ""]]
    return as_table(heads, rows, "The steps as a table")
