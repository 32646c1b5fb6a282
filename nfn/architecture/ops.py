"""The operations of a feed-forward network, as data: their forward passes and output shapes.

Shapes are without the batch: `(c, h, w)` for images, `(n,)` for vectors. An op has the names of its tensors, not the
tensors; `inputs` are the indices of the values that it takes (see `Architecture`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.architecture.pooling import max_pool2d

Shape = tuple[int, ...]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
"""Pixels added at the left, right, top and bottom, in the order of `torch.nn.functional.pad`."""

NONE: Sides = (0, 0, 0, 0)


class ArchitectureError(ValueError):
    """An invalid architecture; the message names the op, what it got and what was expected."""


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation of a network. Subclasses implement `run` and `shape`."""

    inputs: tuple[int, ...]
    kind: ClassVar[str]
    arity: ClassVar[int | None] = 1
    tensor_fields: ClassVar[tuple[str, ...]] = ()

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of the tensors that this op uses."""
        names = (getattr(self, field) for field in self.tensor_fields)
        return tuple(name for name in names if name is not None)

    def shape(self, inputs: Sequence[Shape], tensors: Mapping[str, Shape]) -> Shape:
        """The shape of the result; ArchitectureError if inputs or tensors do not fit."""
        return inputs[0]

    def run(self, inputs: Sequence[Tensor], tensors: Mapping[str, Tensor]) -> Tensor:
        """The result `(N, *shape)` of inputs `(N, *shape)`."""
        raise NotImplementedError

    def multiplications(self, out: Shape, tensors: Mapping[str, Shape]) -> int:
        """The approximate number of multiply-adds per input."""
        return math.prod(out)

    def fail(self, message: str) -> ArchitectureError:
        """An error that names this op."""
        return ArchitectureError(f"{self.kind} ({', '.join(self.tensors) or 'no tensors'}): {message}.")


def _get(tensors: Mapping[str, Tensor], name: str | None) -> Tensor | None:
    return None if name is None else tensors[name]


def _channels_last(x: Tensor) -> Tensor:
    """Gray pictures with the strides of channels last; others as they are.

    With one channel both layouts are the same memory, and torch takes it for channels first, in which the convolutions
    behind it take three times as long on a CPU.
    """
    if x.shape[1] > 1 or x.device.type != "cpu" or x.requires_grad or not x.is_contiguous():
        return x
    height, width = x.shape[2:]
    return x.as_strided(x.shape, (height * width, 1, width, 1))


@dataclass(frozen=True, kw_only=True)
class Conv(Op):
    """2D convolution; weight `(out, in / groups, kh, kw)`, bias `(out,)` or None."""

    kind = "conv"
    tensor_fields = ("weight", "bias")
    weight: str
    bias: str | None = None
    stride: Pair = (1, 1)
    padding: Sides = NONE
    dilation: Pair = (1, 1)
    groups: int = 1

    def shape(self, inputs, tensors):
        channels, *size = _image(self, inputs[0])
        weight = tensors[self.weight]
        if len(weight) != 4 or min(self.groups, *self.stride, *self.dilation) < 1:
            raise self.fail(f"expected a weight (out, in, kh, kw), got {weight}")
        if weight[1] * self.groups != channels or weight[0] % self.groups:
            raise self.fail(f"a weight {weight} in {self.groups} groups does not fit {channels} channels")
        _check_vector(self, self.bias, tensors, weight[0])
        kernel = [d * (k - 1) + 1 for k, d in zip(weight[2:], self.dilation, strict=True)]
        return (weight[0], *_window(self, size, kernel, self.stride, self.padding))

    def run(self, inputs, tensors):
        x, padding = _pad(inputs[0], self.padding)
        weight, bias = tensors[self.weight], _get(tensors, self.bias)
        return F.conv2d(_channels_last(x), weight, bias, self.stride, padding, self.dilation, self.groups)

    def multiplications(self, out, tensors):
        return math.prod(out) * math.prod(tensors[self.weight][1:])


@dataclass(frozen=True, kw_only=True)
class Linear(Op):
    """Weight `(out, in)`, or `(in, out)` where `transposed` (as ONNX and Keras store it); bias `(out,)` or None."""

    kind = "linear"
    tensor_fields = ("weight", "bias")
    weight: str
    bias: str | None = None
    transposed: bool = False

    def shape(self, inputs, tensors):
        weight = tensors[self.weight]
        if len(weight) != 2 or len(inputs[0]) != 1:
            raise self.fail(f"a weight {weight} cannot take an input of shape {inputs[0]}")
        out, features = weight[::-1] if self.transposed else weight
        if features != inputs[0][0]:
            raise self.fail(f"the weight {weight} takes {features} features, and {inputs[0][0]} arrive")
        _check_vector(self, self.bias, tensors, out)
        return (out,)

    def run(self, inputs, tensors):
        weight = tensors[self.weight]
        return F.linear(inputs[0], weight.t() if self.transposed else weight, _get(tensors, self.bias))

    def multiplications(self, out, tensors):
        return math.prod(tensors[self.weight])


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Op):
    """Batch norm in evaluation mode: `(x - mean) / sqrt(variance + eps) * weight + bias` per channel."""

    kind = "batch_norm"
    tensor_fields = ("mean", "variance", "weight", "bias")
    mean: str
    variance: str
    weight: str | None = None
    bias: str | None = None
    eps: float = 1e-5

    def shape(self, inputs, tensors):
        for name in self.tensors:
            _check_vector(self, name, tensors, inputs[0][0])
        return inputs[0]

    def run(self, inputs, tensors):
        mean, variance = tensors[self.mean], tensors[self.variance]
        weight, bias = _get(tensors, self.weight), _get(tensors, self.bias)
        return F.batch_norm(inputs[0], mean, variance, weight, bias, eps=self.eps)


@dataclass(frozen=True, kw_only=True)
class ChannelAffine(Op):
    """`x * weight + bias`, one learned number each per channel; either may be None."""

    kind = "channel_affine"
    tensor_fields = ("weight", "bias")
    weight: str | None = None
    bias: str | None = None

    def shape(self, inputs, tensors):
        for name in self.tensors:
            _check_vector(self, name, tensors, inputs[0][0])
        return inputs[0]

    def run(self, inputs, tensors):
        x, weight, bias = inputs[0], _get(tensors, self.weight), _get(tensors, self.bias)
        x = x if weight is None else x * _per_channel(weight, x)
        return x if bias is None else x + _per_channel(bias, x)


@dataclass(frozen=True, kw_only=True)
class PRelu(Op):
    """Leaky ReLU with learned slopes: one `(1,)`, or one per channel `(c,)`."""

    kind = "prelu"
    tensor_fields = ("weight",)
    weight: str

    def shape(self, inputs, tensors):
        if tensors[self.weight] not in ((1,), (inputs[0][0],)):
            raise self.fail(f"slopes {tensors[self.weight]} for {inputs[0][0]} channels")
        return inputs[0]

    def run(self, inputs, tensors):
        return F.prelu(inputs[0], tensors[self.weight])


FUNCTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "relu": lambda x, _: F.relu(x),
    "relu6": lambda x, _: F.relu6(x),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "elu": lambda x, alpha: F.elu(x, alpha),
    "selu": lambda x, _: F.selu(x),
    "celu": lambda x, alpha: F.celu(x, alpha),
    "gelu": lambda x, _: F.gelu(x),
    "gelu_tanh": lambda x, _: F.gelu(x, approximate="tanh"),
    "silu": lambda x, _: F.silu(x),
    "mish": lambda x, _: F.mish(x),
    "hardswish": lambda x, _: F.hardswish(x),
    "hardsigmoid": lambda x, _: F.hardsigmoid(x),
    "hardtanh": lambda x, _: F.hardtanh(x),
    "softplus": lambda x, beta: F.softplus(x, beta),
    "softsign": lambda x, _: F.softsign(x),
    "tanh": lambda x, _: torch.tanh(x),
    "sigmoid": lambda x, _: torch.sigmoid(x),
    "sine": lambda x, omega: torch.sin(omega * x),
    "cosine": lambda x, omega: torch.cos(omega * x),
    "exp": lambda x, _: torch.exp(x),
    "square": lambda x, _: x.square(),
    "abs": lambda x, _: x.abs(),
}
"""Activations by name; the second argument is the slope, alpha, beta or omega, if there is one."""

ODD = frozenset({"tanh", "sine", "softsign", "hardtanh"})
"""Functions with f(-x) = -f(x), for which flipping the signs of neurons does not change the network."""


@dataclass(frozen=True, kw_only=True)
class Activation(Op):
    """A function of every entry, one of `FUNCTIONS`."""

    kind = "activation"
    function: str
    parameter: float = 1.0

    def shape(self, inputs, tensors):
        if self.function not in FUNCTIONS or not math.isfinite(self.parameter):
            raise self.fail(f"unknown function {self.function[:40]!r}; known: {', '.join(FUNCTIONS)}")
        return inputs[0]

    def run(self, inputs, tensors):
        return FUNCTIONS[self.function](inputs[0], self.parameter)


@dataclass(frozen=True, kw_only=True)
class Pool(Op):
    """Maximum or average over windows, as `torch.nn.MaxPool2d` and `AvgPool2d`."""

    kind = "pool"
    mode: Literal["max", "average"]
    kernel: Pair
    stride: Pair
    padding: Sides = NONE
    dilation: Pair = (1, 1)
    ceil: bool = False
    count_padding: bool = True

    def shape(self, inputs, tensors):
        channels, *size = _image(self, inputs[0])
        if min(*self.kernel, *self.stride, *self.dilation) < 1 or self.mode not in ("max", "average"):
            raise self.fail(f"kernel {self.kernel}, stride {self.stride}, mode {self.mode!r}")
        kernel = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        if max(self.padding[:2]) >= kernel[1] or max(self.padding[2:]) >= kernel[0]:
            raise self.fail(f"padding {self.padding} is as large as the window, {kernel[0]}x{kernel[1]}")
        return (channels, *_window(self, size, kernel, self.stride, self.padding, self.ceil))

    def run(self, inputs, tensors):
        _, height, width = self.shape([tuple(inputs[0].shape[1:])], {})
        return self._pool(inputs[0])[
            :, :, :height, :width
        ]  # padding made before adds places that ceil leaves out

    def _pool(self, x: Tensor) -> Tensor:
        if self.mode == "max":
            x, padding = _pad(x, self.padding, -math.inf, self.kernel)
            return max_pool2d(x, self.kernel, self.stride, padding, self.dilation, self.ceil)
        padded, padding = _pad(x, self.padding, 0.0, self.kernel)
        if self.count_padding or padded is x:
            return F.avg_pool2d(padded, self.kernel, self.stride, padding, self.ceil, self.count_padding)
        inside = F.pad(torch.ones_like(x[:1, :1]), self.padding)
        means = (F.avg_pool2d(v, self.kernel, self.stride, 0, self.ceil) for v in (padded, inside))
        return next(means) / next(means)

    def multiplications(self, out, tensors):
        return math.prod(out) * math.prod(self.kernel)


@dataclass(frozen=True, kw_only=True)
class AdaptivePool(Op):
    """Maximum or average over a grid of `size` windows that covers the image; `(1, 1)` is global pooling."""

    kind = "adaptive_pool"
    mode: Literal["max", "average"]
    size: Pair = (1, 1)

    def shape(self, inputs, tensors):
        channels, *_ = _image(self, inputs[0])
        if min(self.size) < 1 or max(self.size) > 1024 or self.mode not in ("max", "average"):
            raise self.fail(f"size {self.size}, mode {self.mode!r}")
        return (channels, *self.size)

    def run(self, inputs, tensors):
        (x,) = inputs
        if self.mode == "average":
            return F.adaptive_avg_pool2d(x, self.size)
        if self.size == (1, 1) and not x.requires_grad:
            return x.amax((2, 3), keepdim=True)
        return F.adaptive_max_pool2d(x, self.size)


@dataclass(frozen=True, kw_only=True)
class Flatten(Op):
    """`(c, h, w)` to a vector, channel by channel (`"chw"`, torch) or pixel by pixel (`"hwc"`, TensorFlow)."""

    kind = "flatten"
    order: Literal["chw", "hwc"] = "chw"

    def shape(self, inputs, tensors):
        if self.order not in ("chw", "hwc"):
            raise self.fail(f"order {self.order!r}")
        return (math.prod(inputs[0]),)

    def run(self, inputs, tensors):
        x = inputs[0]
        return (x.movedim(1, -1) if self.order == "hwc" else x).flatten(1)


@dataclass(frozen=True, kw_only=True)
class Reshape(Op):
    """Entries in the same order in another shape."""

    kind = "reshape"
    to: Shape

    def shape(self, inputs, tensors):
        if len(self.to) not in (1, 3) or math.prod(self.to) != math.prod(inputs[0]) or min(self.to) < 1:
            raise self.fail(f"{inputs[0]} cannot become {self.to}")
        return self.to

    def run(self, inputs, tensors):
        return inputs[0].reshape(len(inputs[0]), *self.to)


@dataclass(frozen=True, kw_only=True)
class Add(Op):
    """The sum of two or more values of one shape, or of a value and one number per channel `(c, 1, 1)`."""

    kind = "add"
    arity = None

    def shape(self, inputs, tensors):
        return _broadcast(self, inputs)

    def run(self, inputs, tensors):
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total


@dataclass(frozen=True, kw_only=True)
class Multiply(Op):
    """The product of values entry by entry; shapes as for `Add` (squeeze-and-excitation multiplies `(c, 1, 1)`)."""

    kind = "multiply"
    arity = None

    def shape(self, inputs, tensors):
        return _broadcast(self, inputs)

    def run(self, inputs, tensors):
        total = inputs[0]
        for x in inputs[1:]:
            total = total * x
        return total


@dataclass(frozen=True, kw_only=True)
class Scale(Op):
    """`factor * x + offset` with fixed numbers: one each, or one per channel (a normalisation of the input)."""

    kind = "scale"
    factor: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    def shape(self, inputs, tensors):
        lengths = {len(self.factor), len(self.offset)}
        if not lengths <= {1, inputs[0][0]} or not all(map(math.isfinite, (*self.factor, *self.offset))):
            raise self.fail(
                f"{len(self.factor)} factors, {len(self.offset)} offsets, {inputs[0][0]} channels"
            )
        return inputs[0]

    def run(self, inputs, tensors):
        x = inputs[0]
        factor, offset = (_per_channel(x.new_tensor(v), x) for v in (self.factor, self.offset))
        return x * factor + offset


@dataclass(frozen=True, kw_only=True)
class Concat(Op):
    """Values concatenated along the channels."""

    kind = "concat"
    arity = None

    def shape(self, inputs, tensors):
        if len({shape[1:] for shape in inputs}) != 1:
            raise self.fail(f"shapes {list(inputs)} cannot be joined along the channels")
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def run(self, inputs, tensors):
        return torch.cat(list(inputs), 1)


@dataclass(frozen=True, kw_only=True)
class Pad(Op):
    """Zero padding of height and width (`sides`) and of channels (`channels`)."""

    kind = "pad"
    sides: Sides = NONE
    channels: Pair = (0, 0)

    def shape(self, inputs, tensors):
        channels, height, width = _image(self, inputs[0])
        if min(*self.sides, *self.channels) < 0:
            raise self.fail("negative padding")
        left, right, top, bottom = self.sides
        return (channels + sum(self.channels), height + top + bottom, width + left + right)

    def run(self, inputs, tensors):
        return F.pad(inputs[0], (*self.sides, *self.channels))


@dataclass(frozen=True, kw_only=True)
class Subsample(Op):
    """Every `stride`-th row and column (ResNet's shortcut without parameters)."""

    kind = "subsample"
    stride: Pair

    def shape(self, inputs, tensors):
        channels, height, width = _image(self, inputs[0])
        if min(self.stride) < 1:
            raise self.fail(f"stride {self.stride}")
        return (channels, -(-height // self.stride[0]), -(-width // self.stride[1]))

    def run(self, inputs, tensors):
        return inputs[0][:, :, :: self.stride[0], :: self.stride[1]]


@dataclass(frozen=True, kw_only=True)
class Softmax(Op):
    """Probabilities of the classes, or their logarithms."""

    kind = "softmax"
    log: bool = False

    def shape(self, inputs, tensors):
        if len(inputs[0]) != 1:
            raise self.fail(f"expected a vector of class scores, got shape {inputs[0]}")
        return inputs[0]

    def run(self, inputs, tensors):
        return (F.log_softmax if self.log else F.softmax)(inputs[0], 1)


OPS: dict[str, type[Op]] = {
    op.kind: op
    for op in (
        Conv, Linear, BatchNorm, ChannelAffine, PRelu, Activation, Pool, AdaptivePool, Flatten, Reshape, Add,
        Multiply, Scale, Concat, Pad, Subsample, Softmax,
    )
}  # fmt: skip
"""Ops by kind. To add one, add a class here, and a case in `axes.py` if it changes channels."""


def _image(op: Op, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise op.fail(f"expected an image (channels, height, width), got shape {shape}")
    return shape


def _check_vector(op: Op, name: str | None, tensors: Mapping[str, Shape], size: int) -> None:
    if name is not None and tensors[name] != (size,):
        raise op.fail(f"{name[:60]!r} of shape {tensors[name]}, expected ({size},)")


def _window(
    op: Op, size: Sequence[int], kernel: Sequence[int], stride: Pair, sides: Sides, ceil=False
) -> Shape:
    """The output height and width of a sliding window."""
    if min(sides) < 0 or max(sides) > 1024:
        raise op.fail(f"padding {sides}")
    out = []
    for n, k, s, pad in zip(size, kernel, stride, (sides[2:], sides[:2]), strict=True):
        room = n + sum(pad) - k
        if room < 0:
            raise op.fail(
                f"a picture of {size[0]}x{size[1]} is too small for a window of {kernel[0]}x{kernel[1]}"
            )
        places = (-(-room // s) if ceil else room // s) + 1
        # torch: with ceil, the last window must start inside the picture or its left padding
        out.append(places - 1 if ceil and (places - 1) * s >= n + pad[0] else places)
    return tuple(out)


def _pad(x: Tensor, sides: Sides, value: float = 0.0, kernel: Pair | None = None) -> tuple[Tensor, Pair]:
    """Apply padding that the torch op cannot (asymmetric, or too large for pools); the image, and remaining padding."""
    fits = kernel is None or (sides[2] <= kernel[0] // 2 and sides[0] <= kernel[1] // 2)
    if sides[0] == sides[1] and sides[2] == sides[3] and fits:
        return x, (sides[2], sides[0])
    return F.pad(x, sides, value=value), (0, 0)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.dim() - 2))


def _broadcast(op: Op, shapes: Sequence[Shape]) -> Shape:
    ranks, channels = {len(shape) for shape in shapes}, {shape[0] for shape in shapes}
    full = max(shapes, key=math.prod)
    fitting = all(shape in (full, (full[0], *[1] * (len(full) - 1))) for shape in shapes)
    if len(ranks) != 1 or len(channels) != 1 or not fitting:
        raise op.fail(f"shapes {list(shapes)} do not go together")
    return full
