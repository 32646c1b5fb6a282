"""A network's ops as boxes with titles: ops that belong together share a box."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nfn.architecture import Architecture, Axes, Op, ops

Style = Literal["weights", "plain", "join"]
"""How a box is drawn: with weights, without, or as a small circle where lines join."""
SIGNS: dict[type[Op], str] = {ops.Add: "+", ops.Multiply: "×", ops.Concat: "‖"}
"""The sign in such a circle."""


@dataclass(frozen=True)
class Box:
    """Consecutive ops. `inputs` and `output` are indices of the architecture's values; `name` is the layer's, or ""."""

    title: str
    details: tuple[str, ...]
    name: str
    parameters: int
    inputs: tuple[int, ...]
    output: int
    style: Style
    sign: str

    @property
    def words(self) -> str:
        """Title and details in one line."""
        return " · ".join((self.title, *self.details))


def boxes_of(architecture: Architecture) -> list[Box]:
    """All ops in boxes, in order; batch norms and activations share the box of the layer before (or after) them.

    Ops that the output does not need are omitted.
    """
    uses = _uses(architecture)
    rows: list[list[int]] = []
    row_of: dict[int, int] = {}  # by value: the row that ends with it
    for number, op in enumerate(architecture.ops):
        if not uses[number + 1]:
            continue
        source = op.inputs[0]
        row = row_of.get(source) if uses[source] == 1 and len(op.inputs) == 1 else None
        if row is None or not _joins(op, [architecture.ops[i] for i in rows[row]]):
            row = len(rows)
            rows.append([])
        rows[row].append(number)
        row_of[number + 1] = row
    seen: set[str] = set()
    return [_box(architecture, row, seen) for row in rows]


def _uses(architecture: Architecture) -> list[int]:
    """How often each value is used by ops that the output needs; the output itself once."""
    uses = [0] * len(architecture.values)
    uses[-1] = 1
    for number, op in reversed(list(enumerate(architecture.ops))):
        if uses[number + 1]:
            for value in op.inputs:
                uses[value] += 1
    return uses


def _joins(op: Op, row: list[Op]) -> bool:
    """Whether an op joins the box of the ops before it: it follows them, or they are its pre-activation."""
    if isinstance(op, ops.Conv | ops.Linear):
        return all(isinstance(before, _PREPARING) for before in row)
    return isinstance(op, _FOLLOWERS) and not isinstance(row[0], ops.Concat)


_PREPARING = (ops.BatchNorm, ops.ChannelAffine, ops.PRelu, ops.Activation)
_FOLLOWERS = (*_PREPARING, ops.Scale, ops.Softmax)


def _box(architecture: Architecture, row: list[int], seen: set[str]) -> Box:
    members = [architecture.ops[i] for i in row]
    main = next((op for op in members if not isinstance(op, _FOLLOWERS)), members[0])
    place = members.index(main)
    before = [f"after {', '.join(map(_in_words, members[:place]))}"] if place else []
    after = [_in_words(op) for op in members[place + 1 :]]
    title, *details = _words(main, architecture, row[place])
    names = [name for op in members for name in learned(op)]
    new = dict.fromkeys(name for name in names if name not in seen)
    shared = ["shared weights"] if names and not new else []
    seen.update(new)
    return Box(
        title=title[:1].upper() + title[1:],
        details=(*details, *before, *after, *shared),
        name=next((layer_of(tensor) for op in (main, *members) for tensor in op.tensors), ""),
        parameters=sum(math.prod(architecture.shapes[name]) for name in new),
        inputs=members[0].inputs,
        output=row[-1] + 1,
        style="join" if isinstance(main, tuple(SIGNS)) else "weights" if names else "plain",
        sign=SIGNS.get(type(main), ""),
    )


def layer_of(tensor: str) -> str:
    """`layer1.0.conv1` of `layer1.0.conv1.weight`."""
    return tensor.rpartition(".")[0] or tensor


def learned(op: Op) -> tuple[str, ...]:
    """The tensors of an op without running statistics, which are measured and not learned."""
    measured = (op.mean, op.variance) if isinstance(op, ops.BatchNorm) else ()
    return tuple(name for name in op.tensors if name not in measured)


def _in_words(op: Op) -> str:
    return " ".join(_words(op, None, 0))


def _words(op: Op, architecture: Architecture | None, number: int) -> tuple[str, ...]:
    """The name of an op, and its unusual settings."""
    match op:
        case ops.Conv() if architecture:
            return _convolution(op, architecture.shapes[op.weight])
        case ops.Linear():
            return ("linear",)
        case ops.BatchNorm():
            return ("batch norm",)
        case ops.ChannelAffine():
            parts = [word for word, name in (("gain", op.weight), ("shift", op.bias)) if name]
            return (f"{' and '.join(parts)} per channel",)
        case ops.PRelu():
            return ("PReLU",)
        case ops.Activation():
            return (_activation(op),)
        case ops.Pool():
            return _pool(op)
        case ops.AdaptivePool():
            whole = "global" if op.size == (1, 1) else "adaptive"
            return (f"{whole} {op.mode} pool", *([] if op.size == (1, 1) else [f"to {times(*op.size)}"]))
        case ops.Flatten():
            return ("flatten", *(["pixel by pixel"] if op.order == "hwc" else []))
        case ops.Add():
            return ("add",)
        case ops.Multiply():
            return ("square",) if len(set(op.inputs)) == 1 and len(op.inputs) == 2 else ("multiply",)
        case ops.Scale():
            return ("scale", _scale(op))
        case ops.Pad():
            sides = [f"{_sides(op.sides)} pixels"] if any(op.sides) else []
            channels = [f"{sum(op.channels)} more channels"] if any(op.channels) else []
            return ("zero padding", *sides, *channels)
        case ops.Subsample():
            return ("subsample", f"every {_ordinal(max(op.stride))} pixel")
        case ops.Softmax():
            return ("log-softmax" if op.log else "softmax",)
        case _:
            return (op.kind.replace("_", " "),)


def _convolution(op: ops.Conv, weight: tuple[int, ...]) -> tuple[str, ...]:
    depthwise = op.groups > 1 and weight[1] == 1
    details = []
    if op.stride != (1, 1):
        details.append(f"stride {_pair(op.stride)}")
    if op.dilation != (1, 1):
        details.append(f"dilation {_pair(op.dilation)}")
    if op.groups > 1 and not depthwise:
        details.append(f"in {op.groups} groups")
    if any(op.padding) and [2 * op.padding[2], 2 * op.padding[0]] != [k - 1 for k in weight[2:]]:
        details.append(f"padding {_sides(op.padding)}")
    elif not any(op.padding) and max(weight[2:]) > 1:
        details.append("no padding")
    return (f"{'depthwise ' if depthwise else ''}conv {times(*weight[2:])}", *details)


def _pool(op: ops.Pool) -> tuple[str, ...]:
    stride = [] if op.stride == op.kernel else [f"stride {_pair(op.stride)}"]
    padding = [f"padding {_sides(op.padding)}"] if any(op.padding) else []
    return (f"{op.mode} pool {times(*op.kernel)}", *stride, *padding)


_NAMES = {
    "relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "leaky ReLU", "elu": "ELU", "selu": "SELU", "celu": "CELU",
    "gelu": "GELU", "gelu_tanh": "GELU (tanh)", "silu": "SiLU", "mish": "Mish", "hardswish": "hard swish",
    "hardsigmoid": "hard sigmoid", "hardtanh": "hard tanh",
}  # fmt: skip


def _activation(op: ops.Activation) -> str:
    name = _NAMES.get(op.function, op.function)
    if op.function in ("sine", "cosine"):
        return f"{op.function[:3]}({'' if op.parameter == 1 else f'{op.parameter:g} '}x)"
    shown = op.function in ("leaky_relu", "elu", "celu", "softplus") and op.parameter != 1
    return f"{name} {op.parameter:g}" if shown else name


def _scale(op: ops.Scale) -> str:
    factors, offsets = list(op.factor), list(op.offset)
    if len(factors) > 1 or len(offsets) > 1:
        return "fixed, per channel"
    factor = "" if factors[0] == 1 else f"× {factors[0]:.4g}".replace("-", "−")
    offset = offsets[0]
    shift = "" if offset == 0 else f"{'+' if offset > 0 else '−'} {abs(offset):.4g}"
    return f"{factor} {shift}".strip() or "× 1"


def times(*sizes: int) -> str:
    """`3×3`."""
    return "×".join(map(str, sizes))


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else times(*pair)


def _sides(sides: tuple[int, ...]) -> str:
    return str(sides[0]) if len(set(sides)) == 1 else ", ".join(map(str, sides))


def _ordinal(number: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def groups_of_values(architecture: Architecture, axes: Axes) -> list[np.ndarray]:
    """For every value, the group of each of its channels; -1 if no tensor determines it."""
    rows = _rows(axes)
    found = [np.full(architecture.input_shape[0], -1)]
    for op, shape in zip(architecture.ops, architecture.values[1:], strict=True):
        inputs = [found[i] for i in op.inputs]
        channels = _channels(op, inputs, architecture.values[op.inputs[0]], shape, rows)
        # unknown for a tensor that is used in two ways
        found.append(channels if len(channels) == shape[0] else np.full(shape[0], -1))
    return found


def _rows(axes: Axes) -> Mapping[tuple[str, int], np.ndarray]:
    """By tensor and axis, the group of each entry (blocks of grouped convolutions one after another)."""
    parts: dict[tuple[str, int], list[np.ndarray]] = {}
    for piece in sorted(axes.pieces, key=lambda p: (p.name, p.rows.start or 0)):
        for axis, labels in enumerate(piece.axes):
            if labels is not None:
                parts.setdefault((piece.name, axis), []).append(labels.group)
    return {key: np.concatenate(found) for key, found in parts.items()}


def _channels(
    op: Op,
    inputs: list[np.ndarray],
    before: tuple[int, ...],
    shape: tuple[int, ...],
    rows: Mapping[tuple[str, int], np.ndarray],
) -> np.ndarray:
    match op:
        case ops.Conv():
            return rows[op.weight, 0]
        case ops.Linear():
            return rows[op.weight, 1 if op.transposed else 0]
        case ops.Concat():
            return np.concatenate(inputs)
        case ops.Pad():
            return np.pad(inputs[0], op.channels, constant_values=-1)
        case ops.Add() | ops.Multiply():
            known = inputs[0]
            for other in inputs[1:]:
                known = np.where(known < 0, other, known)
            return known
        case ops.Flatten():
            area = math.prod(before[1:])
            return np.tile(inputs[0], area) if op.order == "hwc" else np.repeat(inputs[0], area)
        case ops.Reshape():
            return np.repeat(inputs[0], math.prod(before[1:]))[:: math.prod(shape[1:])]
        case _:
            return inputs[0]
