"""Derive from the graph which axes of which tensors permute together.

Every channel of every value is a *unit*. Ops pass units on (pooling), create new ones (convolutions), join them (a sum
joins unit k of one input with unit k of the other) or spread them (after flattening, `h * w` entries belong to one
unit; the index of an entry among them is its *role*). Units that occur on the same axes in the same roles are
interchangeable: they form a group. This is the permutation symmetry of arXiv:2302.14040, section 2, for any graph
(compare the hand-written `perm_spec` of arXiv:2402.05232).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nfn.architecture import ops
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Op, Shape

Side = Literal["hidden", "input", "output", "fixed"]


@dataclass(frozen=True)
class UnitGroup:
    """Interchangeable units; only permutations of `hidden` groups leave the function unchanged."""

    size: int
    side: Side


@dataclass(frozen=True, eq=False)
class AxisLabels:
    """For each entry along an axis: its group, its unit within the group, and its slot among the unit's entries."""

    group: np.ndarray
    unit: np.ndarray
    slot: np.ndarray

    def order(self, permutations: Mapping[int, np.ndarray]) -> np.ndarray:
        """The source index of each entry when unit `p[k]` of a group moves to index `k`."""
        moved = self.unit.copy()
        for group, permutation in permutations.items():
            here = self.group == group
            moved[here] = np.asarray(permutation)[self.unit[here]]
        shape = (int(self.unit.max()) + 1, int(self.slot.max()) + 1)
        keys = (self.group * shape[0] + self.unit) * shape[1] + self.slot
        sought = (self.group * shape[0] + moved) * shape[1] + self.slot
        ranks = np.argsort(keys)
        return ranks[np.searchsorted(keys[ranks], sought)]


@dataclass(frozen=True)
class Piece:
    """A tensor, or some of its rows (one block of a grouped convolution), and its axis labels (None: fixed)."""

    name: str
    rows: slice
    axes: tuple[AxisLabels | None, ...]


