"""Pickled `nn.Sequential` networks, whose modules have all settings, so that the architecture is fully known."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import (
    Activation,
    AdaptivePool,
    ArchitectureError,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    Op,
    Pair,
    Pool,
    PRelu,
    Shape,
    Sides,
    Softmax,
)
from nfn.wiring.batch_norms import WiringError
from nfn.wiring.propose import AsDeclared, Choice

Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class StoredModule:
    """A module of a pickled network: its path ("features.0"), its class name, and its attributes."""

    path: str
    kind: str
    attributes: Attributes

    def pair(self, name: str, default: Any = None) -> Pair:
        """An attribute that is one number, or one per axis; WiringError if it is neither."""
        value = self.attributes.get(name, default)
        value = default if value is None else value
        numbers = (value, value) if isinstance(value, int) else value
        if (
            not isinstance(numbers, tuple)
            or len(numbers) != 2
            or not all(isinstance(n, int) for n in numbers)
        ):
            raise WiringError(
                f"{self.path!r} has the setting {name} = {str(value)[:40]!r}, which is not read here"
            )
        return numbers

    def sides(self) -> Sides:
        """The padding; WiringError for other modes than zeros."""
        if self.attributes.get("padding_mode", "zeros") != "zeros":
            raise WiringError(f"{self.path!r} pads with something else than zeros")
        padding = self.attributes.get("padding", 0)
        if padding == "same":
            height, width = (size // 2 for size in self.pair("kernel_size"))
        else:
            height, width = (0, 0) if padding == "valid" else self.pair("padding", 0)
        return (width, width, height, height)


ACTIVATIONS: dict[str, tuple[str, str | None]] = {
    "ReLU": ("relu", None), "ReLU6": ("relu6", None), "LeakyReLU": ("leaky_relu", "negative_slope"),
    "ELU": ("elu", "alpha"), "SELU": ("selu", None), "CELU": ("celu", "alpha"), "GELU": ("gelu", None),
    "SiLU": ("silu", None), "Mish": ("mish", None), "Hardswish": ("hardswish", None), "Tanh": ("tanh", None),
    "Sigmoid": ("sigmoid", None), "Hardsigmoid": ("hardsigmoid", None), "Softplus": ("softplus", "beta"),
    "Softsign": ("softsign", None),
}  # fmt: skip
"""PyTorch's activation modules: the name in `ops.FUNCTIONS`, and the attribute with its parameter."""
PASSED_ON = {
    "Sequential",
    "Identity",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "AlphaDropout",
    "FeatureAlphaDropout",
}
"""Modules that do nothing in evaluation mode."""


@dataclass(frozen=True)
class Sequence:
    """A pickled `nn.Sequential`: modules in order, and the shapes of the tensors."""

    modules: tuple[StoredModule, ...]
    shapes: Mapping[str, Shape]

    @property
    def channels(self) -> int:
        """Channels of the input image; 0 if the first layer is linear."""
        first = self._weights[0]
        return first[1] * self._groups if len(first) == 4 else 0

    @property
    def inputs(self) -> int:
        """Inputs of a first linear layer."""
        return self._weights[0][1]

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return self._weights[-1][0]

    @property
    def _groups(self) -> int:
        first = next(module for module in self.modules if module.kind in ("Conv2d", "Linear"))
        return int(first.attributes.get("groups", 1))

    @property
    def _weights(self) -> list[Shape]:
        layers = [module for module in self.modules if module.kind in ("Conv2d", "Linear")]
        return [self.shapes[f"{module.path}.weight"] for module in layers]

    @property
    def layers(self) -> list[tuple[str, str | None]]:
        """The names of weight and bias of each layer, in order."""
        layers = [module for module in self.modules if module.kind in ("Conv2d", "Linear")]
        return [(f"{m.path}.weight", _name(m, "bias", self.shapes)) for m in layers]

    def sizes(self, native: int) -> list[int]:
        """Image sizes to try: the native one, and 32."""
        return sorted({native, 32})

    def starts(self, size: int) -> list[Choice]:
        """The only choice, if it takes images of this size."""
        try:
            self.build(AsDeclared(), (self.channels, size, size) if self.channels else (self.inputs,))
        except ArchitectureError:
            return []
        return [AsDeclared()]

    def with_skips(self, size: int) -> list[Choice]:
        """There are none."""
        return []

    def neighbours(self, choice: Choice) -> Iterator[Choice]:
        """There are no others."""
        yield from ()

    def same_geometry(self, choice: Choice, other: Choice) -> Choice:
        """The only choice."""
        return choice

    def build(self, choice: Choice, input_shape: Shape) -> Architecture:
        """The architecture for inputs of a shape; ArchitectureError if they do not fit."""
        ops: list[Op] = []
        linear_first = not self.channels
        if linear_first and len(input_shape) == 3 and self.modules[0].kind != "Flatten":
            ops.append(Flatten(inputs=(0,)))
        for module in self.modules:
            made = HANDLERS[module.kind](module, (len(ops),), self.shapes)
            if made is not None:
                ops.append(made)
        return Architecture(input_shape, tuple(ops), self.shapes)


