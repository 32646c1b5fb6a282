"""A picture as a network with fixed Fourier features in front and ReLU behind, after arXiv:2006.10739."""

import math
from pathlib import Path

import torch
from torch import nn

import nfn


class FourierNet(nn.Module):
    """Sines and cosines of a fixed random matrix times (x, y), then an ordinary network and a sigmoid."""

    def __init__(self, outputs: int, features: int = 24, width: int = 48):
        super().__init__()
        self.matrix: torch.Tensor
        self.register_buffer("matrix", 1.5 * torch.randn(2, features))
        self.net = nn.Sequential(
            nn.Linear(2 * features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, outputs), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, xy: torch.Tensor) -> torch.Tensor:
        phase = 2 * math.pi * (xy @ self.matrix)
        return self.net(torch.cat([torch.sin(phase), torch.cos(phase)], -1))


def fit_fourier_file(image: torch.Tensor, path: Path, steps: int = 250) -> FourierNet:
    """Fit an image `(c, H, W)` uint8 and save the network with its graph; coordinates are (x, y) on [0, 1]."""
    torch.manual_seed(0)
    model, (height, width) = FourierNet(len(image)), image.shape[1:]
    ys, xs = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    xy, target = torch.stack([xs, ys], -1).view(-1, 2), image.flatten(1).T.float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(xy) - target).square().mean().backward()
        optimizer.step()
    nfn.save(model, path, (2,))
    return model
