"""Layers: convolutions, linear layers, batch norm, pools, softmax."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from nfn.architecture.ops import (
    NONE,
    AdaptivePool,
    BatchNorm,
    Conv,
    Linear,
    Pad,
    Pair,
    Pool,
    Sides,
    Softmax,
)
from nfn.onnx_reader.builder import Builder
from nfn.onnx_reader.values import Call, Constant, Handler, Operand, Value
from nfn.reader.errors import quote


def _convolution(builder: Builder, call: Call) -> Operand:
    weight = builder.constant(call, 1, "the weight")
    if weight.array.ndim != 4:
        raise builder.refuse(f"its weight has the shape {weight.array.shape}; only 2D convolutions are known")
    kernel = (weight.array.shape[2], weight.array.shape[3])
    declared = call.attribute("kernel_shape")
    if declared is not None and declared != kernel:
        raise builder.refuse(f"its kernel_shape is {declared}, and its weight's {kernel}")
    stride, dilation, sides = _window(builder, call, kernel, builder.first(call))
    number, sides = _with_padding(builder, builder.shaped(builder.first(call)), sides)
    return builder.emit(
        Conv(
            inputs=(number,),
            weight=builder.name(weight),
            bias=_vector(builder, builder.optional(call, 2, "the bias")),
            stride=stride,
            padding=sides,
            dilation=dilation,
            groups=builder.whole(call, "group"),
        )
    )


def _with_padding(builder: Builder, number: int, sides: Sides) -> tuple[int, Sides]:
    """Merge preceding zero padding of the image into the convolution's padding."""
    pad = builder.maker(number)
    if not isinstance(pad, Pad) or pad.channels != (0, 0):
        return number, sides
    left, right, top, bottom = (a + b for a, b in zip(sides, pad.sides, strict=True))
    return pad.inputs[0], (left, right, top, bottom)


def _window(builder: Builder, call: Call, kernel: Pair, x: Value) -> tuple[Pair, Pair, Sides]:
    """Stride, dilation and padding of a convolution or a pool."""
    stride, dilation = _pair(builder, call, "strides", 1), _pair(builder, call, "dilations", 1)
    auto = call.attribute("auto_pad") or "NOTSET"
    if auto == "NOTSET":
        top, left, bottom, right = builder.numbers(call, "pads", 4, 0, low=0)
        return stride, dilation, (left, right, top, bottom)
    if auto == "VALID":
        return stride, dilation, NONE
    if auto not in ("SAME_UPPER", "SAME_LOWER") or len(x.view) != 3:
        raise builder.refuse(f"its auto_pad is {auto!r}")
    (top, bottom), (left, right) = (
        _same_padding(size, k, s, d, auto == "SAME_LOWER")
        for size, k, s, d in zip(x.view[1:], kernel, stride, dilation, strict=True)
    )
    return stride, dilation, (left, right, top, bottom)


