"""Levels: which tensors share a matrix product in a linear map that commutes with permutations of units.

Tensors here are folded (`folding.py`): `(B, *axes, D)` with one axis per permuting axis. The equivariant maps from
one tensor to another are exactly: average over some axes, multiply channels by a matrix, repeat along the axes that
only the output has (arXiv:2302.14040, section 2 and appendices B, C, for chains). Maps that keep axes of the same
groups share their input, so each *level*, a set of kept groups, is one matrix product:

    ()      all tensors, averaged to (B, D)                     -> a term for every tensor
    (g,)    all tensors with an axis of group g, (B, n_g, D)    -> a term for each of these
    (h, g)  all with an axis of h and one of g, (B, n_h, n_g, D), in either order

and so on for more axes. A tensor with the same group twice, `(g, g)`, contributes its rows and its columns to level
`(g,)`, and itself and its transpose to level `(g, g)`; its diagonal, a *face* of it, contributes like a tensor of its
own. There is one map per partition of the axes of both tensors, which makes the set of maps complete.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nfn.layers.folding import Fold

Order = tuple[int, ...]
"""Axes of a face that a level keeps, in the order of the level's groups."""
View = tuple[int, Order]
"""A face, and the axes of it that a level keeps."""


@dataclass(frozen=True)
class Face:
    """A tensor, or a diagonal of it, on which the axes of each block are equal; `groups` has one group per block."""

    tensor: int
    blocks: tuple[tuple[int, ...], ...]
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Own:
    """A face with exactly the axes of a level, in this order; `start:stop` are its channels in the level."""

    face: int
    order: Order
    start: int
    stop: int


@dataclass(frozen=True)
class Drop:
    """Channels `source` of level `parent`, averaged over its axis `slot`, become channels `start:stop` of a level."""

    parent: int
    slot: int
    source: tuple[int, int]
    start: int
    stop: int


@dataclass(frozen=True)
class Level:
    """The inputs (or outputs) on axes of `groups`: first `own` faces, then `drops`; `faces` lists all in order.

    Channel indices and `width` are in copies, that is folded channels per feature channel.
    """

    groups: tuple[int, ...]
    own: tuple[Own, ...]
    drops: tuple[Drop, ...]
    faces: tuple[int, ...]
    width: int


@dataclass(frozen=True)
class Levels:
    """All levels, those with most axes first, on the input and on the output side.

    The sides differ only if a group occurs twice in a tensor: inputs then have every order of its axes, outputs
    one. Faces are the tensors in order, then diagonals.
    """

    faces: tuple[Face, ...]
    copies: tuple[int, ...]
    inputs: tuple[Level, ...]
    outputs: tuple[Level, ...]

    @classmethod
    def of(cls, folds: Sequence[Fold]) -> "Levels":
        per_tensor = [
            [Face(i, blocks, tuple(fold.axes[block[0]] for block in blocks)) for blocks in fold.partitions]
            for i, fold in enumerate(folds)
        ]
        wholes = [whole for whole, *_ in per_tensor]
        faces = (*wholes, *(face for _, *diagonals in per_tensor for face in diagonals))
        copies = tuple(folds[face.tensor].copies for face in faces)
        return cls(
            faces, copies, _levels(faces, copies, every_order=True), _levels(faces, copies, every_order=False)
        )


def _orders(face: Face, every_order: bool) -> Iterator[Order]:
    """The axes that each level keeps of a face, groups descending; axes of one group in every order, or in one."""
    axes = sorted(range(len(face.groups)), key=lambda axis: -face.groups[axis])
    for count in range(len(axes) + 1):
        for kept in itertools.combinations(axes, count):
            orders = itertools.permutations(kept) if every_order else [kept]
            yield from (order for order in orders if _groups(face, order) == _groups(face, kept))


def _groups(face: Face, order: Order) -> tuple[int, ...]:
    return tuple(face.groups[axis] for axis in order)


def _source(face: Face, order: Order) -> tuple[Order, int]:
    """The order, one level up, that is averaged to get this order of a face, and the averaged axis in it."""

    def rank(axis: int) -> tuple[int, int]:
        return -face.groups[axis], axis

    missing = min(set(range(len(face.groups))) - set(order), key=rank)
    slot = sum(rank(axis) < rank(missing) for axis in order)
    return (*order[:slot], missing, *order[slot:]), slot


def _levels(faces: Sequence[Face], copies: Sequence[int], every_order: bool) -> tuple[Level, ...]:
    builder = _LevelBuilder(faces, copies, every_order)
    all_groups = {builder.groups(view) for view in builder.views}
    for groups in sorted(all_groups, key=lambda groups: (-len(groups), groups)):
        builder.add_level(groups)
    return tuple(builder.levels)


class _LevelBuilder:
    """Builds levels, those with most axes first: each averages parts of earlier ones."""

    def __init__(self, faces: Sequence[Face], copies: Sequence[int], every_order: bool):
        self.faces, self.copies = faces, copies
        self.views = [(f, order) for f, face in enumerate(faces) for order in _orders(face, every_order)]
        averages = [(f, order) for f, order in self.views if len(order) < len(faces[f].groups)]
        self.sources = {(f, order): _source(faces[f], order) for f, order in averages}
        self.averaged = {(f, source) for (f, _), (source, _) in self.sources.items()}
        self.levels: list[Level] = []
        self.turned: list[bool] = []
        self.places: dict[View, tuple[int, int]] = {}  # level, and start of its channels there

    def groups(self, view: View) -> tuple[int, ...]:
        return _groups(self.faces[view[0]], view[1])

    def add_level(self, groups: tuple[int, ...]) -> None:
        here = [view for view in self.views if self.groups(view) == groups]
        # Views that a lower level averages come first, so that they are one slice.
        own = sorted((v for v in here if v not in self.sources), key=lambda v: v not in self.averaged)
        arrivals = sorted((v for v in here if v in self.sources), key=self._arrival)
        # Two axes keep the order of the first tensor, so that it is not copied.
        turned = len(groups) == 2 and not arrivals and own[0][1] == (1, 0)
        owned, drops, place = [], [], 0
        for view in (*own, *arrivals):
            self.places[view] = len(self.levels), place
            if view in self.sources:
                drops.append(self._drop(view, place))
            else:
                order = view[1][::-1] if turned else view[1]
                owned.append(Own(view[0], order, place, place + self.copies[view[0]]))
            place += self.copies[view[0]]
        faces = tuple(face for face, _ in (*own, *arrivals))
        groups = groups[::-1] if turned else groups
        self.turned.append(turned)
        self.levels.append(Level(groups, tuple(owned), _merged(drops), faces, place))

    def _arrival(self, view: View) -> tuple[bool, int, int, int]:
        drop = self._drop(view, 0)
        return view not in self.averaged, drop.parent, drop.slot, drop.source[0]

    def _drop(self, view: View, place: int) -> Drop:
        face, (source, slot) = view[0], self.sources[view]
        parent, start = self.places[face, source]
        stop = start + self.copies[face]
        return Drop(
            parent, 1 - slot if self.turned[parent] else slot, (start, stop), place, place + stop - start
        )


def _merged(drops: Sequence[Drop]) -> tuple[Drop, ...]:
    """Merge drops whose channels are adjacent in their parent too, so that one average serves both."""
    out: list[Drop] = []
    for drop in drops:
        last = out[-1] if out else None
        if last and (last.parent, last.slot, last.source[1]) == (drop.parent, drop.slot, drop.source[0]):
            out[-1] = Drop(last.parent, last.slot, (last.source[0], drop.source[1]), last.start, drop.stop)
        else:
            out.append(drop)
    return tuple(out)
