"""Changes of shape, padding, taking every n-th row, and joining."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from nfn.architecture.ops import Concat, Flatten, Pad, Subsample
from nfn.architecture.tracing.recorder import Call, Handler, Recorder, Value


def _reshape(recorder: Recorder, call: Call) -> Value:
    """Any change of shape that leaves the entries in their order."""
    x = call.x
    if x.view == call.view:
        return x
    if x.order == "chw":
        return Value(x.number, call.view)
    if len(call.view) > 1:
        raise recorder.refuse("a picture with the channels last can only be flattened whole")
    return recorder.emit(Flatten(inputs=(x.number,), order="hwc"))


def _same(recorder: Recorder, call: Call) -> Value:
    return call.x


def _expand(recorder: Recorder, call: Call) -> Value:
    """One number per channel, repeated over the picture: sums and products do that by themselves."""
    x = call.x
    if x.view == call.view:
        return x
    if len(x.view) != 3 or x.view[0] != call.view[0] or x.view[1:] != (1, 1) or x.order == "hwc":
        raise recorder.refuse(f"{x.view} is repeated to {call.view}; only (channels, 1, 1) can be")
    return Value(recorder.shaped(x), call.view)


def _permute(recorder: Recorder, call: Call) -> Value:
    """Channels from first to last, or back."""
    x, rank = call.x, len(call.x.view) + 1
    dims = tuple(d % rank for d in call["dims"])
    if dims == tuple(range(rank)):
        return x
    turn: dict[tuple, Literal["chw", "hwc"]] = {("chw", 0, 2, 3, 1): "hwc", ("hwc", 0, 3, 1, 2): "chw"}
    order = turn.get((x.order, *dims))
    if order is None:
        raise recorder.refuse(f"axes are put in the order {dims}; only channels last and back are known")
    return Value(recorder.shaped(x) if x.order == "chw" else x.number, call.view, order)


def _transpose(recorder: Recorder, call: Call) -> Value:
    dims = list(range(len(call.x.view) + 1))
    a, b = call["dim0"], call["dim1"]
    dims[a], dims[b] = dims[b], dims[a]
    return _permute(recorder, Call(call.name, {"self": call.x, "dims": dims}, call.view))


def _select(recorder: Recorder, call: Call) -> Value:
    """`x[:, :, 0]` where this axis has one entry only."""
    axis = call["dim"] % (len(call.x.view) + 1) - 1
    if axis < 0 or call.x.view[axis] != 1:
        raise recorder.refuse("one entry is taken out of an axis; cutting out is not known")
    return _reshape(recorder, call)


def _slice(recorder: Recorder, call: Call) -> Value:
    """All of an axis, or every so-manyth row or column from the first."""
    x, step = call.x, call["step"]
    axis = call["dim"] % (len(x.view) + 1)
    start = call["start"] or 0
    if axis == 0 and step == 1 and start == 0 and call["end"] in (None, 2**63 - 1):
        return x  # `x[:, ...]`, which torch 2.8 still executes
    size = x.view[axis - 1] if axis else 0
    if not size or start not in (0, -size) or call.view[axis - 1] != -(-size // step):
        raise recorder.refuse("a part is cut out; only every n-th row and column from the first is known")
    if step == 1:
        return x
    if len(x.view) != 3 or axis == 1 or x.order == "hwc":
        raise recorder.refuse(
            f"every {step}th entry of axis {axis} is taken; only of rows and columns it can be"
        )
    number, stride = recorder.shaped(x), (step, 1) if axis == 2 else (1, step)
    before = recorder.maker(number)
    if isinstance(before, Subsample):
        number, stride = before.inputs[0], (before.stride[0] * stride[0], before.stride[1] * stride[1])
    return recorder.emit(Subsample(inputs=(number,), stride=stride))


def _pad(recorder: Recorder, call: Call) -> Value:
    pad = [*call["pad"], *[0] * (6 - len(call["pad"]))]
    if len(call.x.view) != 3 or len(pad) != 6 or call["value"] or min(pad) < 0:
        raise recorder.refuse(
            f"padding {list(call['pad'])} with {call['value']}; expected zeros around a picture"
        )
    number = recorder.shaped(call.x)
    return recorder.emit(Pad(inputs=(number,), sides=tuple(pad[:4]), channels=(pad[4], pad[5])))


def _concat(recorder: Recorder, call: Call) -> Value:
    """Values joined along the channels; zeros among them are padding."""
    parts: Sequence[Any] = call["tensors"]
    if call["dim"] % (len(call.view) + 1) != 1:
        raise recorder.refuse(
            f"values are joined along axis {call['dim']}; only along the channels, 1, they can be"
        )
    values = [part for part in parts if isinstance(part, Value)]
    zeros = [part for part in parts if isinstance(part, Tensor)]
    if any(bool(part.any()) for part in zeros) or (zeros and (len(values) > 1 or len(call.view) != 3)):
        raise recorder.refuse("values are joined with constants other than zeros after one picture")
    if zeros:
        place = next(i for i, part in enumerate(parts) if isinstance(part, Value))
        first, last = (sum(z.shape[1] for z in some) for some in (parts[:place], parts[place + 1 :]))
        return recorder.emit(Pad(inputs=(recorder.shaped(values[0]),), channels=(first, last)))
    numbers = tuple(recorder.shaped(value) for value in values)
    return Value(numbers[0], call.view) if len(numbers) == 1 else recorder.emit(Concat(inputs=numbers))


_VIEWS = (
    "view",
    "_unsafe_view",
    "reshape",
    "_reshape_alias",
    "view_as",
    "flatten",
    "unflatten",
    "squeeze",
    "unsqueeze",
)
_COPIES = ("alias", "detach", "clone", "contiguous", "_to_copy", "to", "lift_fresh", "positive")

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_VIEWS, _reshape),
    **dict.fromkeys(_COPIES, _same),
    "expand": _expand,
    "permute": _permute,
    "transpose": _transpose,
    "select": _select,
    "slice": _slice,
    "constant_pad_nd": _pad,
    "cat": _concat,
}
