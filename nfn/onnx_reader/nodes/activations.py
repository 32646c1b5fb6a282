"""Activations and other functions of every entry."""

from nfn.architecture.ops import PRelu
from nfn.onnx_reader.builder import Builder
from nfn.onnx_reader.nodes.arithmetic import per_channel
from nfn.onnx_reader.tensors import FLOATS, type_name
from nfn.onnx_reader.values import Call, Handler, Operand, Value

_SELU = (1.6732632423543772, 1.0507009873554805)


def _function(kind: str, parameter: str | None = None) -> Handler:
    """A step; `parameter` is the attribute that holds its slope or alpha."""

    def handle(builder: Builder, call: Call) -> Operand:
        number = 1.0 if parameter is None else builder.real(call, parameter)
        return builder.step(kind, builder.first(call), number)

    return handle


def _selu(builder: Builder, call: Call) -> Operand:
    alpha, gamma = builder.real(call, "alpha"), builder.real(call, "gamma")
    if abs(alpha - _SELU[0]) < 1e-4 and abs(gamma - _SELU[1]) < 1e-4:
        return builder.step("selu", builder.first(call), 1.0)
    return builder.steps("mul", [builder.step("elu", builder.first(call), alpha), gamma])


def _gelu(builder: Builder, call: Call) -> Operand:
    kind = "gelu_tanh" if call.attribute("approximate") == "tanh" else "gelu"
    return builder.step(kind, builder.first(call), 1.0)


def _hard_sigmoid(builder: Builder, call: Call) -> Operand:
    x = builder.steps("mul", [builder.first(call), builder.real(call, "alpha")])
    x = builder.steps("add", [x, builder.real(call, "beta")])
    return builder.steps("min", [builder.steps("max", [x, 0.0]), 1.0])


def _swish(builder: Builder, call: Call) -> Operand:
    x = builder.plain(builder.first(call))
    return builder.steps(
        "mul", [x, builder.step("sigmoid", builder.steps("mul", [x, builder.real(call, "alpha")]), 1.0)]
    )


def _thresholded(builder: Builder, call: Call) -> Operand:
    x = builder.plain(builder.first(call))
    return builder.steps("where", [builder.steps("greater", [x, builder.real(call, "alpha")]), x, 0.0])


def _negative(builder: Builder, call: Call) -> Operand:
    return builder.steps("mul", [builder.first(call), -1.0])


def _reciprocal(builder: Builder, call: Call) -> Operand:
    return builder.steps("div", [1.0, builder.first(call)])


def _clip(builder: Builder, call: Call) -> Operand:
    """Clip: bounds are attributes up to opset 10 and inputs from 11 on; either may be missing."""
    x = builder.first(call)
    for index, name, kind in ((1, "min", "max"), (2, "max", "min")):
        bound = call.operand(index)
        number = call.attribute(name) if bound is None else builder.scalar(bound)
        if bound is not None and number is None:
            raise builder.refuse("its bounds are not one number each")
        if isinstance(number, int | float):
            x = builder.steps(kind, [x, float(number)])
    return x


def _prelu(builder: Builder, call: Call) -> Operand:
    x = builder.plain(builder.first(call))
    slopes = builder.constant(call, 1, "the slope")
    array = slopes.array.reshape(1) if slopes.array.size == 1 else per_channel(builder, x, slopes)
    number = builder.with_channels(x)
    return builder.emit(PRelu(inputs=(number,), weight=builder.name(slopes, array)), x.view, x.order)


def _cast(builder: Builder, call: Call) -> Operand:
    """Cast between float types, which is ignored; casts to integers and booleans are rejected."""
    name = type_name(builder.whole(call, "to", 0))
    if name not in FLOATS:
        raise builder.refuse(f"it makes {name} of the network's values; only floats are known")
    if name != "FLOAT":
        builder.note(f"The network computes in {name.lower()}; it was read as float32.")
    return builder.first(call)


def _dropout(builder: Builder, call: Call) -> Operand:
    training = call.operand(2)
    if training is not None and builder.scalar(training) != 0:
        raise builder.refuse(
            "it drops entries (training_mode); expected a network in evaluation, model.eval()"
        )
    return builder.first(call)


def same(builder: Builder, call: Call) -> Value:
    """Identity."""
    return builder.first(call)


_PLAIN = {
    "Relu": "relu", "Mish": "mish", "HardSwish": "hardswish", "Softplus": "softplus", "Softsign": "softsign",
    "Tanh": "tanh", "Sigmoid": "sigmoid", "Sin": "sine", "Cos": "cosine", "Exp": "exp", "Abs": "abs", "Erf": "erf",
    "Log": "log", "Sqrt": "sqrt",
}  # fmt: skip

HANDLERS: dict[str, Handler] = {
    **{op: _function(kind) for op, kind in _PLAIN.items()},
    "LeakyRelu": _function("leaky_relu", "alpha"),
    "Elu": _function("elu", "alpha"),
    "Celu": _function("celu", "alpha"),
    "Selu": _selu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded,
    "Neg": _negative,
    "Reciprocal": _reciprocal,
    "Clip": _clip,
    "PRelu": _prelu,
    "Cast": _cast,
    "Dropout": _dropout,
    "Identity": same,
}
