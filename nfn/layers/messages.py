"""Message passing between hidden units, by products of weights with unit features.

A linear NF-layer only sums entries of weights, while consecutive layers of a network multiply theirs. Here each
hidden unit has features, and each weight between two units sends the features of one, times the weight, to the
other (neural graphs, arXiv:2403.12143, section 3).

*Units* are a list with one tensor `(B, units, channels)` per permuting group of a weight space, in ascending order
of the groups. Permuting the units of a group permutes the rows of its tensor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import Fold, check_features, hnp_folds
from nfn.space import SpaceLike, WeightSpace, as_space

Units = list[Tensor]
Symmetry = Literal["none", "sign", "scale"]
"""Further equivariance, besides permutations: to signs of units (odd activations), or to their scales (ReLU)."""


@dataclass(frozen=True)
class Places:
    """The tensors of a space by their hidden axes: `inner` tensors have two, `outer` ones one, `free` ones none.

    Raises ValueError for a tensor with three hidden axes, and for an unknown symmetry.
    """

    space: WeightSpace
    symmetry: Symmetry = "none"

    def __post_init__(self):
        if self.symmetry not in get_args(Symmetry):
            raise ValueError(
                f"Unknown symmetry {self.symmetry!r}: choose one of {', '.join(get_args(Symmetry))}."
            )
        for spec, fold in zip(self.space.tensors, self.folds, strict=True):
            if len(fold.axes) > 2:
                raise ValueError(f"{spec.label}: {len(fold.axes)} axes permute; messages need at most two.")

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """One per tensor, with hidden axes first."""
        return hnp_folds(self.space)

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """The groups of hidden units."""
        return tuple(sorted(self.space.permuting))

    @cached_property
    def inner(self) -> tuple[int, ...]:
        """The tensors with two hidden axes."""
        return self._with_axes(2)

    @cached_property
    def free(self) -> tuple[int, ...]:
        """The tensors without hidden axes."""
        return self._with_axes(0)

    def _with_axes(self, count: int) -> tuple[int, ...]:
        return tuple(i for i, fold in enumerate(self.folds) if len(fold.axes) == count)

    def into(self, group: int) -> tuple[int, ...]:
        """The outer tensors that are inputs of a group's units; for "scale" only those that scale with the unit."""
        return tuple(i for i in self._outer(group) if self.symmetry != "scale" or self._is_output(i, group))

    def out_of(self, group: int) -> tuple[int, ...]:
        """The outer tensors whose product with a group's units is invariant to the symmetry."""
        return tuple(
            i for i in self._outer(group) if self.symmetry != "scale" or not self._is_output(i, group)
        )

    def _outer(self, group: int) -> tuple[int, ...]:
        return tuple(i for i in self._with_axes(1) if self.folds[i].axes == (group,))

    def _is_output(self, tensor: int, group: int) -> bool:
        """Whether `group` is the outputs of the tensor's layer: these are always axis 0."""
        return self.space.tensors[tensor].axes[0] == group

    def copies(self, tensors: Sequence[int], channels: int) -> int:
        """The number of entries of these tensors per unit (for free ones, in total)."""
        return sum(self.folds[i].copies for i in tensors) * channels

    def gather(self, features: WeightSpaceFeatures, tensors: Sequence[int]) -> Tensor:
        """Outer tensors of one group, concatenated: `(B, units, copies)`; free ones: `(B, copies)`."""
        return torch.cat([self.folds[i].fold(features.tensors[i]) for i in tensors], -1)


