"""Layer norms over channels, and dropout of channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import Fold, check_features, hnp_folds, np_folds
from nfn.space import SpaceLike, WeightSpace, as_space


class ChannelLayerNorm(nn.Module):
    """Layer norm over dimension 1 of `(B, C, ...)`: mean 0 and (population) variance 1, then affine."""

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to the same shape, channels last in memory."""
        return F.layer_norm(x.movedim(1, -1), self.gamma.shape, self.gamma, self.beta, self.eps).movedim(
            -1, 1
        )

    def extra_repr(self) -> str:
        return f"channels={len(self.gamma)}, eps={self.eps}"


class _FoldedLayerNorm(nn.Module):
    def __init__(self, space: WeightSpace, channels: int, folds: tuple[Fold, ...]):
        super().__init__()
        self.space, self.channels, self.folds = space, channels, folds
        self.norms = nn.ModuleList([nn.LayerNorm(fold.copies * channels) for fold in folds])

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, channels, ...)` to the same shapes."""
        check_features(self.space, wsfeat, self.channels)
        out = []
        for fold, norm, x in zip(self.folds, self.norms, wsfeat.tensors, strict=True):
            out.append(fold.unfold(norm(fold.fold(x))))
        return wsfeat.with_tensors(out)

    def extra_repr(self) -> str:
        return f"channels={self.channels}"


class SimpleLayerNorm(_FoldedLayerNorm):
    """Layer norm of every entry over its channels (and kernel entries, for convolutions): NP-equivariant."""

    def __init__(self, network_spec: SpaceLike, channels: int):
        space = as_space(network_spec)
        super().__init__(space, channels, np_folds(space))


class ParamLayerNorm(_FoldedLayerNorm):
    """Layer norm over channels and everything that does not permute under HNP: HNP-equivariant.

    That is also the inputs of the first weight, the outputs of the last weight and bias, and kernel entries.
    """

    def __init__(self, network_spec: SpaceLike, channels: int):
        space = as_space(network_spec)
        super().__init__(space, channels, hnp_folds(space))


class ChannelDropout(nn.Module):
    """In training, zeroes whole channels of each tensor (per kernel entry) and scales the rest up."""

    def __init__(self, dropout: float):
        super().__init__()
        self.dropout = dropout

    def forward(self, x: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, C, ...)` to the same shapes."""
        return x.map(self._drop) if self.training and self.dropout > 0 else x

    def _drop(self, x: Tensor) -> Tensor:
        kernel = x.shape[4:]
        entries = (1, 1) if x.dim() > 3 else (1,)
        return x * F.dropout(x.new_ones(*x.shape[:2], *entries, *kernel), self.dropout)

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}"
