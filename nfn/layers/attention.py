"""NPAttention: attention between the weights of neurons, equivariant to all neuron permutations."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features, np_folds
from nfn.space import SpaceLike, as_space


class ChannelLinear(nn.Module):
    """A linear map of the channels, dimension 1, of a tensor `(B, C, ...)`."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, in_channels, ...)` to `(B, out_channels, ...)`; channels last in memory."""
        return self.linear(x.movedim(1, -1)).movedim(-1, 1)


class NPAttention(nn.Module):
    """Weight-space self-attention (arXiv:2305.13546, section 3), NP-equivariant.

    Two terms are added, both from the same queries, keys and values, per head:

    - *cross term*, per group of neurons: each row of the incoming weight, its bias, and each column of the outgoing
      weight (on any `WeightSpace`: each line of a tensor along an axis of the group) is one token, a vector over
      the group's neurons; tokens attend to each other;
    - *diagonal term*: the averages of all weights and biases attend to each other, and each is added to its
      tensor.

    Without `share_projections` every tensor has its own projections, which networks with convolutions need.
    """

    def __init__(
        self,
        network_spec: SpaceLike,
        channels: int,
        num_heads: int = 8,
        dropout: float = 0,
        share_projections: bool = True,
        ablate_crossterm: bool = False,
        ablate_diagonalterm: bool = False,
    ):
        super().__init__()
        if channels % num_heads:
            raise ValueError(f"channels ({channels}) must be divisible by num_heads ({num_heads}).")
        self.space = as_space(network_spec)
        self.channels, self.num_heads = channels, num_heads
        self.dropout = dropout
        self.ablate_crossterm, self.ablate_diagonalterm = ablate_crossterm, ablate_diagonalterm
        self.folds = np_folds(self.space)
        widths = [fold.copies * channels for fold in self.folds]
        if share_projections:
            if max(widths) > channels:
                raise ValueError(
                    "A network with convolutions needs share_projections=False: kernels differ in size."
                )
            shared = nn.Linear(channels, 3 * channels)
            self.to_qkv = nn.ModuleList([shared] * len(widths))
            self.from_values = nn.ModuleList([nn.Identity()] * len(widths))
        else:
            self.to_qkv = nn.ModuleList([nn.Linear(width, 3 * channels) for width in widths])
            unproject = [
                nn.Linear(channels, width) if spec.is_weight or width != channels else nn.Identity()
                for spec, width in zip(self.space.tensors, widths, strict=True)
            ]
            self.from_values = nn.ModuleList(unproject)

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, channels, ...)` to the same shapes; ValueError if not on this network."""
        check_features(self.space, wsfeat, self.channels)
        tensors = [fold.fold(x) for fold, x in zip(self.folds, wsfeat.tensors, strict=True)]
        # (B, ..., 3, heads, channels per head)
        qkv = [
            to_qkv(x).unflatten(-1, (3, self.num_heads, -1))
            for to_qkv, x in zip(self.to_qkv, tensors, strict=True)
        ]
        terms: list[list[Tensor]] = [[] for _ in tensors]
        if not self.ablate_diagonalterm:
            self._add_diagonal(qkv, terms)
        if not self.ablate_crossterm:
            for group in range(len(self.space.groups)):
                self._add_cross(group, qkv, terms)
        return wsfeat.with_tensors(self._project(i, tensors[i], terms[i]) for i in range(len(tensors)))

    def _project(self, i: int, x: Tensor, terms: list[Tensor]) -> Tensor:
        """The sum of the projected terms of tensor i, unfolded."""
        out = torch.zeros_like(x)
        for term in terms:
            out = out + self.from_values[i](term)
        return self.folds[i].unfold(out)

    def _add_diagonal(self, qkv: list[Tensor], terms: list[list[Tensor]]) -> None:
        tokens = torch.stack(
            [x.flatten(1, -4).mean(1) if x.dim() > 4 else x for x in qkv], 3
        )  # (B, 3, heads, T, ch)
        query, key, value = tokens.unbind(1)
        values = F.scaled_dot_product_attention(query, key, value)  # (B, heads, T, ch)
        for i, value in enumerate(values.unbind(2)):
            value = value.flatten(1)  # (B, channels)
            terms[i].append(value.view(len(value), *(1,) * (qkv[i].dim() - 4), -1))

    def _add_cross(self, group: int, qkv: list[Tensor], terms: list[list[Tensor]]) -> None:
        """For each axis of `group`, of n units, one token `(n, ...)` per entry of the tensor's other axes."""
        places = [
            (i, 1 + axis)
            for i, fold in enumerate(self.folds)
            for axis, g in enumerate(fold.axes)
            if g == group
        ]
        if not places:
            return
        moved = [qkv[i].movedim(dim, -4) for i, dim in places]  # (B, others, n, 3, heads, ch)
        parts = [x.reshape(len(x), -1, *x.shape[-4:]) for x in moved]
        tokens = torch.cat(parts, 1)  # (B, T, n, 3, heads, ch)
        neurons, width = tokens.shape[2], tokens.shape[-1]
        query, key, value = tokens.permute(3, 0, 4, 1, 2, 5).flatten(4)  # each (B, heads, T, n * ch)
        values = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        values = (
            values.unflatten(-1, (neurons, width)).permute(0, 2, 3, 1, 4).flatten(3)
        )  # (B, T, n, channels)
        pieces = values.split([part.shape[1] for part in parts], 1)
        for (i, dim), x, piece in zip(places, moved, pieces, strict=True):
            terms[i].append(piece.reshape(*x.shape[:-3], -1).movedim(-2, dim))

    def extra_repr(self) -> str:
        return f"channels={self.channels}, num_heads={self.num_heads}, dropout={self.dropout}"
