"""Search for a classifier's wiring, image set and normalization, by its likelihood on labelled training images.

In its true setting a network has the highest likelihood on images like those it was trained on, and is about
calibrated. First, common geometries are tried on every image set with common normalizations; if none fits clearly,
with rare normalizations, skip connections and other activations. Then every geometry is tried with the best of the
rest, and finally one factor after the other is varied (coordinate ascent).
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
from nfn.architecture.ops import ArchitectureError, Op, Shape
from nfn.wiring.chain import Wiring
from nfn.wiring.fit import Fit, Setting, View, fits_of, log_scores
from nfn.wiring.pictures import PictureSet, Pixels, normalisations
from nfn.wiring.prefixes import PrefixCache
from nfn.wiring.propose import DECLARED, Choice
from nfn.wiring.skips import Skips

GLANCE, FEW, MANY = 32, 80, 300
"""Numbers of images: in the first screening of all candidates, in the search, and in the final comparison."""
USUAL, MOST = 16, 240
"""The number of geometries that are tried with every activation, and of all geometries."""
UNLIKE_PIXELS = 3
"""The first normalizations (the set's own, -1 to 1, 0 to 1) differ most; most others are similar to one of them."""
STARTS, POLISHED, ROUNDS, GEOMETRIES = 3, 2, 3, 8
SCREENED = 24
"""Settings that go from the screening to the search."""
LISTED = 8
"""Settings that are returned for a network whose outputs do not depend on the image."""
DOUBTFUL = 0.1
"""Overconfidence on training images that hardly any network has in its true setting."""
JUNK = math.log(0.1) + 0.3
"""A log-likelihood (of ten classes) below which a setting is not informative yet."""
CLEAR = -1.4
"""A log-likelihood in the screening above which neither skips nor other activations need be tried."""
NOTHING = math.log(0.1) + 0.01
"""A log-likelihood below which outputs do not depend on the image, in any setting."""
BEHIND = 0.4
"""Nats per image behind the best at which a setting, or an image set, is dropped."""
CLEARLY = 0.1
"""Nats per image by which a setting is clearly worse."""
EFFORT = 5e8
"""Multiply-adds of one evaluation; more expensive networks run on fewer images."""
BUDGET, CLIMBING = 2e11, 5e10
"""Multiply-adds after which the screening stops, and those that are left for the search from its best settings."""
CHEAP = 3e7
"""Multiply-adds per image up to which every activation is tried from the start."""
SMALLEST_LOOK = 24
SHIFTED = 0.2
"""A shift of a batch norm (`Fit.norm_shift`) that few networks have in their true setting, without dropout."""
SHIFT_PENALTY, LARGEST_SHIFT = 0.3, 1.0
"""Nats per image for each unit of it, and the shift from which it makes no difference."""
NO_SHIFT = torch.zeros(())
RARITY = {
    "relu": 0.0,
    "tanh": 0.0,
    "relu6": 0.02,
    "softplus": 0.02,
    "hardswish": 0.02,
    "mish": 0.02,
}
"""A penalty, in nats per image, on rare activations."""
RARE = 0.01
"""The penalty on those that are not in `RARITY`."""
RARE_SKIPS = 0.02
"""The penalty on skip connections."""
RELU = ("relu", 1.0)
UNLIKE = (RELU, ("tanh", 1.0), ("silu", 1.0), ("leaky_relu", 0.2), ("elu", 1.0), ("sigmoid", 1.0))
"""Activations that differ most from each other."""


class Candidates(Protocol):
    """The possible architectures of a network: a `Proposal`, a `Sequence`, or a `Declared` one."""

    @property
    def channels(self) -> int: ...
    @property
    def inputs(self) -> int: ...
    @property
    def classes(self) -> int: ...
    def sizes(self, native: int) -> list[int]: ...
    def starts(self, size: int) -> list[Choice]: ...
    def with_skips(self, size: int) -> list[Choice]: ...
    def neighbours(self, choice: Choice) -> Iterable[Choice]: ...
    def same_geometry(self, choice: Choice, other: Choice) -> Choice: ...
    def build(self, choice: Choice, input_shape: Shape) -> Architecture: ...


@dataclass(frozen=True)
class Given:
    """What is known of a network and therefore not varied; None for parts to be found."""

    images: str | None = None
    pixels: Pixels | None = None
    activation: str | None = None

    def allows(self, setting: Setting) -> bool:
        """Whether a setting agrees with the given parts."""
        return (
            self.images in (None, setting.images)
            and self.pixels in (None, setting.pixels)
            and (self.activation is None or setting.choice.activation[0] in (self.activation, DECLARED))
        )


NOTHING_GIVEN = Given()


Key = tuple[tuple[Op, ...], View, Pixels]
"""What determines the scores of a setting: settings of different wirings may have the same operations."""


def _key(architecture: Architecture, setting: Setting) -> Key:
    return architecture.ops, setting.view, setting.pixels


class Search:
    """Evaluates settings on images, and caches the results."""

    def __init__(
        self, proposal: Candidates, tensors: Mapping[str, Tensor], sets: Sequence[PictureSet], given: Given
    ):
        self.proposal, self.tensors, self.given = proposal, tensors, given
        self.sets = {pictures.name: pictures for pictures in sets}
        self.looked: dict[tuple[Setting, int], Fit] = {}
        self.spent, self.budget = 0.0, BUDGET
        self._scores: dict[Key, Tensor] = {}
        self._shifts: dict[Key, Tensor] = {}
        self._shaped: dict[View, Tensor] = {}
        self._starts: dict[View, list[Choice]] = {}
        self._prefixes = PrefixCache(tensors)

    def look(self, setting: Setting, count: int) -> Fit | None:
        """Evaluate one setting on `count` images, fewer if the network is large; None if it does not fit."""
        if (setting, count) not in self.looked:
            self.look_at([setting], count)
        return self.looked.get((setting, count))

    def look_at(self, settings: Sequence[Setting], count: int) -> list[Fit]:
        """Evaluate settings that differ only in normalization at once; the fits of those that can be built."""
        allowed = [setting for setting in settings if self.given.allows(setting)]
        new = [setting for setting in allowed if (setting, count) not in self.looked]
        architecture = self.build(new[0].choice, new[0].shape) if new else None
        if architecture is not None:
            for setting, fit in zip(new, self._fits(architecture, new, count), strict=True):
                self.looked[setting, count] = fit
        return [self.looked[setting, count] for setting in allowed if (setting, count) in self.looked]

    def build(self, choice: Choice, shape: Shape) -> Architecture | None:
        """The architecture of a choice; None if it does not fit."""
        try:
            return self.proposal.build(choice, shape)
        except ArchitectureError:
            return None

    def _fits(self, architecture: Architecture, settings: Sequence[Setting], count: int) -> list[Fit]:
        room = int(EFFORT / max(1, architecture.multiplications * len(settings)))
        used = min(count, max(SMALLEST_LOOK, room))
        self.spent += used * len(settings) * architecture.multiplications
        labels = self.sets[settings[0].images].labels[:used]
        scores = torch.stack(self._scores_of(architecture, settings, used))
        shifts = [self._shifts.get(_key(architecture, setting), NO_SHIFT) for setting in settings]
        return fits_of(settings, scores, labels, torch.stack(shifts))

    def _scores_of(self, architecture: Architecture, settings: Sequence[Setting], used: int) -> list[Tensor]:
        """The scores of each setting on the first images; only what no setting of equal ops has seen is computed.

        The shifts of batch norms are those of the last images that were computed, if they are enough for a variance.
        """
        view = settings[0].view
        x = self._pictures(view)[:used]
        keys = [_key(architecture, setting) for setting in settings]
        seen = [len(self._scores.get(key, ())) for key in keys]
        start = min(seen)
        if start < len(x):
            inputs = (view, tuple(setting.pixels for setting in settings), start, used)
            raw = self._prefixes.run(
                architecture,
                inputs,
                lambda: torch.cat([setting.pixels(x[start:]) for setting in settings]),
                len(settings),
            )
            shifts = self._prefixes.norm_shifts(architecture, inputs)
            if shifts is not None and len(x) - start >= SMALLEST_LOOK:
                self._shifts |= dict(zip(keys, shifts, strict=True))
            fresh = log_scores(architecture, raw).split(len(x) - start)
            for key, count, part in zip(keys, seen, fresh, strict=True):
                if count < len(x):
                    self._scores[key] = torch.cat([self._scores[key][:start], part]) if start else part
        return [self._scores[key][:used] for key in keys]

    def best_seen(self, count: int) -> list[Fit]:
        """All fits on `count` images, the best first."""
        return sorted((fit for (_, images), fit in self.looked.items() if images == count), key=badness)

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self.spent > self.budget

    def is_near(self, setting: Setting, best: Fit) -> bool:
        """Whether a setting is not clearly worse than the best on few images, and so worth more images."""
        few, before = self.look(setting, FEW), self.look(best.setting, FEW)
        return few is not None and before is not None and badness(few) < badness(before) + CLEARLY

    @cached_property
    def views(self) -> list[View]:
        """The image sets, and shapes, that fit the network's classes and inputs."""
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
        """The normalizations to try: the given one, or the common ones."""
        channels = view.shape[0]
        if self.given.pixels is not None:
            return [self.given.pixels] if self.given.pixels.fits(channels) else []
        return normalisations(self.sets[view.images], channels)

    def starts(self, view: View) -> list[Choice]:
        """Geometries for images, the most common first, with the given activation if any."""
        if view not in self._starts:
            choices = self.proposal.starts(view.shape[1])[:MOST]
            self._starts[view] = [self._as_given(choice) for choice in choices]
        return self._starts[view]

    def with_skips(self, view: View) -> list[Choice]:
        """Wirings with skips, the most common first, with the given activation if any."""
        return [self._as_given(choice) for choice in self.proposal.with_skips(view.shape[1])]

    def _as_given(self, choice: Choice) -> Choice:
        given = self.given.activation
        if given is None or choice.activation[0] == DECLARED:
            return choice
        return replace(choice, activation=(given, 1.0))

    def _pictures(self, view: View) -> Tensor:
        if view not in self._shaped:
            shaped = self.sets[view.images].first(MANY).shaped(view.shape)
            self._shaped[view] = shaped.contiguous(memory_format=torch.channels_last)
        return self._shaped[view]


def search_wiring(
    candidates: Candidates,
    tensors: Mapping[str, Tensor],
    sets: Sequence[PictureSet],
    given: Given = NOTHING_GIVEN,
) -> list[Fit]:
    """The settings that fit best, compared on `MANY` images, the best first.

    `sets` are the candidate training sets. Empty if the network takes none of them.
    """
    search = Search(candidates, tensors, sets, given)
    for which in (slice(UNLIKE_PIXELS), slice(UNLIKE_PIXELS, None)):
        if not _is_clear(search):
            views = _likely_views(search)
            _glance(search, views, [_usual(search, view) for view in views], which)
    if _says_nothing(search):
        return [
            fit for fit in (search.look(one.setting, MANY) for one in search.best_seen(FEW)[:LISTED]) if fit
        ]
    for others in (_other_skips, _other_activations):
        if not _is_clear(search):
            views = _likely_views(search)
            _glance(search, views, [others(search, view) for view in views], slice(UNLIKE_PIXELS))
    _glance_at_every_geometry(search)
    return _compare(search)


def _is_clear(search: Search) -> bool:
    """Whether a setting fits so well that neither skips nor other activations need be tried."""
    best = search.best_seen(GLANCE)[:1]
    return any(
        fit.log_likelihood > CLEAR and fit.overconfidence < DOUBTFUL and fit.norm_shift < SHIFTED
        for fit in best
    )


def _says_nothing(search: Search) -> bool:
    """Whether the outputs do not depend on the image, in the best setting and those near it."""
    for fit in search.best_seen(GLANCE)[:1]:
        if fit.log_likelihood >= NOTHING:
            return False
        start = search.look(fit.setting, FEW)
        assert start is not None, "a setting that was evaluated before fits"
        _climb(search, start, FEW)
    return all(fit.log_likelihood < NOTHING for fit in search.best_seen(FEW)[:1])


def _compare(search: Search) -> list[Fit]:
    """Search from the best of the screening, and compare the results on `MANY` images."""
    most = POLISHED if search.is_over else SCREENED
    search.budget = max(BUDGET, search.spent + CLIMBING)
    again = [search.look(fit.setting, FEW) for fit in search.best_seen(GLANCE)[:most]]
    for start in _spread(sorted((fit for fit in again if fit is not None), key=badness)):
        _climb(search, start, FEW)
    for start in _spread(search.best_seen(FEW))[:POLISHED]:
        best = search.look(start.setting, MANY)
        assert best is not None, "a setting that was evaluated before fits"
        _climb(search, best, MANY)
    return search.best_seen(MANY)


def badness(fit: Fit) -> float:
    """Negative log-likelihood plus penalties on rare activations, skips and shifted batch norms; lower is better.

    The shift of a batch norm matters in informative settings only: others keep it small by chance.
    """
    shift = SHIFT_PENALTY * min(fit.norm_shift, LARGEST_SHIFT)
    surprise = -fit.log_likelihood
    surprise = min(surprise + shift, max(surprise, -JUNK))
    choice = fit.setting.choice
    rarity = RARITY.get(choice.activation[0], RARE) + (RARE_SKIPS if _skips(choice) else 0.0)
    return rarity + surprise


def input_shapes(candidates: Candidates, size: int) -> list[tuple[int, int, int]]:
    """The input shapes of a network for images of a set: the native size, or sizes that the network requires."""
    sides = candidates.sizes(size)
    if candidates.channels:
        return [(candidates.channels, s, s) for s in sides] if candidates.channels in (1, 3) else []
    return [(c, s, s) for c in (1, 3) for s in sides if c * s * s == candidates.inputs]


def _likely_views(search: Search) -> list[View]:
    """The views that are not far behind the best one so far; all as long as none is informative."""
    best: dict[View, float] = {}
    for fit in search.best_seen(GLANCE):
        best.setdefault(fit.setting.view, fit.log_likelihood)
    top = max(best.values(), default=JUNK)
    return [view for view in search.views if top <= JUNK or best.get(view, top) > top - BEHIND]


def _glance(search: Search, views: Sequence[View], choices: Sequence[Iterable[Choice]], which: slice) -> None:
    """Screen choices for each view, alternating, with some of the normalizations, until the budget is spent."""
    for several in itertools.zip_longest(*choices):
        for view, choice in zip(views, several, strict=True):
            if choice is not None:
                pixels = search.normalisations(view)
                pixels = pixels if search.given.pixels is not None else pixels[which]
                search.look_at([Setting(view.images, view.shape, p, choice) for p in pixels], GLANCE)
        if search.is_over:
            return


def _usual(search: Search, view: View) -> Iterator[Choice]:
    """The most common geometries, with batch norm before and after the activation."""
    return _with_norm_after(search, search.starts(view)[:USUAL])


def _with_norm_after(search: Search, choices: Iterable[Choice]) -> Iterator[Choice]:
    """Each choice, and the same with batch norm after the activation."""
    for choice in choices:
        yield choice
        yield from (c for c in search.proposal.neighbours(choice) if _norm_place(c) == "after")


def _other_activations(search: Search, view: View) -> Iterator[Choice]:
    """The most common geometries with other activations, for small networks."""
    for choice in _usual(search, view):
        architecture = search.build(choice, view.shape)
        if architecture is not None and architecture.multiplications <= CHEAP:
            others = search.proposal.neighbours(choice)
            yield from (c for c in others if c.activation in UNLIKE and c.activation != choice.activation)


def _other_skips(search: Search, view: View) -> Iterator[Choice]:
    """Wirings with skips, with batch norm before and after the activation."""
    return _with_norm_after(search, search.with_skips(view))


def _skips(choice: Choice) -> Skips | None:
    """The skips of a chain; None if they are fixed."""
    return choice.skips if isinstance(choice, Wiring) else None


def _norm_place(choice: Choice) -> str:
    """The position of batch norm; "" if it is fixed."""
    return choice.norm_place if isinstance(choice, Wiring) else ""


def _glance_at_every_geometry(search: Search) -> None:
    """Screen every geometry with the rest of the best few settings; also with ReLU if these are not informative."""
    seen = search.best_seen(GLANCE)
    if not seen:
        return
    for fit in _worth_more(seen)[: 1 if _is_clear(search) else None]:
        setting = fit.setting
        for start in search.starts(setting.view)[USUAL:]:
            if search.is_over:
                return
            search.look(replace(setting, choice=search.proposal.same_geometry(setting.choice, start)), GLANCE)
    if seen[0].log_likelihood < JUNK:
        views = search.views
        _glance(search, views, [search.starts(view)[USUAL:] for view in views], slice(UNLIKE_PIXELS))


def _worth_more(seen: Sequence[Fit]) -> list[Fit]:
    """The best few settings up to geometry, the best with ReLU and the best of each view, without those far behind."""
    first: dict[tuple, Fit] = {}
    of_view: dict[View, Fit] = {}
    for fit in seen:
        setting = fit.setting
        choice = setting.choice
        rest = (setting.view, setting.pixels, choice.activation, _norm_place(choice), _skips(choice))
        first.setdefault(rest, fit)
        of_view.setdefault(setting.view, fit)
    distinct = list(first.values())
    relu = [fit for fit in distinct if fit.setting.choice.activation == RELU]
    best = dict.fromkeys((*distinct[: STARTS - 1], *relu[:1], *distinct[:STARTS]))
    best = dict.fromkeys((*list(best)[:STARTS], *of_view.values()))
    return [fit for fit in best if badness(fit) < badness(seen[0]) + BEHIND]


def _spread(fits: Sequence[Fit]) -> list[Fit]:
    """The best few that differ in geometry or input, and the best of each image set, without those far behind."""
    chosen: dict[tuple, Fit] = {}
    for fit in fits:
        if badness(fit) > badness(fits[0]) + BEHIND:
            break
        geometry = replace(fit.setting.choice, activation=RELU)
        key = (fit.setting.view, geometry)
        seen = {view.images for view, _ in chosen}
        if len(chosen) < STARTS or fit.setting.images not in seen:
            chosen.setdefault(key, fit)
    return list(chosen.values())


def _climb(search: Search, best: Fit, count: int) -> None:
    """Coordinate ascent: vary one factor after the other and keep the best, until nothing improves."""
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
    """The setting with each of the best geometries of the screening."""
    choices = [f.setting.choice for f in search.best_seen(GLANCE) if f.setting.view == setting.view]
    moved = dict.fromkeys(search.proposal.same_geometry(setting.choice, choice) for choice in choices)
    return [replace(setting, choice=choice) for choice in itertools.islice(moved, GEOMETRIES)]
