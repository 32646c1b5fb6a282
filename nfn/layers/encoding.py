"""Encodings before the first layer: an entry's layer, input and output, and Fourier features of its value."""

import math

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features
from nfn.spec import ANY, NetworkSpec


class GaussianFourierFeatureTransform(nn.Module):
    """`[sin(2 pi x B), cos(2 pi x B)]` over channels, `B ~ N(0, scale^2)` drawn once (arXiv:2006.10739)."""

    frequencies: Tensor

    def __init__(
        self, network_spec: NetworkSpec, in_channels: int, mapping_size: int = 256, scale: float = 10
    ):
        super().__init__()
        self.network_spec = network_spec
        self.in_channels, self.mapping_size, self.scale = in_channels, mapping_size, scale
        self.out_channels = 2 * mapping_size
        self.register_buffer("frequencies", torch.randn(in_channels, mapping_size) * scale)

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to `(B, 2 * mapping_size, ...)`."""
        check_features(self.network_spec, wsfeat, self.in_channels)
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
    """Appends channels that tell the inputs and outputs (and layers) of the network apart (arXiv:2302.14040).

    Each entry gets `fourier_encode` of its layer's position (zero without `enc_layers`); entries of the first
    weight add that of their input, entries of the last weight and bias that of their output. Positions run
    over [-1, 1].
    """

    def __init__(
        self, network_spec: NetworkSpec, max_freq: float = 10, num_bands: int = 6, enc_layers: bool = True
    ):
        super().__init__()
        _require_io(network_spec)
        self.network_spec = network_spec
        self.max_freq, self.num_bands, self.enc_layers = max_freq, num_bands, enc_layers

    def num_out_chan(self, in_chan: int) -> int:
        """The number of channels that come out for `in_chan` that go in."""
        return in_chan + 2 * self.num_bands + 1

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, C, ...)` to `(B, num_out_chan(C), ...)`."""
        check_features(self.network_spec, wsfeat)
        layers = self._encode(len(wsfeat), wsfeat.weights[0])
        if not self.enc_layers:
            layers = torch.zeros_like(layers)
        n_in, n_out = self.network_spec.get_io()
        weights, biases = [], []
        for i, (weight, bias) in enumerate(wsfeat):
            weight_code, bias_code = layers[i], layers[i]
            if i == 0:
                weight_code = weight_code + self._encode(n_in, weight)
            if i == len(wsfeat) - 1:
                out_code = self._encode(n_out, weight)
                weight_code, bias_code = weight_code + out_code.unsqueeze(1), bias_code + out_code
            # (out, in, d) or less by broadcasting -> (out, in[, 1, 1], d)
            for _ in weight.shape[4:]:
                weight_code = weight_code.unsqueeze(-2)
            weights.append(_append(weight, weight_code))
            biases.append(_append(bias, bias_code))
        return WeightSpaceFeatures(weights, biases)

    def _encode(self, steps: int, like: Tensor) -> Tensor:
        positions = torch.linspace(-1, 1, steps, device=like.device, dtype=like.dtype)
        return fourier_encode(positions, self.max_freq, self.num_bands)

    def extra_repr(self) -> str:
        return f"max_freq={self.max_freq}, num_bands={self.num_bands}, enc_layers={self.enc_layers}"


def _append(x: Tensor, code: Tensor) -> Tensor:
    """`x` (B, C, ...) with `code` (..., d), broadcast over entries, appended: (B, C + d, ...)."""
    x = x.movedim(1, -1)
    return torch.cat([x, code.expand(*x.shape[:-1], -1)], -1).movedim(-1, 1)


class LearnedPosEmbedding(nn.Module):
    """Adds a learned vector per layer, per input neuron and per output neuron (arXiv:2305.13546)."""

    def __init__(self, network_spec: NetworkSpec, channels: int):
        super().__init__()
        n_in, n_out = _require_io(network_spec)
        self.network_spec, self.channels = network_spec, channels
        self.weight_emb = nn.Embedding(len(network_spec), channels)
        self.bias_emb = nn.Embedding(len(network_spec), channels)
        self.inp_emb = nn.Embedding(n_in, channels)
        self.out_emb = nn.Embedding(n_out, channels)

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, channels, ...)` to the same shapes."""
        check_features(self.network_spec, wsfeat, self.channels)
        weights, biases = [], []
        for i, (weight, bias) in enumerate(wsfeat):
            weight_code, bias_code = self.weight_emb.weight[i], self.bias_emb.weight[i]
            if i == 0:
                weight_code = weight_code + self.inp_emb.weight
            if i == len(wsfeat) - 1:
                weight_code = weight_code + self.out_emb.weight.unsqueeze(1)
                bias_code = bias_code + self.out_emb.weight
            for _ in weight.shape[4:]:
                weight_code = weight_code.unsqueeze(-2)
            weights.append((weight.movedim(1, -1) + weight_code).movedim(-1, 1))
            biases.append((bias.movedim(1, -1) + bias_code).movedim(-1, 1))
        return WeightSpaceFeatures(weights, biases)

    def extra_repr(self) -> str:
        return f"channels={self.channels}"


def _require_io(spec: NetworkSpec) -> tuple[int, int]:
    n_in, n_out = spec.get_io()
    if ANY in (n_in, n_out):
        raise ValueError(
            f"An encoding needs the number of inputs and outputs; the spec says {n_in} and {n_out}."
        )
    return n_in, n_out
