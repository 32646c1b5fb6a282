"""Image classifiers of any architecture: what they compute and on which pictures, and the accuracy to be expected."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from nfn.accuracy.predictor import AccuracyPredictor
from nfn.architecture.ops import Activation
from nfn.architecture.views import small_cnn_graph, small_cnn_view
from nfn.generalization import Generalization, GeneralizationPredictor
from nfn.network import ClassifierConvention, Graph, Network
from nfn.wiring.fit import Fit, Setting, class_scores
from nfn.wiring.identify import Identified, identify
from nfn.wiring.pictures import MINUS_ONE_ONE, PictureSet, Pixels
from nfn.wiring.propose import AsDeclared
from nfn.wiring.search import DOUBTFUL, Given
from zoo.catalog import Zoo

NO_PICTURES = (
    "It takes none of the pictures that are known here (MNIST, Fashion-MNIST and CIFAR-10, ten classes), so its "
    "accuracy cannot be told from them."
)
CHANCE = (
    "It answers none of the pictures that are known here (MNIST, Fashion-MNIST, CIFAR-10) better than by chance, "
    "however it is wired: it is untrained, or it learned from other pictures or other labels."
)
NO_NUMBER = (
    "The weights of this network are so large that its answers hold no numbers: nothing can be read of it."
)
UNUSUAL = (
    "It answers the pictures in a way that no network of the zoo does, so nothing is known of how far off a number "
    "would be."
)
OVERCONFIDENT = (
    "In every reading that was tried it is far more sure than it is right, which networks hardly are on pictures like "
    "those they learned from: it is probably wired, or fed, in another way."
)
RIVALS = (
    "Two ways to read it fit about equally well and give different accuracies, {} and {}: say which it is, or bring a "
    "file that holds its graph."
)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network and what it computes. `setting` is None where no pictures are known that it takes.

    `identified` has the settings that were compared, and is None for a network of the zoo, of which all is known.
    """

    network: Network
    graph: Graph | None
    setting: Setting | None
    identified: Identified | None = None

    def to(self, device: torch.device | str) -> "Classifier":
        """With its tensors on a device."""
        if self.graph is None:
            return self
        moved = {name: tensor.to(device) for name, tensor in self.graph.tensors.items()}
        return replace(self, graph=replace(self.graph, tensors=moved), identified=None)

    @property
    def fault(self) -> str | None:
        """Why no accuracy can be told, as a sentence; None where one can."""
        if self.setting is None:
            return NO_PICTURES
        if self.identified is None or self.identified.known:
            return None
        return CHANCE if self.identified.best.finite else NO_NUMBER

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was taken for granted, as sentences; nothing for a network of the zoo."""
        if self.identified is None or self.setting is None:
            return self.network.assumed
        return (*self.network.assumed, *self.setting.sentences())

    @property
    def readings(self) -> tuple[str, ...]:
        """The ways in which it was tried that fit best, the one in use first; none where nothing is open."""
        return () if self.identified is None else self.identified.readings

    @property
    def activation(self) -> str:
        """The first activation, "" for a network without."""
        return "" if self.graph is None else activation_of(self.graph)


def activation_of(graph: Graph) -> str:
    """The first activation, "" for a network without."""
    return next((op.function for op in graph.architecture.ops if isinstance(op, Activation)), "")


def found_classifier(network: Network, sets: Sequence[PictureSet], images: str | None = None) -> Classifier:
    """What an uploaded classifier computes, as its file declares it, as is known of it, or as is found by trying.

    Raises ValueError, a sentence for the visitor, where nothing is known of its wiring.
    """
    found = identify(network, sets, given_of(network.classifier, images))
    if found is None:
        return Classifier(network, network.graph, None)
    return Classifier(network, found.graph, found.setting, found)


def with_reading(classifier: Classifier, reading: str) -> Classifier:
    """The classifier in another of the settings that were tried (`Identified.readings`), as somebody says.

    Raises ValueError where none has that name.
    """
    if classifier.identified is None:
        raise ValueError("All is known of this network: there is one reading of it.")
    found = classifier.identified.as_told(reading)
    return replace(classifier, graph=found.graph, setting=found.setting, identified=found)


def zoo_classifier(network: Network, images: str, size: int) -> Classifier:
    """A small CNN of the zoo, on gray pictures of `size` pixels a side from -1 to 1."""
    activation = "tanh" if network.classifier.activation == "tanh" else "relu"
    graph = Graph(*small_cnn_graph(network.features, activation, size))
    return Classifier(network, graph, Setting(images, (1, size, size), MINUS_ONE_ONE, AsDeclared()))


def given_of(known: ClassifierConvention, images: str | None) -> Given:
    """What need not be looked for."""
    pixels = None
    if known.pixel_mean is not None and known.pixel_std is not None:
        pixels = Pixels("the file's own mean and std", _numbers(known.pixel_mean), _numbers(known.pixel_std))
    return Given(images, pixels, known.activation)


def _numbers(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True, eq=False)
class AccuracyReaders:
    """Two predictors of test accuracy: `small` knows small CNNs of the zoo's family best, `general` takes any other."""

    small: GeneralizationPredictor
    general: AccuracyPredictor

    @property
    def pictures(self) -> list[PictureSet]:
        """The labelled training pictures on which uploads are tried."""
        return [self.general.pictures(name) for name in self.general.config.stored]