def find_sequence(modules: Mapping[str, StoredModule], shapes: Mapping[str, Shape]) -> Sequence | None:
    """A network whose containers are all `nn.Sequential`; None for any other.

    Raises WiringError for a module that is not supported.
    """
    containers = {path.rpartition(".")[0] for path in modules if path}
    if "" not in modules or any(modules[path].kind != "Sequential" for path in containers if path in modules):
        return None
    leaves = [module for path, module in modules.items() if path not in containers and path]
    if not leaves or not any(module.kind in ("Conv2d", "Linear") for module in leaves):
        return None
    unknown = [module for module in leaves if module.kind not in HANDLERS]
    if unknown:
        raise WiringError(f"{unknown[0].path!r} is a {unknown[0].kind[:40]}, which is not read here")
    return Sequence(tuple(leaves), shapes)


Handler = Callable[[StoredModule, tuple[int, ...], Mapping[str, Shape]], Op | None]


def _name(module: StoredModule, part: str, shapes: Mapping[str, Shape]) -> str | None:
    name = f"{module.path}.{part}"
    return name if name in shapes else None


def _conv(m: StoredModule, inputs: tuple[int, ...], shapes: Mapping[str, Shape]) -> Op:
    groups, bias = int(m.attributes.get("groups", 1)), _name(m, "bias", shapes)
    return Conv(inputs=inputs, weight=f"{m.path}.weight", bias=bias, stride=m.pair("stride", 1), padding=m.sides(),
                dilation=m.pair("dilation", 1), groups=groups)  # fmt: skip


def _linear(m: StoredModule, inputs: tuple[int, ...], shapes: Mapping[str, Shape]) -> Op:
    return Linear(inputs=inputs, weight=f"{m.path}.weight", bias=_name(m, "bias", shapes))


def _norm(m: StoredModule, inputs: tuple[int, ...], shapes: Mapping[str, Shape]) -> Op:
    mean, variance = f"{m.path}.running_mean", f"{m.path}.running_var"
    return BatchNorm(inputs=inputs, mean=mean, variance=variance, weight=_name(m, "weight", shapes),
                     bias=_name(m, "bias", shapes), eps=float(m.attributes.get("eps", 1e-5)))  # fmt: skip


def _pool(mode: str) -> Handler:
    def make(m: StoredModule, inputs: tuple[int, ...], shapes: Mapping[str, Shape]) -> Op:
        kernel = m.pair("kernel_size")
        return Pool(inputs=inputs, mode="max" if mode == "max" else "average", kernel=kernel,
                    stride=m.pair("stride", kernel), padding=m.sides(), dilation=m.pair("dilation", 1),
                    ceil=bool(m.attributes.get("ceil_mode", False)),
                    count_padding=bool(m.attributes.get("count_include_pad", True)))  # fmt: skip

    return make


def _adaptive(mode: str) -> Handler:
    def make(m: StoredModule, inputs: tuple[int, ...], shapes: Mapping[str, Shape]) -> Op:
        return AdaptivePool(
            inputs=inputs, mode="max" if mode == "max" else "average", size=m.pair("output_size")
        )

    return make


def _activation(m: StoredModule, inputs: tuple[int, ...], shapes: Mapping[str, Shape]) -> Op:
    function, setting = ACTIVATIONS[m.kind]
    if m.kind == "GELU" and m.attributes.get("approximate") == "tanh":
        function = "gelu_tanh"
    return Activation(inputs=inputs, function=function, parameter=float(m.attributes.get(setting or "", 1.0)))


HANDLERS: dict[str, Handler] = {
    "Conv2d": _conv,
    "Linear": _linear,
    "BatchNorm2d": _norm,
    "BatchNorm1d": _norm,
    "MaxPool2d": _pool("max"),
    "AvgPool2d": _pool("average"),
    "AdaptiveMaxPool2d": _adaptive("max"),
    "AdaptiveAvgPool2d": _adaptive("average"),
    "Flatten": lambda m, inputs, shapes: Flatten(inputs=inputs),
    "PReLU": lambda m, inputs, shapes: PRelu(inputs=inputs, weight=f"{m.path}.weight"),
    "Softmax": lambda m, inputs, shapes: Softmax(inputs=inputs),
    "LogSoftmax": lambda m, inputs, shapes: Softmax(inputs=inputs, log=True),
    **dict.fromkeys(ACTIVATIONS, _activation),
    **dict.fromkeys(PASSED_ON, lambda m, inputs, shapes: None),
}
"""By PyTorch class name, a function from a module to its op; None for modules that do nothing."""


def convolution_settings(modules: Mapping[str, StoredModule]) -> dict[str, tuple[int, int]]:
    """Stride and padding of the square convolutions among stored modules, by their path."""
    settings = {}
    for path, module in modules.items():
        if module.kind == "Conv2d":
            stride, sides = module.pair("stride", 1), module.sides()
            if stride[0] == stride[1] and len(set(sides)) == 1:
                settings[path] = (stride[0], sides[0])
    return settings


def only_activation(modules: Mapping[str, StoredModule]) -> str | None:
    """The common activation of a network's stored modules; None if there is none, or several."""
    activations = {ACTIVATIONS[module.kind][0] for module in modules.values() if module.kind in ACTIVATIONS}
    return activations.pop() if len(activations) == 1 else None
