"""Find how a classifier was wired and fed, by how well it then answers labelled training pictures.

Factors are varied one after the other (coordinate ascent), from several starts: a network in the right wiring answers
pictures like those it learned from better than in any other, and is about as sure as it is right.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import ArchitectureError, Shape, Softmax
from nfn.wiring.pictures import INVERTED, PictureSet, Pixels, normalisations
from nfn.wiring.propose import DECLARED, Choice

GLANCE, FEW, MANY = 32, 80, 300
"""Pictures of the first glance at every candidate, of the search among the better ones, and of the last comparison."""
STARTS, POLISHED, ROUNDS, GEOMETRIES = 3, 2, 3, 6
BENT, SECOND_LOOKS = 20, 16
FEW_STARTS, MANY_STARTS, WIDE_STARTS = 24, 160, 60
TEMPERATURES = torch.tensor([0.5, 0.7, 1.0, 1.5, 2.5, 5.0])
DOUBTFUL = 0.1
"""More sure than right by so much, on pictures like those it learned from, is hardly any network in its own wiring."""
CLEARLY = 0.25
"""Nats a picture by which a setting is clearly worse."""
EFFORT = 4e9
"""Multiply-adds of one look; of networks that need more, fewer pictures are shown."""
SMALLEST_LOOK = 24
LARGE = 1e4, -1e4
"""What infinite scores count as."""
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
UNLIKE = {("relu", 1.0), ("tanh", 1.0), ("silu", 1.0), ("elu", 1.0), ("leaky_relu", 0.2), ("sigmoid", 1.0)}


@dataclass(frozen=True)
class Setting:
    """All that was assumed: which pictures, in which shape and normalisation, and the wiring."""

    images: str
    shape: tuple[int, int, int]
    pixels: Pixels
    choice: Choice

    def sentences(self) -> list[str]:
        """What is assumed, in words, for the visitor."""
        channels = "gray" if self.shape[0] == 1 else "colour"
        looked = f"{channels} pictures of {self.shape[1]} x {self.shape[2]} pixels, from {self.pixels.name}"
        return [looked, *self.choice.sentences()]


@dataclass(frozen=True)
class Fit:
    """How a network answers labelled pictures in one setting.

    `log_likelihood` is the mean log-probability of the right class at the best of a few temperatures; `confidence` the
    mean probability of the answer at temperature 1; accuracy from 0 to 1; `finite` whether every score was a number.
    """

    setting: Setting
    log_likelihood: float
    accuracy: float
    confidence: float
    temperature: float
    pictures: int
    finite: bool

    @property
    def overconfidence(self) -> float:
        """By how much the network is more sure than right, from -1 to 1."""
        return self.confidence - self.accuracy


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
        self._shaped: dict[tuple, Tensor] = {}

    def look(self, setting: Setting, count: int) -> Fit | None:
        """One setting on `count` pictures of its set, fewer if the network is large; None where it does not fit."""
        if (setting, count) not in self.looked:
            if not self.given.allows(setting):
                return None
            try:
                architecture = self.proposal.build(setting.choice, setting.shape)
            except ArchitectureError:
                return None
            room = int(EFFORT / max(1, architecture.multiplications))
            shown = min(count, max(SMALLEST_LOOK, room))
            x, labels = (
                setting.pixels(self._pictures(setting, shown)),
                self.sets[setting.images].labels[:shown],
            )
            self.looked[setting, count] = fit_of(setting, logits(architecture, self.tensors, x), labels)
        return self.looked[setting, count]

    def look_at(self, settings: Iterable[Setting], count: int) -> list[Fit]:
        """Those of the settings that fit, the best first."""
        fits = [fit for setting in settings if (fit := self.look(setting, count)) is not None]
        return sorted(fits, key=_badness)

    def is_near(self, setting: Setting, best: Fit) -> bool:
        """Whether a setting is worth more pictures: on few, it is not clearly worse than the best."""
        few, before = self.look(setting, FEW), self.look(best.setting, FEW)
        return few is not None and before is not None and _badness(few) < _badness(before) + CLEARLY

    def normalisations(self, images: str, channels: int) -> Sequence[Pixels]:
        """The normalisations to try: the one that is given, or the usual ones."""
        if self.given.pixels is not None:
            return [self.given.pixels] if self.given.pixels.fits(channels) else []
        return normalisations(self.sets[images], channels)

    def with_activation(self, choice: Choice) -> Choice:
        """A choice with the activation that is given."""
        if self.given.activation is None or choice.activation[0] == DECLARED:
            return choice
        return replace(choice, activation=(self.given.activation, 1.0))

    def _pictures(self, setting: Setting, count: int) -> Tensor:
        key = (setting.images, setting.shape)
        if key not in self._shaped:
            self._shaped[key] = self.sets[setting.images].first(MANY).shaped(setting.shape)
        return self._shaped[key][:count]


def class_scores(architecture: Architecture, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """As `logits`, with NaN counted as 0 and infinite scores as large ones."""
    return logits(architecture, tensors, x).nan_to_num(0.0, *LARGE)


@torch.inference_mode()
def logits(architecture: Architecture, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Logits `(N, classes)` of inputs `(N, c, H, W)`, or logarithms where the network gives probabilities."""
    scores = architecture.run(tensors, x).flatten(1)
    last = architecture.ops[-1]
    if isinstance(last, Softmax) and not last.log:
        scores = scores.clamp_min(1e-12).log()
    return scores


def fit_of(setting: Setting, given: Tensor, labels: Tensor) -> Fit:
    """How logits `(N, classes)` answer pictures with these labels."""
    scores = given.nan_to_num(0.0, *LARGE)
    logs = torch.log_softmax(scores / TEMPERATURES[:, None, None], 2)
    right = logs[:, torch.arange(len(labels)), labels].mean(1)
    best = int(right.argmax())
    at_one = logs[int((TEMPERATURES == 1).nonzero())].exp()
    return Fit(
        setting=setting,
        log_likelihood=float(right[best]),
        accuracy=float((scores.argmax(1) == labels).float().mean()),
        confidence=float(at_one.amax(1).mean()),
        temperature=float(TEMPERATURES[best]),
        pictures=len(labels),
        finite=bool(given.isfinite().all()),
    )


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
    found = _search(search, wide=False)
    if found and found[0].overconfidence > DOUBTFUL:
        found = _search(search, wide=True)
    return found


def _search(search: Search, wide: bool) -> list[Fit]:
    """From a glance at every start to a comparison of the best; `wide` takes more of them along."""
    glances = search.look_at(_starts(search, wide), GLANCE)
    bent = (s for fit in glances[: BENT * (1 + wide)] for s in _usual_activations(search, fit.setting))
    second = search.look_at(bent, GLANCE)
    firsts = search.look_at((fit.setting for fit in second[: SECOND_LOOKS * (1 + wide)]), FEW)
    for start in _spread(firsts):
        _climb(search, start)
    found = sorted((fit for (_, count), fit in search.looked.items() if count == FEW), key=_badness)
    for start in _spread(found)[:POLISHED]:
        best = search.look(start.setting, MANY)
        assert best is not None, "a setting that was looked at before fits"
        _climb(search, best, MANY)
    return sorted((fit for (_, count), fit in search.looked.items() if count == MANY), key=_badness)


def _badness(fit: Fit) -> float:
    """The lower, the better; a rare activation must fit clearly better than a usual one."""
    return RARITY.get(fit.setting.choice.activation[0], 0.005) - fit.log_likelihood


def input_shapes(candidates: Candidates, pictures: PictureSet) -> list[tuple[int, int, int]]:
    """Shapes in which pictures of a set may be given: as they are, or as large as the network wants them."""
    sides = candidates.sizes(pictures.images.shape[2])
    if candidates.channels:
        return [(candidates.channels, s, s) for s in sides] if candidates.channels in (1, 3) else []
    return [(c, s, s) for c in (1, 3) for s in sides if c * s * s == candidates.inputs]


def _starts(search: Search, wide: bool) -> Iterator[Setting]:
    """Every geometry with the usual normalisations (`wide`: and with inverted pixels), and ReLU."""
    proposal = search.proposal
    for pictures in search.sets.values():
        if int(pictures.labels.max()) + 1 != proposal.classes or search.given.images not in (
            None,
            pictures.name,
        ):
            continue
        for shape in input_shapes(proposal, pictures):
            most = WIDE_STARTS if wide else MANY_STARTS
            choices = [search.with_activation(choice) for choice in proposal.starts(shape[1])[:most]]
            usual = list(search.normalisations(pictures.name, shape[0]))
            usual = (
                usual[:3] + [p for p in usual[3:] if p in INVERTED]
                if wide
                else usual[: 3 if len(choices) <= FEW_STARTS else 2]
            )
            for choice, pixels in itertools.product(choices, usual):
                yield Setting(pictures.name, shape, pixels, choice)


def _spread(fits: Sequence[Fit]) -> list[Fit]:
    """The best few that differ in geometry or pictures, and the best of each image set."""
    chosen: dict[tuple, Fit] = {}
    for fit in fits:
        geometry = replace(fit.setting.choice, activation=("relu", 1.0))
        key = (fit.setting.images, fit.setting.shape, geometry)
        known = {images for images, *_ in chosen}
        if len(chosen) < STARTS or fit.setting.images not in known:
            chosen.setdefault(key, fit)
    return list(chosen.values())


def _climb(search: Search, best: Fit, count: int = FEW) -> None:
    """Vary one factor after the other, and keep what is best, until nothing gets better."""
    for _ in range(ROUNDS):
        start = best
        for vary in (_other_pixels, _other_choices, _other_geometries):
            for setting in vary(search, best.setting):
                fit = search.look(setting, count) if count == FEW or search.is_near(setting, best) else None
                if fit is not None and _badness(fit) < _badness(best):
                    best = fit
        if best is start:
            return


def _other_pixels(search: Search, setting: Setting) -> list[Setting]:
    return [replace(setting, pixels=p) for p in search.normalisations(setting.images, setting.shape[0])]


def _other_choices(search: Search, setting: Setting) -> list[Setting]:
    return [replace(setting, choice=choice) for choice in search.proposal.neighbours(setting.choice)]


def _usual_activations(search: Search, setting: Setting) -> list[Setting]:
    """The setting with each of the activations that are unlike one another."""
    others = [s for s in _other_choices(search, setting) if s.choice.activation in UNLIKE]
    return [setting, *others]


def _other_geometries(search: Search, setting: Setting) -> list[Setting]:
    """The geometries that were best at a glance, with what has been found of the rest since."""
    view = (setting.images, setting.shape)
    glances = [
        fit for (s, count), fit in search.looked.items() if count == GLANCE and (s.images, s.shape) == view
    ]
    choices = [fit.setting.choice for fit in sorted(glances, key=_badness)]
    moved = dict.fromkeys(search.proposal.same_geometry(setting.choice, choice) for choice in choices)
    return [replace(setting, choice=choice) for choice in list(moved)[:GEOMETRIES]]
