"""HNPLinear: the linear layer for networks whose inputs and outputs stay in place."""

from nfn.layers.equivariant import EquivariantLinear
from nfn.layers.folding import hnp_folds
from nfn.space import SpaceLike, as_space


class HNPLinear(EquivariantLinear):
    """Complete HNP-equivariant linear layer (arXiv:2302.14040, section 2 and appendix C).

    Only hidden neurons permute: a column of the first weight, a row of the last and an entry of the last bias
    each have maps of their own. Entries that permute together meet on one line, for instance at the last
    hidden layer, with W(i) of layer i = 1 to L, v(i) its bias and * for an average over an axis:

        W'(L)_lk = sum over l' of a_ll' W(L)_l'k + b_l v(L-1)_k + c_l W(L-1)_k* + global_l

    (for L = 2 the columns of W(1), which stay in place, for their average W(L-1)_k*). `global` is linear in all
    averages, all columns of W(1), all rows of W(L) and all of v(L). The paper's reference code omits
    v(L-1) -> W(L); here the family of maps is complete at every depth, and on every `WeightSpace`.
    """

    def __init__(self, network_spec: SpaceLike, in_channels: int, out_channels: int):
        space = as_space(network_spec)
        super().__init__(space, in_channels, out_channels, hnp_folds(space))
