"""Identify a classifier's setting: image set, normalization and, unless the file declares it, wiring."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from nfn.layer_fit import NO_FIT, TRAINED, layer_fit
from nfn.network import ClassifierConvention, Graph, Network
from nfn.wiring.fit import Fit, Setting
from nfn.wiring.pictures import PictureSet, Pixels
from nfn.wiring.propose import Declared, Proposal
from nfn.wiring.search import NOTHING_GIVEN, Candidates, Given, badness, search_wiring

MOST_READINGS = 8
"""The most settings that are offered to choose from."""
NEAR = 0.03
"""Settings whose mean log-likelihoods differ by less (nats per image, 300 images) fit about equally well."""
NO_WIRING = "How the layers of this network are connected is not known, and could not be found."
NO_PICTURES = (
    "It takes none of the supported pictures (MNIST, Fashion-MNIST and CIFAR-10, ten classes), so its accuracy "
    "cannot be predicted from them."
)
CHANCE = (
    "It classifies none of the supported pictures (MNIST, Fashion-MNIST, CIFAR-10) better than by chance, however it "
    "is wired."
)
OTHERS = (
    "Its layers fit each other as those of a trained network do, so it was probably trained on other pictures or with "
    "other labels."
)
NO_TRAINING = f"{NO_FIT} If neither, it was trained on other pictures or with other labels."
NO_NUMBER = (
    "The weights of this network are so large that its outputs are not finite: nothing can be predicted."
)
SIGNIFICANT = 4.0
"""Standard errors by which the best accuracy must exceed chance, as it is the best of hundreds of settings."""


@dataclass(frozen=True, eq=False)
class Identified:
    """An identified classifier. `fits` are the compared settings, the best first.

    `declared` says that the file has the graph, so that only image set and normalization were searched.
    """

    candidates: Candidates
    tensors: Mapping[str, Tensor]
    fits: tuple[Fit, ...]
    declared: bool
    chosen: bool = False
    """Whether the first setting was chosen by the user."""

    def with_chosen(self, words: str) -> "Identified":
        """Move the setting with these words (`Setting.words`) to the front; ValueError if there is none."""
        matches = [fit for fit in self.fits if fit.setting.words == words]
        if not matches:
            raise ValueError(
                f"None of the readings that were tried is {words[:200]!r}. Choose one of those listed."
            )
        others = tuple(fit for fit in self.fits if fit is not matches[0])
        return replace(self, fits=(matches[0], *others), chosen=True)

    @property
    def readings(self) -> tuple[str, ...]:
        """The words of the settings that fit best, the one in use first; () if there is only one."""
        words = dict.fromkeys(fit.setting.words for fit in self.fits)
        return tuple(words)[:MOST_READINGS] if len(words) > 1 else ()

    def graph_of(self, fit: Fit) -> Graph:
        """The graph in a given setting."""
        return Graph(self.candidates.build(fit.setting.choice, fit.setting.shape), self.tensors)

    @cached_property
    def graph(self) -> Graph:
        """The graph in the best setting."""
        return self.graph_of(self.best)

    @property
    def best(self) -> Fit:
        """The best fit."""
        return self.fits[0]

    @property
    def setting(self) -> Setting:
        """The best setting."""
        return self.best.setting

    @property
    def above_chance(self) -> bool:
        """Whether the network is significantly better than chance, so that the setting is meaningful."""
        chance = 1 / self.candidates.classes
        deviation = math.sqrt(chance * (1 - chance) / self.best.pictures)
        return self.best.accuracy > chance + SIGNIFICANT * deviation

    @cached_property
    def fault(self) -> str | None:
        """Why the setting is not meaningful, in sentences; None if it is."""
        if self.above_chance:
            return None
        if not self.best.finite:
            return NO_NUMBER
        fits = layer_fit(self.graph.architecture, self.tensors) > TRAINED
        return f"{CHANCE} {OTHERS if fits else NO_TRAINING}"

    @property
    def alternatives(self) -> tuple[Fit, ...]:
        """Other settings that fit about as well as the best; () if the user chose one."""
        if self.chosen:
            return ()
        return tuple(fit for fit in self.fits[1:] if self.best.log_likelihood - fit.log_likelihood < NEAR)


def candidates_of(network: Network) -> Candidates | None:
    """The possible architectures of a network: the declared one, or its proposal; None if there is neither."""
    return network.proposal if network.graph is None else Declared(network.graph.architecture)


def given_by(convention: ClassifierConvention, images: str | None = None) -> Given:
    """What a file declares, and a user says of its images: it need not be searched for."""
    pixels = None
    if convention.pixel_mean is not None and convention.pixel_std is not None:
        mean, std = _numbers(convention.pixel_mean), _numbers(convention.pixel_std)
        pixels = Pixels("the file's own mean and std", mean, std)
    return Given(images, pixels, convention.activation)


def _numbers(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def identify(network: Network, sets: Sequence[PictureSet], given: Given = NOTHING_GIVEN) -> Identified | None:
    """Identify a classifier by its accuracy on labelled images of `sets`; None if it cannot take any of them.

    Raises ValueError, a sentence for the visitor, if nothing is known of the wiring of its layers.
    """
    candidates = candidates_of(network)
    if candidates is None:
        raise ValueError(NO_WIRING)
    tensors = network.stored if network.graph is None else network.graph.tensors
    orders = (candidates, *candidates.others) if isinstance(candidates, Proposal) else (candidates,)
    searched = [(order, search_wiring(order, tensors, sets, given)) for order in orders]
    found = [(order, fits) for order, fits in searched if fits]
    if not found:
        return None
    best, fits = min(found, key=lambda one: badness(one[1][0]))
    return Identified(best, tensors, tuple(fits), declared=network.graph is not None)
