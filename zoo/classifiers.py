"""Image classifiers of any architecture: what they compute, on which pictures, and their predicted test accuracy."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from nfn.accuracy.answers import angle, fraction
from nfn.accuracy.predictor import CLASSES, AccuracyPredictor
from nfn.architecture.ops import Activation
from nfn.architecture.views import small_cnn_graph, small_cnn_view
from nfn.features import WeightSpaceFeatures
from nfn.generalization import Generalization, GeneralizationPredictor
from nfn.layer_fit import NO_FIT, TRAINED, layer_fit
from nfn.network import NO_CLASSIFIER, ClassifierConvention, Graph, Network
from nfn.reader.read import notes_but_pixels
from nfn.weight_reader import WeightReader
from nfn.wiring.fit import Fit, Setting
from nfn.wiring.identify import NO_PICTURES, Identified, given_by, identify
from nfn.wiring.pictures import MINUS_ONE_ONE, PictureSet
from nfn.wiring.propose import AsDeclared
from nfn.wiring.search import DOUBTFUL
from zoo.catalog import Zoo
from zoo.errors import ZooError

UNUSUAL = (
    "It answers the pictures in a way that no network of the zoo does, so the error of a predicted accuracy is "
    "unknown."
)
OVERCONFIDENT = (
    "In every reading that was tried it is more confident than correct, which networks rarely are on pictures like "
    "their training pictures: its wiring or its input normalisation is probably different."
)
LARGEST_GAIN = 0.02
"""The most nats per image that temperatures above 1 gain (`Fit.temperature_gain`) in a network's own setting."""
SHIFTED_NORMS = (
    "In every reading that was tried, the inputs of its batch norms do not match their running statistics: its wiring "
    "or its input normalisation is probably different, or it was trained for only a few steps."
)
MOST_SHIFTED = 0.6
"""How far batch norms may be from their running statistics (`Fit.norm_shift`)."""
AMBIGUOUS = (
    "Two ways to read it fit about equally well and give different accuracies, {} and {}: choose one of them, or use "
    "a file that contains its graph."
)

AT_CHANCE, CHANCE = "It answers no better than chance.", 0.2
"""Where the interval ends below twice the accuracy of chance."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network and what it computes. `setting` is None if it takes none of the supported pictures.

    `identified` has the settings that were compared; it is None for a network of the zoo, whose setting is known.
    """

    network: Network
    graph: Graph | None
    setting: Setting | None
    identified: Identified | None = None

    def to(self, device: torch.device | str) -> "Classifier":
        """Move its tensors to a device."""
        if self.graph is None:
            return self
        moved = {name: tensor.to(device) for name, tensor in self.graph.tensors.items()}
        return replace(self, graph=replace(self.graph, tensors=moved), identified=None)

    @property
    def fault(self) -> str | None:
        """Why no accuracy can be predicted, as a sentence; None if one can."""
        if self.setting is None:
            return NO_PICTURES
        return None if self.identified is None else self.identified.fault

    @property
    def assumed(self) -> tuple[str, ...]:
        """The assumptions that were made, as sentences; none for a network of the zoo."""
        if self.identified is None or self.setting is None:
            return self.network.assumed
        return (*self.network.assumed, *self.setting.sentences())

    @property
    def notes(self) -> tuple[str, ...]:
        """The reader's notes, without the one that pixels are assumed if they were searched."""
        if self.identified is None:
            return self.network.notes
        return notes_but_pixels(self.network)

    @property
    def readings(self) -> tuple[str, ...]:
        """The best fitting settings that were tried, the one in use first; empty if nothing had to be searched."""
        return () if self.identified is None else self.identified.readings

    @property
    def activation(self) -> str:
        """The first activation, "" if there is none."""
        return "" if self.graph is None else activation_of(self.graph)


def activation_of(graph: Graph) -> str:
    """The first activation, "" if there is none."""
    return next((op.function for op in graph.architecture.ops if isinstance(op, Activation)), "")


