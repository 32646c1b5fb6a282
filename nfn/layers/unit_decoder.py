"""From features of hidden units back to weight-space features: the last layer of a message-passing editor."""

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features
from nfn.layers.messages import Places, Units
from nfn.space import SpaceLike, as_space


class UnitDecoder(nn.Module):
    """An update of every weight and bias, from the features of the hidden units that it belongs to.

    A weight between two hidden units with features `h` and `g` gets `q(h) . k(g) + w * (r(h) . s(g))`, over
    `sqrt(channels)`, with learned linear maps `q, k, r, s` for each kernel entry; edges of neural graphs are updated
    from their ends in the same way (arXiv:2403.12143, section 3). A weight or bias of one hidden unit gets an MLP of
    its features, any other tensor an MLP of the averages over all units. Equivariant to permutations of hidden units.
    """

    def __init__(self, network_spec: SpaceLike, channels: int):
        super().__init__()
        self.places, self.channels = Places(as_space(network_spec)), channels
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in self.places.groups)
        self.heads = nn.ModuleList(self._head(len(fold.axes), fold.copies) for fold in self.places.folds)

    def _head(self, axes: int, copies: int) -> nn.Module:
        channels = self.channels
        if axes == 2:
            return nn.ModuleList(nn.Linear(channels, 2 * copies * channels) for _ in range(2))
        inputs = channels if axes else channels * len(self.places.groups)
        return nn.Sequential(nn.Linear(inputs, channels), nn.SiLU(), nn.Linear(channels, copies))

    def forward(self, wsfeat: WeightSpaceFeatures, units: Units) -> WeightSpaceFeatures:
        """Features `(B, 1, ...)` and units `(B, units, channels)` to an update `(B, 1, ...)`."""
        check_features(self.places.space, wsfeat, 1)
        units = [norm(x) for norm, x in zip(self.norms, units, strict=True)]
        return wsfeat.with_tensors(self._update(i, x, units) for i, x in enumerate(wsfeat.tensors))

    def _update(self, tensor: int, x: Tensor, units: Units) -> Tensor:
        fold, head = self.places.folds[tensor], self.heads[tensor]
        ends = [units[self.places.groups.index(group)] for group in fold.axes]
        if len(ends) == 2:
            assert isinstance(head, nn.ModuleList)
            added, factor = self._products(*(linear(end) for linear, end in zip(head, ends, strict=True)))
            return fold.unfold(added + fold.fold(x) * factor)
        return fold.unfold(head(ends[0] if ends else torch.cat([x.mean(1) for x in units], -1)))

    def _products(self, rows: Tensor, columns: Tensor) -> Tensor:
        """`(B, n, 2 D K)` and `(B, m, 2 D K)` to two tensors `(B, n, m, D)` of sums over the channels K."""
        left, right = (
            x.unflatten(-1, (2, -1, self.channels)).permute(2, 0, 3, 1, 4) for x in (rows, columns)
        )
        return (left @ right.transpose(-1, -2)).permute(0, 1, 3, 4, 2) * self.channels**-0.5

    def extra_repr(self) -> str:
        return f"channels={self.channels}"
