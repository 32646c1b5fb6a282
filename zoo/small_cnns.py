"""Predictions for uploaded image classifiers, one or many at once, with facts that the user gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from nfn.architecture.ops import FUNCTIONS
from nfn.architecture.views import small_cnn_graph
from nfn.generalization import Generalization, GeneralizationPredictor
from nfn.network import NO_CLASSIFIER, ClassifierConvention, Graph, Network
from nfn.reader import NetworkFileError
from nfn.reader.classifier_convention import read_classifier_convention
from nfn.reader.stack import read_networks
from nfn.wiring.fit import Fit
from nfn.wiring.identify import NO_NUMBER, given_by, identify
from nfn.wiring.pictures import IMAGENET
from zoo.classifiers import AccuracyPredictors, Classifier, identify_classifier, predict_accuracy
from zoo.errors import shorten

STACK_SEARCHES = 3
"""Networks of a stack whose input normalisation is searched."""
ACTIVATIONS = ("auto", *(name for name in FUNCTIONS if name not in ("cosine", "exp", "square", "abs")))


def override_convention(network: Network, activation: str = "auto", pixels: str = "auto") -> Network:
    """Override the activation or the pixel normalisation of a network; `auto` leaves it unchanged.

    `pixels` is a range such as "0,1" (the inputs for black and white), or the name of a mean and deviation in `PIXELS`.

    Raises ValueError if either is invalid.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"Unknown activation {shorten(str(activation))}: choose one of {', '.join(ACTIVATIONS)}."
        )
    if activation == pixels == "auto":
        return network
    convention = network.classifier
    if pixels != "auto":
        convention = replace(_of_pixels(pixels), activation=convention.activation)
    if activation != "auto":
        convention = replace(convention, activation=activation)
    return replace(network, convention=convention)


PIXELS = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar10-gray": ((0.4809,), (0.2392,)),
    "imagenet": (IMAGENET.mean, IMAGENET.std),
    "inverted": ((1.0,), (-1.0,)),
}
"""Named means and standard deviations of pixels in [0, 1]."""


def _of_pixels(pixels: str) -> ClassifierConvention:
    if pixels in PIXELS:
        mean, std = PIXELS[pixels]
        return ClassifierConvention(None, mean, std)
    try:
        return read_classifier_convention({"pixel_range": str(pixels)})
    except NetworkFileError as error:
        expected = f"the inputs for black and white, such as 0,1 or -1,1, one of {', '.join(PIXELS)}, or auto"
        raise ValueError(f"Got the pixels {shorten(str(pixels))}; expected {expected}.") from error


@dataclass(frozen=True)
class Answer:
    """One network's prediction, or the reason why there is none."""

    name: str
    result: Generalization | None = None
    error: str = ""
    assumed: tuple[str, ...] = ()


def predict_file(
    predictors: AccuracyPredictors,
    path: str | Path,
    activation: str = "auto",
    pixels: str = "auto",
    part: str | None = None,
) -> list[Answer]:
    """Predict the one network of a file, under the file's name, or each network of a stack, as `name[i]`.

    `part` names one of several networks in the file. The wiring of a single network is searched; a stack must contain
    small CNNs like the zoo's, whose input normalisation is searched (`with_shared_pixels`).

    Raises ValueError for an invalid activation or pixels, OSError if the file cannot be opened.
    """
    name = Path(path).name
    try:
        networks = read_networks(path, part=part)
    except NetworkFileError as error:
        return [Answer(name, error=str(error))]
    networks = [override_convention(n, activation, pixels) if isinstance(n, Network) else n for n in networks]
    if len(networks) == 1 and isinstance(networks[0], Network):
        return [predict_one(predictors, name, networks[0])]
    networks = with_shared_pixels(networks, predictors)
    return predict_alike(predictors.small, [f"{name}[{i}]" for i in range(len(networks))], networks)


def with_shared_pixels(
    networks: Sequence[Network | NetworkFileError], predictors: AccuracyPredictors
) -> list[Network | NetworkFileError]:
    """The networks of a stack with an input normalisation, where their file declares none.

    All get that of the most accurate of the first `STACK_SEARCHES` in which a search finds one: they are from one
    script, and a wrong one gives wrong numbers that look right.
    """

    def lacks_pixels(network: Network) -> bool:
        return predictors.small.fault(network) is None and not network.classifier.pixels_known

    lacking = [n for n in networks if isinstance(n, Network) and lacks_pixels(n)]
    fits = [fit for n in lacking[:STACK_SEARCHES] for fit in _fits(n, predictors)]
    if not fits:
        return list(networks)
    pixels = max(fits, key=lambda fit: fit.accuracy).setting.pixels
    return [
        replace(n, convention=replace(n.classifier, pixel_mean=pixels.mean, pixel_std=pixels.std))
        if isinstance(n, Network) and lacks_pixels(n) else n
        for n in networks
    ]  # fmt: skip


@torch.no_grad()
def _fits(network: Network, predictors: AccuracyPredictors) -> list[Fit]:
    """How well a small CNN classifies the stored pictures of each image set, in its best reading; none that fails."""
    (result,) = predictors.small.predict_batch([network])
    activation: Literal["relu", "tanh"] = "tanh" if result.activation == "tanh" else "relu"
    fits = []
    for images, size in predictors.small.config.sizes.items():
        if images not in predictors.general.config.stored:
            continue
        graph = Graph(*small_cnn_graph(network.features, activation, size))
        pictures = predictors.general.pictures(images)
        identified = identify(replace(network, graph=graph), [pictures], given_by(network.classifier))
        if identified is not None and identified.fault is None:
            fits.append(identified.best)
    return fits


@torch.no_grad()
def predict_one(predictors: AccuracyPredictors, name: str, network: Network) -> Answer:
    """The prediction for one uploaded classifier of any architecture."""
    if network.kind != "classifier":
        return Answer(name, error=NO_CLASSIFIER)
    try:
        classifier = identify_classifier(network, predictors.pictures)
    except ValueError as error:
        return Answer(name, error=str(error))
    return predict_classifier(predictors, name, classifier)


@torch.no_grad()
def predict_classifier(predictors: AccuracyPredictors, name: str, classifier: Classifier) -> Answer:
    """The prediction for a classifier whose wiring and setting are known."""
    result = predict_accuracy(classifier, predictors)
    if not math.isfinite(result.test_accuracy):
        return Answer(name, error=result.reason)
    return Answer(name, result, assumed=classifier.assumed)


def predict_alike(
    predictor: GeneralizationPredictor, names: Sequence[str], networks: Sequence[Network | NetworkFileError]
) -> list[Answer]:
    """A prediction for each network of one spec, or the error that replaces it."""
    faults = [predictor.fault(n) if isinstance(n, Network) else str(n) for n in networks]
    readable = [
        n for n, fault in zip(networks, faults, strict=True) if isinstance(n, Network) and fault is None
    ]
    results = iter(predictor.predict_batch(readable))
    return [
        Answer(name, error=fault) if fault is not None else _answer(name, next(results))
        for name, fault in zip(names, faults, strict=True)
    ]


def _answer(name: str, result: Generalization) -> Answer:
    return Answer(name, result) if math.isfinite(result.test_accuracy) else Answer(name, error=NO_NUMBER)