def identify_classifier(
    network: Network, sets: Sequence[PictureSet], images: str | None = None
) -> Classifier:
    """Find what an uploaded classifier computes, from its file's declaration, given facts, or a search.

    Raises ValueError, with a message for the user, if its wiring cannot be found.
    """
    identified = identify(network, sets, given_by(network.classifier, images))
    if identified is None:
        return Classifier(network, network.graph, None)
    return Classifier(network, identified.graph, identified.setting, identified)


def with_reading(classifier: Classifier, reading: str) -> Classifier:
    """Use another of the settings that were tried (one of `Identified.readings`).

    Raises ValueError if there is none of that name.
    """
    if classifier.identified is None:
        raise ValueError("This network is completely declared: it has only one reading.")
    identified = classifier.identified.with_chosen(reading)
    return replace(classifier, graph=identified.graph, setting=identified.setting, identified=identified)


def zoo_classifier(network: Network, images: str, size: int) -> Classifier:
    """A network of the zoo with its own graph and pixel normalization, or else a small CNN.

    Small CNNs take grayscale pictures of `size` pixels a side in [-1, 1].
    """
    if network.graph is not None:
        return Classifier(
            network, network.graph, _declared_setting(network.graph, network.classifier, images)
        )
    activation = "tanh" if network.classifier.activation == "tanh" else "relu"
    names = [(layer.weight, layer.bias) for layer in network.names]
    graph = Graph(*small_cnn_graph(network.features, activation, size, names))
    return Classifier(network, graph, Setting(images, (1, size, size), MINUS_ONE_ONE, AsDeclared()))


def _declared_setting(graph: Graph, convention: ClassifierConvention, images: str) -> Setting | None:
    """The setting of a network whose graph and normalization are known; None if it does not tell apart ten classes of
    pictures."""
    pixels, shape = given_by(convention).pixels, graph.architecture.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or graph.architecture.output_shape != (CLASSES,):
        return None
    return (
        None if pixels is None or not pixels.fits(shape[0]) else Setting(images, shape, pixels, AsDeclared())
    )


@dataclass(frozen=True, eq=False)
class AccuracyPredictors:
    """Predictors of test accuracy: `small` is best for CNNs like the zoo's, `general` takes any classifier.

    `weights` are those that read weights alone, by the image set of the networks that they read.
    """

    small: GeneralizationPredictor
    general: AccuracyPredictor
    weights: Mapping[str, WeightReader] = field(default_factory=dict)

    @property
    def pictures(self) -> list[PictureSet]:
        """The labelled training pictures on which uploads are tried."""
        return self.general.picture_sets()


def accuracy_predictors(zoo: Zoo) -> AccuracyPredictors:
    """The predictors of a zoo; the general one is the embedded zoo's if this zoo has none."""
    has_own = any(info.name == AccuracyPredictor.name for info in zoo.predictors())
    general = (zoo if has_own else Zoo()).predictor("accuracy", AccuracyPredictor)
    small = zoo.predictor("generalization", GeneralizationPredictor)
    readers = [zoo.predictor(name, WeightReader) for name in zoo.readers()]
    return AccuracyPredictors(small, general, accuracy_readers(readers))


def accuracy_readers(readers: Iterable[WeightReader]) -> dict[str, WeightReader]:
    """Those of these readers that read the test accuracy of networks of one image set, by its name."""
    return {one.config.images: one for one in readers if one.config.task == "accuracy" and one.config.images}


def classifier_at(zoo: Zoo, zoo_id: str, predictors: AccuracyPredictors) -> Classifier:
    """The image classifier of a zoo id; ZooError for another kind of network."""
    network, images = zoo.network(zoo_id), zoo.collection(zoo.parse(zoo_id).collection).images
    if network.kind != "classifier":
        raise ZooError(NO_CLASSIFIER)
    return zoo_classifier(network, images, predictors.small.config.sizes.get(images, 32))


