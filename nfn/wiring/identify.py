"""From a network to what it computes and on which pictures: declared by the file, or found by trying."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from nfn.network import Graph, Network
from nfn.wiring.fit import Fit, Setting
from nfn.wiring.pictures import PictureSet
from nfn.wiring.propose import Declared
from nfn.wiring.search import NOTHING_GIVEN, Candidates, Given, search_wiring

MOST_READINGS = 8
"""Settings that are offered to choose from."""
NEAR = 0.03
"""Settings whose mean log-likelihoods differ by less (nats a picture, 300 pictures) fit about equally."""
SIGNIFICANT = 4.0
"""Standard errors by which the best accuracy must exceed chance, for it is the best of hundreds of settings."""


@dataclass(frozen=True, eq=False)
class Identified:
    """What a classifier computes. `fits` are the settings that were compared, the best first.

    `declared` says that the file holds the graph, so that only the pictures and their normalisation were looked for.
    """

    candidates: Candidates
    tensors: Mapping[str, Tensor]
    fits: tuple[Fit, ...]
    declared: bool
    told: bool = False
    """Whether somebody said that the first setting is the right one."""

    def as_told(self, words: str) -> "Identified":
        """With the setting first that `words` names (`Setting.words`); ValueError where none of them does."""
        chosen = [fit for fit in self.fits if fit.setting.words == words]
        if not chosen:
            raise ValueError(
                f"None of the readings that were tried is {words[:200]!r}. Choose one of those listed."
            )
        others = tuple(fit for fit in self.fits if fit is not chosen[0])
        return replace(self, fits=(chosen[0], *others), told=True)

    @property
    def readings(self) -> tuple[str, ...]:
        """The words of the settings that fit best, the one in use first; none where the file leaves nothing open."""
        words = dict.fromkeys(fit.setting.words for fit in self.fits)
        return tuple(words)[:MOST_READINGS] if len(words) > 1 else ()

    def graph_of(self, fit: Fit) -> Graph:
        """The graph in one of the settings."""
        return Graph(self.candidates.build(fit.setting.choice, fit.setting.shape), self.tensors)

    @cached_property
    def graph(self) -> Graph:
        """The graph in the setting that fits best."""
        return self.graph_of(self.best)

    @property
    def best(self) -> Fit:
        """The setting that fits best."""
        return self.fits[0]

    @property
    def setting(self) -> Setting:
        """What was assumed."""
        return self.best.setting

    @property
    def known(self) -> bool:
        """Whether the network answers pictures clearly better than chance, so that the setting means something."""
        chance = 1 / self.candidates.classes
        deviation = math.sqrt(chance * (1 - chance) / self.best.pictures)
        return self.best.accuracy > chance + SIGNIFICANT * deviation

    @property
    def rivals(self) -> tuple[Fit, ...]:
        """Settings that fit about as well as the best; none beside one that somebody named."""
        if self.told:
            return ()
        return tuple(fit for fit in self.fits[1:] if self.best.log_likelihood - fit.log_likelihood < NEAR)


def candidates_of(network: Network) -> Candidates | None:
    """What a network may compute, as its file declares it or leaves it open; None where nothing is known of it."""
    return network.proposal if network.graph is None else Declared(network.graph.architecture)


def identify(network: Network, sets: Sequence[PictureSet], given: Given = NOTHING_GIVEN) -> Identified | None:
    """What a classifier computes, by how it answers the pictures of `sets`; None where it takes none of them.

    Raises ValueError, a sentence for the visitor, where nothing is known of the wiring of its layers.
    """
    candidates = candidates_of(network)
    if candidates is None:
        raise ValueError("How the layers of this network are connected is not known, and could not be found.")
    tensors = network.stored if network.graph is None else network.graph.tensors
    fits = search_wiring(candidates, tensors, sets, given)
    if not fits:
        return None
    return Identified(candidates, tensors, tuple(fits), declared=network.graph is not None)
