"""The base class of NPLinear and HNPLinear, which differ in the groups of units that permute."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import Fold, check_features
from nfn.layers.levels import Level, Levels
from nfn.layers.linear_map import LinearMap
from nfn.space import WeightSpace

InitType = Literal["pytorch_default", "kaiming_normal"]


class EquivariantLinear(nn.Module):
    """The most general affine map between features that commutes with the permutations of `folds`.

    Parameters are one matrix per level (see `levels.py`), each `(channels out, channels in)`: `point_map` for the
    averages over all axes, `line_maps` for levels of one group, `pair_maps` for those of two or more; and one bias.
    """

    def __init__(
        self,
        space: WeightSpace,
        in_channels: int,
        out_channels: int,
        folds: Sequence[Fold],
        init_type: InitType = "pytorch_default",
    ):
        super().__init__()
        self.space = space
        self.in_channels, self.out_channels = in_channels, out_channels
        self.folds = tuple(folds)
        self.levels = Levels.of(folds)
        shapes = [
            (outputs.width * out_channels, inputs.width * in_channels)
            for inputs, outputs in zip(self.levels.inputs, self.levels.outputs, strict=True)
        ]
        maps = [nn.Parameter(torch.empty(shape)) for shape in shapes]
        axes = [len(level.groups) for level in self.levels.outputs]
        self.point_map = maps[-1]
        self.line_maps = nn.ParameterList(m for m, count in zip(maps, axes, strict=True) if count == 1)
        self.pair_maps = nn.ParameterList(m for m, count in zip(maps, axes, strict=True) if count > 1)
        self.bias = nn.Parameter(torch.empty(len(self.point_map)))
        self.reset_parameters(init_type)

    @property
    def maps(self) -> tuple[Tensor, ...]:
        """One matrix per level, in the order of the levels."""
        return (*self.pair_maps, *self.line_maps, self.point_map)

    def fan_in(self, face: int) -> int:
        """The number of inputs summed in one entry of this output tensor (or diagonal), over all levels."""
        sides = zip(self.levels.inputs, self.levels.outputs, strict=True)
        return sum(inputs.width * outputs.faces.count(face) for inputs, outputs in sides) * self.in_channels

    @torch.no_grad()
    def reset_parameters(self, init_type: InitType = "pytorch_default") -> None:
        """Reinitialize all maps, scaled by the total fan-in of each output tensor.

        `"pytorch_default"` is uniform on +-1/sqrt(fan_in), biases too; `"kaiming_normal"` has variance
        2/fan_in and zero biases. Raises ValueError for any other name.
        """
        if init_type not in ("pytorch_default", "kaiming_normal"):
            raise ValueError(f"init_type {init_type!r}: expected 'pytorch_default' or 'kaiming_normal'.")
        pairs = zip(self.levels.outputs, self.maps, strict=True)
        for level, weight in sorted(pairs, key=lambda pair: len(pair[0].groups)):
            scale = self._row_scale(level).unsqueeze(1).to(weight)
            if init_type == "pytorch_default":
                weight.uniform_(-1, 1).mul_(scale)
            else:
                weight.normal_().mul_(scale * math.sqrt(2))
        self.bias.uniform_(-1, 1).mul_(self._row_scale(self.levels.outputs[-1]).to(self.bias))
        if init_type == "kaiming_normal":
            self.bias.zero_()

    def _row_scale(self, level: Level) -> Tensor:
        widths = [self.levels.copies[face] * self.out_channels for face in level.faces]
        scales = [self.fan_in(face) ** -0.5 for face in level.faces]
        rows = torch.empty(sum(widths))
        for part, scale in zip(rows.split(widths), scales, strict=True):
            part.fill_(scale)
        return rows

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to `(B, out_channels, ...)` on the same space, else ValueError."""
        check_features(self.space, wsfeat, self.in_channels)
        tensors = [fold.fold(x) for fold, x in zip(self.folds, wsfeat.tensors, strict=True)]
        out = LinearMap.apply(self.levels, self.bias, *self.maps, *tensors)
        return wsfeat.with_tensors(fold.unfold(x) for fold, x in zip(self.folds, out, strict=True))

    def extra_repr(self) -> str:
        return f"in_channels={self.in_channels}, out_channels={self.out_channels}"
