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
from nfn.wiring.skips import Skips, inside_skips

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
    first_of, entered = _checked_blocks(layers, wiring), 0
    if len(input_shape) == 3 and not layers[0].is_convolution:
        ops.add(Flatten(inputs=(0,)))
        channels = input_shape[0] * input_shape[1] * input_shape[2]
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        if layer.is_convolution:
            if convolution in first_of.values():
                entered = ops.last
            groups = channels if link(channels, layer) == "depthwise" else 1
            down = wiring.down[convolution]
            stride = down.convolution_stride if down else 1
            ops.convolution(layer, wiring.padding[convolution], stride, groups)
            if not last:
                _activate(ops, layer, wiring, down, entered if convolution in first_of else None)
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


def _checked_blocks(layers: Sequence[Layer], wiring: Wiring) -> dict[int, int]:
    """The blocks of `blocks_of`; ArchitectureError if there are skips, but no blocks that they can be added to."""
    if wiring.skips is None:
        return {}
    convolutions = [layer for layer in layers if layer.is_convolution]
    blocks = blocks_of(layers, wiring, inside_skips(convolutions))
    if not blocks or wiring.norm_place == "before_pooled":
        raise ArchitectureError("No block of convolutions keeps the shape of its input.")
    if wiring.skips.place == "instead of" and any(convolutions[last].slopes for last in blocks):
        raise ArchitectureError("An activation with weights cannot be left out.")
    return blocks


def blocks_of(layers: Sequence[Layer], wiring: Wiring, inside: Sequence[bool]) -> dict[int, int]:
    """The blocks that `wiring.skips` are over: the number of the first convolution, by that of the last.

    `inside` says which convolutions may be in a block (`inside_skips`). The last layer is in none.
    """
    if wiring.skips is None:
        return {}
    convolutions = [layer for layer in layers[:-1] if layer.is_convolution]
    first_of: dict[int, int] = {}
    first = 1
    while first + wiring.skips.length <= len(convolutions):
        last = first + wiring.skips.length - 1
        keeps_width = convolutions[first - 1].shape[0] == convolutions[last].shape[0]
        if keeps_width and all(inside[first : last + 1]) and _keeps_size(convolutions, wiring, first, last):
            first_of[last] = first
        first = last + 1 if last in first_of else first + 1
    return first_of


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
    steps = _STEPS[wiring.norm_place] if entered is None else _steps_with_skip(wiring)
    for step in steps:
        if step == "norm":
            ops.norm(layer)
        elif step == "activation":
            ops.activation(wiring.activation, layer.slopes)
        elif step == "skip":
            assert entered is not None, "only the end of a block has a skip"
            ops.add(Add(inputs=(ops.last, entered)))
        elif down is not None and down.mode != "stride":
            ops.pool(down)


_STEPS: dict[NormPlace, tuple[str, ...]] = {
    "before": ("norm", "activation", "pool"),
    "after": ("activation", "norm", "pool"),
    "after_pool": ("activation", "pool", "norm"),
    "before_pooled": ("norm", "pool", "activation"),
}
"""What follows a layer, in order."""


def _steps_with_skip(wiring: Wiring) -> tuple[str, ...]:
    """What follows the last layer of a block, in order: a skip "after" comes right before pooling."""
    assert wiring.skips is not None, "blocks are those of skips"
    steps = _STEPS[wiring.norm_place]
    if wiring.skips.place == "instead of":
        return tuple("skip" if step == "activation" else step for step in steps)
    at = steps.index("activation" if wiring.skips.place == "before" else "pool")
    return (*steps[:at], "skip", *steps[at:])


def _bridge(ops: OpList, wiring: Wiring) -> None:
    """Convert the output of the convolutions to a vector."""
    if wiring.head != "flatten":
        ops.add(AdaptivePool(inputs=(ops.last,), mode=wiring.head))
    ops.add(Flatten(inputs=(ops.last,)))
