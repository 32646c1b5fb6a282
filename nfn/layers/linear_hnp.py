"""HNPLinear: the linear layer for networks whose inputs and outputs do not permute."""

from nfn.layers.equivariant import EquivariantLinear
from nfn.layers.folding import hnp_folds
from nfn.space import SpaceLike, as_space


class HNPLinear(EquivariantLinear):
    """Complete HNP-equivariant linear layer (arXiv:2302.14040, section 2 and appendix C).

    Only hidden neurons permute: each column of the first weight, row of the last weight and entry of the last bias
    has its own maps. Entries that permute together are combined, for instance at the last hidden layer, with W(i)
    of layer i = 1 to L, v(i) its bias and * for an average over an axis:

        W'(L)_lk = sum over l' of a_ll' W(L)_l'k + b_l v(L-1)_k + c_l W(L-1)_k* + global_l

    (for L = 2 with the columns of W(1), which do not permute, in place of their average W(L-1)_k*). `global` is
    linear in all averages, all columns of W(1), all rows of W(L) and all of v(L). The paper's reference code omits
    v(L-1) -> W(L); here all equivariant maps are included, at every depth and on every `WeightSpace`.

        >>> import torch
        >>> from nfn import NetworkSpec, WeightSpaceFeatures
        >>> layer = HNPLinear(NetworkSpec.mlp(2, 8, 1), in_channels=1, out_channels=4)
        >>> weights = [torch.zeros(3, 1, 8, 2), torch.zeros(3, 1, 1, 8)]
        >>> biases = [torch.zeros(3, 1, 8), torch.zeros(3, 1, 1)]
        >>> layer(WeightSpaceFeatures(weights, biases)).weights[0].shape
        torch.Size([3, 4, 8, 2])
    """

    def __init__(self, network_spec: SpaceLike, in_channels: int, out_channels: int):
        space = as_space(network_spec)
        super().__init__(space, in_channels, out_channels, hnp_folds(space))
