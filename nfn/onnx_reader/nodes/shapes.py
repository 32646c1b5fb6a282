"""Reshapes, padding, strided slices and concatenation; and the shape of a value, which is a constant."""

import math
from typing import Literal

import numpy as np

from nfn.architecture.ops import Concat, Flatten, Pad, Shape, Subsample
from nfn.onnx_reader.builder import Builder
from nfn.onnx_reader.values import Call, Constant, Handler, Operand, Value


def reshape(builder: Builder, x: Value, view: Shape) -> Value:
    """Reshape, keeping the order of entries."""
    if math.prod(view) != math.prod(x.view):
        raise builder.refuse(f"{builder.show(x.view)} cannot become {builder.show(view)}")
    if view == x.view or x.order == "chw":
        return builder.value(x.number, view, x.order, x.term)
    channels = builder.values[x.number][0]
    if len(view) == 1:
        return builder.emit(Flatten(inputs=(builder.number(x),), order="hwc"))
    if view[-1] == channels:
        return builder.value(x.number, view, "hwc", x.term)
    raise builder.refuse(
        f"a picture with the channels last, {builder.show(x.view)}, becomes {builder.show(view)}; only flattening it "
        "whole is known"
    )


def _reshape(builder: Builder, call: Call) -> Operand:
    """The target shape, in which 0 copies a size and -1 is inferred."""
    x = builder.first(call)
    given = (
        call.attribute("shape")
        if call.opset < 5
        else builder.integers(builder.constant(call, 1, "the shape"))
    )
    full = (*builder.batch, *x.view)
    expected = list(given) if isinstance(given, list | tuple) else []
    if not call.attribute("allowzero"):
        expected = [full[i] if n == 0 and i < len(full) else n for i, n in enumerate(expected)]
    fixed = math.prod(n for n in expected if n != -1)
    if expected.count(-1) > 1 or any(n < 1 and n != -1 for n in expected) or math.prod(full) % fixed:
        raise builder.refuse(f"{builder.show(x.view)} cannot become {expected[:8]}")
    expected = [math.prod(full) // fixed if n == -1 else n for n in expected]
    return reshape(builder, x, _without_batch(builder, expected))


def _without_batch(builder: Builder, shape: list[int]) -> Shape:
    lead = len(builder.batch)
    if tuple(shape[:lead]) != builder.batch:
        raise builder.refuse(
            f"of a batch of {builder.batch[0]} it makes {shape[:8]}, which is not one result for each input"
        )
    return tuple(shape[lead:])


def _flatten(builder: Builder, call: Call) -> Operand:
    x, axis = builder.first(call), builder.whole(call, "axis", -8)
    rank, lead = len(builder.batch) + len(x.view), len(builder.batch)
    if axis % rank != lead or lead != 1:
        raise builder.refuse(f"it flattens from axis {axis} on; expected 1, one vector for each input")
    return reshape(builder, x, (math.prod(x.view),))


def _squeeze(builder: Builder, call: Call) -> Operand:
    x, given = builder.first(call), builder.axes(call, 1)
    if given is None and 1 in builder.batch:
        raise builder.refuse("it may take the batch away; expected the axes that it squeezes")
    axes = (
        [i for i, n in enumerate(x.view) if n == 1] if given is None else [builder.axis(a, x) for a in given]
    )
    if any(x.view[axis] != 1 for axis in axes):
        raise builder.refuse(
            f"it squeezes axes {given} of {builder.show(x.view)}, which have more than one entry"
        )
    return reshape(builder, x, tuple(n for i, n in enumerate(x.view) if i not in axes))


def _unsqueeze(builder: Builder, call: Call) -> Operand:
    x, given = builder.first(call), builder.axes(call, 1) or []
    rank = len(builder.batch) + len(x.view) + len(given)
    axes = {axis % rank for axis in given if -rank <= axis < rank}
    if len(axes) < len(given) or rank > 8 or any(axis < len(builder.batch) for axis in axes):
        raise builder.refuse(f"it puts axes {given[:8]} into {builder.show(x.view)}")
    sizes = iter((*builder.batch, *x.view))
    return reshape(
        builder, x, _without_batch(builder, [1 if i in axes else next(sizes) for i in range(rank)])
    )


def _transpose(builder: Builder, call: Call) -> Operand:
    """Transpose between channels first and last; moving axes of size 1 is a reshape."""
    x, lead = builder.first(call), len(builder.batch)
    rank = lead + len(x.view)
    perm = call.attribute("perm") or tuple(range(rank))[::-1]
    if not isinstance(perm, tuple) or sorted(perm) != list(range(rank)):
        raise builder.refuse(f"its perm is {perm}; expected an order of {rank} axes")
    if perm[:lead] != tuple(range(lead)):
        raise builder.refuse("it moves the axis of the batch")
    order = [int(axis) - lead for axis in perm[lead:]]
    view, long = tuple(x.view[a] for a in order), [a for a in order if x.view[a] != 1]
    if long == sorted(long):
        return builder.value(x.number, view, x.order, x.term)
    turned: Literal["chw", "hwc"] = "hwc" if x.order == "chw" else "chw"
    channel, rest = builder.channel_axis(x), [a for a in long if a != builder.channel_axis(x)]
    if rest != sorted(rest) or long != ([*rest, channel] if turned == "hwc" else [channel, *rest]):
        raise builder.refuse(f"axes are put in the order {list(perm)}; only channels last and back are known")
    number = builder.shaped(x) if len(x.view) == 3 and turned == "hwc" else builder.number(x)
    if builder.values[number][0] != x.view[channel]:
        raise builder.refuse("axes are exchanged that are not channels and pixels")
    return builder.value(number, view, turned)


def _slice(builder: Builder, call: Call) -> Operand:
    """Slice: a whole axis, or every n-th row or column from the first."""
    x = builder.first(call)
    for axis, (start, step, size) in slices(builder, call, (*builder.batch, *x.view)).items():
        whole = x.view[axis - len(builder.batch)] if axis >= len(builder.batch) else builder.batch[axis]
        if start or step < 1 or size != -(-whole // step):
            raise builder.refuse("a part is cut out; only every n-th row and column from the first is known")
        if step > 1:
            x = _subsample(builder, x, builder.axis(axis, x), step)
    return x


def slices(builder: Builder, call: Call, shape: Shape) -> dict[int, tuple[int, int, int]]:
    """For each sliced axis the start, the step, and the number of entries."""
    given = [call.attribute(n) for n in ("starts", "ends", "axes")]
    if given[0] is None:
        given = [_list(builder, call, i) for i in (1, 2, 3)]
    starts, ends, axes = ([] if g is None or isinstance(g, str) else list(g) for g in given)  # type: ignore[arg-type]
    axes = axes or list(range(len(starts)))
    steps = _list(builder, call, 4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or any(
        not -len(shape) <= a < len(shape) for a in axes
    ):
        raise builder.refuse(f"it slices axes {axes[:8]} of a shape with {len(shape)}")
    out = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0 or axis % len(shape) in out:
            raise builder.refuse("it slices an axis twice, or by steps of 0")
        part = range(*slice(start, end, step).indices(shape[axis]))
        out[axis % len(shape)] = (part.start, step, len(part))
    return out


def _list(builder: Builder, call: Call, index: int) -> list[int] | None:
    constant = builder.optional(call, index, "a list of places")
    return None if constant is None else builder.integers(constant)


def _subsample(builder: Builder, x: Value, axis: int, step: int) -> Value:
    number, places = builder.picture(x)
    if places[axis] == 0:
        raise builder.refuse(f"every {step}th channel is taken; only of rows and columns it can be")
    stride = (step, 1) if places[axis] == 1 else (1, step)
    before = builder.maker(number)
    if isinstance(before, Subsample):
        number, stride = before.inputs[0], (before.stride[0] * stride[0], before.stride[1] * stride[1])
    view = tuple(-(-n // step) if i == axis else n for i, n in enumerate(x.view))
    return builder.emit(Subsample(inputs=(number,), stride=stride), view, x.order)


def _pad(builder: Builder, call: Call) -> Operand:
    """Zeros around the picture; opset 18 names the axes that it pads."""
    x = builder.first(call)
    pads = call.attribute("pads")
    pads = _list(builder, call, 1) if pads is None else pads
    rank = len(builder.batch) + len(x.view)
    axes = _list(builder, call, 3) or list(range(rank))
    given = call.attribute("value") if call.operand(2) is None else builder.scalar(call.operand(2))
    if call.attribute("mode") != "constant" or given not in (0, None) or not isinstance(pads, list | tuple):
        raise builder.refuse("it pads with other numbers than zeros")
    if len(pads) != 2 * len(axes) or any(not isinstance(n, int) or not 0 <= n < 2**20 for n in pads):
        raise builder.refuse(f"its pads are {list(pads)[:8]}; expected two numbers from 0 on for each axis")
    if not any(pads):
        return x
    number, places = builder.picture(x)
    before, after = [0, 0, 0], [0, 0, 0]
    view = list(x.view)
    for axis, low, high in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        if low or high:
            inside = builder.axis(axis, x)
            before[places[inside]], after[places[inside]] = int(low), int(high)
            view[inside] += int(low) + int(high)
    sides = (before[2], after[2], before[1], after[1])
    op = Pad(inputs=(number,), sides=sides, channels=(before[0], after[0]))
    return builder.emit(op, tuple(view), x.order)


def _concat(builder: Builder, call: Call) -> Operand:
    """Values joined along the channels; zeros among them are padding."""
    values = [v for v in call.inputs if isinstance(v, Value)]
    axis, first = builder.whole(call, "axis", -8), values[0]
    same = all(len(v.view) == len(first.view) and v.order == first.order for v in values)
    inside = builder.axis(axis, first)
    if not same or len(first.view) not in (1, 3) or inside != builder.channel_axis(first):
        raise builder.refuse(f"values are joined along axis {axis}; only along the channels they can be")
    if len(values) < len(call.inputs):
        return _with_zeros(builder, call, inside)
    numbers = tuple(builder.picture(v)[0] if len(v.view) == 3 else builder.shaped(v) for v in values)
    if len(numbers) == 1:
        return first
    view = tuple(sum(v.view[i] for v in values) if i == inside else n for i, n in enumerate(first.view))
    return builder.emit(Concat(inputs=numbers), view, first.order)


def _with_zeros(builder: Builder, call: Call, axis: int) -> Value:
    """One picture with channels of zeros before and after."""
    places = [i for i, v in enumerate(call.inputs) if isinstance(v, Value)]
    constants = [v for v in call.inputs if isinstance(v, Constant)]
    x = call.inputs[places[0]]
    if (
        len(places) > 1
        or not isinstance(x, Value)
        or any(v.array.any() for v in constants)
        or len(x.view) != 3
    ):
        raise builder.refuse("values are joined with constants other than zeros beside one picture")
    number, _ = builder.picture(x)
    shape, lead = (*builder.batch, *x.view), len(builder.batch)
    for constant in constants:
        if (
            tuple(n for i, n in enumerate(constant.array.shape) if i != axis + lead)
            != shape[: axis + lead] + shape[axis + lead + 1 :]
        ):
            raise builder.refuse(
                f"zeros of shape {constant.array.shape} are joined to {builder.show(x.view)}"
            )
    sizes = [v.array.shape[axis + lead] if isinstance(v, Constant) else 0 for v in call.inputs]
    before, after = sum(sizes[: places[0]]), sum(sizes[places[0] :])
    view = tuple(n + before + after if i == axis else n for i, n in enumerate(x.view))
    return builder.emit(Pad(inputs=(number,), channels=(before, after)), view, x.order)


def _expand(builder: Builder, call: Call) -> Operand:
    """One number per channel, repeated over the picture: sums and products do that by themselves."""
    x, sizes = builder.plain(builder.first(call)), builder.integers(builder.constant(call, 1, "the shape"))
    full = (*builder.batch, *x.view)
    if len(sizes) > len(full):
        raise builder.refuse(f"{builder.show(x.view)} becomes {sizes[:8]}")
    sizes = [1] * (len(full) - len(sizes)) + sizes
    expected = [b if a == 1 else a for a, b in zip(full, sizes, strict=True)]
    if any(b not in (1, a) for a, b in zip(expected, sizes, strict=True)):
        raise builder.refuse(f"{builder.show(x.view)} cannot become {sizes[:8]}")
    view = _without_batch(builder, expected)
    if view == x.view:
        return x
    if len(view) != 3 or x.view != (view[0], 1, 1) or x.order == "hwc":
        raise builder.refuse(
            f"{builder.show(x.view)} is repeated to {builder.show(view)}; only (channels, 1, 1) can be"
        )
    number = builder.shaped(x)
    return Value(number, view)


def _gather(builder: Builder, call: Call) -> Operand:
    """The one entry of an axis that has one only."""
    x, index = builder.first(call), builder.constant(call, 1, "the index")
    inside = builder.axis(builder.whole(call, "axis", -8), x)
    if x.view[inside] != 1 or index.array.ndim or builder.scalar(index) not in (0, -1):
        raise builder.refuse("entries are taken out of an axis; cutting out is not known")
    return reshape(builder, x, (*x.view[:inside], *x.view[inside + 1 :]))


def _shape(builder: Builder, call: Call) -> Operand:
    x = builder.first(call)
    full = (*builder.batch, *x.view)
    start, end = call.attribute("start"), call.attribute("end")
    part = full[slice(start if isinstance(start, int) else None, end if isinstance(end, int) else None)]
    return Constant(np.array(part, np.int64), call.node.outputs[0])


def _size(builder: Builder, call: Call) -> Operand:
    full = (*builder.batch, *builder.first(call).view)
    return Constant(np.array(math.prod(full), np.int64), call.node.outputs[0])


HANDLERS: dict[str, Handler] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Slice": _slice,
    "Pad": _pad,
    "Concat": _concat,
    "Expand": _expand,
    "Gather": _gather,
    "Shape": _shape,
    "Size": _size,
}