def predict_accuracy(classifier: Classifier, predictors: AccuracyPredictors) -> Generalization:
    """Predict the test accuracy of a classifier.

    Without a meaningful setting the accuracy is NaN and `reason` says why; if the setting is doubtful, `typical` is
    False and `reason` says so.
    """
    fault = classifier.fault
    if classifier.setting is not None and classifier.setting.images not in predictors.general.config.stored:
        fault = NO_PICTURES
    if fault is not None or classifier.graph is None or classifier.setting is None:
        images, coverage = (
            classifier.setting.images if classifier.setting else "",
            predictors.general.config.coverage,
        )
        return Generalization(math.nan, 0.0, 1.0, coverage, False, 0.0, images, "", fault or NO_PICTURES)
    result = _predict(classifier.graph, classifier.setting, predictors)
    identified = classifier.identified
    doubt = None if identified is None or identified.declared else _doubt(identified.best)
    if doubt is not None:
        return replace(result, typical=False, low=0.0, high=1.0, reason=doubt)
    if identified is not None:
        result = _check_alternatives(identified, result, predictors)
    return _with_note(result, classifier.graph)


def _doubt(best: Fit) -> str | None:
    """Why the best reading that a search found is probably not the network's own, or None."""
    if best.overconfidence > DOUBTFUL or best.temperature_gain > LARGEST_GAIN:
        return OVERCONFIDENT
    return SHIFTED_NORMS if best.norm_shift > MOST_SHIFTED else None


def _with_note(result: Generalization, graph: Graph) -> Generalization:
    """The result, with a note if a network at chance does not look trained."""
    if not result.typical or result.high > CHANCE or layer_fit(graph.architecture, graph.tensors) > TRAINED:
        return result
    return replace(result, note=f"{AT_CHANCE} {NO_FIT}")


def _predict(graph: Graph, setting: Setting, predictors: AccuracyPredictors) -> Generalization:
    """The result of the predictor of small CNNs if it suits the network, or else of the general one."""
    chain, small = _small_cnn(graph, setting, predictors), predictors.small
    if chain is not None:
        (result,) = small.predict_features(*chain)
        if result.images == setting.images and result.typical:
            return result
    estimate = predictors.general.estimate_graph(graph, setting)
    reason = "" if estimate.typical else UNUSUAL
    return Generalization(
        estimate.test_accuracy, estimate.low, estimate.high, estimate.coverage, estimate.typical,
        float(estimate.typical), estimate.images, activation_of(graph), reason, predictors.general.name,
        seen=estimate.seen,
    )  # fmt: skip


def _small_cnn(
    graph: Graph, setting: Setting, predictors: AccuracyPredictors
) -> tuple[WeightSpaceFeatures, list[str]] | None:
    """A small CNN that takes the zoo's pictures as a normalized chain, and its activation; None for other graphs."""
    view = small_cnn_view(graph.architecture, graph.tensors)
    if view is None or setting.shape != (1, *[predictors.small.config.sizes.get(setting.images)] * 2):
        return None
    convention = ClassifierConvention(view.activation, setting.pixels.mean, setting.pixels.std)
    return convention.normalize(view.features), [view.activation]


def weights_alone(
    classifier: Classifier, predictors: AccuracyPredictors
) -> tuple[WeightReader, WeightSpaceFeatures, list[str]] | None:
    """The reader that takes such networks, and its inputs: a normalized chain and its activation; None if none does."""
    graph, setting = classifier.graph, classifier.setting
    if graph is None or setting is None or setting.images not in predictors.weights:
        return None
    chain, reader = _small_cnn(graph, setting, predictors), predictors.weights[setting.images]
    return (reader, *chain) if chain is not None and reader.has_shapes_of(chain[0]) else None


