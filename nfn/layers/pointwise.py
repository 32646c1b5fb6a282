"""Pointwise: the same channel map for every entry of a tensor."""

from torch import nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features, np_folds
from nfn.space import SpaceLike, as_space


class Pointwise(nn.Module):
    """One affine map of the channels per weight and per bias (arXiv:2302.14040, section 3, NFN_PT).

    `W'(i)_jk = A(i) W(i)_jk + a(i)`, `v'(i)_j = B(i) v(i)_j + b(i)`. Channels of a convolution include its
    kernel entries. Equivariant to any permutation of rows and columns, coupled or not.
    """

    def __init__(self, network_spec: SpaceLike, in_channels: int, out_channels: int):
        super().__init__()
        self.space = as_space(network_spec)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.folds = np_folds(self.space)
        self.maps = nn.ModuleList(
            [nn.Linear(fold.copies * in_channels, fold.copies * out_channels) for fold in self.folds]
        )

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to `(B, out_channels, ...)` on the same space, else ValueError."""
        check_features(self.space, wsfeat, self.in_channels)
        out = []
        for fold, linear, x in zip(self.folds, self.maps, wsfeat.tensors, strict=True):
            out.append(fold.unfold(linear(fold.fold(x))))
        return wsfeat.with_tensors(out)

    def extra_repr(self) -> str:
        return f"in_channels={self.in_channels}, out_channels={self.out_channels}"
