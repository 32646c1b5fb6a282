"""Convert graphs that are plain chains to features: SIRENs, and CNNs of the Small CNN Zoo's family."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import (
    Activation,
    AdaptivePool,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    Op,
    Scale,
    Softmax,
)
from nfn.features import WeightSpaceFeatures


@dataclass(frozen=True)
class SirenView:
    """A chain of linear layers with sines: features `(1, 1, ...)`, tensor names, and the omega of each sine.

    The outputs are `scale * f(y) + shift`, where y are the outputs of the last linear layer and f is `output`.
    """

    features: WeightSpaceFeatures
    names: tuple[tuple[str, str | None], ...]
    omegas: tuple[float, ...]
    scale: float = 1.0
    shift: float = 0.0
    output: Literal["linear", "sigmoid", "tanh", "sine"] = "linear"


def siren_view(architecture: Architecture, tensors: Mapping[str, Tensor]) -> SirenView | None:
    """Convert linear layers with `sin(omega x)` in between, and optionally a final sigmoid, tanh or sine.

    None for any other graph.
    """
    layers: list[Linear] = []
    omegas: list[float] = []
    factor, shift = 1.0, 0.0
    output: Literal["linear", "sigmoid", "tanh", "sine"] = "linear"
    for op in _straight(architecture):
        follows_layer = len(omegas) + 1 == len(layers) and output == "linear"
        match op:
            case Linear():
                if (factor, shift) != (1.0, 0.0) or len(omegas) != len(layers) or output != "linear":
                    return None
                layers.append(op)
            case Scale(factor=(f,), offset=(o,)) if layers:
                factor, shift = factor * f, shift * f + o
            case Activation(function="sine") if follows_layer and shift == 0.0:
                omegas.append(op.parameter * factor)
                factor = 1.0
            case Activation(function="sigmoid" | "tanh" as function) if follows_layer:
                if (factor, shift) != (1.0, 0.0):
                    return None
                output = function
            case _:
                return None
    if layers and len(omegas) == len(layers):
        output = "sine"
    elif len(layers) != len(omegas) + 1 or not omegas:
        return None
    pairs = [_linear(layer, tensors) for layer in layers]
    names = tuple((layer.weight, layer.bias) for layer in layers)
    return SirenView(WeightSpaceFeatures.from_zipped(pairs), names, tuple(omegas), factor, shift, output)


@dataclass(frozen=True)
class SmallCnnView:
    """Convolutions, each with an activation, global average pooling and a linear layer, with batch norm folded in."""

    features: WeightSpaceFeatures
    activation: Literal["relu", "tanh"]


def small_cnn_view(architecture: Architecture, tensors: Mapping[str, Tensor]) -> SmallCnnView | None:
    """Convert a graph of the Small CNN Zoo's family (convolutions of stride 2 without padding); None for any other."""
    ops = list(_straight(architecture))
    if ops and isinstance(ops[-1], Softmax):
        ops.pop()
    tail = ops[-3:]
    if [type(op) for op in tail] != [AdaptivePool, Flatten, Linear] or _mode(tail[0]) != ("average", (1, 1)):
        return None
    head = tail[2]
    assert isinstance(head, Linear), "checked above"
    pairs: list[tuple[Tensor, Tensor]] = []
    after: BatchNorm | None = None
    functions: set[Literal["relu", "tanh"] | None] = set()
    for op in ops[:-3]:
        match op:
            case Conv(stride=(2, 2), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1) if (
                None not in functions
            ):
                weight = tensors[op.weight]
                bias = weight.new_zeros(len(weight)) if op.bias is None else tensors[op.bias]
                pairs.append(_with_norm_of_input(weight, bias, after, tensors))
                after = None
                functions.add(None)
            case BatchNorm() if None in functions:  # before the activation: part of this convolution
                scale, shift = _affine(op, tensors)
                weight, bias = pairs[-1]
                pairs[-1] = (weight * scale.view(-1, 1, 1, 1), bias * scale + shift)
            case BatchNorm() if pairs and after is None:
                after = op
            case Activation(function="relu" | "tanh" as function) if None in functions:
                functions.discard(None)
                functions.add(function)
            case _:
                return None
    activation = next(iter(functions)) if len(functions) == 1 else None
    if activation is None:
        return None
    weight, bias = _linear(head, tensors)
    pairs.append(_with_norm_of_input(weight[0, 0], bias[0, 0], after, tensors))
    features = WeightSpaceFeatures.from_zipped([(w[None, None], b[None, None]) for w, b in pairs])
    return SmallCnnView(features, activation)


def small_cnn_graph(
    features: WeightSpaceFeatures,
    activation: Literal["relu", "tanh"],
    size: int,
    names: Sequence[tuple[str, str | None]] = (),
) -> tuple[Architecture, dict[str, Tensor]]:
    """The inverse of `small_cnn_view`: one small CNN `(1, 1, ...)` as a graph, for images of `size` pixels a side.

    `names` are those of each layer's weight and bias, if they are known.
    """
    ops: list[Op] = []
    tensors: dict[str, Tensor] = {}
    for i, (weight, bias) in enumerate(features):
        weight_name, bias_name = names[i] if names else (f"layers.{i}.weight", None)
        bias_name = bias_name or f"layers.{i}.bias"
        tensors |= {weight_name: weight[0, 0], bias_name: bias[0, 0]}
        if i < len(features) - 1:
            ops.append(Conv(inputs=(len(ops),), weight=weight_name, bias=bias_name, stride=(2, 2)))
            ops.append(Activation(inputs=(len(ops),), function=activation))
        else:
            ops.append(AdaptivePool(inputs=(len(ops),), mode="average"))
            ops.append(Flatten(inputs=(len(ops),)))
            ops.append(Linear(inputs=(len(ops),), weight=weight_name, bias=bias_name))
    channels = features.weights[0].shape[3]
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return Architecture((channels, size, size), tuple(ops), shapes), tensors


def _straight(architecture: Architecture) -> Sequence[Op]:
    """The ops of a graph without branches; () for any other."""
    straight = all(op.inputs == (number,) for number, op in enumerate(architecture.ops))
    return architecture.ops if straight else ()


def _mode(op: Op) -> tuple[str, tuple[int, int]] | None:
    return (op.mode, op.size) if isinstance(op, AdaptivePool) else None


def _linear(layer: Linear, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weight `(1, 1, out, in)` and bias `(1, 1, out)` of a layer; zeros if it has no bias."""
    weight = tensors[layer.weight].t() if layer.transposed else tensors[layer.weight]
    bias = weight.new_zeros(len(weight)) if layer.bias is None else tensors[layer.bias]
    return weight[None, None], bias[None, None]


def _affine(norm: BatchNorm, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Batch norm as `scale * x + shift` per channel."""
    mean, variance = tensors[norm.mean], tensors[norm.variance]
    gamma = torch.ones_like(mean) if norm.weight is None else tensors[norm.weight]
    beta = torch.zeros_like(mean) if norm.bias is None else tensors[norm.bias]
    scale = gamma / (variance + norm.eps).sqrt()
    return scale, beta - mean * scale


def _with_norm_of_input(
    weight: Tensor, bias: Tensor, norm: BatchNorm | None, tensors: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """A layer `(out, in, ...)` with the batch norm of its input folded in; exact without padding."""
    if norm is None:
        return weight, bias
    scale, shift = _affine(norm, tensors)
    columns = [1, -1, *[1] * (weight.dim() - 2)]
    kernels = weight.reshape(*weight.shape[:2], math.prod(weight.shape[2:])).sum(2)
    return weight * scale.view(columns), bias + kernels @ shift