@torch.no_grad()
def accuracy_from_weights(classifier: Classifier, predictors: AccuracyPredictors) -> float | None:
    """The test accuracy, 0 to 1, that is read from weights alone; None if no reader takes such networks, or if the
    weights are so large that the answer is not finite."""
    found = weights_alone(classifier, predictors)
    if found is None:
        return None
    reader, features, activations = found
    number = reader.explain(reader.read(features, activations)[0].cpu()).number
    assert number is not None, "readers of accuracies predict numbers"
    return min(1.0, max(0.0, number)) if math.isfinite(number) else None


def _check_alternatives(
    identified: Identified, result: Generalization, predictors: AccuracyPredictors
) -> Generalization:
    """The result, marked as not typical if an equally well fitting setting gives a different accuracy."""
    doubtful = _likeliest_to_differ(identified)
    if doubtful and result.typical and result.predictor == predictors.general.name:
        doubtful = moved_on_stored(identified, doubtful, result, predictors.general)
    for fit in doubtful:
        other = _predict(identified.graph_of(fit), fit.setting, predictors)
        if not result.low - TOLERANCE <= other.test_accuracy <= result.high + TOLERANCE:
            reason = AMBIGUOUS.format(f"{result.test_accuracy:.1%}", f"{other.test_accuracy:.1%}")
            return replace(result, typical=False, low=0.0, high=1.0, reason=reason)
    return result


def moved_on_stored(
    identified: Identified, fits: Sequence[Fit], result: Generalization, predictor: AccuracyPredictor
) -> list[Fit]:
    """The alternatives whose predictions may lie outside the interval, by their accuracy on the stored images alone.

    A prediction is that accuracy and a correction, which changes little between readings: a prediction that moves as
    the accuracy does (as angles) must stay in the inner half of the interval. `result` is the general `predictor`'s
    for the best setting.
    """

    def stored(fit: Fit) -> torch.Tensor:
        return angle(torch.tensor(predictor.stored_accuracy(identified.graph_of(fit), fit.setting)))

    before = angle(torch.tensor(result.test_accuracy)) - angle(torch.tensor(result.seen))
    room = (result.high - result.low) / 4

    def moved(fit: Fit) -> bool:
        return not result.low + room <= float(fraction(before + stored(fit))) <= result.high - room

    return [fit for fit in fits if fit.setting.images != result.images or moved(fit)]


def _likeliest_to_differ(identified: Identified) -> list[Fit]:
    """The alternatives most likely to differ: on other pictures first, then those whose accuracy differs most.

    Of those that compute the same, one is listed, and none that computes the same as the best.
    """
    best = identified.best
    likeliest = sorted(
        identified.alternatives,
        key=lambda fit: (fit.setting.images == best.setting.images, -abs(fit.accuracy - best.accuracy)),
    )[:ALTERNATIVES_TRIED]
    distinct = {_answers_of(fit): fit for fit in reversed(likeliest)}
    return [fit for key, fit in reversed(distinct.items()) if key != _answers_of(best)]


def _answers_of(fit: Fit) -> tuple:
    """What two settings share that compute the same: the pictures, and all that was found on them."""
    return fit.setting.view, fit.log_likelihood, fit.accuracy, fit.confidence


ALTERNATIVES_TRIED = 4
"""The number of alternatives to predict: each takes a tenth of the search time, and most compute the same."""
TOLERANCE = 0.01
"""How far outside the interval an alternative's accuracy may lie."""


def predicted_classes(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    """The predicted classes `(n,)` for pictures `(n, c, H, W)` uint8 of the classifier's image set."""
    graph, setting = classifier.graph, classifier.setting
    assert graph is not None and setting is not None, "the caller has checked `fault`"
    pictures = PictureSet(setting.images, images, torch.zeros(len(images), dtype=torch.int64))
    return graph.run(setting.pixels(pictures.shaped(setting.shape))).flatten(1).argmax(1)
