"""The weight space of any network, without tensors: the shape of each tensor, and the group that permutes each axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn.spec import ANY, NetworkSpec


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a network: its name, its shape (`ANY` for unknown sizes), and its axes.

    `axes[d]` is the number of the group whose units axis `d` runs over; None for an axis that does not permute,
    such as kernel height, or the pixel positions of a linear layer after a flatten, which is stored as
    `(out, channels, height * width)` with `axes = (group of out, group of channels, None)`.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[int | None, ...]

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        object.__setattr__(self, "axes", tuple(self.axes))
        if len(self.shape) != len(self.axes):
            raise ValueError(
                f"Tensor {self.name!r} has shape {self.shape} and axes {self.axes}: expected a group or None for "
                "each axis."
            )

    @property
    def layer(self) -> str:
        """The name up to the last dot, which the tensors of a layer share."""
        return self.name.rpartition(".")[0]

    @property
    def label(self) -> str:
        """The name for the start of an error message."""
        layer, dot, rest = self.name.rpartition(".")
        return f"Layer {layer} {rest}" if dot else f"Tensor {self.name}"

    @property
    def is_weight(self) -> bool:
        """Whether it has more than one axis; a bias, or a scale per channel, has one."""
        return len(self.shape) > 1


@dataclass(frozen=True)
class WeightSpace:
    """Tensors whose axes run over shared groups of units (arXiv:2402.05232, section 3).

    `groups[g]` is the number of units of group `g`, or `ANY`. A permutation of a group permutes every axis of that
    group; for a group in `permuting` (the hidden ones) it does not change the network's function. The other groups
    are the network's inputs and outputs.

        >>> space = WeightSpace.of_spec(NetworkSpec.mlp(2, 5, 1))
        >>> space.tensors[0]
        TensorSpec(name='0.weight', shape=(5, 2), axes=(1, 0))
    """

    tensors: tuple[TensorSpec, ...]
    groups: tuple[int, ...]
    permuting: frozenset[int]

    def __post_init__(self):
        object.__setattr__(self, "tensors", tuple(self.tensors))
        object.__setattr__(self, "groups", tuple(int(size) for size in self.groups))
        object.__setattr__(self, "permuting", frozenset(self.permuting))
        if not self.tensors:
            raise ValueError("A weight space needs at least one tensor; got none.")
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) < len(names):
            raise ValueError(f"Two tensors have the same name in {names}.")
        for tensor in self.tensors:
            self._check_axes(tensor)
        unknown = sorted(self.permuting - set(range(len(self.groups))))
        if unknown:
            raise ValueError(f"Groups {unknown} permute, but there are only {len(self.groups)} groups.")

    def _check_axes(self, tensor: TensorSpec) -> None:
        for axis, (size, group) in enumerate(zip(tensor.shape, tensor.axes, strict=True)):
            if group is None:
                continue
            if group not in range(len(self.groups)):
                raise ValueError(
                    f"Axis {axis} of {tensor.name!r} runs over group {group}, but there are only "
                    f"{len(self.groups)} groups."
                )
            if size not in (ANY, self.groups[group]):
                raise ValueError(
                    f"Axis {axis} of {tensor.name!r} has size {size}, but its group {group} has "
                    f"{self.groups[group]} units."
                )

    def __len__(self) -> int:
        return len(self.tensors)

    @classmethod
    def of_spec(cls, spec: NetworkSpec) -> "WeightSpace":
        """The weight space of a chain of layers, with tensors `0.weight`, `0.bias`, `1.weight` and so on.

        Group 0 is the inputs, group `i + 1` the outputs of layer `i`; the hidden groups permute.
        """
        tensors: list[TensorSpec] = []
        for i, (weight, bias) in enumerate(zip(spec.weight_spec, spec.bias_spec, strict=True)):
            kernel = (None,) * (len(weight.shape) - 2)
            tensors.append(TensorSpec(f"{i}.weight", weight.shape, (i + 1, i, *kernel)))
            tensors.append(TensorSpec(f"{i}.bias", bias.shape, (i + 1,)))
        sizes = [ANY] * (len(spec) + 1)
        for tensor in tensors:
            for size, group in zip(tensor.shape, tensor.axes, strict=True):
                if group is not None and size != ANY:
                    sizes[group] = size
        return cls(tuple(tensors), tuple(sizes), frozenset(range(1, len(spec))))

    @property
    def ends(self) -> tuple[int, ...]:
        """The groups that do not permute, inputs and outputs, in ascending order."""
        return tuple(group for group in range(len(self.groups)) if group not in self.permuting)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in order of their first tensors."""
        return tuple(dict.fromkeys(tensor.layer for tensor in self.tensors))

    def count_kinds(self) -> tuple[int, int]:
        """The number of tensors with more than one axis (weights), and with one (biases)."""
        weights = sum(tensor.is_weight for tensor in self.tensors)
        return weights, len(self.tensors) - weights

    def places(self, group: int) -> tuple[tuple[int, int], ...]:
        """Every `(tensor number, axis)` that runs over `group`."""
        return tuple(
            (i, axis)
            for i, tensor in enumerate(self.tensors)
            for axis, g in enumerate(tensor.axes)
            if g == group
        )

    def get_num_params(self) -> int:
        """The number of entries of all tensors; ValueError if a size is unknown."""
        for tensor in self.tensors:
            if ANY in tensor.shape:
                raise ValueError(
                    f"Cannot count parameters: {tensor.name!r} has an unknown size (-1) in {tensor.shape}."
                )
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    def random_permutations(
        self, generator: torch.Generator | None = None, ends: bool = False
    ) -> dict[int, Tensor]:
        """A random permutation per permuting group; with `ends` one per group, inputs and outputs too.

        Raises ValueError for a group of unknown size.
        """
        groups = range(len(self.groups)) if ends else sorted(self.permuting)
        unknown = [group for group in groups if self.groups[group] == ANY]
        if unknown:
            raise ValueError(
                f"The sizes of groups {unknown} are unknown (-1) in {self.groups}; build a space that has them."
            )
        return {group: torch.randperm(self.groups[group], generator=generator) for group in groups}

    def permute(self, tensors: Sequence[Tensor], permutations: Mapping[int, Tensor]) -> list[Tensor]:
        """Permute units: entry `p[k]` of a group moves to index `k`, on every axis of this group.

        `tensors` are those of this space, in its order, each with any leading dimensions: `(*shape)`, or
        `(B, C, *shape)` for features. Raises ValueError for a wrong number of tensors, an unknown group or a
        permutation of another size.
        """
        self.check_number(tensors)
        unknown = sorted(set(permutations) - set(range(len(self.groups))))
        if unknown:
            raise ValueError(
                f"Got permutations of groups {unknown}, but there are only {len(self.groups)} groups."
            )
        axes = {place: order for group, order in permutations.items() for place in self.places(group)}
        return self.permute_axes(tensors, axes)

    def permute_axes(
        self, tensors: Sequence[Tensor], orders: Mapping[tuple[int, int], Tensor]
    ) -> list[Tensor]:
        """Permute single axes, keyed by `(tensor number, axis)`, independently of their groups.

        This changes the network's function unless all axes of a group are permuted alike; `nfn.checks` uses it.
        """
        self.check_number(tensors)
        out = list(tensors)
        for (i, axis), order in orders.items():
            dim = out[i].dim() - len(self.tensors[i].shape) + axis
            if dim < 0 or len(order) != out[i].shape[dim]:
                raise ValueError(
                    f"A permutation of {len(order)} for axis {axis} of {self.tensors[i].name!r}, which is "
                    f"{tuple(out[i].shape)}."
                )
            out[i] = out[i].index_select(dim, order.to(out[i].device))
        return out

    def check_number(self, tensors: Sequence[Tensor]) -> None:
        """Raise ValueError unless `tensors` has as many tensors as this space."""
        if len(tensors) != len(self):
            raise ValueError(f"Got {len(tensors)} tensors for a weight space of {len(self)}.")


SpaceLike = NetworkSpec | WeightSpace


def as_space(spec: SpaceLike) -> WeightSpace:
    """Convert a `NetworkSpec` to a `WeightSpace`; return a `WeightSpace` unchanged."""
    return WeightSpace.of_spec(spec) if isinstance(spec, NetworkSpec) else spec
