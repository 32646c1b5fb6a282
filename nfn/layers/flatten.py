"""Convert features to one sequence of entries, and back."""

import math

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features
from nfn.space import SpaceLike, as_space
from nfn.spec import ANY, NetworkSpec


class FlattenWeights(nn.Module):
    """Concatenates all entries, in the order of the features' `tensors`, each in row-major order."""

    def __init__(self, network_spec: SpaceLike):
        super().__init__()
        self.space = as_space(network_spec)

    def forward(self, wsfeat: WeightSpaceFeatures) -> Tensor:
        """Features `(B, C, ...)` to `(B, N, C)` for N weights and biases."""
        check_features(self.space, wsfeat)
        return torch.cat([x.movedim(1, -1).flatten(1, -2) for x in wsfeat.tensors], 1)


class UnflattenWeights(nn.Module):
    """The inverse of `FlattenWeights`; every dimension of the spec must be known (`set_all_dims=True`)."""

    def __init__(self, network_spec: SpaceLike):
        super().__init__()
        self.shapes = [tensor.shape for tensor in as_space(network_spec).tensors]
        self.is_chain = isinstance(network_spec, NetworkSpec)
        if any(ANY in shape for shape in self.shapes):
            raise ValueError(
                f"UnflattenWeights needs every dimension, got {self.shapes}; "
                "use network_spec_from_wsfeat(features, set_all_dims=True)."
            )

    def forward(self, x: Tensor) -> WeightSpaceFeatures:
        """`(B, N, C)` to features `(B, C, ...)`; ValueError if N is not the number of weights and biases."""
        sizes = [math.prod(shape) for shape in self.shapes]
        if x.dim() != 3 or x.shape[1] != sum(sizes):
            raise ValueError(f"Got {tuple(x.shape)}, expected (batch, {sum(sizes)}, channels).")
        parts = zip(x.split(sizes, 1), self.shapes, strict=True)
        tensors = [part.unflatten(1, shape).movedim(-1, 1) for part, shape in parts]
        if self.is_chain:
            return WeightSpaceFeatures(tensors[::2], tensors[1::2])
        return WeightSpaceFeatures.of_tensors(tensors)