def _same_padding(size: int, kernel: int, stride: int, dilation: int, lower: bool) -> Pair:
    """ "SAME" padding: the output size is `ceil(size / stride)`."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return (total - total // 2, total // 2) if lower else (total // 2, total - total // 2)


def _gemm(builder: Builder, call: Call) -> Operand:
    """`alpha * x @ w + beta * bias`; `w` is `(out, in)` with transB."""
    weight = builder.constant(call, 1, "the matrix")
    bias = builder.optional(call, 2, "the bias")
    alpha, beta = builder.real(call, "alpha"), builder.real(call, "beta")
    if call.attribute("transA"):
        raise builder.refuse("it works across the inputs of a batch (transA)")
    if alpha != 1:
        builder.note(f"{quote(weight.name)} was multiplied by the alpha of its layer, {alpha:g}.")
        weight = Constant(weight.array * np.float32(alpha), weight.name)
    if bias is not None and beta != 1:
        builder.note(f"{quote(bias.name)} was multiplied by the beta of its layer, {beta:g}.")
        bias = Constant(bias.array * np.float32(beta), bias.name)
    return _linear(builder, builder.first(call), weight, not call.attribute("transB"), bias)


def _matmul(builder: Builder, call: Call) -> Operand:
    return _linear(builder, builder.first(call), builder.constant(call, 1, "the matrix"), True, None)


def _linear(builder: Builder, x: Value, weight: Constant, transposed: bool, bias: Constant | None) -> Value:
    """A matrix product; `transposed` if the matrix is `(in, out)`."""
    if weight.array.ndim != 2:
        raise builder.refuse(f"the matrix has the shape {weight.array.shape}; expected two axes")
    if not x.view or math.prod(x.view[:-1]) != 1:
        raise builder.refuse(
            f"it takes {builder.show(x.view)}; expected one vector for each input (a Flatten before it)"
        )
    number = builder.shaped(replace(x, view=x.view[-1:]))
    if weight.flipped is not None:
        weight, transposed = weight.flipped, not transposed
    out = weight.array.shape[transposed]
    name = None if bias is None else _vector(builder, bias, out)
    op = Linear(inputs=(number,), weight=builder.name(weight), bias=name, transposed=transposed)
    return builder.emit(op, (*x.view[:-1], out))


def _vector(builder: Builder, constant: Constant | None, size: int | None = None) -> str | None:
    """The name of a constant vector; a single number is repeated to `size`, if given."""
    if constant is None:
        return None
    array = constant.array
    if size is not None and array.size == 1 != size:
        array = np.repeat(array.reshape(1), size)
    if array.shape not in ((array.size,), (1, array.size)):
        raise builder.refuse(f"{quote(constant.name)} has the shape {array.shape}; expected a vector")
    return builder.name(constant, array.reshape(-1))


def _batch_norm(builder: Builder, call: Call) -> Operand:
    x = builder.first(call)
    if call.attribute("training_mode") or call.attribute("spatial") == 0:
        raise builder.refuse(
            "it normalises each batch by its own mean; expected a network in evaluation, model.eval()"
        )
    if x.order == "hwc":
        raise builder.refuse("it takes a picture with the channels last; expected a Transpose before it")
    number = builder.with_channels(x)
    weight, bias, mean, variance = (
        _vector(builder, builder.constant(call, i, what)) or ""
        for i, what in ((1, "the scale"), (2, "the bias"), (3, "the mean"), (4, "the variance"))
    )
    eps = builder.real(call, "epsilon")
    op = BatchNorm(inputs=(number,), mean=mean, variance=variance, weight=weight, bias=bias, eps=eps)
    return builder.emit(op, x.view)


def _pool(mode: Literal["max", "average"]) -> Handler:
    def handle(builder: Builder, call: Call) -> Operand:
        x = builder.first(call)
        kernel = _pair(builder, call, "kernel_shape", 0)
        stride, dilation, sides = _window(builder, call, kernel, x)
        if mode == "average" and dilation != (1, 1):
            raise builder.refuse("average pooling with dilation is not known")
        pool = Pool(
            inputs=(builder.shaped(x),),
            mode=mode,
            kernel=kernel,
            stride=stride,
            padding=sides,
            dilation=dilation,
            ceil=bool(call.attribute("ceil_mode")),
            count_padding=mode == "max" or bool(call.attribute("count_include_pad")) or sides == NONE,
        )
        return builder.emit(pool)

    return handle


def _global_pool(mode: Literal["max", "average"]) -> Handler:
    def handle(builder: Builder, call: Call) -> Operand:
        return builder.emit(AdaptivePool(inputs=(builder.shaped(builder.first(call)),), mode=mode))

    return handle


def _reduce(mode: Literal["max", "average"], total: bool = False) -> Handler:
    """A mean, maximum or sum over height, width or both: a global pool."""

    def handle(builder: Builder, call: Call) -> Operand:
        x = builder.plain(builder.first(call))
        given = builder.axes(call, 1)
        if not given:
            if call.attribute("noop_with_empty_axes"):
                return x
            raise builder.refuse("it works across the inputs of a batch")
        axes = {builder.axis(axis, x) for axis in given}
        number, kept = _over_picture(builder, x, axes)
        view = tuple(
            1 if i in axes else n for i, n in enumerate(x.view) if call.attribute("keepdims") or i not in axes
        )
        value = builder.emit(AdaptivePool(inputs=(number,), mode=mode, size=kept), view, x.order)
        count = math.prod(x.view[i] for i in axes)
        return builder.steps("mul", [value, float(count)]) if total else value

    return handle


def _over_picture(builder: Builder, x: Value, axes: set[int]) -> tuple[int, Pair]:
    """The number of a picture, and the height and width that are left of it."""
    have = builder.values[x.number]
    if len(x.view) == 2 and len(have) == 3:  # (channels, pixels)
        pixels = 1 - builder.channel_axis(x)
        if axes == {pixels} and x.view[1 - pixels] == have[0]:
            return x.number, (1, 1)
    number, places = builder.picture(x)
    over = {places[axis] for axis in axes}
    if 0 in over:
        raise builder.refuse("it goes over the channels; expected height, width or both")
    height, width = (1 if i in over else builder.values[number][i] for i in (1, 2))
    return number, (height, width)


def _softmax(log: bool) -> Handler:
    def handle(builder: Builder, call: Call) -> Operand:
        x = builder.first(call)
        axis = builder.axis(builder.whole(call, "axis", -8), x)
        after = math.prod(x.view[axis:]) if call.opset < 13 else x.view[axis]
        if after != math.prod(x.view):
            raise builder.refuse(
                f"it goes over axis {axis} of {builder.show(x.view)}; expected the classes of each input"
            )
        number = builder.shaped(replace(x, view=(after,)))
        return builder.emit(Softmax(inputs=(number,), log=log), x.view)

    return handle


def _pair(builder: Builder, call: Call, name: str, default: int) -> Pair:
    first, second = builder.numbers(call, name, 2, default)
    return first, second


HANDLERS: dict[str, Handler] = {
    "Conv": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("average"),
    "GlobalMaxPool": _global_pool("max"),
    "GlobalAveragePool": _global_pool("average"),
    "ReduceMean": _reduce("average"),
    "ReduceMax": _reduce("max"),
    "ReduceSum": _reduce("average", total=True),
    "Softmax": _softmax(log=False),
    "LogSoftmax": _softmax(log=True),
}
