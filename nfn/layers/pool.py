"""Invariant pooling: averages over every axis that permutes."""

import torch
from torch import nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import Fold, check_features, hnp_folds, np_folds, tensors_of
from nfn.spec import NetworkSpec


class _Pool(nn.Module):
    def __init__(self, network_spec: NetworkSpec, folds: tuple[Fold, ...]):
        super().__init__()
        self.network_spec = network_spec
        self.folds = folds

    def forward(self, wsfeat: WeightSpaceFeatures) -> torch.Tensor:
        """Features `(B, C, ...)` to `(B, C, get_num_outs(spec))`: weight 0, bias 0, weight 1, ... joined."""
        check_features(self.network_spec, wsfeat)
        out = []
        for fold, x in zip(self.folds, tensors_of(wsfeat), strict=True):
            permuting = fold.order[1 : 1 + len(fold.axes)]
            out.append((x.mean(permuting, keepdim=True) if permuting else x).flatten(2))
        return torch.cat(out, -1)


class NPPool(_Pool):
    """Averages over rows and columns (arXiv:2302.14040, equation 17): NP-invariant.

    Kernel entries of a convolution stay apart.
    """

    def __init__(self, network_spec: NetworkSpec):
        super().__init__(network_spec, np_folds(network_spec))

    @staticmethod
    def get_num_outs(network_spec: NetworkSpec) -> int:
        """The number of values per channel: one per bias and per kernel entry of a weight."""
        return sum(fold.copies for fold in np_folds(network_spec))


class HNPPool(_Pool):
    """Averages over hidden neurons only (arXiv:2302.14040, equation 17): HNP-invariant.

    Inputs of the first weight, outputs of the last weight and bias, and kernel entries stay apart.
    """

    def __init__(self, network_spec: NetworkSpec):
        super().__init__(network_spec, hnp_folds(network_spec))

    @staticmethod
    def get_num_outs(network_spec: NetworkSpec) -> int:
        """The number of values per channel, known inputs, outputs and kernel entries counted apart."""
        return sum(fold.copies for fold in hnp_folds(network_spec))
