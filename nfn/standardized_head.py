"""A small net on standardized inputs that gives one logit each."""

import torch
from torch import Tensor, nn


class StandardizedHead(nn.Module):
    """Standardize inputs, then one hidden layer between dropouts of these rates; used on features of a trained net."""

    def __init__(self, inputs: int, hidden: int, dropouts: tuple[float, float]):
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        first, second = dropouts
        self.net = nn.Sequential(
            nn.Dropout(first), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(second), nn.Linear(hidden, 1)
        )

    def fit_scale(self, inputs: Tensor) -> None:
        """Take mean and deviation from training inputs `(n, inputs)`."""
        self.mean.copy_(inputs.mean(0))
        self.deviation.copy_(inputs.std(0) + 1e-3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(...)` of inputs `(..., inputs)`."""
        return self.net((inputs.float() - self.mean) / self.deviation)[..., 0]