def readers_of(zoo: Zoo) -> AccuracyReaders:
    """The predictors of a zoo; the one of any architecture is the embedded zoo's where this zoo has none."""
    has_own = any(info.name == AccuracyPredictor.name for info in zoo.predictors())
    general = (zoo if has_own else Zoo()).predictor("accuracy", AccuracyPredictor)
    return AccuracyReaders(zoo.predictor("generalization", GeneralizationPredictor), general)


def predict_accuracy(classifier: Classifier, readers: AccuracyReaders) -> Generalization:
    """The test accuracy that a classifier will have.

    Without a setting that means something there is no number (NaN), and `reason` says why; where the reading is
    doubtful, `typical` is False and `reason` says so.
    """
    fault = classifier.fault
    if fault is not None or classifier.graph is None or classifier.setting is None:
        images, coverage = (
            classifier.setting.images if classifier.setting else "",
            readers.general.config.coverage,
        )
        return Generalization(math.nan, 0.0, 1.0, coverage, False, 0.0, images, "", fault or NO_PICTURES)
    result = _predict(classifier.graph, classifier.setting, readers)
    found = classifier.identified
    if found is not None and not found.declared and found.best.overconfidence > DOUBTFUL:
        return replace(result, typical=False, low=0.0, high=1.0, reason=OVERCONFIDENT)
    return _beside_rivals(classifier.identified, result, readers) if classifier.identified else result


def _predict(graph: Graph, setting: Setting, readers: AccuracyReaders) -> Generalization:
    view, small = small_cnn_view(graph.architecture, graph.tensors), readers.small
    if view is not None and setting.shape == (1, *[small.config.sizes.get(setting.images)] * 2):
        convention = ClassifierConvention(view.activation, setting.pixels.mean, setting.pixels.std)
        (result,) = small.predict_batch(convention.normalize(view.features), [view.activation])
        if result.images == setting.images and result.typical:
            return result
    return _estimate(graph, setting, readers.general)


def _estimate(graph: Graph, setting: Setting, general: AccuracyPredictor) -> Generalization:
    """What the predictor of any architecture says."""

    def scores(x: torch.Tensor) -> torch.Tensor:
        return class_scores(graph.architecture, graph.tensors, setting.pixels(x))

    work = graph.architecture.multiplications
    found = general.estimate(setting.images, setting.shape, scores, work)
    reason = "" if found.typical else UNUSUAL
    return Generalization(
        found.test_accuracy, found.low, found.high, found.coverage, found.typical, float(found.typical), found.images,
        activation_of(graph), reason, general.name,
    )  # fmt: skip


def _beside_rivals(
    identified: Identified, result: Generalization, readers: AccuracyReaders
) -> Generalization:
    """The result, not typical where a setting that fits as well says something else."""
    for fit in _most_unlike(identified):
        other = _predict(identified.graph_of(fit), fit.setting, readers)
        if not result.low - DISAGREE <= other.test_accuracy <= result.high + DISAGREE:
            reason = RIVALS.format(f"{result.test_accuracy:.1%}", f"{other.test_accuracy:.1%}")
            return replace(result, typical=False, low=0.0, high=1.0, reason=reason)
    return result


def _most_unlike(identified: Identified) -> list[Fit]:
    """The rivals likeliest to say something else: of other pictures, then those that are right most or least."""
    best = identified.best
    return sorted(
        identified.rivals,
        key=lambda fit: (fit.setting.images == best.setting.images, -abs(fit.accuracy - best.accuracy)),
    )[:RIVALS_TRIED]


RIVALS_TRIED = 4
"""Rivals that are predicted: a prediction takes as long as a tenth of the search, and most rivals compute the same."""
DISAGREE = 0.01
"""How far beyond the interval a rival's accuracy may lie."""


def answers(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    """The classes `(n,)` that a classifier gives to pictures `(n, c, H, W)` uint8 of its set."""
    graph, setting = classifier.graph, classifier.setting
    assert graph is not None and setting is not None, "the caller has checked `fault`"
    pictures = PictureSet(setting.images, images, torch.zeros(len(images), dtype=torch.int64))
    return graph.run(setting.pixels(pictures.shaped(setting.shape))).flatten(1).argmax(1)
