"""The common body of NPLinear and HNPLinear, which differ in the groups of neurons that permute."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import Fold, check_features, features_of, tensors_of
from nfn.layers.levels import Levels, LinearMap
from nfn.spec import NetworkSpec

InitType = Literal["pytorch_default", "kaiming_normal"]


class EquivariantLinear(nn.Module):
    """The most general affine map between features that commutes with the permutations of `folds`.

    Parameters are one matrix per level (see `levels.py`), each `(channels out, channels in)`, and one bias.
    """

    def __init__(
        self,
        network_spec: NetworkSpec,
        in_channels: int,
        out_channels: int,
        folds: Sequence[Fold],
        init_type: InitType = "pytorch_default",
    ):
        super().__init__()
        self.network_spec = network_spec
        self.in_channels, self.out_channels = in_channels, out_channels
        self.folds = tuple(folds)
        self.levels = Levels.of(folds)
        self.point_map = self._new_map(self.levels.order)
        self.line_maps = nn.ParameterList([self._new_map(group.members) for group in self.levels.groups])
        self.pair_maps = nn.ParameterList([self._new_map((i,)) for i in self.levels.pairs])
        self.bias = nn.Parameter(torch.empty(self.point_map.shape[0]))
        self.reset_parameters(init_type)

    def _copies(self, tensors: Sequence[int]) -> int:
        return sum(self.folds[i].copies for i in tensors)

    def _new_map(self, tensors: Sequence[int]) -> nn.Parameter:
        copies = self._copies(tensors)
        return nn.Parameter(torch.empty(copies * self.out_channels, copies * self.in_channels))

    def fan_in(self, tensor: int) -> int:
        """The number of inputs that add up to one entry of this output tensor, over all levels."""
        levels, line = self.levels, 0
        for group in levels.groups:
            line += self._copies(group.members) if tensor in group.members else 0
        pair = self._copies((tensor,)) if tensor in levels.pairs else 0
        return (self._copies(levels.order) + line + pair) * self.in_channels

    @torch.no_grad()
    def reset_parameters(self, init_type: InitType = "pytorch_default") -> None:
        """Draw all maps anew, each output tensor scaled by its whole fan-in.

        `"pytorch_default"` is uniform on +-1/sqrt(fan_in), biases too; `"kaiming_normal"` has variance
        2/fan_in and no biases. Raises ValueError on any other name.
        """
        if init_type not in ("pytorch_default", "kaiming_normal"):
            raise ValueError(f"init_type {init_type!r}: wanted 'pytorch_default' or 'kaiming_normal'.")
        levels = self.levels
        for tensors, weight in (
            (levels.order, self.point_map),
            *zip((group.members for group in levels.groups), self.line_maps, strict=True),
            *zip(((i,) for i in levels.pairs), self.pair_maps, strict=True),
        ):
            scale = self._row_scale(tensors).unsqueeze(1).to(weight)
            if init_type == "pytorch_default":
                weight.uniform_(-1, 1).mul_(scale)
            else:
                weight.normal_().mul_(scale * math.sqrt(2))
        self.bias.uniform_(-1, 1).mul_(self._row_scale(levels.order).to(self.bias))
        if init_type == "kaiming_normal":
            self.bias.zero_()

    def _row_scale(self, tensors: Sequence[int]) -> Tensor:
        scales = [
            torch.full((self._copies((i,)) * self.out_channels,), self.fan_in(i) ** -0.5) for i in tensors
        ]
        return torch.cat(scales)

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to `(B, out_channels, ...)` on the same spec, else ValueError."""
        check_features(self.network_spec, wsfeat, self.in_channels)
        tensors = [fold.fold(x) for fold, x in zip(self.folds, tensors_of(wsfeat), strict=True)]
        out = LinearMap.apply(
            self.levels, self.bias, self.point_map, *self.line_maps, *self.pair_maps, *tensors
        )
        return features_of([fold.unfold(x) for fold, x in zip(self.folds, out, strict=True)])

    def extra_repr(self) -> str:
        return f"in_channels={self.in_channels}, out_channels={self.out_channels}"
