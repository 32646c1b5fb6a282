"""Invariant pooling: averages over every axis that permutes."""

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import Fold, check_features, diagonal, hnp_folds, np_folds
from nfn.space import SpaceLike, WeightSpace, as_space


class _Pool(nn.Module):
    def __init__(self, space: WeightSpace, folds: tuple[Fold, ...]):
        super().__init__()
        self.space = space
        self.folds = folds

    def forward(self, wsfeat: WeightSpaceFeatures) -> Tensor:
        """Features `(B, C, ...)` to `(B, C, get_num_outs(spec))`, tensor after tensor."""
        check_features(self.space, wsfeat)
        return torch.cat(
            [
                x
                for fold, tensor in zip(self.folds, wsfeat.tensors, strict=True)
                for x in _averages(fold, tensor)
            ],
            -1,
        )


def _averages(fold: Fold, x: Tensor) -> list[Tensor]:
    """`(B, C, copies)`: means over all permuting axes, and over each diagonal if a group occurs twice."""
    permuting = fold.order[1 : 1 + len(fold.axes)]
    out = [(x.mean(permuting, keepdim=True) if permuting else x).flatten(2)]
    for blocks in fold.partitions[1:]:
        entries = diagonal(fold.fold(x), blocks).flatten(1, -2).mean(1)
        out.append(entries.unflatten(1, (fold.copies, -1)).transpose(1, 2))
    return out


def _num_outs(folds: tuple[Fold, ...]) -> int:
    return sum(fold.copies * len(fold.partitions) for fold in folds)


class NPPool(_Pool):
    """Averages over rows and columns (arXiv:2302.14040, equation 17): NP-invariant.

    Each kernel entry of a convolution is averaged separately, and so is the diagonal if both axes are of one group.
    """

    def __init__(self, network_spec: SpaceLike):
        space = as_space(network_spec)
        super().__init__(space, np_folds(space))

    @staticmethod
    def get_num_outs(network_spec: SpaceLike) -> int:
        """The number of values per channel: one per bias and per kernel entry of a weight."""
        return _num_outs(np_folds(as_space(network_spec)))


class HNPPool(_Pool):
    """Averages over hidden neurons only (arXiv:2302.14040, equation 17): HNP-invariant.

    Inputs of the first weight, outputs of the last weight and bias, and kernel entries are kept separate.

        >>> from nfn import NetworkSpec
        >>> HNPPool.get_num_outs(NetworkSpec.mlp(2, 32, 32, 1))  # 2 + 1, 1 + 1, 1 + 1: a value per weight and bias
        7
    """

    def __init__(self, network_spec: SpaceLike):
        space = as_space(network_spec)
        super().__init__(space, hnp_folds(space))

    @staticmethod
    def get_num_outs(network_spec: SpaceLike) -> int:
        """The number of values per channel; inputs, outputs and kernel entries count separately."""
        return _num_outs(hnp_folds(as_space(network_spec)))
