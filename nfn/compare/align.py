"""Weight matching (Git Re-Basin, arXiv:2209.04836, section 3.2): put the hidden units of one network in the order in
which they are most like another's.

Maximizes Σ ⟨A, P(B)⟩ over all tensors by coordinate descent: for one group of units after the other the assignment is
solved exactly with the others held, until nothing moves.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nfn.architecture.axes import AxisLabels, axes_of
from nfn.architecture.graph import Architecture
from nfn.compare.assignment import best_assignment
from nfn.space import WeightSpace

SWEEPS = 30


@dataclass(frozen=True, eq=False)
class Place:
    """An axis of a tensor (or of some of its rows) over a group: `index[unit, slot]` are its entries."""

    name: str
    rows: slice
    axis: int
    index: Tensor


@dataclass(frozen=True)
class Symmetry:
    """For each hidden group, its number of units and all axes over it."""

    sizes: Mapping[int, int]
    places: Mapping[int, tuple[Place, ...]]

    @classmethod
    def of_graph(cls, architecture: Architecture) -> "Symmetry":
        """The symmetry of a graph (`nfn.architecture.axes`)."""
        axes = axes_of(architecture)
        sizes = {group: axes.groups[group].size for group in axes.hidden}
        places: dict[int, list[Place]] = {group: [] for group in sizes}
        for piece in axes.pieces:
            for axis, labels in enumerate(piece.axes):
                if labels is not None:
                    for group in set(labels.group.tolist()) & set(sizes):
                        index = _index(labels, group, sizes[group])
                        places[group].append(Place(piece.name, piece.rows, axis, index))
        return cls(sizes, {group: tuple(uses) for group, uses in places.items()})

    @classmethod
    def of_space(cls, space: WeightSpace) -> "Symmetry":
        """The symmetry of a weight space, for tensors by its names."""
        sizes = {group: space.groups[group] for group in sorted(space.permuting)}
        return cls(
            sizes,
            {
                group: tuple(
                    Place(space.tensors[i].name, slice(None), axis, torch.arange(size)[:, None])
                    for i, axis in space.places(group)
                )
                for group, size in sizes.items()
            },
        )

    def permute(self, tensors: Mapping[str, Tensor], orders: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """Permute tensors: unit `order[k]` of each group moves to index `k`."""
        out = {name: tensor.clone() for name, tensor in tensors.items()}
        for group, order in orders.items():
            for place in self.places[group]:
                part = out[place.name][place.rows]
                taken = torch.arange(part.shape[place.axis])
                taken[place.index.flatten()] = place.index[order].flatten()
                out[place.name][place.rows] = part.index_select(place.axis, taken)
        return out


def _index(labels: AxisLabels, group: int, size: int) -> Tensor:
    here = np.flatnonzero(labels.group == group)
    index = torch.zeros(size, int(labels.slot[here].max()) + 1, dtype=torch.long)
    index[labels.unit[here], labels.slot[here]] = torch.from_numpy(here)
    return index


@dataclass(frozen=True, eq=False)
class Alignment:
    """`tensors` are b's in a's order; `orders[group][k]` is the unit of b that stands at place `k`.

    `distance` is ‖P(b) - a‖ / ‖a‖ over all tensors, `before` the same without alignment; `moved` of `units` did move.
    """

    tensors: dict[str, Tensor]
    orders: dict[int, Tensor]
    before: float
    distance: float
    moved: int
    units: int


@torch.no_grad()
def align(symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor], seed: int = 0) -> Alignment:
    """Align b with a; both have the tensors that the symmetry names, in equal shapes.

    Raises ValueError where a value is not finite.
    """
    orders = {group: torch.arange(size) for group, size in symmetry.sizes.items()}
    generator, current = torch.Generator().manual_seed(seed), dict(b)
    for _ in range(SWEEPS):
        moved = False
        groups = list(orders)
        for number in torch.randperm(len(groups), generator=generator).tolist():
            group = groups[number]
            step = torch.from_numpy(best_assignment(_gain(symmetry, group, a, current)))
            if not torch.equal(step, torch.arange(len(step))):
                orders[group], moved = orders[group][step], True
                current = symmetry.permute(current, {group: step})
        if not moved:
            break
    away = sum(int((order != torch.arange(len(order))).sum()) for order in orders.values())
    units = sum(symmetry.sizes.values())
    return Alignment(current, orders, relative_distance(a, b), relative_distance(a, current), away, units)


def _gain(symmetry: Symmetry, group: int, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> np.ndarray:
    """The similarity of unit i of a and unit j of b: the sum of products of all their weights."""
    size = symmetry.sizes[group]
    total = torch.zeros(size, size, dtype=torch.float64)
    for place in symmetry.places[group]:
        one, other = (by_unit(tensors[place.name][place.rows], place) for tensors in (a, b))
        total += one @ other.T
    return total.numpy()


def by_unit(part: Tensor, place: Place) -> Tensor:
    """All entries of each unit of a tensor (or of its `place.rows`), `(units, entries)`."""
    return part.movedim(place.axis, 0)[place.index].flatten(1).double()


def relative_distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """‖b - a‖ / ‖a‖ over all tensors."""
    difference = sum(float((b[name] - tensor).double().square().sum()) for name, tensor in a.items())
    length = sum(float(tensor.double().square().sum()) for tensor in a.values())
    return math.sqrt(difference / length) if length else float(difference > 0)


def between(a: Mapping[str, Tensor], b: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Linear interpolation of tensors from a (0) to b (1)."""
    return {name: torch.lerp(tensor, b[name], share) for name, tensor in a.items()}
