"""Small building blocks: apply an op to every tensor, residual block, learned scale."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features
from nfn.space import SpaceLike, as_space


class TupleOp(nn.Module):
    """Applies one function or module, such as `nn.ReLU()`, to every weight and bias tensor."""

    def __init__(self, op: Callable[[Tensor], Tensor]):
        super().__init__()
        self.op = op

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, C, ...)` to features with the output shapes of `op`."""
        return wsfeat.map(self.op)


class ResBlock(nn.Module):
    """`x + dropout(activation(base_layer(norm(x))))`; the layers must preserve the number of channels."""

    def __init__(self, base_layer: nn.Module, activation: nn.Module, dropout: float, norm: nn.Module):
        super().__init__()
        self.base_layer = base_layer
        self.activation = activation
        self.dropout = TupleOp(nn.Dropout(dropout)) if dropout > 0 else nn.Identity()
        self.norm = norm

    def forward(self, x: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, C, ...)` to the same shapes."""
        return x + self.dropout(self.activation(self.base_layer(self.norm(x))))


class LearnedScale(nn.Module):
    """One learned factor per weight and per bias tensor: gamma in `U + gamma * NFN(U)` (arXiv:2302.14040)."""

    def __init__(self, network_spec: SpaceLike, init_scale: float):
        super().__init__()
        self.space = as_space(network_spec)
        weights, biases = self.space.count_kinds()
        self.weight_scales = nn.Parameter(torch.full((weights,), float(init_scale)))
        self.bias_scales = nn.Parameter(torch.full((biases,), float(init_scale)))

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, C, ...)` to the same shapes."""
        check_features(self.space, wsfeat)
        weights, biases = iter(self.weight_scales), iter(self.bias_scales)
        scales = (next(weights if tensor.is_weight else biases) for tensor in self.space.tensors)
        return wsfeat.with_tensors(x * scale for x, scale in zip(wsfeat.tensors, scales, strict=True))
