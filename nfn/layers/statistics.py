"""StatFeaturizer: simple statistics per tensor, the features of the StatNN baseline."""

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.space import SpaceLike, as_space

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class StatFeaturizer(nn.Module):
    """Mean, variance and quartiles of each tensor (StatNN, arXiv:2002.11448): invariant."""

    def forward(self, wsfeat: WeightSpaceFeatures) -> Tensor:
        """Features `(B, C, ...)` to `(B, C, get_num_outs(spec))`, tensor after tensor."""
        return torch.cat([self.compute_stats(x) for x in wsfeat.tensors], -1)

    @staticmethod
    def compute_stats(tensor: Tensor) -> Tensor:
        """`(B, C, ...)` to `(B, C, 7)`; the variance of a single entry is 0."""
        entries = tensor.flatten(2)
        count = entries.shape[2]
        variance = entries.var(-1, correction=min(1, count - 1))
        ordered = entries.sort(-1).values
        place = torch.tensor(QUANTILES, dtype=torch.float64) * (count - 1)
        low, high = place.floor().long(), place.ceil().long()
        quantiles = torch.lerp(ordered[..., low], ordered[..., high], (place - low).to(ordered))
        return torch.cat([entries.mean(-1, True), variance.unsqueeze(-1), quantiles], -1)

    @staticmethod
    def get_num_outs(network_spec: SpaceLike) -> int:
        """The number of values per channel."""
        return len(as_space(network_spec).tensors) * (2 + len(QUANTILES))
