"""Encodings before the first layer: of an entry's layer, input and output, and Fourier features of its value."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features
from nfn.space import SpaceLike, TensorSpec, WeightSpace, as_space
from nfn.spec import ANY


class GaussianFourierFeatureTransform(nn.Module):
    """`[sin(2 pi x B), cos(2 pi x B)]` over channels, `B ~ N(0, scale^2)` drawn once (arXiv:2006.10739)."""

    frequencies: Tensor

    def __init__(self, network_spec: SpaceLike, in_channels: int, mapping_size: int = 256, scale: float = 10):
        super().__init__()
        self.space = as_space(network_spec)
        self.in_channels, self.mapping_size, self.scale = in_channels, mapping_size, scale
        self.out_channels = 2 * mapping_size
        self.register_buffer("frequencies", torch.randn(in_channels, mapping_size) * scale)

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to `(B, 2 * mapping_size, ...)`."""
        check_features(self.space, wsfeat, self.in_channels)
        return wsfeat.map(self._encode)

    def _encode(self, x: Tensor) -> Tensor:
        phase = x.movedim(1, -1) @ (2 * math.pi * self.frequencies)
        return torch.cat([phase.sin(), phase.cos()], -1).movedim(-1, 1)

    def extra_repr(self) -> str:
        return f"in_channels={self.in_channels}, mapping_size={self.mapping_size}, scale={self.scale}"


def fourier_encode(x: Tensor, max_freq: float, num_bands: int) -> Tensor:
    """Positions `(n,)` to `(n, 2 * num_bands + 1)`: sines, cosines at 1 to max_freq / 2, and x itself."""
    scales = torch.linspace(1.0, max_freq / 2, num_bands, device=x.device, dtype=x.dtype)
    phase = math.pi * x.unsqueeze(-1) * scales
    return torch.cat([phase.sin(), phase.cos(), x.unsqueeze(-1)], -1)


class IOSinusoidalEncoding(nn.Module):
    """Appends a positional encoding of layers, network inputs and network outputs (arXiv:2302.14040).

    Each entry gets `fourier_encode` of its layer's position (zero without `enc_layers`), plus that of its input or
    output on each axis over these: the columns of the first weight, the rows of the last weight and bias.
    Positions range over [-1, 1].
    """

    def __init__(
        self, network_spec: SpaceLike, max_freq: float = 10, num_bands: int = 6, enc_layers: bool = True
    ):
        super().__init__()
        self.space = _with_known_ends(network_spec)
        self.max_freq, self.num_bands, self.enc_layers = max_freq, num_bands, enc_layers

    def num_out_chan(self, in_chan: int) -> int:
        """The number of output channels for `in_chan` input channels."""
        return in_chan + 2 * self.num_bands + 1

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, C, ...)` to `(B, num_out_chan(C), ...)`."""
        check_features(self.space, wsfeat)
        names = self.space.layers
        layers = self._encode(len(names), wsfeat.tensors[0])
        if not self.enc_layers:
            layers = torch.zeros_like(layers)
        ends = {group: self._encode(self.space.groups[group], layers) for group in self.space.ends}
        out = []
        for spec, x in zip(self.space.tensors, wsfeat.tensors, strict=True):
            code = _plus_ends(layers[names.index(spec.layer)], spec, ends)
            x = x.movedim(1, -1)
            out.append(torch.cat([x, code.expand(*x.shape[:-1], -1)], -1).movedim(-1, 1))
        return wsfeat.with_tensors(out)

    def _encode(self, steps: int, like: Tensor) -> Tensor:
        positions = torch.linspace(-1, 1, steps, device=like.device, dtype=like.dtype)
        return fourier_encode(positions, self.max_freq, self.num_bands)

    def extra_repr(self) -> str:
        return f"max_freq={self.max_freq}, num_bands={self.num_bands}, enc_layers={self.enc_layers}"


class LearnedPosEmbedding(nn.Module):
    """Adds a learned vector per tensor, per input neuron and per output neuron (arXiv:2305.13546)."""

    def __init__(self, network_spec: SpaceLike, channels: int):
        super().__init__()
        self.space, self.channels = _with_known_ends(network_spec), channels
        weights, biases = self.space.count_kinds()
        self.weight_emb = nn.Embedding(weights, channels)
        self.bias_emb = nn.Embedding(biases, channels)
        sizes = [self.space.groups[group] for group in self.space.ends]
        self.end_embs = nn.ParameterList(torch.randn(size, channels) for size in sizes)

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, channels, ...)` to the same shapes."""
        check_features(self.space, wsfeat, self.channels)
        weights, biases = iter(self.weight_emb.weight), iter(self.bias_emb.weight)
        ends = dict(zip(self.space.ends, self.end_embs, strict=True))
        out = []
        for spec, x in zip(self.space.tensors, wsfeat.tensors, strict=True):
            code = _plus_ends(next(weights if spec.is_weight else biases), spec, ends)
            out.append((x.movedim(1, -1) + code).movedim(-1, 1))
        return wsfeat.with_tensors(out)

    def extra_repr(self) -> str:
        return f"channels={self.channels}"


def _plus_ends(code: Tensor, spec: TensorSpec, ends: Mapping[int, Tensor]) -> Tensor:
    """`code` (d,) plus the codes (units, d) of inputs or outputs on the tensor's axes: broadcasts to (*shape, d)."""
    for axis, group in enumerate(spec.axes):
        if group is not None and group in ends:
            behind = len(spec.axes) - axis - 1
            code = code + ends[group].view(-1, *(1,) * behind, ends[group].shape[-1])
    return code


def _with_known_ends(network_spec: SpaceLike) -> WeightSpace:
    space = as_space(network_spec)
    sizes = [space.groups[group] for group in space.ends]
    if ANY in sizes:
        raise ValueError(f"An encoding needs the number of inputs and outputs; the spec has {sizes}.")
    return space
