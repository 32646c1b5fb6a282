"""What is asked of each candidate: is this a picture with an edge where one should be, and is it the right way up."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nfn.features import WeightSpaceFeatures
from nfn.network import Network
from nfn.siren import evaluate
from nfn.siren_convention.convention import SirenConvention
from nfn.standardized_head import StandardizedHead

INSIDE, MARGIN = 28, 6
"""Points a side of the field that is judged: over the picture, and beyond each of its edges."""
SIDE = INSIDE + 2 * MARGIN


def field_points(device=None) -> Tensor:
    """The `(SIDE^2, 2)` points of a field, row by row: the picture on [-1, 1]^2 and what lies around it."""
    reach = 1 + 2 * MARGIN / (INSIDE - 1)
    axis = torch.linspace(-reach, reach, SIDE, device=device)
    return torch.cartesian_prod(axis, axis)


def fields(network: Network, conventions: Sequence[SirenConvention], device=None) -> Tensor:
    """What a network on `device` shows in and around its picture in each convention, `(n, c, SIDE, SIDE)`."""
    values = last_values(network, conventions, field_points(device))
    sines = torch.tensor([convention.output == "sine" for convention in conventions], device=values.device)
    return torch.where(sines[:, None, None], values.sin(), values).unflatten(2, (SIDE, SIDE))


def last_values(
    network: Network, conventions: Sequence[SirenConvention], points: Tensor, chunk: int = 8
) -> Tensor:
    """What the last layer gives at `points` `(P, 2)` in each convention, `(n, c, P)`; its end is not applied.

    Points are (row, column) and rows go downwards, whatever the convention has for that.
    """
    plain = [replace(c, low=-1.0, high=1.0, coordinates="row_col", upwards=False) for c in conventions]
    if network.chain is None:
        assert network.graph is not None, "a SIREN is a chain or has a graph"
        return torch.stack([network.graph.run(convention.inputs(points)).T for convention in plain])
    parts = []
    for i in range(0, len(plain), chunk):
        features = [convention.normalize(network.chain) for convention in plain[i : i + chunk]]
        parts.append(evaluate(WeightSpaceFeatures.cat(features), points))
    return torch.cat(parts)


def standardized(fields: Tensor) -> Tensor:
    """Fields as `(n, 3, SIDE, SIDE)`, the picture of mean 0 and deviation 1."""
    inside = slice(MARGIN, MARGIN + INSIDE)
    picture = fields[..., inside, inside].flatten(1)
    mean, deviation = picture.mean(1), picture.std(1) + 1e-6
    return ((fields - _each(mean)) / _each(deviation)).clamp(-4, 4).expand(-1, 3, -1, -1)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


class FieldJudge(nn.Module):
    """How much more likely than not a field is one that a SIREN was fitted to, as a logit.

    Within its picture a SIREN shows what it was fitted to, and beyond the edges it shows waves. Read with another
    omega it shows waves everywhere, and with other coordinates the edge is elsewhere.
    """

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            _block(4, 12), nn.MaxPool2d(2), _block(12, 24), nn.MaxPool2d(2), _block(24, 32), _Residual(_block(32, 32)),
            nn.MaxPool2d(2), _block(32, 32), nn.Flatten(), nn.Dropout(0.1), nn.Linear(32 * (SIDE // 8) ** 2, 24),
            nn.ReLU(), nn.Linear(24, 1),
        )  # fmt: skip
        edge = F.pad(torch.ones(1, 1, INSIDE, INSIDE), (MARGIN,) * 4)
        self.register_buffer("edge", edge, persistent=False)
        self.edge: Tensor

    def forward(self, fields: Tensor) -> Tensor:
        """Logits `(n,)` of standardized fields."""
        seen = torch.cat([fields, self.edge.expand(len(fields), -1, -1, -1)], 1)
        return self.net(seen.contiguous(memory_format=torch.channels_last))[:, 0]


class PictureJudge(StandardizedHead):
    """How much more likely one way to show a picture is than another, as logits that only compare.

    It reads the maps of the classifier's head: which things stand where, how bright they are.
    """

    def __init__(self, channels: int, hidden: int = 24):
        super().__init__(self.size(channels), hidden, dropouts=(0.3, 0.4))

    @staticmethod
    def size(channels: int) -> int:
        """The number of inputs for maps of so many channels."""
        return 5 * channels

    @staticmethod
    def inputs(maps: Tensor) -> Tensor:
        """The means of each quarter and the maximum of maps `(n, channels, h, w)`, as `(n, 5 * channels)`."""
        return torch.cat([F.adaptive_avg_pool2d(maps, 2).flatten(1), maps.amax((2, 3))], 1)


class SirenJudges(nn.Module):
    """Both judges; `channels` are those of the maps that the judge of pictures reads."""

    def __init__(self, channels: int):
        super().__init__()
        self.field = FieldJudge()
        self.picture = PictureJudge(channels)


class _Residual(nn.Sequential):
    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )
