"""Find how a classifier was wired and fed, by how well it then answers labelled training pictures.

A network in its own wiring answers pictures like those it learned from better than in any other, and is about as sure
as it is right. First the usual geometries are tried on every set of pictures, with usual normalisations, then with rare
ones and other activations where none fits clearly; then every geometry, with what was best of the rest; then one
factor is varied after the other (coordinate ascent).
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import ArchitectureError, Shape
from nfn.wiring.chain import Wiring
from nfn.wiring.fit import Fit, Setting, View, fit_of, logits
from nfn.wiring.pictures import PictureSet, Pixels, normalisations
from nfn.wiring.propose import DECLARED, Choice

GLANCE, FEW, MANY = 32, 80, 300
"""Pictures of the first glance at every candidate, of the search among the better ones, and of the last comparison."""
USUAL, MOST = 16, 160
"""Geometries that are tried with every activation, and all that are tried."""
UNLIKE_PIXELS = 3
"""The first normalisations (a set's own, -1 to 1, 0 to 1) are unlike one another; most others are near one of them."""
STARTS, POLISHED, ROUNDS, GEOMETRIES = 3, 2, 3, 8
LOOKED_AT_AGAIN = 24
LISTED = 8
"""Settings that are given of a network that answers nothing."""
DOUBTFUL = 0.1
"""More sure than right by so much, on pictures like those it learned from, is hardly any network in its own wiring."""
JUNK = math.log(0.1) + 0.3
"""A log-likelihood of ten classes at which a setting says nothing yet."""
CLEAR = -1.4
"""A log-likelihood at a glance at which a setting is worth following, whatever else there may be."""
NOTHING = math.log(0.1) + 0.01
"""One that only a network has whose answers do not depend on the picture, however it is wired."""
BEHIND = 0.4
"""Nats a picture by which a setting at a glance is out of the question."""
CLEARLY = 0.1
"""Nats a picture by which a setting is clearly worse."""
EFFORT = 5e8
"""Multiply-adds of one look; of networks that need more, fewer pictures are shown."""
BUDGET = 2e11
"""Multiply-adds after which a search ends with what it has."""
CHEAP = 3e7
"""Multiply-adds a picture up to which every activation is tried from the start."""
SMALLEST_LOOK = 24
RARITY = {
    "relu": 0.0,
    "tanh": 0.0,
    "relu6": 0.02,
    "selu": 0.01,
    "softplus": 0.02,
    "hardswish": 0.02,
    "mish": 0.02,
}
"""How much more likely, in nats a picture, the right classes must be under a rare activation than under a usual one."""
RELU = ("relu", 1.0)
UNLIKE = (RELU, ("tanh", 1.0), ("silu", 1.0), ("leaky_relu", 0.2), ("elu", 1.0), ("sigmoid", 1.0))
"""Activations that are unlike one another."""


class Candidates(Protocol):
    """What a network may be: a `Proposal`, or one architecture that is declared."""

    @property
    def channels(self) -> int: ...
    @property
    def inputs(self) -> int: ...
    @property
    def classes(self) -> int: ...
    def sizes(self, native: int) -> list[int]: ...
    def starts(self, size: int) -> list[Choice]: ...
    def neighbours(self, choice: Choice) -> Iterable[Choice]: ...
    def same_geometry(self, choice: Choice, other: Choice) -> Choice: ...
    def build(self, choice: Choice, input_shape: Shape) -> Architecture: ...


@dataclass(frozen=True)
class Given:
    """What is known of a network, and so not varied (None: to be found)."""

    images: str | None = None
    pixels: Pixels | None = None
    activation: str | None = None

    def allows(self, setting: Setting) -> bool:
        """Whether a setting agrees with all that is known."""
        return (
            self.images in (None, setting.images)
            and self.pixels in (None, setting.pixels)
            and (self.activation is None or setting.choice.activation[0] in (self.activation, DECLARED))
        )


NOTHING_GIVEN = Given()


class Search:
    """Tries settings on pictures, and remembers what it has seen."""

    def __init__(
        self, proposal: Candidates, tensors: Mapping[str, Tensor], sets: Sequence[PictureSet], given: Given
    ):
        self.proposal, self.tensors, self.given = proposal, tensors, given
        self.sets = {pictures.name: pictures for pictures in sets}
        self.looked: dict[tuple[Setting, int], Fit] = {}
        self.spent = 0.0
        self._shaped: dict[View, Tensor] = {}
        self._starts: dict[View, list[Choice]] = {}

    def look(self, setting: Setting, count: int) -> Fit | None:
        """One setting on `count` pictures of its set, fewer if the network is large; None where it does not fit."""
        if (setting, count) not in self.looked:
            self.look_at([setting], count)
        return self.looked.get((setting, count))

    def look_at(self, settings: Sequence[Setting], count: int) -> list[Fit]:
        """Settings that differ in their normalisation only, run at once: the fit of each that can be built."""
        allowed = [setting for setting in settings if self.given.allows(setting)]
        new = [setting for setting in allowed if (setting, count) not in self.looked]
        architecture = self.build(new[0].choice, new[0].shape) if new else None
        if architecture is not None:
            for setting, fit in zip(new, self._fits(architecture, new, count), strict=True):
                self.looked[setting, count] = fit
        return [self.looked[setting, count] for setting in allowed if (setting, count) in self.looked]

    def build(self, choice: Choice, shape: Shape) -> Architecture | None:
        """The architecture of a choice; None where it does not fit."""
        try:
            return self.proposal.build(choice, shape)
        except ArchitectureError:
            return None

    def _fits(self, architecture: Architecture, settings: Sequence[Setting], count: int) -> list[Fit]:
        room = int(EFFORT / max(1, architecture.multiplications * len(settings)))
        shown = min(count, max(SMALLEST_LOOK, room))
        self.spent += shown * len(settings) * architecture.multiplications
        view = settings[0].view
        x, labels = self._pictures(view)[:shown], self.sets[view.images].labels[:shown]
        scores = logits(architecture, self.tensors, torch.cat([setting.pixels(x) for setting in settings]))
        parts = scores.split(shown)
        return [fit_of(setting, part, labels) for setting, part in zip(settings, parts, strict=True)]

    def best_seen(self, count: int) -> list[Fit]:
        """Everything that was looked at on so many pictures, the best first."""
        return sorted((fit for (_, seen), fit in self.looked.items() if seen == count), key=badness)

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self.spent > BUDGET

    def is_near(self, setting: Setting, best: Fit) -> bool:
        """Whether a setting is worth more pictures: on few, it is not clearly worse than the best."""
        few, before = self.look(setting, FEW), self.look(best.setting, FEW)
        return few is not None and before is not None and badness(few) < badness(before) + CLEARLY

    @cached_property
    def views(self) -> list[View]:
        """Pictures that the network takes and knows the classes of."""
        fitting = [
            pictures
            for pictures in self.sets.values()
            if int(pictures.labels.max()) + 1 == self.proposal.classes
            and self.given.images in (None, pictures.name)
        ]
        return [
            View(p.name, shape) for p in fitting for shape in input_shapes(self.proposal, p.images.shape[2])
        ]

    def normalisations(self, view: View) -> Sequence[Pixels]:
        """The normalisations to try: the one that is given, or the usual ones."""
        channels = view.shape[0]
        if self.given.pixels is not None:
            return [self.given.pixels] if self.given.pixels.fits(channels) else []
        return normalisations(self.sets[view.images], channels)

    def starts(self, view: View) -> list[Choice]:
        """Geometries for pictures, the usual first, with the activation that is given."""
        if view not in self._starts:
            choices = self.proposal.starts(view.shape[1])[:MOST]
            self._starts[view] = [self._as_given(choice) for choice in choices]
        return self._starts[view]

    def _as_given(self, choice: Choice) -> Choice:
        given = self.given.activation
        if given is None or choice.activation[0] == DECLARED:
            return choice
        return replace(choice, activation=(given, 1.0))

    def _pictures(self, view: View) -> Tensor:
        if view not in self._shaped:
            self._shaped[view] = self.sets[view.images].first(MANY).shaped(view.shape)
        return self._shaped[view]


def search_wiring(
    candidates: Candidates,
    tensors: Mapping[str, Tensor],
    sets: Sequence[PictureSet],
    given: Given = NOTHING_GIVEN,
) -> list[Fit]:
    """The settings that fit best, compared on the larger number of pictures, the best first.

    `sets` are the image sets that the network may have learned from. Empty where it takes none of them.
    """
    search = Search(candidates, tensors, sets, given)
    for which in (slice(UNLIKE_PIXELS), slice(UNLIKE_PIXELS, None)):
        if not _is_clear(search):
            _glance(search, [_usual(search, view) for view in search.views], which)
    if _says_nothing(search):
        return [
            fit for fit in (search.look(one.setting, MANY) for one in search.best_seen(FEW)[:LISTED]) if fit
        ]
    if not _is_clear(search):
        _glance(search, [_bent(search, view) for view in search.views], slice(UNLIKE_PIXELS))
    _glance_at_every_geometry(search)
    return _compare(search)


def _is_clear(search: Search) -> bool:
    """Whether some setting fits so well that the others need not be tried with every activation."""
    best = search.best_seen(GLANCE)[:1]
    return any(fit.log_likelihood > CLEAR and fit.overconfidence < DOUBTFUL for fit in best)


def _says_nothing(search: Search) -> bool:
    """Whether the answers do not depend on the picture, as in no network that was trained; in what is near, neither."""
    for fit in search.best_seen(GLANCE)[:1]:
        if fit.log_likelihood >= NOTHING:
            return False
        start = search.look(fit.setting, FEW)
        assert start is not None, "a setting that was looked at before fits"
        _climb(search, start, FEW)
    return all(fit.log_likelihood < NOTHING for fit in search.best_seen(FEW)[:1])


def _compare(search: Search) -> list[Fit]:
    """From what was glanced at to a comparison of the best."""
    most = POLISHED if search.is_over else LOOKED_AT_AGAIN
    again = [search.look(fit.setting, FEW) for fit in search.best_seen(GLANCE)[:most]]
    for start in _spread(sorted((fit for fit in again if fit is not None), key=badness)):
        _climb(search, start, FEW)
    for start in _spread(search.best_seen(FEW))[:POLISHED]:
        best = search.look(start.setting, MANY)
        assert best is not None, "a setting that was looked at before fits"
        _climb(search, best, MANY)
    return search.best_seen(MANY)


def badness(fit: Fit) -> float:
    """The lower, the better; a rare activation must fit clearly better than a usual one."""
    return RARITY.get(fit.setting.choice.activation[0], 0.005) - fit.log_likelihood


def input_shapes(candidates: Candidates, size: int) -> list[tuple[int, int, int]]:
    """Shapes in which pictures of a set may be given: as they are, or as large as the network wants them."""
    sides = candidates.sizes(size)
    if candidates.channels:
        return [(candidates.channels, s, s) for s in sides] if candidates.channels in (1, 3) else []
    return [(c, s, s) for c in (1, 3) for s in sides if c * s * s == candidates.inputs]


def _glance(search: Search, choices: Sequence[Iterable[Choice]], which: slice) -> None:
    """Look at choices for each view, in turn, under some of the normalisations; until the budget is spent."""
    views = search.views
    for several in itertools.zip_longest(*choices):
        for view, choice in zip(views, several, strict=True):
            if choice is not None:
                pixels = search.normalisations(view)
                pixels = pixels if search.given.pixels is not None else pixels[which]
                search.look_at([Setting(view.images, view.shape, p, choice) for p in pixels], GLANCE)
        if search.is_over:
            return


def _usual(search: Search, view: View) -> Iterator[Choice]:
    """The usual geometries, with batch norm before the activation and behind it."""
    for start in search.starts(view)[:USUAL]:
        yield start
        yield from (c for c in search.proposal.neighbours(start) if _norm_place(c) == "after")


def _bent(search: Search, view: View) -> Iterator[Choice]:
    """The usual geometries with each of the activations that are unlike; not of large networks."""
    for choice in _usual(search, view):
        architecture = search.build(choice, view.shape)
        if architecture is not None and architecture.multiplications <= CHEAP:
            yield from (c for c in search.proposal.neighbours(choice) if c.activation in UNLIKE)


def _norm_place(choice: Choice) -> str:
    """Where batch norm stands; "" where that is not open."""
    return choice.norm_place if isinstance(choice, Wiring) else ""


def _glance_at_every_geometry(search: Search) -> None:
    """Every geometry in the best few settings so far; and with ReLU, where these say nothing."""
    seen = search.best_seen(GLANCE)
    if not seen:
        return
    for fit in _worth_more(seen)[: 1 if _is_clear(search) else STARTS]:
        setting = fit.setting
        for start in search.starts(setting.view)[USUAL:]:
            if search.is_over:
                return
            search.look(replace(setting, choice=search.proposal.same_geometry(setting.choice, start)), GLANCE)
    if seen[0].log_likelihood < JUNK:
        _glance(search, [search.starts(view)[USUAL:] for view in search.views], slice(UNLIKE_PIXELS))


def _worth_more(seen: Sequence[Fit]) -> list[Fit]:
    """The best few ways to feed and bend, and the best with ReLU, whatever the geometry; none that is far behind."""
    first: dict[tuple, Fit] = {}
    for fit in seen:
        first.setdefault(_but_for_geometry(fit.setting), fit)
    ways = list(first.values())
    relu = [fit for fit in ways if fit.setting.choice.activation == RELU]
    chosen = dict.fromkeys((*ways[: STARTS - 1], *relu[:1], *ways[:STARTS]))
    return [fit for fit in list(chosen)[:STARTS] if badness(fit) < badness(seen[0]) + BEHIND]


def _but_for_geometry(setting: Setting) -> tuple:
    return setting.view, setting.pixels, setting.choice.activation, _norm_place(setting.choice)


def _spread(fits: Sequence[Fit]) -> list[Fit]:
    """The best few that differ in geometry or pictures, and the best of each image set."""
    chosen: dict[tuple, Fit] = {}
    for fit in fits:
        geometry = replace(fit.setting.choice, activation=RELU)
        key = (fit.setting.view, geometry)
        known = {view.images for view, _ in chosen}
        if len(chosen) < STARTS or fit.setting.images not in known:
            chosen.setdefault(key, fit)
    return list(chosen.values())


def _climb(search: Search, best: Fit, count: int) -> None:
    """Vary one factor after the other, and keep what is best, until nothing gets better."""
    for _ in range(ROUNDS):
        start = best
        for vary in (_other_pixels, _other_choices, _other_geometries):
            for setting in vary(search, best.setting):
                if search.is_over:
                    return
                fit = search.look(setting, count) if count == FEW or search.is_near(setting, best) else None
                if fit is not None and badness(fit) < badness(best):
                    best = fit
        if best is start:
            return


def _other_pixels(search: Search, setting: Setting) -> list[Setting]:
    return [replace(setting, pixels=pixels) for pixels in search.normalisations(setting.view)]


def _other_choices(search: Search, setting: Setting) -> list[Setting]:
    return [replace(setting, choice=choice) for choice in search.proposal.neighbours(setting.choice)]


def _other_geometries(search: Search, setting: Setting) -> list[Setting]:
    """The geometries that were best at a glance, with what has been found of the rest since."""
    choices = [f.setting.choice for f in search.best_seen(GLANCE) if f.setting.view == setting.view]
    moved = dict.fromkeys(search.proposal.same_geometry(setting.choice, choice) for choice in choices)
    return [replace(setting, choice=choice) for choice in itertools.islice(moved, GEOMETRIES)]
