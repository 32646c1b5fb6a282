"""Activations: functions of every entry."""

from torch import Tensor

from nfn.architecture.ops import Activation, PRelu, Scale
from nfn.architecture.tracing.arithmetic import affine, multiply_by_itself
from nfn.architecture.tracing.recorder import Call, Handler, Recorder, Value, constant


def _function(name: str, parameter: str | None = None) -> Handler:
    """An activation; `parameter` is the argument that holds its slope, alpha or beta."""

    def handle(recorder: Recorder, call: Call) -> Value:
        settings = {} if parameter is None else {"parameter": float(call[parameter])}
        return recorder.apply(Activation, call.x, function=name, **settings)

    return handle


def _sine(name: str) -> Handler:
    """`sin(omega * x)`: a factor before it is its omega."""

    def handle(recorder: Recorder, call: Call) -> Value:
        scale = recorder.maker(call.x.number)
        if isinstance(scale, Scale) and len(scale.factor) == 1 and scale.offset == (0.0,):
            before = Value(scale.inputs[0], call.x.view, call.x.order)
            return recorder.apply(Activation, before, function=name, parameter=scale.factor[0])
        return recorder.apply(Activation, call.x, function=name)

    return handle


def _gelu(recorder: Recorder, call: Call) -> Value:
    name = "gelu_tanh" if call["approximate"] == "tanh" else "gelu"
    return recorder.apply(Activation, call.x, function=name)


def _softplus(recorder: Recorder, call: Call) -> Value:
    if call["threshold"] != 20:
        raise recorder.refuse(f"softplus has the threshold {call['threshold']}; only 20 is known")
    return recorder.apply(Activation, call.x, function="softplus", parameter=float(call["beta"]))


def _elu(recorder: Recorder, call: Call) -> Value:
    alpha, scale, inside = (float(call[name]) for name in ("alpha", "scale", "input_scale"))
    if inside != 1:
        raise recorder.refuse(f"elu has the input_scale {inside}; only 1 is known")
    if (alpha, scale) == _SELU:
        return recorder.apply(Activation, call.x, function="selu")
    value = recorder.apply(Activation, call.x, function="elu", parameter=alpha)
    return value if scale == 1 else affine(recorder, value, scale)


_SELU = (1.6732632423543772, 1.0507009873554805)


def _rrelu(recorder: Recorder, call: Call) -> Value:
    slope = (float(call["lower"]) + float(call["upper"])) / 2
    if call["training"]:
        raise recorder.refuse("its slopes are random in evaluation too")
    return recorder.apply(Activation, call.x, function="leaky_relu", parameter=slope)


def _threshold(recorder: Recorder, call: Call) -> Value:
    if (call["threshold"], call["value"]) != (0, 0):
        raise recorder.refuse("only a threshold of 0 with the value 0, a ReLU, is known")
    return recorder.apply(Activation, call.x, function="relu")


def _clamp(recorder: Recorder, call: Call) -> Value:
    """ReLU, ReLU6, or a hard tanh between any two bounds."""
    low, high = (
        call.arguments.get(a, call.arguments.get(b)) for a, b in (("min", "min_val"), ("max", "max_val"))
    )
    if (
        isinstance(low, Tensor)
        or isinstance(high, Tensor)
        or low is None
        or (high is not None and high <= low)
    ):
        raise recorder.refuse(
            f"values are kept between {low} and {high}; expected a lower and an upper number"
        )
    if high is None or (low, high) == (0, 6):
        value = call.x if low == 0 else affine(recorder, call.x, 1, -low)
        value = recorder.apply(Activation, value, function="relu" if high is None else "relu6")
        return value if low == 0 else affine(recorder, value, 1, low)
    half, middle = (high - low) / 2, (high + low) / 2
    value = call.x if (half, middle) == (1, 0) else affine(recorder, call.x, 1 / half, -middle / half)
    value = recorder.apply(Activation, value, function="hardtanh")
    return value if (half, middle) == (1, 0) else affine(recorder, value, half, middle)


def _power(recorder: Recorder, call: Call) -> Value:
    exponent = call["exponent"]
    if exponent == 2:
        return recorder.apply(Activation, call.x, function="square")
    if exponent not in range(1, 9):
        raise recorder.refuse(f"the exponent is {exponent}; only whole numbers from 1 to 8 are known")
    return multiply_by_itself(recorder, call.x, int(exponent))


def _prelu(recorder: Recorder, call: Call) -> Value:
    slopes = constant(recorder, call["weight"], "the slopes").flatten()
    name = recorder.name(slopes, "weight")
    return recorder.emit(PRelu(inputs=(recorder.shaped(call.x),), weight=name))


_PLAIN = (
    "relu",
    "relu6",
    "selu",
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
    "tanh",
    "sigmoid",
    "exp",
    "abs",
    "square",
)

HANDLERS: dict[str, Handler] = {
    **{name: _function(name) for name in _PLAIN},
    "leaky_relu": _function("leaky_relu", "negative_slope"),
    "celu": _function("celu", "alpha"),
    "elu": _elu,
    "gelu": _gelu,
    "softplus": _softplus,
    "rrelu_with_noise": _rrelu,
    "threshold": _threshold,
    **dict.fromkeys(("clamp", "clamp_min", "hardtanh"), _clamp),
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    "sin": _sine("sine"),
    "cos": _sine("cosine"),
    "pow": _power,
}
