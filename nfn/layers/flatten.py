"""Features as one long sequence of entries, and back."""

import math

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features, features_of, tensors_of
from nfn.spec import ANY, NetworkSpec


class FlattenWeights(nn.Module):
    """Joins all entries, in the order weight 0, bias 0, weight 1, ..., each in row-major order."""

    def __init__(self, network_spec: NetworkSpec):
        super().__init__()
        self.network_spec = network_spec

    def forward(self, wsfeat: WeightSpaceFeatures) -> Tensor:
        """Features `(B, C, ...)` to `(B, N, C)` for N weights and biases."""
        check_features(self.network_spec, wsfeat)
        return torch.cat([x.movedim(1, -1).flatten(1, -2) for x in tensors_of(wsfeat)], 1)


class UnflattenWeights(nn.Module):
    """The inverse of `FlattenWeights`; every dimension of the spec must be known (`set_all_dims=True`)."""

    def __init__(self, network_spec: NetworkSpec):
        super().__init__()
        self.network_spec = network_spec
        pairs = zip(network_spec.weight_spec, network_spec.bias_spec, strict=True)
        self.shapes = [spec.shape for pair in pairs for spec in pair]
        if any(ANY in shape for shape in self.shapes):
            raise ValueError(
                f"UnflattenWeights needs every dimension, got {self.shapes}; "
                "use network_spec_from_wsfeat(features, set_all_dims=True)."
            )

    def forward(self, x: Tensor) -> WeightSpaceFeatures:
        """`(B, N, C)` to features `(B, C, ...)`; ValueError if N is not the number of weights and biases."""
        sizes = [math.prod(shape) for shape in self.shapes]
        if x.dim() != 3 or x.shape[1] != sum(sizes):
            raise ValueError(f"Got {tuple(x.shape)}, wanted (batch, {sum(sizes)}, channels).")
        parts = zip(x.split(sizes, 1), self.shapes, strict=True)
        return features_of([part.unflatten(1, shape).movedim(-1, 1) for part, shape in parts])
