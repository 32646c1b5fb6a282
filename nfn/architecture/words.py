"""An architecture in a few words, such as "ResNet, 3 blocks, batch norm, ReLU, 14,330 weights"."""

from collections import Counter

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Activation, Add, BatchNorm, Conv, Linear

FUNCTION_TITLES = {
    "relu": "ReLU", "tanh": "tanh", "gelu": "GELU", "silu": "SiLU", "leaky_relu": "LeakyReLU", "elu": "ELU",
    "sigmoid": "sigmoid", "relu6": "ReLU6", "selu": "SELU", "softplus": "softplus", "hardswish": "Hardswish",
    "mish": "Mish",
}  # fmt: skip
"""Activation functions as they are written in PyTorch."""


def architecture_words(architecture: Architecture) -> str:
    """The kind of network, its size in layers or blocks, batch norm, activation, and number of weights.

    A residual block is what a sum ends, a depthwise block a depthwise convolution with what follows it.
    """
    functions = dict.fromkeys(op.function for op in architecture.ops if isinstance(op, Activation))
    normed = any(isinstance(op, BatchNorm) for op in architecture.ops)
    parts = [
        *_layers(architecture),
        *(["batch norm"] if normed else []),
        *(FUNCTION_TITLES.get(name, name) for name in list(functions)[:1]),
        f"{architecture.parameters:,} weights",
    ]
    return ", ".join(parts)


def _layers(architecture: Architecture) -> list[str]:
    kinds = Counter(map(type, architecture.ops))
    hidden = max(0, kinds[Linear] - 1)
    linear = [_count(hidden, "hidden layer")] if hidden else []
    grouped = [op for op in architecture.ops if isinstance(op, Conv) and op.groups > 1]
    depthwise = sum(architecture.shapes[op.weight][1] == 1 for op in grouped)
    if kinds[Conv] and kinds[Add]:
        return ["ResNet", _count(kinds[Add], "block"), *linear]
    if depthwise:
        return ["Depthwise CNN", _count(depthwise, "block"), *linear]
    if kinds[Conv]:
        return ["CNN", _count(kinds[Conv], "convolution"), *linear]
    return ["MLP", *linear] if hidden else ["Linear classifier"]


def _count(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"
