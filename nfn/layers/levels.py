"""Which tensors meet where: the index sets behind every linear map that commutes with permutations of units.

Tensors here are folded (`folding.py`): `(B, *axes, D)` with one axis for each that permutes. The equivariant maps
from one tensor to another are exactly: average over some axes, multiply channels by a matrix, repeat along the axes
that the output has in addition (arXiv:2302.14040, section 2 and appendices B, C, for chains). Maps that keep axes of
the same groups share their input, so each *level*, a set of groups that are kept, is one matrix product:

    ()      all tensors, averaged to (B, D)                     -> a term for every tensor
    (g,)    all tensors with an axis of group g, (B, n_g, D)    -> a term for each of these
    (h, g)  all with an axis of h and one of g, (B, n_h, n_g, D), whichever comes first

and so on for more axes. A tensor with the same group twice, `(g, g)`, meets level `(g,)` with its rows and with its
columns, and level `(g, g)` as it is and transposed; its diagonal, a *face* of it, meets levels like a tensor of its
own. One map for each partition of the axes of both tensors: the family is complete.
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
    """A tensor, or a diagonal of it: the axes of each block run together, over `groups[block]`."""

    tensor: int
    blocks: tuple[tuple[int, ...], ...]
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Own:
    """A face that has the axes of a level and no others, in this order, and its place among the level's channels."""

    face: int
    order: Order
    start: int
    stop: int


@dataclass(frozen=True)
class Drop:
    """Channels `source` of level `parent` come to `start:stop` of a level, averaged over the parent's axis `slot`."""

    parent: int
    slot: int
    source: tuple[int, int]
    start: int
    stop: int


@dataclass(frozen=True)
class Level:
    """What meets on axes of `groups`: first `own` faces, then what `drops` bring. `faces` lists all of them in order.

    Places and `width` count copies, that is folded channels per channel of a feature.
    """

    groups: tuple[int, ...]
    own: tuple[Own, ...]
    drops: tuple[Drop, ...]
    faces: tuple[int, ...]
    width: int


@dataclass(frozen=True)
class Levels:
    """All levels, those with most axes first, as inputs meet there and as outputs do.

    Both are the same unless a group comes twice in a tensor: then inputs meet in every order of its axes, outputs
    in one. Faces are the tensors in their order, then diagonals.
    """

    faces: tuple[Face, ...]
    copies: tuple[int, ...]
    inputs: tuple[Level, ...]
    outputs: tuple[Level, ...]

    @classmethod
    def of(cls, folds: Sequence[Fold]) -> "Levels":
        found = [
            [Face(i, blocks, tuple(fold.axes[block[0]] for block in blocks)) for blocks in fold.partitions]
            for i, fold in enumerate(folds)
        ]
        faces = (*(whole for whole, *_ in found), *(face for _, *diagonals in found for face in diagonals))
        copies = tuple(folds[face.tensor].copies for face in faces)
        return cls(
            faces, copies, _meet(faces, copies, every_order=True), _meet(faces, copies, every_order=False)
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
    """With which axis more, and at which place, the average that a level keeps of a face is found one level up."""

    def rank(axis: int) -> tuple[int, int]:
        return -face.groups[axis], axis

    missing = min(set(range(len(face.groups))) - set(order), key=rank)
    slot = sum(rank(axis) < rank(missing) for axis in order)
    return (*order[:slot], missing, *order[slot:]), slot


def _meet(faces: Sequence[Face], copies: Sequence[int], every_order: bool) -> tuple[Level, ...]:
    meeting = _Meeting(faces, copies, every_order)
    found = {meeting.groups(view) for view in meeting.views}
    for groups in sorted(found, key=lambda groups: (-len(groups), groups)):
        meeting.add_level(groups)
    return tuple(meeting.levels)


class _Meeting:
    """Levels in the making, those with most axes first: each finds its averages among those that are there."""

    def __init__(self, faces: Sequence[Face], copies: Sequence[int], every_order: bool):
        self.faces, self.copies = faces, copies
        self.views = [(f, order) for f, face in enumerate(faces) for order in _orders(face, every_order)]
        averages = [(f, order) for f, order in self.views if len(order) < len(faces[f].groups)]
        self.sources = {(f, order): _source(faces[f], order) for f, order in averages}
        self.passing = {(f, source) for (f, _), (source, _) in self.sources.items()}
        self.levels: list[Level] = []
        self.turned: list[bool] = []
        self.places: dict[View, tuple[int, int]] = {}  # level, and where its channels start there

    def groups(self, view: View) -> tuple[int, ...]:
        return _groups(self.faces[view[0]], view[1])

    def add_level(self, groups: tuple[int, ...]) -> None:
        here = [view for view in self.views if self.groups(view) == groups]
        # What passes its average on comes first, so that one slice holds it.
        own = sorted((v for v in here if v not in self.sources), key=lambda v: v not in self.passing)
        arrivals = sorted((v for v in here if v in self.sources), key=self._arrival)
        # Two axes stay in the order of the first tensor, so that it need not be copied.
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
        return view not in self.passing, drop.parent, drop.slot, drop.source[0]

    def _drop(self, view: View, place: int) -> Drop:
        face, (source, slot) = view[0], self.sources[view]
        parent, start = self.places[face, source]
        stop = start + self.copies[face]
        return Drop(
            parent, 1 - slot if self.turned[parent] else slot, (start, stop), place, place + stop - start
        )


def _merged(drops: Sequence[Drop]) -> tuple[Drop, ...]:
    """The same with neighbours joined that are neighbours in their parent too: one average instead of two."""
    out: list[Drop] = []
    for drop in drops:
        last = out[-1] if out else None
        if last and (last.parent, last.slot, last.source[1]) == (drop.parent, drop.slot, drop.source[0]):
            out[-1] = Drop(last.parent, last.slot, (last.source[0], drop.source[1]), last.start, drop.stop)
        else:
            out.append(drop)
    return tuple(out)
