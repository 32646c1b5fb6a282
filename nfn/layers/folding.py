"""How a layer sees a weight tensor: the axes that permute in front, everything else folded into channels."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch

from nfn.features import WeightSpaceFeatures
from nfn.spec import ANY, NetworkSpec


@dataclass(frozen=True)
class Fold:
    """One weight or bias, `(B, C, ...)`, as `(B, *permuting axes, D)` with `D = copies * C`.

    `axes` names the groups of neurons (0 = the inputs, i + 1 = the outputs of layer i) that permute the
    tensor. Channels come last in memory, so that features which one layer made reach the next one without a
    copy.
    """

    axes: tuple[int, ...]
    order: tuple[int, ...]
    fixed: tuple[int, ...]

    @property
    def copies(self) -> int:
        """Folded channels per channel: the kernel size times the axes that stay in place."""
        return math.prod(self.fixed)

    def fold(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, C, ...)` -> `(B, *axes, D)`; a view where memory allows."""
        x = x.permute(self.order)
        return x.flatten(1 + len(self.axes)) if self.fixed else x

    def unfold(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, *axes, D)` -> `(B, C, ...)`, the inverse of `fold`."""
        if self.fixed:
            x = x.unflatten(-1, (*self.fixed, x.shape[-1] // self.copies))
        return x.permute([self.order.index(dim) for dim in range(x.dim())])


def _fold(shape: tuple[int, ...], groups: tuple[int, ...], permuting: Collection[int]) -> Fold:
    dims = range(len(shape))
    moving = [dim for dim in dims if dim < len(groups) and groups[dim] in permuting]
    staying = [dim for dim in dims if dim not in moving]
    fixed = tuple(shape[dim] for dim in staying)
    if ANY in fixed:
        raise ValueError(
            f"Shape {shape} leaves open a size that this layer must know (an input, an output or a "
            "kernel size); build the spec with `network_spec_from_wsfeat` or `NetworkSpec.mlp`."
        )
    order = (0, *(dim + 2 for dim in moving), *(dim + 2 for dim in staying), 1)
    return Fold(tuple(groups[dim] for dim in moving), order, fixed)


def folds(spec: NetworkSpec, permuting: Collection[int]) -> tuple[Fold, ...]:
    """One fold per tensor, in the order weight 0, bias 0, weight 1, ...; `permuting` lists groups."""
    out = []
    for i, (weight, bias) in enumerate(zip(spec.weight_spec, spec.bias_spec, strict=True)):
        out.append(_fold(weight.shape, (i + 1, i), permuting))
        out.append(_fold(bias.shape, (i + 1,), permuting))
    return tuple(out)


def np_folds(spec: NetworkSpec) -> tuple[Fold, ...]:
    """Folds under the NP group: inputs, hidden neurons and outputs all permute."""
    return folds(spec, range(len(spec) + 1))


def hnp_folds(spec: NetworkSpec) -> tuple[Fold, ...]:
    """Folds under the HNP group: only hidden neurons permute."""
    return folds(spec, range(1, len(spec)))


def tensors_of(features: WeightSpaceFeatures) -> list[torch.Tensor]:
    """The tensors of `features` in the order weight 0, bias 0, weight 1, ..."""
    return [tensor for pair in features for tensor in pair]


def features_of(tensors: list[torch.Tensor]) -> WeightSpaceFeatures:
    """The inverse of `tensors_of`."""
    return WeightSpaceFeatures(tensors[::2], tensors[1::2])


def check_features(spec: NetworkSpec, features: WeightSpaceFeatures, channels: int | None = None) -> None:
    """Raise ValueError, naming the layer, unless `features` fit `spec` and `channels` (None: any)."""
    if len(features) != len(spec):
        raise ValueError(f"Got features of {len(features)} layers for a layer built for {len(spec)}.")
    for i, (weight, bias) in enumerate(features):
        for name, tensor, want in (
            ("weight", weight, spec.weight_spec[i].shape),
            ("bias", bias, spec.bias_spec[i].shape),
        ):
            shape = tuple(tensor.shape)
            if not _fits(shape[2:], want) or (channels is not None and shape[1] != channels):
                raise ValueError(
                    f"Layer {i} {name}: got features {shape}, wanted (batch, {channels or 'channels'}, "
                    f"{', '.join('any' if size == ANY else str(size) for size in want)})."
                )


def _fits(shape: tuple[int, ...], want: tuple[int, ...]) -> bool:
    return len(shape) == len(want) and all(b in (ANY, a) for a, b in zip(shape, want, strict=True))
