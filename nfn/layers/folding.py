"""Folding: tensors of a weight space with permuting axes first and all other axes merged into the channels."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.space import TensorSpec, WeightSpace
from nfn.spec import ANY

Blocks = tuple[tuple[int, ...], ...]
"""A partition of axes; the axes of a block share one index."""


@dataclass(frozen=True)
class Fold:
    """Converts one tensor `(B, C, ...)` to `(B, *permuting axes, D)` with `D = copies * C`, and back.

    `axes` are the groups of units that permute it. Channels are last in memory, so that the output of one layer is
    folded by the next one without a copy.
    """

    axes: tuple[int, ...]
    order: tuple[int, ...]
    fixed: tuple[int, ...]

    @property
    def copies(self) -> int:
        """Folded channels per channel: the product of the sizes of axes that do not permute."""
        return math.prod(self.fixed)

    @property
    def partitions(self) -> list[Blocks]:
        """All partitions of the axes into blocks of the same group; in the first every axis is its own block."""
        partitions: list[Blocks] = [()]
        for axis, group in enumerate(self.axes):
            joined = [
                (*blocks[:i], (*block, axis), *blocks[i + 1 :])
                for blocks in partitions
                for i, block in enumerate(blocks)
                if self.axes[block[0]] == group
            ]
            partitions = [*((*blocks, (axis,)) for blocks in partitions), *joined]
        return sorted(partitions, key=len, reverse=True)

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
    """The diagonal of `x` (B, *axes, D) on which the axes of each block are equal, a view (B, *blocks, D)."""
    for removed, kept in sorted(((axis, block[0]) for block in blocks for axis in block[1:]), reverse=True):
        x = x.diagonal(0, 1 + kept, 1 + removed).movedim(-1, 1 + kept)
    return x


def _fold(tensor: TensorSpec, permuting: Collection[int]) -> Fold:
    moving = {dim: group for dim, group in enumerate(tensor.axes) if group is not None and group in permuting}
    staying = [dim for dim in range(len(tensor.axes)) if dim not in moving]
    fixed = tuple(tensor.shape[dim] for dim in staying)
    if ANY in fixed:
        raise ValueError(
            f"{tensor.label}: shape {tensor.shape} has an unknown size (-1) that this layer needs (an input, an "
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
    got, expected = len(features.tensors), len(space.tensors)
    if got != expected:
        parts = (
            f"{len(features)} layers for a layer built for {len(space.layers)}: " if features.is_chain else ""
        )
        raise ValueError(f"Got features of {parts}{got} tensors, expected {expected}.")
    for spec, tensor in zip(space.tensors, features.tensors, strict=True):
        shape = tuple(tensor.shape)
        if not _fits(shape[2:], spec.shape) or (channels is not None and shape[1] != channels):
            raise ValueError(
                f"{spec.label}: got features {shape}, expected (batch, {channels or 'channels'}, "
                f"{', '.join('any' if size == ANY else str(size) for size in spec.shape)})."
            )


def _fits(shape: tuple[int, ...], spec: tuple[int, ...]) -> bool:
    return len(shape) == len(spec) and all(b in (ANY, a) for a, b in zip(shape, spec, strict=True))
