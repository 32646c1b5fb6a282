"""Sums, products and comparisons: of values, and of a value and constants."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import numpy as np

from nfn.architecture.decode import LONGEST
from nfn.architecture.ops import Add, ChannelAffine, Conv, Linear, Multiply, Op, Reshape, Scale
from nfn.onnx_reader.builder import Builder
from nfn.onnx_reader.values import Call, Constant, Handler, Operand, Value
from nfn.reader.errors import quote


def _binary(kind: str) -> Handler:
    def handle(builder: Builder, call: Call) -> Operand:
        left, right = call.inputs
        return combine(builder, kind, left, right)

    return handle


def _many(kind: str) -> Handler:
    """Operators with any number of operands."""

    def handle(builder: Builder, call: Call) -> Operand:
        values = [v for v in call.inputs if isinstance(v, Value)]
        constants = [v for v in call.inputs if isinstance(v, Constant)]
        total: Operand = reduce(lambda a, b: combine(builder, kind, a, b), values)
        return reduce(lambda a, b: combine(builder, kind, a, b), constants, total)

    return handle


def _mean(builder: Builder, call: Call) -> Operand:
    total = _many("add")(builder, call)
    return combine(builder, "div", total, Constant(np.array(float(len(call.inputs))), "count"))


def _where(builder: Builder, call: Call) -> Operand:
    """A choice by a comparison of the same value, as part of an activation."""
    operands = [o if isinstance(o, Value) else builder.scalar(o) for o in call.inputs]
    present = [o for o in operands if o is not None]
    if len(present) < 3 or not builder.fit([o for o in present if isinstance(o, Value)]):
        raise builder.refuse("it chooses between different values; only an activation's choice is known")
    return builder.steps("where", present)


def combine(builder: Builder, kind: str, left: Operand | None, right: Operand | None) -> Operand:
    """`add`, `sub`, `mul`, `div` and comparisons of two operands, at least one of which is a value."""
    if isinstance(left, Value) and isinstance(right, Value):
        fit = builder.fit([left, right])
        return builder.steps(kind, [left, right]) if fit else _two(builder, kind, left, right)
    value, constant = (left, right) if isinstance(left, Value) else (right, left)
    assert isinstance(value, Value) and isinstance(constant, Constant), "one value and one constant"
    number = builder.scalar(constant)
    if number is not None and constant.array.ndim <= len(builder.batch) + len(value.view):
        return builder.steps(kind, [value, number] if value is left else [number, value])
    return _with_channels(builder, kind, value, constant, value is left)


def _with_channels(builder: Builder, kind: str, value: Value, constant: Constant, first: bool) -> Value:
    """One number for each channel."""
    array = per_channel(builder, value, constant)
    same = replace(constant, array=array)
    if kind == "mul":
        return affine(builder, value, factor=same)
    if kind == "div" and first:
        if not array.all():
            raise builder.refuse(f"it divides by {quote(constant.name)}, which has zeros")
        return affine(
            builder, value, factor=Constant(1 / array.astype(np.float64), f"{constant.name}.inverse")
        )
    if kind == "add":
        return affine(builder, value, offset=same)
    if kind == "sub":
        value = value if first else builder.steps("mul", [value, -1.0])
        return affine(builder, value, offset=Constant(-array, f"{constant.name}.negative") if first else same)
    raise builder.refuse(f"{kind} with one number for each channel is not known")


def per_channel(builder: Builder, value: Value, constant: Constant) -> np.ndarray:
    """A constant operand as one number per channel `(c,)`."""
    shape, rank = constant.array.shape, len(builder.batch) + len(value.view)
    axis = len(builder.batch) + builder.channel_axis(value)
    channels = value.view[builder.channel_axis(value)]
    padded = (1,) * (rank - len(shape)) + shape
    if padded != tuple(channels if i == axis else 1 for i in range(rank)):
        raise builder.refuse(
            f"a constant of shape {shape} meets a value of shape {builder.show(value.view)}; expected one number, or "
            "one for each channel"
        )
    if constant.array.dtype not in (np.float32, np.float64):
        raise builder.refuse(
            f"{quote(constant.name)} has values of type {constant.array.dtype}; expected floats"
        )
    return constant.array.reshape(-1)


def affine(
    builder: Builder, value: Value, factor: Constant | None = None, offset: Constant | None = None
) -> Value:
    """`factor * value + offset` per channel: fixed numbers at the input, else tensors of the network."""
    number = builder.with_channels(value)
    if builder.is_near_input(number) and builder.values[number][0] <= LONGEST:
        return _scale(builder, value, number, factor, offset)
    before = builder.maker(number)
    weight = None if factor is None else builder.name(factor)
    bias = None if offset is None else builder.name(offset)
    if weight is None and isinstance(before, Linear | Conv | ChannelAffine) and before.bias is None:
        return builder.emit(replace(before, bias=bias), value.view, value.order)
    op = ChannelAffine(inputs=(number,), weight=weight, bias=bias)
    return builder.emit(op, value.view, value.order)


def _scale(
    builder: Builder, value: Value, number: int, factor: Constant | None, offset: Constant | None
) -> Value:
    """A normalization of the input; consecutive ones are merged."""
    channels = builder.values[number][0]
    multiply = np.ones(channels) if factor is None else factor.array.astype(np.float64)
    add = np.zeros(channels) if offset is None else offset.array.astype(np.float64)
    before = builder.maker(number)
    if isinstance(before, Scale):
        number = before.inputs[0]
        add = np.asarray(before.offset) * multiply + add
        multiply = np.asarray(before.factor) * multiply
    if not max(np.abs(multiply).max(), np.abs(add).max()) < 1e30:
        raise builder.refuse("it multiplies or adds numbers that are not finite")
    op = Scale(inputs=(number,), factor=_shortest(multiply), offset=_shortest(add))
    return builder.emit(op, value.view, value.order)


def _shortest(numbers: np.ndarray) -> tuple[float, ...]:
    """The numbers, or the one that they all are."""
    values = tuple(np.atleast_1d(numbers).tolist())
    return values[:1] if len(set(values)) == 1 else values


def _two(builder: Builder, kind: str, left: Value, right: Value) -> Value:
    """A sum, difference or product of two values."""
    if kind not in ("add", "sub", "mul"):
        raise builder.refuse(
            f"{kind} of two different values is not known; their sum, difference and product are"
        )
    if kind == "sub":
        right = builder.steps("mul", [right, -1.0])
    make: type[Op] = Multiply if kind == "mul" else Add
    if (left.view, left.order) == (right.view, right.order):
        numbers = builder.number(left), builder.number(right)
        if builder.values[numbers[0]] == builder.values[numbers[1]]:
            return builder.emit(make(inputs=numbers), left.view, left.order)
    larger = max(left, right, key=lambda v: math.prod(v.view))
    numbers = tuple(_beside(builder, v, larger) for v in (left, right))
    return builder.emit(make(inputs=numbers), larger.view, larger.order)


def _beside(builder: Builder, value: Value, larger: Value) -> int:
    """The index of a value in the layout of a larger one; it may have one entry per channel `(c, 1, 1)`."""
    channels = larger.view[builder.channel_axis(larger)]
    if math.prod(builder.values[value.number]) == channels < math.prod(larger.view):
        axis = builder.channel_axis(larger)
        expected = tuple(channels if i == axis else 1 for i in range(len(larger.view)))
        if len(expected) != 3 or value.view not in (expected, larger.view):
            raise builder.refuse(
                f"it takes {builder.show(value.view)} and {builder.show(larger.view)}; expected two values of one shape"
            )
        number = builder.number(value)
        to = (channels, 1, 1)
        return (
            number if builder.values[number] == to else builder.emit(Reshape(inputs=(number,), to=to)).number
        )
    if value.view != larger.view or (value.order != larger.order):
        raise builder.refuse(
            f"it takes {builder.show(value.view)} and {builder.show(larger.view)}; expected two of one shape and order"
        )
    return builder.picture(value)[0] if len(value.view) == 3 else builder.shaped(value)


_KINDS: dict[str, str] = {
    "Sub": "sub", "Div": "div", "Pow": "pow", "Greater": "greater", "Less": "less",
    "GreaterOrEqual": "greater_or_equal", "LessOrEqual": "less_or_equal", "Add": "add", "Mul": "mul",
}  # fmt: skip

HANDLERS: dict[str, Callable[[Builder, Call], Operand]] = {
    **{op: _binary(kind) for op, kind in _KINDS.items()},
    "Sum": _many("add"),
    "Max": _many("max"),
    "Min": _many("min"),
    "Mean": _mean,
    "Where": _where,
}
