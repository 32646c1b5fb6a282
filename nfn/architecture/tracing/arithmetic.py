"""Sums and products in a module's code: of values, and of a value and constants."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from nfn.architecture.decode import LONGEST
from nfn.architecture.ops import Activation, Add, ChannelAffine, Conv, Linear, Multiply, Op, Scale
from nfn.architecture.tracing.recorder import Call, Recorder, Value

Constant = float | Tensor
"""A number, or one number for each channel `(c,)`."""


def combine(recorder: Recorder, call: Call) -> Value:
    """`+`, `-`, `*`, `/` and negation, of two values or of a value and a constant on either side."""
    left: Any = call.x
    right: Any = call.arguments.get("other")
    alpha = float(call.arguments.get("alpha", 1))
    if call.arguments.get("rounding_mode") is not None:
        raise recorder.refuse("a division that rounds is not known")
    if call.name == "neg":
        return affine(recorder, left, -1.0)
    if call.name == "rsub":
        left, right = right, left
    if isinstance(left, Value) and isinstance(right, Value):
        return _two_values(recorder, call, left, right, alpha)
    value, constant = (left, right) if isinstance(left, Value) else (right, left)
    number = _per_channel(recorder, value, constant)
    if call.name == "add":
        return affine(recorder, value, 1.0, _times(number, alpha))
    if call.name in ("sub", "rsub"):
        first = value is left
        return affine(recorder, value, 1.0 if first else -alpha, _times(number, -alpha if first else 1.0))
    if call.name == "div" and value is not left:
        raise recorder.refuse("a constant is divided by a value")
    return affine(recorder, value, 1 / number if call.name == "div" else number)


def _two_values(recorder: Recorder, call: Call, left: Value, right: Value, alpha: float) -> Value:
    if call.name == "div":
        return _softsign(recorder, left, right)
    alpha = -alpha if call.name in ("sub", "rsub") else alpha
    right = right if alpha == 1 else affine(recorder, right, alpha)
    make: type[Op] = Multiply if call.name == "mul" else Add
    same = left.view == right.view and left.order == right.order
    if same and recorder.values[left.number] == recorder.values[right.number]:
        return recorder.emit(make(inputs=(left.number, right.number)), left.view, left.order)
    return recorder.emit(make(inputs=(recorder.broadcast(left), recorder.broadcast(right))))


def _softsign(recorder: Recorder, value: Value, divisor: Value) -> Value:
    """`x / (1 + |x|)`: how PyTorch computes softsign."""
    scale = recorder.maker(divisor.number)
    if isinstance(scale, Scale) and (scale.factor, scale.offset) == ((1.0,), (1.0,)):
        inside = recorder.maker(scale.inputs[0])
        if isinstance(inside, Activation) and (inside.function, inside.inputs) == ("abs", (value.number,)):
            return recorder.apply(Activation, value, function="softsign")
    raise recorder.refuse("a value is divided by another one")


def multiply_by_itself(recorder: Recorder, value: Value, times: int) -> Value:
    """A whole power."""
    if times == 1:
        return value
    return recorder.emit(Multiply(inputs=(value.number,) * times), value.view, value.order)


def affine(recorder: Recorder, value: Value, factor: Constant = 1.0, offset: Constant = 0.0) -> Value:
    """`factor * value + offset`: fixed numbers for plain ones and at the input, else tensors of the network."""
    plain = not isinstance(factor, Tensor) and not isinstance(offset, Tensor)
    if plain or (recorder.is_near_input(value) and not _is_learned(recorder, factor, offset)):
        return _scale(recorder, value, _floats(factor), _floats(offset))
    if not isinstance(factor, Tensor) and factor != 1:
        value, factor = affine(recorder, value, factor), 1.0
    if not isinstance(offset, Tensor) and offset != 0:
        return affine(recorder, affine(recorder, value, factor), 1.0, offset)
    return _tensors(recorder, value, factor, offset)


def _is_learned(recorder: Recorder, *constants: Constant) -> bool:
    """Whether one of them is a parameter, or longer than fixed numbers may be."""
    given = [c for c in constants if isinstance(c, Tensor)]
    return any(c.numel() > LONGEST or recorder.is_parameter(c) for c in given)


def _scale(recorder: Recorder, value: Value, factor: tuple[float, ...], offset: tuple[float, ...]) -> Value:
    """A scale; one after another becomes one."""
    number = value.number if len(factor) == len(offset) == 1 else recorder.with_channels(value)
    recorder.check_not_expanded(value)
    before = recorder.maker(number)
    if isinstance(before, Scale):
        number = before.inputs[0]
        offset = _sums(_products(before.offset, factor), offset)
        factor = _products(before.factor, factor)
    return recorder.emit(Scale(inputs=(number,), factor=factor, offset=offset), value.view, value.order)


def _tensors(recorder: Recorder, value: Value, factor: Constant, offset: Constant) -> Value:
    """Add constants to the bias of the previous layer if it has none, else as an op."""
    number = recorder.with_channels(value)
    recorder.check_not_expanded(value)
    before = recorder.maker(number)
    weight = recorder.name(factor, "weight") if isinstance(factor, Tensor) else None
    bias = recorder.name(offset, "bias") if isinstance(offset, Tensor) else None
    if weight is None and isinstance(before, Linear | Conv | ChannelAffine) and before.bias is None:
        return recorder.emit(replace(before, bias=bias), value.view, value.order)
    return recorder.emit(ChannelAffine(inputs=(number,), weight=weight, bias=bias), value.view, value.order)


def _per_channel(recorder: Recorder, value: Value, given: Any) -> Constant:
    """A constant operand as a number, or as one number per channel `(c,)`."""
    if not isinstance(given, Tensor):
        return float(given)
    if given.numel() == 1:
        return float(given)
    rank = len(value.view) + 1
    shape = (1,) * (rank - given.dim()) + tuple(given.shape)
    axis = 1 if value.order == "chw" else rank - 1
    expected = tuple(value.view[axis - 1] if i == axis else 1 for i in range(rank))
    if shape != expected:
        raise recorder.refuse(
            f"a constant of shape {tuple(given.shape)} meets a value of shape (batch, "
            f"{', '.join(map(str, value.view))}); expected one number, or one for each channel"
        )
    return given.detach().reshape(-1)


def _times(number: Constant, factor: float) -> Constant:
    """The product; a tensor times one is itself, and keeps its name."""
    return number if factor == 1 else number * factor


def _floats(number: Constant) -> tuple[float, ...]:
    return tuple(number.double().tolist()) if isinstance(number, Tensor) else (float(number),)


def _products(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x * y for x, y in _pairs(a, b))


def _sums(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x + y for x, y in _pairs(a, b))


def _pairs(a: tuple[float, ...], b: tuple[float, ...]) -> list[tuple[float, float]]:
    size = max(len(a), len(b))
    return list(zip(*(v * size if len(v) == 1 else v for v in (a, b)), strict=True))