@dataclass(frozen=True)
class Axes:
    """The groups of an architecture, and the tensors with axes over them."""

    groups: tuple[UnitGroup, ...]
    pieces: tuple[Piece, ...]

    @property
    def hidden(self) -> tuple[int, ...]:
        """The groups of two or more units that can be permuted without changing the function."""
        return tuple(i for i, g in enumerate(self.groups) if g.side == "hidden" and g.size > 1)

    def random_permutations(self, generator: torch.Generator | None = None) -> dict[int, np.ndarray]:
        """One random permutation per hidden group."""
        return {i: torch.randperm(self.groups[i].size, generator=generator).numpy() for i in self.hidden}

    def permute(
        self, tensors: Mapping[str, Tensor], permutations: Mapping[int, np.ndarray]
    ) -> dict[str, Tensor]:
        """Permute the units of groups; for hidden groups the function stays the same.

        Raises ValueError for a permutation of the wrong length.
        """
        for group, permutation in permutations.items():
            if sorted(permutation) != list(range(self.groups[group].size)):
                raise ValueError(
                    f"Group {group} has {self.groups[group].size} units; got {len(permutation)} places."
                )

        def reorder(part: Tensor, dim: int, labels: AxisLabels) -> Tensor:
            return part.index_select(dim, torch.from_numpy(labels.order(permutations)).to(part.device))

        return self._changed(tensors, reorder)

    def rescale(self, tensors: Mapping[str, Tensor], factors: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """Multiply each unit's incoming weights by its factor, and divide outgoing weights by it.

        `factors[g]` is `(size,)`. The function stays the same for positive factors and ReLU units without batch norm
        after them: `relu(q z) = q relu(z)`.
        """

        def multiply(part: Tensor, dim: int, labels: AxisLabels) -> Tensor:
            along = part.new_ones(len(labels.group))
            for group, factor in factors.items():
                here = torch.from_numpy(labels.group == group)
                along[here] = factor.to(part)[torch.from_numpy(labels.unit)[here]]
            along = along.view(-1, *[1] * (part.dim() - dim - 1))
            return part * along if dim == 0 else part / along

        return self._changed(tensors, multiply)

    def _changed(
        self, tensors: Mapping[str, Tensor], change: Callable[[Tensor, int, AxisLabels], Tensor]
    ) -> dict[str, Tensor]:
        """Copies of the tensors with `change` applied to every labelled axis."""
        out = dict(tensors)
        for piece in self.pieces:
            part = tensors[piece.name][piece.rows]
            for dim, labels in enumerate(piece.axes):
                if labels is not None:
                    part = change(part, dim, labels)
            if out[piece.name] is tensors[piece.name]:
                out[piece.name] = tensors[piece.name].clone()
            out[piece.name][piece.rows] = part
        return out


def axes_of(architecture: Architecture) -> Axes:
    """The groups of an architecture, numbered by first appearance."""
    walk = _Walk()
    values = [walk.new(architecture.input_shape[0])]
    walk.mark(values[0], "input")
    for op, shape in zip(architecture.ops, architecture.values[1:], strict=True):
        before = [architecture.values[i] for i in op.inputs]
        values.append(walk.step(op, [values[i] for i in op.inputs], before, shape, architecture.shapes))
    walk.mark(values[-1], "output")
    return walk.result()


@dataclass(frozen=True, eq=False)
class _Layout:
    """The unit and role of each entry along the channels of a value, or along an axis of a tensor."""

    units: np.ndarray
    roles: np.ndarray

    def spread(self, count: int, inner: bool = True) -> "_Layout":
        """Repeat each entry `count` times in new roles: copies adjacent (`inner`), or the whole axis tiled."""
        repeat = np.repeat if inner else np.tile
        places = (
            np.tile(np.arange(count), len(self.units))
            if inner
            else np.repeat(np.arange(count), len(self.units))
        )
        return _Layout(repeat(self.units, count), repeat(self.roles, count) * count + places)

    def part(self, where: slice) -> "_Layout":
        return _Layout(self.units[where], self.roles[where])


@dataclass(frozen=True)
class _Met:
    """A piece of a tensor before all units are joined."""

    name: str
    rows: slice
    axes: tuple[_Layout | None, ...]


class _Walk:
    """Visits the ops once, in order, and joins units by union-find."""

    def __init__(self):
        self.parent: list[int] = []
        self.marks: list[tuple[np.ndarray, Side]] = []
        self.met: dict[tuple[str, int], _Met] = {}

    def new(self, count: int) -> _Layout:
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        return _Layout(np.arange(first, first + count), np.zeros(count, dtype=np.int64))

    def mark(self, layout: _Layout, side: Side) -> None:
        self.marks.append((layout.units, side))

    def find(self, unit: int) -> int:
        root = unit
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[unit] != root:
            self.parent[unit], unit = root, self.parent[unit]
        return root

    def join(self, one: _Layout, other: _Layout) -> _Layout:
        """Join entry k of one value with entry k of the other, which permute together if their roles agree."""
        if not np.array_equal(one.roles, other.roles):
            self.mark(one, "fixed")
            self.mark(other, "fixed")
            return one
        for a, b in zip(one.units.tolist(), other.units.tolist(), strict=True):
            self.parent[self.find(b)] = self.find(a)
        return one

    def meet(self, name: str, axes: tuple[_Layout | None, ...], rows: slice = slice(None)) -> None:
        """Record that a tensor has these axes; a second use joins its units with those of the first."""
        key = (name, rows.start or 0)
        if key in self.met:
            for old, new in zip(self.met[key].axes, axes, strict=True):
                if old is not None and new is not None:
                    self.join(old, new)
        else:
            self.met[key] = _Met(name, rows, axes)

    def step(
        self, op: Op, inputs: list[_Layout], before: list[Shape], after: Shape, shapes: Mapping[str, Shape]
    ) -> _Layout:
        """The layout of an op's result."""
        x = inputs[0]
        match op:
            case ops.Conv():
                return self._convolve(op, x, after[0], shapes)
            case ops.Linear():
                out = self.new(after[0])
                self.meet(op.weight, (x, out) if op.transposed else (out, x))
                return self._with_vectors(op.tensors[1:], out)
            case ops.BatchNorm() | ops.ChannelAffine():
                return self._with_vectors(op.tensors, x)
            case ops.PRelu():
                return self._with_vectors(op.tensors if shapes[op.weight] == after[:1] else (), x)
            case ops.Flatten():
                area = after[0] // before[0][0]
                return x.spread(area, inner=op.order == "chw")
            case ops.Reshape():
                return self._reshape(x, before[0], after)
            case ops.Add() | ops.Multiply():
                for other in inputs[1:]:
                    self.join(x, other)
                return x
            case ops.Concat():
                return _Layout(
                    np.concatenate([v.units for v in inputs]), np.concatenate([v.roles for v in inputs])
                )
            case ops.Scale() if len({*op.factor}) > 1 or len({*op.offset}) > 1:
                self.mark(x, "fixed")
                return x
            case ops.Pad():
                first, last = (self.new(count) for count in op.channels)
                return _Layout(
                    np.concatenate([first.units, x.units, last.units]),
                    np.concatenate([first.roles, x.roles, last.roles]),
                )
            case _:
                return x

    def _with_vectors(self, names: tuple[str, ...], layout: _Layout) -> _Layout:
        for name in names:
            self.meet(name, (layout,))
        return layout

    def _convolve(self, op: ops.Conv, x: _Layout, channels: int, shapes: Mapping[str, Shape]) -> _Layout:
        width = shapes[op.weight][1]
        if op.groups > 1 and width == 1:  # depthwise: an output belongs to its input
            out = x.spread(channels // op.groups)
            self.meet(op.weight, (out, None, None, None))
        else:
            out, rows = self.new(channels), channels // op.groups
            for block in range(op.groups):
                where = slice(block * rows, (block + 1) * rows) if op.groups > 1 else slice(None)
                columns = x.part(slice(block * width, (block + 1) * width))
                self.meet(op.weight, (out.part(where), columns, None, None), where)
        return self._with_vectors(op.tensors[1:], out)

    def _reshape(self, x: _Layout, before: Shape, after: Shape) -> _Layout:
        """Reshape to a vector as flattening, to an image if each channel is of one unit; else fix the units."""
        if len(before) == 3:
            x = x.spread(before[1] * before[2])
        if len(after) == 1:
            return x
        area = after[1] * after[2]
        units, roles = x.units.reshape(after[0], area), x.roles.reshape(after[0], area)
        if (units == units[:, :1]).all() and (roles == roles[:, :1] + np.arange(area)).all():
            return _Layout(units[:, 0], roles[:, 0] // area)
        self.mark(x, "fixed")
        out = self.new(after[0])
        self.mark(out, "fixed")
        return out

    def result(self) -> Axes:
        """Group units with equal signatures, that is the axes and roles in which they occur."""
        roots = np.array([self.find(unit) for unit in range(len(self.parent))])
        sides: dict[int, Side] = {}
        for units, side in self.marks:
            for root in roots[units].tolist():
                sides[root] = side if sides.get(root, side) == side else "fixed"
        met = list(self.met.values())
        axes = [
            (i, dim, layout)
            for i, m in enumerate(met)
            for dim, layout in enumerate(m.axes)
            if layout is not None
        ]
        signatures: dict[int, list[tuple[int, int]]] = {}
        for number, (_, _, layout) in enumerate(axes):
            for root, role in zip(roots[layout.units].tolist(), layout.roles.tolist(), strict=True):
                signatures.setdefault(root, []).append((number, role))
        groups, places = _group(signatures, sides)
        labels = {(i, dim): _label(roots[layout.units], layout.roles, places) for i, dim, layout in axes}
        pieces = [
            Piece(m.name, m.rows, tuple(labels.get((i, dim)) for dim in range(len(m.axes))))
            for i, m in enumerate(met)
        ]
        return Axes(tuple(groups), tuple(pieces))


def _group(
    signatures: Mapping[int, list[tuple[int, int]]], sides: Mapping[int, Side]
) -> tuple[list[UnitGroup], dict[int, tuple[int, int]]]:
    """The groups, and for each root its group and its index there."""
    members: dict[tuple, list[int]] = {}
    for root, signature in signatures.items():
        side = sides.get(root, "hidden")
        alone = root if side == "fixed" else -1
        members.setdefault((side, alone, tuple(sorted(signature))), []).append(root)
    groups = [UnitGroup(len(roots), key[0]) for key, roots in members.items()]
    places = {
        root: (number, place)
        for number, roots in enumerate(members.values())
        for place, root in enumerate(roots)
    }
    return groups, places


def _label(units: np.ndarray, roles: np.ndarray, places: Mapping[int, tuple[int, int]]) -> AxisLabels:
    """The labels along one axis; slots number a unit's entries in order of role, then of position."""
    group, unit = np.array([places[root] for root in units.tolist()]).reshape(-1, 2).T
    ranks = np.lexsort((np.arange(len(units)), roles, unit, group))
    starts = np.flatnonzero(np.r_[True, (np.diff(group[ranks]) != 0) | (np.diff(unit[ranks]) != 0)])
    counts = np.diff(np.r_[starts, len(ranks)])
    slot = np.empty(len(units), dtype=np.int64)
    slot[ranks] = np.arange(len(ranks)) - np.repeat(starts, counts)
    return AxisLabels(group, unit, slot)
