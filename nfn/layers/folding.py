"""How a layer sees a tensor of a weight space: the axes that permute in front, everything else in the channels."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.space import TensorSpec, WeightSpace
from nfn.spec import ANY

Blocks = tuple[tuple[int, ...], ...]
"""Axes that run together, block by block."""


@dataclass(frozen=True)
class Fold:
    """One tensor, `(B, C, ...)`, as `(B, *permuting axes, D)` with `D = copies * C`.

    `axes` names the groups of units that permute it. Channels come last in memory, so that features which one
    layer made reach the next one without a copy.
    """

    axes: tuple[int, ...]
    order: tuple[int, ...]
    fixed: tuple[int, ...]

    @property
    def copies(self) -> int:
        """Folded channels per channel: the kernel size times the axes that stay in place."""
        return math.prod(self.fixed)

    @property
    def partitions(self) -> list[Blocks]:
        """All ways to let axes of the same group run together; the first keeps all apart."""
        ways: list[Blocks] = [()]
        for axis, group in enumerate(self.axes):
            joined = [
                (*blocks[:i], (*block, axis), *blocks[i + 1 :])
                for blocks in ways
                for i, block in enumerate(blocks)
                if self.axes[block[0]] == group
            ]
            ways = [*((*blocks, (axis,)) for blocks in ways), *joined]
        return sorted(ways, key=len, reverse=True)

    def fold(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` -> `(B, *axes, D)`; a view where memory allows."""
        x = x.permute(self.order)
        return x.flatten(1 + len(self.axes)) if self.fixed else x

    def unfold(self, x: Tensor) -> Tensor:
        """`(B, *axes, D)` -> `(B, C, ...)`, the inverse of `fold`."""
        if self.fixed:
            x = x.unflatten(-1, (*self.fixed, x.shape[-1] // self.copies))
        return x.permute([self.order.index(dim) for dim in range(x.dim())])


def diagonal(x: Tensor, blocks: Blocks) -> Tensor:
    """The view of `x` (B, *axes, D) on which the axes of each block run together, (B, *blocks, D)."""
    for removed, kept in sorted(((axis, block[0]) for block in blocks for axis in block[1:]), reverse=True):
        x = x.diagonal(0, 1 + kept, 1 + removed).movedim(-1, 1 + kept)
    return x


def _fold(tensor: TensorSpec, permuting: Collection[int]) -> Fold:
    moving = {dim: group for dim, group in enumerate(tensor.axes) if group is not None and group in permuting}
    staying = [dim for dim in range(len(tensor.axes)) if dim not in moving]
    fixed = tuple(tensor.shape[dim] for dim in staying)
    if ANY in fixed:
        raise ValueError(
            f"{tensor.label}: shape {tensor.shape} leaves open a size that this layer must know (an input, an "
            "output or a kernel size); build the spec with `network_spec_from_wsfeat` or `NetworkSpec.mlp`."
        )
    order = (0, *(dim + 2 for dim in moving), *(dim + 2 for dim in staying), 1)
    return Fold(tuple(moving.values()), order, fixed)


def np_folds(space: WeightSpace) -> tuple[Fold, ...]:
    """One fold per tensor under the NP group: inputs, hidden units and outputs all permute."""
    return tuple(_fold(tensor, range(len(space.groups))) for tensor in space.tensors)


def hnp_folds(space: WeightSpace) -> tuple[Fold, ...]:
    """One fold per tensor under the HNP group: only hidden units permute."""
    return tuple(_fold(tensor, space.permuting) for tensor in space.tensors)


def check_features(space: WeightSpace, features: WeightSpaceFeatures, channels: int | None = None) -> None:
    """Raise ValueError, naming the tensor, unless `features` fit `space` and `channels` (None: any)."""
    got, wanted = len(features.tensors), len(space.tensors)
    if got != wanted:
        parts = (
            f"{len(features)} layers for a layer built for {len(space.layers)}: " if features.is_chain else ""
        )
        raise ValueError(f"Got features of {parts}{got} tensors, wanted {wanted}.")
    for spec, tensor in zip(space.tensors, features.tensors, strict=True):
        shape = tuple(tensor.shape)
        if not _fits(shape[2:], spec.shape) or (channels is not None and shape[1] != channels):
            raise ValueError(
                f"{spec.label}: got features {shape}, wanted (batch, {channels or 'channels'}, "
                f"{', '.join('any' if size == ANY else str(size) for size in spec.shape)})."
            )


def _fits(shape: tuple[int, ...], want: tuple[int, ...]) -> bool:
    return len(shape) == len(want) and all(b in (ANY, a) for a, b in zip(shape, want, strict=True))
