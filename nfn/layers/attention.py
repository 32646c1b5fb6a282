"""NPAttention: attention between the neurons' weights, equivariant to all neuron permutations."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import check_features, features_of, np_folds, tensors_of
from nfn.spec import NetworkSpec


class ChannelLinear(nn.Module):
    """A linear map of dimension 1 of a tensor `(B, C, ...)`."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, in_channels, ...)` to `(B, out_channels, ...)`; channels last in memory."""
        return self.linear(x.movedim(1, -1)).movedim(-1, 1)


class NPAttention(nn.Module):
    """Weight-space self-attention (arXiv:2305.13546, section 3), NP-equivariant.

    Two terms are added, both from the same queries, keys and values, per head:

    - *cross term*, per group of neurons: each row of the weight that leads into the group, its bias, and each
      column of the weight that leads out is one token, a vector over the group's neurons; tokens attend to
      each other;
    - *diagonal term*: the averages of all weights and biases attend to each other, and each is added to its
      tensor.

    Without `share_projections` every tensor has its own projections; networks with convolutions need that.
    """

    def __init__(
        self,
        network_spec: NetworkSpec,
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
        self.network_spec, self.channels, self.num_heads = network_spec, channels, num_heads
        self.dropout = dropout
        self.ablate_crossterm, self.ablate_diagonalterm = ablate_crossterm, ablate_diagonalterm
        self.folds = np_folds(network_spec)
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
                nn.Linear(channels, width) if i % 2 == 0 else nn.Identity() for i, width in enumerate(widths)
            ]
            self.from_values = nn.ModuleList(unproject)

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, channels, ...)` to the same shapes; ValueError if not on this network."""
        check_features(self.network_spec, wsfeat, self.channels)
        tensors = [fold.fold(x) for fold, x in zip(self.folds, tensors_of(wsfeat), strict=True)]
        # (B, ..., 3, heads, channels per head)
        qkv = [
            to_qkv(x).unflatten(-1, (3, self.num_heads, -1))
            for to_qkv, x in zip(self.to_qkv, tensors, strict=True)
        ]
        terms: list[list[Tensor]] = [[] for _ in tensors]
        if not self.ablate_diagonalterm:
            self._add_diagonal(qkv, terms)
        if not self.ablate_crossterm:
            for group in range(len(wsfeat) + 1):
                self._add_cross(group, qkv, terms)
        return features_of([self._project(i, tensors[i], terms[i]) for i in range(len(tensors))])

    def _project(self, i: int, x: Tensor, terms: list[Tensor]) -> Tensor:
        """Sum of the terms of tensor i, each through its projection, in the layout of the features."""
        out = torch.zeros_like(x)
        for term in terms:
            out = out + self.from_values[i](term)
        return self.folds[i].unfold(out)

    def _add_diagonal(self, qkv: list[Tensor], terms: list[list[Tensor]]) -> None:
        tokens = torch.stack([x.mean(tuple(range(1, x.dim() - 3))) for x in qkv], 3)  # (B, 3, heads, T, ch)
        query, key, value = tokens.unbind(1)
        values = F.scaled_dot_product_attention(query, key, value)  # (B, heads, T, ch)
        for i, value in enumerate(values.unbind(2)):
            value = value.flatten(1)  # (B, channels)
            terms[i].append(value.view(len(value), *(1,) * (qkv[i].dim() - 4), -1))

    def _add_cross(self, group: int, qkv: list[Tensor], terms: list[list[Tensor]]) -> None:
        """Neurons of `group` (n of them): incoming weight (n, m), bias (n,), outgoing weight (l, n)."""
        parts = []
        if group > 0:
            parts += [qkv[2 * group - 2].transpose(1, 2), qkv[2 * group - 1].unsqueeze(1)]
        if 2 * group < len(qkv):
            parts.append(qkv[2 * group])
        tokens = torch.cat(parts, 1)  # (B, T, n, 3, heads, ch)
        neurons, width = tokens.shape[2], tokens.shape[-1]
        query, key, value = tokens.permute(3, 0, 4, 1, 2, 5).flatten(4)  # each (B, heads, T, n * ch)
        values = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        values = (
            values.unflatten(-1, (neurons, width)).permute(0, 2, 3, 1, 4).flatten(3)
        )  # (B, T, n, channels)
        pieces = iter(values.split([part.shape[1] for part in parts], 1))
        if group > 0:
            terms[2 * group - 2].append(next(pieces).transpose(1, 2))
            terms[2 * group - 1].append(next(pieces).squeeze(1))
        if 2 * group < len(qkv):
            terms[2 * group].append(next(pieces))

    def extra_repr(self) -> str:
        return f"channels={self.channels}, num_heads={self.num_heads}, dropout={self.dropout}"
