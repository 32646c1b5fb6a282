"""HNPLinear: the linear layer for networks whose inputs and outputs stay in place."""

from nfn.layers.equivariant import EquivariantLinear
from nfn.layers.folding import hnp_folds
from nfn.spec import NetworkSpec


class HNPLinear(EquivariantLinear):
    """Complete HNP-equivariant linear layer (arXiv:2302.14040, section 3.1 and appendix A).

    Only hidden neurons permute: a column of the first weight, a row of the last and an entry of the last bias each
    have maps of their own. Entries that permute together meet on one line, for instance at the last hidden layer

        W(L)_*k gets maps from  all W(L)_lk, v(L-1)_k, W(L-1)_k* (and W(L-1)_kj for all inputs j if L = 2) and global

    where `global` holds all averages, all columns of W(1), all rows of W(L) and all of v(L). The paper's reference
    code omits v(L-1) -> W(L); here the family of maps is complete at every depth.
    """

    def __init__(self, network_spec: NetworkSpec, in_channels: int, out_channels: int):
        super().__init__(network_spec, in_channels, out_channels, hnp_folds(network_spec))
