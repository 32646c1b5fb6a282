"""Layers: convolutions, linear layers, batch norm, pools, softmax."""

import math
from typing import Any, Literal

from torch import Tensor

from nfn.architecture.ops import AdaptivePool, BatchNorm, Conv, Linear, Pad, Pool, Softmax
from nfn.architecture.tracing.arithmetic import affine
from nfn.architecture.tracing.recorder import Call, Handler, Recorder, Value, constant, flat


def _convolution(recorder: Recorder, call: Call) -> Value:
    weight = constant(recorder, call["weight"], "a convolution's weight")
    if call["transposed"] or weight.dim() != 4:
        kind = "a transposed convolution" if call["transposed"] else f"a {weight.dim() - 2}D convolution"
        raise recorder.refuse(f"it is {kind}; only 2D convolutions are known")
    height, width = _pair(call["padding"])
    sides = (width, width, height, height)
    number = recorder.shaped(call.x)
    pad = recorder.maker(number)
    if isinstance(pad, Pad) and pad.channels == (0, 0):
        left, right, top, bottom = pad.sides
        number, sides = pad.inputs[0], (width + left, width + right, height + top, height + bottom)
    return recorder.emit(
        Conv(
            inputs=(number,),
            weight=recorder.name(weight, "weight"),
            bias=_optional(recorder, call["bias"], "bias"),
            stride=_pair(call["stride"]),
            padding=sides,
            dilation=_pair(call["dilation"]),
            groups=call["groups"],
        )
    )


def _linear(recorder: Recorder, call: Call) -> Value:
    """`F.linear(x, weight (out, in), bias)`."""
    return _multiply_matrix(recorder, call["input"], call["weight"], call["bias"])


def _addmm(recorder: Recorder, call: Call) -> Value:
    if call["beta"] != 1 or call["alpha"] != 1:
        raise recorder.refuse("addmm with beta or alpha is not known")
    return _multiply_matrix(recorder, call["mat1"], _transposed(recorder, call["mat2"]), call["self"])


def _mm(recorder: Recorder, call: Call) -> Value:
    return _multiply_matrix(recorder, call["self"], _transposed(recorder, call["mat2"]), None)


def _transposed(recorder: Recorder, matrix: Any) -> Tensor:
    return constant(recorder, matrix, "the second factor").t()


def _multiply_matrix(recorder: Recorder, x: Any, weight: Any, bias: Any) -> Value:
    weight = constant(recorder, weight, "a linear layer's weight")
    if not isinstance(x, Value) or len(x.view) != 1:
        raise recorder.refuse("a linear layer takes one vector for each input; expected nn.Flatten before it")
    bias = None if bias is None else constant(recorder, bias, "a bias")
    stored_transposed = not recorder.is_named(weight) and recorder.is_named(weight.t())
    name = recorder.name(weight.t() if stored_transposed else weight, "weight")
    named = _optional(recorder, bias, "bias")
    return recorder.emit(
        Linear(inputs=(recorder.shaped(x),), weight=name, bias=named, transposed=stored_transposed)
    )


def _batch_norm(recorder: Recorder, call: Call) -> Value:
    statistics = call["running_mean"], call["running_var"]
    if call.arguments.get("training") or None in statistics:
        raise recorder.refuse("it normalises each batch, or each input, by its own mean and variance")
    return recorder.emit(
        BatchNorm(
            inputs=(recorder.shaped(call.x),),
            mean=recorder.name(statistics[0], "running_mean"),
            variance=recorder.name(statistics[1], "running_var"),
            weight=_optional(recorder, call["weight"], "weight"),
            bias=_optional(recorder, call["bias"], "bias"),
            eps=float(call.arguments.get("eps", call.arguments.get("epsilon"))),
        )
    )


def _pool(mode: Literal["max", "average"]) -> Handler:
    def handle(recorder: Recorder, call: Call) -> Value:
        if call.arguments.get("divisor_override") is not None:
            raise recorder.refuse("a pool with divisor_override is not known")
        kernel = _pair(call["kernel_size"])
        height, width = _pair(call["padding"])
        pool = Pool(
            inputs=(recorder.shaped(call.x),),
            mode=mode,
            kernel=kernel,
            stride=_pair(call["stride"] or kernel),
            padding=(width, width, height, height),
            dilation=_pair(call.arguments.get("dilation", 1)),
            ceil=call["ceil_mode"],
            count_padding=call.arguments.get("count_include_pad", True),
        )
        return recorder.emit(pool)

    return handle


def _adaptive(mode: Literal["max", "average"]) -> Handler:
    def handle(recorder: Recorder, call: Call) -> Value:
        size = _pair(call["output_size"])
        return recorder.emit(AdaptivePool(inputs=(recorder.shaped(call.x),), mode=mode, size=size))

    return handle


def _reduce(mode: Literal["max", "average"], total: bool = False) -> Handler:
    """A mean, maximum or sum over height, width or both: a global pool."""

    def handle(recorder: Recorder, call: Call) -> Value:
        rank = len(call.x.view)
        dims = {d % (rank + 1) for d in flat(call.arguments.get("dim")) if d is not None}
        have = recorder.values[call.x.number]
        picture = rank == 3 or (rank == 2 and len(have) == 3 and have[0] == call.x.view[0])
        if not picture or not dims or not dims <= set(range(2, rank + 1)) or call.x.order == "hwc":
            raise recorder.refuse(f"it goes over the axes {sorted(dims)}; expected height, width or both")
        number, size = (recorder.shaped(call.x), call.x.view) if rank == 3 else (call.x.number, have)
        kept = _pair([1 if rank == 2 or axis in dims else size[axis - 1] for axis in (2, 3)])
        value = recorder.emit(AdaptivePool(inputs=(number,), mode=mode, size=kept), call.view)
        count = math.prod(size[1:]) // math.prod(kept)
        return affine(recorder, value, count) if total else value

    return handle


def _softmax(log: bool) -> Handler:
    def handle(recorder: Recorder, call: Call) -> Value:
        if call["dim"] % (len(call.x.view) + 1) != 1:
            raise recorder.refuse(f"it goes over axis {call['dim']}; expected the classes, axis 1")
        return recorder.emit(Softmax(inputs=(recorder.shaped(call.x),), log=log))

    return handle


def _optional(recorder: Recorder, given: Any, role: str) -> str | None:
    return None if given is None else recorder.name(constant(recorder, given, f"the {role}"), role)


def _pair(given: Any) -> tuple[int, int]:
    first, *rest = flat(given)
    return (int(first), int(rest[0] if rest else first))


_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
          "cudnn_batch_norm", "miopen_batch_norm")  # fmt: skip

HANDLERS: dict[str, Handler] = {
    "convolution": _convolution,
    "linear": _linear,
    "addmm": _addmm,
    "mm": _mm,
    **dict.fromkeys(_NORMS, _batch_norm),
    "max_pool2d_with_indices": _pool("max"),
    "avg_pool2d": _pool("average"),
    "_adaptive_avg_pool2d": _adaptive("average"),
    "adaptive_max_pool2d": _adaptive("max"),
    "mean": _reduce("average"),
    "sum": _reduce("average", total=True),
    **dict.fromkeys(("amax", "max"), _reduce("max")),
    "_softmax": _softmax(log=False),
    "_log_softmax": _softmax(log=True),
}
