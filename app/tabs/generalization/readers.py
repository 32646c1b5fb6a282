"""Test accuracies from weights alone, beside those of the best predictor. No gradio."""

import math
from dataclasses import dataclass, replace

import torch

from app.networks.arguments import check_reader
from app.networks.source import Source
from app.networks.zoos import predictor, zoo_at
from app.page.attribution import attribution_legend, top_neurons
from app.page.html import percent
from app.runtime.errors import RequestError
from app.tabs.generalization.actions import (
    MAX_CACHED_WEIGHTS,
    Predicted,
    classifier_of,
    percentile,
    predict,
    readers,
)
from nfn.architecture.words import architecture_words
from nfn.features import WeightSpaceFeatures
from nfn.network import Network
from nfn.weight_reader import WeightReader
from nfn.wiring.pictures import IMAGE_TITLES
from zoo import classifiers
from zoo.classifiers import Classifier

LIKE_THE_ZOOS = "convolutions of stride 2 without padding, ReLU or tanh, global average pooling"
"""What the networks have in common that `nfn.architecture.views.small_cnn_view` converts."""

ATTRIBUTION = attribution_legend("accuracy", "Blue raised it, red lowered it; numbers are percentage points.")
UNRELIABLE = (
    "There is no reliable number for this network, so there is nothing to explain. The card of the predicted accuracy "
    "says why."
)


@dataclass(frozen=True)
class Answer:
    """One reader's accuracy, 0 to 1, with the best predictor's result; None where there is none.

    `low` and `high` contain the true accuracy for a fraction `coverage` of networks like the zoo's: of weights alone no
    such interval is known. `agree` is whether the accuracy from weights alone lies in the best predictor's interval;
    None if this is the best predictor's own answer, or if it has no interval.
    """

    best: Predicted
    accuracy: float | None
    low: float | None
    high: float | None
    coverage: float | None
    percentile: float | None
    agree: bool | None
    predictor: str


def answer(source: Source, reader: str) -> Answer:
    """The answer of the reader `reader`; RequestError if it does not exist or does not take such networks.

    The best predictor decides whether the answer is typical, and without a meaningful reading of the network neither
    has a number.
    """
    check_reader(reader)
    return _from_weights(source) if reader == "weights" else _best(predict(source))


def _best(best: Predicted) -> Answer:
    result, coverage = best.result, best.result.coverage
    if not math.isfinite(result.test_accuracy):
        return Answer(best, None, None, None, coverage, None, None, result.predictor)
    return Answer(best, result.test_accuracy, result.low, result.high, coverage, best.percentile, None,
                  result.predictor)  # fmt: skip


def _from_weights(source: Source) -> Answer:
    classifier = classifier_of(source)
    name = reader_of(classifier)
    if name is None:
        raise RequestError(f"{no_reader(classifier)} Leave reader at best.")
    best = predict(source)
    result, accuracy = best.result, classifiers.accuracy_from_weights(classifier, readers())
    if accuracy is None or not math.isfinite(result.test_accuracy):
        return Answer(best, None, None, None, None, None, None, name)
    rank = percentile(replace(result, test_accuracy=accuracy))
    agree = result.low <= accuracy <= result.high if result.typical else None
    return Answer(best, accuracy, None, None, None, rank, agree, name)


@dataclass(frozen=True, eq=False)
class Attribution:
    """The accuracy from weights alone, 0 to 1, and how much each weight and bias contributed to it.

    `contributions` are features `(1, 1, ...)` of the normalized chain, in the network's own order of neurons.
    """

    accuracy: float
    contributions: WeightSpaceFeatures

    @property
    def layers(self) -> dict[str, torch.Tensor]:
        """The contributions of each layer's weights in percentage points, `(out, in, ...)`, by the layer's title."""
        *hidden, last = (100 * weight[0, 0] for weight in self.contributions.weights)
        return {**{f"layer {i}": weight for i, weight in enumerate(hidden, 1)}, "output": last}


def attribute(source: Source) -> Attribution:
    """How much each weight moved the accuracy from weights alone; RequestError if there is none to rely on."""
    classifier = classifier_of(source)
    found = classifiers.weights_alone(classifier, readers())
    if found is None:
        raise RequestError(no_reader(classifier))
    accuracy = predict(source).weights
    if accuracy is None:
        raise RequestError(UNRELIABLE)
    reader, features, activations = found
    return Attribution(accuracy, reader.attribution(features, activations))


def attribution_html(attribution: Attribution) -> str:
    """The accuracy, the hidden neurons that contributed most to it, and what the colours of the maps mean."""
    accuracy, neurons = percent(attribution.accuracy), top_neurons(attribution.contributions)
    return f'<p class="line">Weights alone: <b>{accuracy}</b>. {neurons}</p>{ATTRIBUTION}'


def takes(source: Source, network: Network) -> bool:
    """Whether a reader takes the open network of `source`; none takes one that is too large for the cache."""
    return network.parameters <= MAX_CACHED_WEIGHTS and reader_of(classifier_of(source)) is not None


def reader_of(classifier: Classifier) -> str | None:
    """The name of the reader in the zoo that takes such a network; None if none does."""
    found = classifiers.weights_alone(classifier, readers())
    if found is None:
        return None
    return next(name for name in zoo_at().readers() if predictor(name, WeightReader) is found[0])


def no_reader(classifier: Classifier) -> str:
    """Why no reader takes the network: what it is, and what those of the zoo read."""
    if not readers().weights:
        return "No predictor in this zoo reads a test accuracy from weights alone."
    graph, setting = classifier.graph, classifier.setting
    came = "of unknown wiring" if graph is None else architecture_words(graph.architecture)
    trained = "" if setting is None else f", trained on {_title(setting.images)}"
    return (
        f"No predictor in this zoo reads this network ({came}{trained}) from weights alone. The readers here take "
        f"small CNNs ({LIKE_THE_ZOOS}) with {_wanted()}."
    )


def _wanted() -> str:
    """The shapes of the weights that are read, and the image sets."""
    sets: dict[str, list[str]] = {}
    for images, reader in readers().weights.items():
        shapes = ", ".join("×".join(map(str, shape)) for shape in reader.config.shapes)
        sets.setdefault(shapes, []).append(_title(images))
    return " or ".join(
        f"weights of {shapes}, trained on {' or '.join(names)}" for shapes, names in sets.items()
    )


def _title(images: str) -> str:
    return IMAGE_TITLES.get(images, images)
