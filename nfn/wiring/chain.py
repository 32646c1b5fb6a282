"""`Wiring`: everything about a chain of layers that a state_dict does not say, and the architecture of each choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import (
    Activation,
    AdaptivePool,
    Add,
    ArchitectureError,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    Op,
    Pool,
    PRelu,
    Shape,
)
from nfn.wiring.modules import Layer, link
from nfn.wiring.skips import Skips, named_residual

Head = Literal["flatten", "average", "max"]
NormPlace = Literal["before", "after", "after_pool", "before_pooled"]
"""Batch norm before the activation, after it, or after the pooling; `before_pooled`: norm, pooling, activation."""

ACTIVATIONS: tuple[tuple[str, float], ...] = (
    ("relu", 1.0), ("tanh", 1.0), ("gelu", 1.0), ("silu", 1.0), ("leaky_relu", 0.01), ("leaky_relu", 0.1),
    ("leaky_relu", 0.2), ("elu", 1.0), ("sigmoid", 1.0), ("selu", 1.0), ("softplus", 1.0), ("hardswish", 1.0),
    ("mish", 1.0), ("relu6", 1.0),
)  # fmt: skip
"""Activations between layers, with slope or alpha, the most common first."""


HEADS: dict[Head, str] = {
    "flatten": "flattening",
    "average": "global average pooling",
    "max": "global max pooling",
}


@dataclass(frozen=True)
class Down:
    """Downsampling at a convolution: by its stride, or by pooling after it. `own` is the stride of a pooled one."""

    mode: Literal["stride", "max", "average"]
    kernel: int = 2
    stride: int = 2
    padding: int = 0
    own: int = 1

    @property
    def convolution_stride(self) -> int:
        """The stride of the convolution."""
        return self.stride if self.mode == "stride" else self.own


@dataclass(frozen=True)
class Wiring:
    """Everything about a chain of layers that its state_dict does not say.

    `padding` has one number per convolution, `down` the downsampling at each (None: none). The `head` is the layer
    between convolutions and linear layers.
    """

    activation: tuple[str, float] = ("relu", 1.0)
    padding: tuple[int, ...] = ()
    down: tuple[Down | None, ...] = ()
    head: Head = "flatten"
    norm_place: NormPlace = "before"
    skips: Skips | None = None

    def sentences(self) -> list[str]:
        """The wiring in words."""
        name, parameter = self.activation
        words = [f"activation {name}" + (f" ({parameter:g})" if name == "leaky_relu" else "")]
        if self.padding:
            words.append(f"padding {_each(self.padding)}")
            words.append(_downs(self.down))
            words += [self.skips.words] if self.skips else []
            words.append(HEADS[self.head])
        return words


def _each(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else ", ".join(map(str, values))


def _downs(downs: Sequence[Down | None]) -> str:
    kinds = {d for d in downs if d is not None}
    if not kinds:
        return "no pooling and no stride"
    words = []
    for kind in sorted(kinds, key=str):
        where = [str(i + 1) for i, d in enumerate(downs) if d == kind]
        what = (
            f"stride {kind.stride}"
            if kind.mode == "stride"
            else f"{kind.mode} pooling {kind.kernel}x{kind.kernel}"
        )
        if kind.mode != "stride" and kind.stride != kind.kernel:
            what += f" (stride {kind.stride})"
        if kind.own > 1:
            what = f"stride {kind.own} and {what}"
        words.append(what + (f" at convolution {', '.join(where)}" if len(downs) > 1 else ""))
    return "; ".join(words)


class OpList:
    """A list of ops under construction; by default each takes the last value."""

    def __init__(self):
        self.ops: list[Op] = []

    @property
    def last(self) -> int:
        """The index of the last value."""
        return len(self.ops)

    def add(self, op: Op) -> int:
        """Append an op and return the index of its value."""
        self.ops.append(op)
        return self.last

    def activation(self, activation: tuple[str, float], slopes: str | None = None) -> None:
        """Add the activation, or PReLU if the layer has slopes."""
        before = (self.last,)
        if slopes is not None:
            self.add(PRelu(inputs=before, weight=slopes))
        else:
            self.add(Activation(inputs=before, function=activation[0], parameter=activation[1]))

    def norm(self, layer: Layer) -> None:
        """Add the batch norm of a layer, if it has one."""
        norm = layer.norm
        if norm is not None:
            self.add(BatchNorm(inputs=(self.last,), mean=norm.mean, variance=norm.variance, weight=norm.weight,
                               bias=norm.bias))  # fmt: skip

    def pool(self, down: Down) -> None:
        """Add pooling."""
        assert down.mode != "stride", "a stride is part of the convolution"
        k, s, p = down.kernel, down.stride, down.padding
        self.add(
            Pool(inputs=(self.last,), mode=down.mode, kernel=(k, k), stride=(s, s), padding=(p, p, p, p))
        )

    def convolution(self, layer: Layer, padding: int, stride: int, groups: int = 1) -> None:
        """Add a convolution with equal padding on all sides."""
        self.add(Conv(inputs=(self.last,), weight=layer.weight, bias=layer.bias, stride=(stride, stride),
                      padding=(padding, padding, padding, padding), groups=groups))  # fmt: skip


def build_chain(
    layers: Sequence[Layer], wiring: Wiring, input_shape: Shape, shapes: Mapping[str, Shape]
) -> Architecture:
    """The architecture of a chain of layers; ArchitectureError if the wiring does not fit their shapes."""
    ops, channels, convolution = OpList(), input_shape[0], 0
    blocks, entered = blocks_of(layers, wiring), 0
    if wiring.skips is not None and not blocks:
        raise ArchitectureError("No block of convolutions keeps the shape of its input.")
    if len(input_shape) == 3 and not layers[0].is_convolution:
        ops.add(Flatten(inputs=(0,)))
        channels = input_shape[0] * input_shape[1] * input_shape[2]
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        if layer.is_convolution:
            entered = ops.last if convolution in blocks.values() else entered
            groups = channels if link(channels, layer) == "depthwise" else 1
            _convolve(ops, layer, wiring, convolution, groups)
            if not last:
                down = wiring.down[convolution]
                _activate(ops, layer, wiring, down, entered if convolution in blocks else None)
            convolution += 1
        else:
            if number and layers[number - 1].is_convolution:
                _bridge(ops, wiring)
            ops.add(Linear(inputs=(ops.last,), weight=layer.weight, bias=layer.bias))
            if not last:
                _activate(ops, layer, wiring)
        channels = layer.shape[0]
    if layers[-1].is_convolution:
        _bridge(ops, replace(wiring, head="average") if wiring.head == "flatten" else wiring)
    return Architecture(input_shape, tuple(ops.ops), shapes)


def _convolve(ops: OpList, layer: Layer, wiring: Wiring, number: int, groups: int) -> None:
    down = wiring.down[number]
    ops.convolution(layer, wiring.padding[number], down.convolution_stride if down else 1, groups)


def blocks_of(layers: Sequence[Layer], wiring: Wiring) -> dict[int, int]:
    """The blocks that `wiring.skips` are over: the number of the first convolution, by that of the last."""
    convolutions = [layer for layer in layers if layer.is_convolution]
    named = named_residual(convolutions)
    blocks, first, length = {}, 1, wiring.skips.length if wiring.skips else len(layers)
    while first + length <= len(convolutions):
        last = first + length - 1
        keeps_width = convolutions[first - 1].shape[0] == convolutions[last].shape[0]
        inside = all(named[first : last + 1]) or not any(named)
        if keeps_width and inside and _keeps_size(convolutions, wiring, first, last):
            blocks[last] = first
        first = last + 1 if last in blocks else first + 1
    return blocks


def _keeps_size(convolutions: Sequence[Layer], wiring: Wiring, first: int, last: int) -> bool:
    """Whether pictures keep their size in a block; pooling after its last convolution is not part of it."""
    whole = range(first, last + 1)
    if any(set(convolutions[i].shape[2:]) != {2 * wiring.padding[i] + 1} for i in whole):
        return False
    down = wiring.down[last]
    return not any(wiring.down[first:last]) and (down is None or down.convolution_stride == 1)


def _activate(
    ops: OpList, layer: Layer, wiring: Wiring, down: Down | None = None, entered: int | None = None
) -> None:
    """Add norm, activation, pooling and skip after a layer, in the wiring's order.

    `entered` is the value before the block that ends here; None if none does.
    """
    for step in _steps(wiring, entered is not None):
        if step == "norm":
            ops.norm(layer)
        elif step == "activation":
            ops.activation(wiring.activation, layer.slopes)
        elif step == "add" and entered is not None:
            ops.add(Add(inputs=(ops.last, entered)))
        elif down is not None and down.mode != "stride":
            ops.pool(down)


def _steps(wiring: Wiring, adds: bool) -> tuple[str, ...]:
    """What follows a layer, in order."""
    steps = {
        "before": ("norm", "activation", "pool"),
        "after": ("activation", "norm", "pool"),
        "after_pool": ("activation", "pool", "norm"),
        "before_pooled": ("norm", "pool", "activation"),
    }[wiring.norm_place]
    if not adds or wiring.skips is None:
        return steps
    if wiring.skips.place == "instead of":
        return tuple("add" if step == "activation" else step for step in steps)
    at = steps.index("activation" if wiring.skips.place == "before" else "pool")
    return (*steps[:at], "add", *steps[at:])


def _bridge(ops: OpList, wiring: Wiring) -> None:
    """Convert the output of the convolutions to a vector."""
    if wiring.head != "flatten":
        ops.add(AdaptivePool(inputs=(ops.last,), mode=wiring.head))
    ops.add(Flatten(inputs=(ops.last,)))
