"""Two small stacks of NF-layers: weights to a vector (invariant), and weights to weights (equivariant)."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers import (
    GaussianFourierFeatureTransform,
    HNPLinear,
    HNPPool,
    IOSinusoidalEncoding,
    NPLinear,
    NPPool,
    Pointwise,
    SimpleLayerNorm,
    TupleOp,
)
from nfn.space import SpaceLike

LayerKind = Literal["hnp", "np", "pointwise"]
LINEAR_LAYERS = {"hnp": HNPLinear, "np": NPLinear, "pointwise": Pointwise}


@dataclass(frozen=True)
class StackConfig:
    """The encodings, then `depth` times [NF-linear, norm, ReLU] with `channels` channels."""

    layer: LayerKind = "hnp"
    channels: int = 64
    depth: int = 3
    norm: bool = False
    fourier_features: int = 0  # number of Gaussian Fourier features of the weights; 0 for none
    fourier_scale: float = 3.0
    io_encoding: bool = True
    io_max_freq: float = 10.0
    io_bands: int = 6

    def __post_init__(self):
        if self.layer not in LINEAR_LAYERS:
            raise ValueError(f"layer {self.layer!r}: expected one of {', '.join(LINEAR_LAYERS)}.")


@dataclass(frozen=True)
class InvariantConfig:
    """A stack, a pool, and an MLP head with `head_depth` hidden layers of width `head_width`."""

    num_outputs: int
    stack: StackConfig = StackConfig()
    head_width: int = 256
    head_depth: int = 2
    dropout: float = 0.0


@dataclass(frozen=True)
class EquivariantConfig:
    """A stack, and a final NF-linear layer to `out_channels`."""

    stack: StackConfig = StackConfig()
    out_channels: int = 1


def build_stack(spec: SpaceLike, config: StackConfig, in_channels: int) -> nn.Sequential:
    """Encodings and hidden NF-layers: features of `in_channels` to features of `config.channels`."""
    modules: list[nn.Module] = []
    channels = in_channels
    if config.fourier_features:
        transform = GaussianFourierFeatureTransform(
            spec, channels, config.fourier_features, config.fourier_scale
        )
        modules.append(transform)
        channels = transform.out_channels
    if config.io_encoding:
        encoding = IOSinusoidalEncoding(spec, config.io_max_freq, config.io_bands)
        modules.append(encoding)
        channels = encoding.num_out_chan(channels)
    for _ in range(config.depth):
        modules.append(LINEAR_LAYERS[config.layer](spec, channels, config.channels))
        channels = config.channels
        if config.norm:
            modules.append(SimpleLayerNorm(spec, channels))
        modules.append(TupleOp(nn.ReLU()))
    return nn.Sequential(*modules)


def _head(in_features: int, config: InvariantConfig) -> nn.Sequential:
    modules: list[nn.Module] = []
    for _ in range(config.head_depth):
        modules += [nn.Linear(in_features, config.head_width), nn.ReLU(), nn.Dropout(config.dropout)]
        in_features = config.head_width
    return nn.Sequential(*modules, nn.Linear(in_features, config.num_outputs))


class InvariantNFN(nn.Module):
    """Predicts a vector from networks (arXiv:2302.14040, D.3), invariant to permutations of hidden neurons.

    With `layer="np"` or `"pointwise"` only the IO encoding distinguishes inputs and outputs.
    """

    def __init__(self, spec: SpaceLike, config: InvariantConfig, in_channels: int = 1):
        super().__init__()
        if config.stack.depth < 1:
            raise ValueError(f"InvariantNFN needs at least one NF-layer, got depth {config.stack.depth}.")
        self.config = config
        self.stack = build_stack(spec, config.stack, in_channels)
        pool = HNPPool if config.stack.layer == "hnp" else NPPool
        self.pool = pool(spec)
        self.head = _head(config.stack.channels * pool.get_num_outs(spec), config)

    def forward(self, features: WeightSpaceFeatures) -> Tensor:
        """Features `(B, in_channels, ...)` to `(B, num_outputs)`."""
        return self.head(self.pool(self.stack(features)).flatten(1))


class EquivariantNFN(nn.Module):
    """Maps networks to networks (arXiv:2302.14040, section 3), equivariant to permutations of hidden neurons.

    To edit weights U, use `U + scale(model(U))` with a `LearnedScale`.
    """

    def __init__(self, spec: SpaceLike, config: EquivariantConfig, in_channels: int = 1):
        super().__init__()
        if config.stack.depth < 1:
            raise ValueError(
                f"EquivariantNFN needs at least one hidden NF-layer, got depth {config.stack.depth}."
            )
        self.config = config
        self.stack = build_stack(spec, config.stack, in_channels)
        self.out = LINEAR_LAYERS[config.stack.layer](spec, config.stack.channels, config.out_channels)

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to features `(B, out_channels, ...)` on the same network."""
        return self.out(self.stack(features))
