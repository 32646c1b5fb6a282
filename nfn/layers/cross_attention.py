"""Cross-attention between a weight space and learned tokens (arXiv:2305.13546, section 3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nfn.features import WeightSpaceFeatures
from nfn.layers.flatten import FlattenWeights, UnflattenWeights
from nfn.space import SpaceLike, as_space


class CrossAttnEncoder(nn.Module):
    """`softmax(E X^T / sqrt(C)) X` for learned queries E and the entries X of a network: invariant."""

    def __init__(self, network_spec: SpaceLike, channels: int, num_latents: int):
        super().__init__()
        self.embeddings = nn.Parameter(torch.randn(num_latents, channels))
        self.flatten = FlattenWeights(network_spec)

    def forward(self, params: WeightSpaceFeatures) -> Tensor:
        """Features `(B, channels, ...)` to `(B, num_latents, channels)`."""
        entries = self.flatten(params)
        queries = self.embeddings.expand(len(entries), -1, -1)
        return F.scaled_dot_product_attention(queries, entries, entries)


class CrossAttnDecoder(nn.Module):
    """`softmax(E Z^T / sqrt(C)) Z` for one learned query per weight or bias and latents Z."""

    def __init__(self, network_spec: SpaceLike, channels: int, num_params: int):
        super().__init__()
        count = as_space(network_spec).get_num_params()
        if num_params != count:
            raise ValueError(f"num_params is {num_params}, but the spec has {count} of them.")
        self.embeddings = nn.Parameter(torch.randn(num_params, channels))
        self.unflatten = UnflattenWeights(network_spec)

    def forward(self, latents: Tensor) -> WeightSpaceFeatures:
        """`(B, num_latents, channels)` to features `(B, channels, ...)`."""
        queries = self.embeddings.expand(len(latents), -1, -1)
        return self.unflatten(F.scaled_dot_product_attention(queries, latents, latents))