class Update(nn.Module):
    """`linear(silu(norm(linear(x))))`, or its sign- or scale-equivariant counterpart.

    These are `A x * g(|x|)` for signs and `A x * g(x / ||x||)` for scales (arXiv:2406.10685, section 5).
    """

    def __init__(self, inputs: int, channels: int, symmetry: Symmetry = "none"):
        super().__init__()
        self.symmetry = symmetry
        self.net = nn.Sequential(
            nn.Linear(inputs, channels), nn.LayerNorm(channels), nn.SiLU(), nn.Linear(channels, channels)
        )
        self.linear = None if symmetry == "none" else nn.Linear(inputs, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., inputs)` to `(..., channels)`."""
        if self.linear is None:
            return self.net(x)
        invariant = x.abs() if self.symmetry == "sign" else x / x.norm(dim=-1, keepdim=True).clamp_min(1e-30)
        return self.linear(x) * self.net(invariant)


class Waves(nn.Module):
    """Appends `sin(P x + p)` with learned frequencies, which suit the weights of SIRENs.

    `scales` (inputs,) are the standard deviations of each input's initial frequencies.
    """

    def __init__(self, scales: Tensor, count: int):
        super().__init__()
        self.linear = nn.Linear(len(scales), count)
        nn.init.normal_(self.linear.weight).data.mul_(scales)
        nn.init.uniform_(self.linear.bias, 0, 2 * torch.pi)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., inputs)` to `(..., inputs + count)`."""
        with torch.autocast(x.device.type, enabled=False):  # large phases need full precision
            return torch.cat([x, torch.sin(self.linear(x))], -1)


class UnitEncoder(nn.Module):
    """Initial features of hidden units, from each unit's bias and weights to the network's inputs and outputs.

    `waves` sine features are appended to the inputs, with initial frequencies of scale `wave_scales` for weights and
    for biases. Units with inner tensors only start at zero.
    """

    def __init__(
        self,
        network_spec: SpaceLike,
        in_channels: int,
        channels: int,
        waves: int = 0,
        wave_scales: tuple[float, float] = (1.0, 1.0),
        symmetry: Symmetry = "none",
    ):
        super().__init__()
        self.places = Places(as_space(network_spec), symmetry)
        self.in_channels, self.channels = in_channels, channels
        if waves and symmetry != "none":
            raise ValueError(
                f"Waves are not equivariant to {symmetry!r}: use waves=0, or make weights canonical."
            )
        self.nets = nn.ModuleList(self._net(group, waves, wave_scales) for group in self.places.groups)

    def _net(self, group: int, waves: int, wave_scales: tuple[float, float]) -> nn.Module:
        tensors = self.places.into(group)
        inputs = self.places.copies(tensors, self.in_channels)
        if not inputs:
            return nn.Identity()
        update = Update(inputs + waves, self.channels, self.places.symmetry)
        if not waves:
            return update
        space, folds = self.places.space, self.places.folds
        counts = [folds[i].copies * self.in_channels for i in tensors]
        scales = torch.empty(sum(counts))
        for part, i in zip(scales.split(counts), tensors, strict=True):
            part.fill_(wave_scales[0 if space.tensors[i].is_weight else 1])
        return nn.Sequential(Waves(scales, waves), update)

    def forward(self, wsfeat: WeightSpaceFeatures) -> Units:
        """Features `(B, in_channels, ...)` to units `(B, units, channels)`."""
        check_features(self.places.space, wsfeat, self.in_channels)
        return [
            self._encode(group, net, wsfeat) for group, net in zip(self.places.groups, self.nets, strict=True)
        ]

    def _encode(self, group: int, net: Callable[[Tensor], Tensor], wsfeat: WeightSpaceFeatures) -> Tensor:
        tensors = self.places.into(group)
        if tensors:
            return net(self.places.gather(wsfeat, tensors))
        tensor, axis = self.places.space.places(group)[0]
        x = wsfeat.tensors[tensor]
        return x.new_zeros(len(x), x.shape[2 + axis], self.channels)


class ProductMessages(nn.Module):
    """Bilinear messages along every tensor between two groups: `h_j <- h_j + update(h_j, sum_k W_jk h_k / sqrt(n))`.

    One pass visits the tensors in order, each with the units that earlier ones updated; with `backward` it visits
    them in reverse, along the transposed weights. Each kernel entry sends a message of its own. Equivariant to
    permutations of hidden units; with `symmetry` also to their signs, or to their scales (forward only,
    arXiv:2406.10685).
    """

    def __init__(
        self,
        network_spec: SpaceLike,
        in_channels: int,
        channels: int,
        backward: bool = False,
        symmetry: Symmetry = "none",
    ):
        super().__init__()
        self.places = Places(as_space(network_spec), symmetry)
        self.in_channels, self.channels, self.backward_pass = in_channels, channels, backward
        if backward and symmetry == "scale":
            raise ValueError(
                "Messages along transposed weights are not scale-equivariant: use backward=False."
            )
        self.updates = nn.ModuleList(
            Update(channels * (1 + self.places.copies([i], in_channels)), channels, symmetry)
            for i in self.places.inner
        )

    def forward(self, wsfeat: WeightSpaceFeatures, units: Units) -> Units:
        """Features `(B, in_channels, ...)` and units `(B, units, channels)` to units of the same shapes."""
        check_features(self.places.space, wsfeat, self.in_channels)
        units = list(units)
        steps = list(zip(self.places.inner, self.updates, strict=True))
        for tensor, update in reversed(steps) if self.backward_pass else steps:
            fold = self.places.folds[tensor]
            weight = fold.fold(wsfeat.tensors[tensor])
            target, source = (self.places.groups.index(group) for group in fold.axes)
            if self.backward_pass:
                weight, target, source = weight.transpose(1, 2), source, target
            inputs = torch.cat([units[target], _products(weight, units[source])], -1)
            units[target] = units[target] + update(inputs)
        return units

    def extra_repr(self) -> str:
        return f"in_channels={self.in_channels}, channels={self.channels}, backward={self.backward_pass}"


def alternating_sweeps(spec: SpaceLike, channels: int, count: int) -> nn.ModuleList:
    """`count` layers of messages of networks `(B, 1, ...)`, forward and backward in turn, forward first."""
    return nn.ModuleList(ProductMessages(spec, 1, channels, backward=i % 2 == 1) for i in range(count))


def _products(weight: Tensor, units: Tensor) -> Tensor:
    """Weights `(B, n, m, D)` times units `(B, m, K)`, over `sqrt(m)`: `(B, n, D * K)`."""
    scale = weight.shape[2] ** -0.5
    if weight.shape[3] == 1:
        return torch.bmm(weight[..., 0], units) * scale
    rows = weight.transpose(2, 3).flatten(1, 2)
    return torch.bmm(rows, units).unflatten(1, weight.shape[1::2]).flatten(2) * scale


class UnitPool(nn.Module):
    """Invariant pooling of units: averages, products with the weights to inputs and outputs, and free tensors.

    Averages are of `|h|` for the symmetry "sign", and left out for "scale".
    """

    def __init__(self, network_spec: SpaceLike, in_channels: int, channels: int, symmetry: Symmetry = "none"):
        super().__init__()
        self.places = Places(as_space(network_spec), symmetry)
        self.in_channels, self.channels = in_channels, channels

    @property
    def num_outs(self) -> int:
        """The number of outputs."""
        places, count = self.places, self.places.copies(self.places.free, self.in_channels)
        for group in places.groups:
            averages = self.channels * (places.symmetry != "scale")
            count += averages + self.channels * places.copies(places.out_of(group), self.in_channels)
        return count

    def forward(self, wsfeat: WeightSpaceFeatures, units: Units) -> Tensor:
        """Features `(B, in_channels, ...)` and units `(B, units, channels)` to `(B, num_outs)`."""
        check_features(self.places.space, wsfeat, self.in_channels)
        out = [self.places.gather(wsfeat, self.places.free)] if self.places.free else []
        for group, x in zip(self.places.groups, units, strict=True):
            out += self._of_group(wsfeat, group, x)
        return torch.cat(out, -1)

    def _of_group(self, wsfeat: WeightSpaceFeatures, group: int, units: Tensor) -> list[Tensor]:
        out = []
        if self.places.symmetry != "scale":
            out.append((units.abs() if self.places.symmetry == "sign" else units).mean(1))
        tensors = self.places.out_of(group)
        if tensors:
            ends = self.places.gather(wsfeat, tensors).transpose(1, 2)
            out.append(torch.bmm(ends, units).flatten(1) * units.shape[1] ** -0.5)
        return out


class WidePool(nn.Module):
    """`UnitPool` of `wide` features of each unit: `silu(linear(h))`, with other weights for each group."""

    def __init__(self, network_spec: SpaceLike, in_channels: int, channels: int, wide: int):
        super().__init__()
        self.pool = UnitPool(network_spec, in_channels, wide)
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, wide), nn.SiLU()) for _ in self.pool.places.groups
        )

    @property
    def num_outs(self) -> int:
        """The number of outputs."""
        return self.pool.num_outs

    def forward(self, wsfeat: WeightSpaceFeatures, units: Units) -> Tensor:
        """Features `(B, in_channels, ...)` and units `(B, units, channels)` to `(B, num_outs)`."""
        return self.pool(wsfeat, [net(x) for net, x in zip(self.nets, units, strict=True)])
