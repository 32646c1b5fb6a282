"""Small CNNs that people bring: which ones the predictor takes, what is told of them, and many predicted at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nfn.architecture.ops import FUNCTIONS
from nfn.features import WeightSpaceFeatures
from nfn.generalization import Generalization, GeneralizationPredictor
from nfn.network import NO_CLASSIFIER, ClassifierConvention, Network
from nfn.reader import NetworkFileError
from nfn.reader.classifier_convention import read_classifier_convention
from nfn.reader.stack import read_networks
from nfn.wiring.pictures import IMAGENET
from zoo.classifiers import NO_NUMBER, AccuracyReaders, found_classifier, predict_accuracy
from zoo.errors import shorten

ACTIVATIONS = ("auto", *(name for name in FUNCTIONS if name not in ("cosine", "exp", "square", "abs")))
AT_ONCE = 8
"""Networks that are predicted together: with more, their answers to the probes no longer fit a CPU core's cache."""


def tell(network: Network, activation: str = "auto", pixels: str = "auto") -> Network:
    """The network with its activation told, or what black and white become for it; auto leaves it as it is.

    `pixels` is a range such as "0,1", or one of `PIXELS`: a usual mean and deviation.

    Raises ValueError where either makes no sense.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"Unknown activation {shorten(str(activation))}: choose one of {', '.join(ACTIVATIONS)}."
        )
    if activation == pixels == "auto":
        return network
    told = network.classifier
    if pixels != "auto":
        told = replace(_of_pixels(pixels), activation=told.activation)
    if activation != "auto":
        told = replace(told, activation=activation)
    return replace(network, convention=told)


PIXELS = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar10-gray": ((0.4809,), (0.2392,)),
    "imagenet": (IMAGENET.mean, IMAGENET.std),
    "inverted": ((1.0,), (-1.0,)),
}
"""Mean and deviation of pixels from 0 to 1 that can be told by name."""


def _of_pixels(pixels: str) -> ClassifierConvention:
    if pixels in PIXELS:
        mean, std = PIXELS[pixels]
        return ClassifierConvention(None, mean, std)
    try:
        return read_classifier_convention({"pixel_range": str(pixels)})
    except NetworkFileError as error:
        wanted = f"what black and white become, such as 0,1 or -1,1, one of {', '.join(PIXELS)}, or auto"
        raise ValueError(f"Got the pixels {shorten(str(pixels))}; wanted {wanted}.") from error


@dataclass(frozen=True)
class Answer:
    """One network's prediction, or the sentence that says why there is none."""

    name: str
    result: Generalization | None = None
    error: str = ""
    assumed: tuple[str, ...] = ()


def predict_file(
    readers: AccuracyReaders,
    path: str | Path,
    activation: str = "auto",
    pixels: str = "auto",
    part: str | None = None,
) -> list[Answer]:
    """An answer for the one network of a file, under the file's name, or one per network of a stack, as `name[i]`.

    `part` names one of several networks in the file. What the one network computes is looked for; a stack is of small
    CNNs of the zoo's family.

    Raises ValueError for an activation or pixels that make no sense, OSError where the file cannot be opened.
    """
    name = Path(path).name
    try:
        networks = read_networks(path, part=part)
    except NetworkFileError as error:
        return [Answer(name, error=str(error))]
    networks = [tell(n, activation, pixels) if isinstance(n, Network) else n for n in networks]
    if len(networks) == 1 and isinstance(networks[0], Network):
        return [predict_one(readers, name, networks[0])]
    return predict_alike(readers.small, [f"{name}[{i}]" for i in range(len(networks))], networks)


@torch.no_grad()
def predict_one(readers: AccuracyReaders, name: str, network: Network) -> Answer:
    """An answer for one uploaded classifier of any architecture."""
    if network.kind != "classifier":
        return Answer(name, error=NO_CLASSIFIER)
    try:
        classifier = found_classifier(network, readers.pictures)
    except ValueError as error:
        return Answer(name, error=str(error))
    result = predict_accuracy(classifier, readers)
    if not math.isfinite(result.test_accuracy):
        return Answer(name, error=result.reason)
    return Answer(name, result, assumed=classifier.assumed)


def predict_alike(
    predictor: GeneralizationPredictor, names: Sequence[str], networks: Sequence[Network | NetworkFileError]
) -> list[Answer]:
    """An answer for each of some networks of one spec, or for the error that came in its place."""
    faults = [predictor.fault(n) if isinstance(n, Network) else str(n) for n in networks]
    good = [n for n, fault in zip(networks, faults, strict=True) if isinstance(n, Network) and fault is None]
    results = iter(_predict(predictor, good))
    return [
        Answer(name, error=fault) if fault is not None else _answer(name, next(results))
        for name, fault in zip(names, faults, strict=True)
    ]


def _answer(name: str, result: Generalization) -> Answer:
    return Answer(name, result) if math.isfinite(result.test_accuracy) else Answer(name, error=NO_NUMBER)


def _predict(predictor: GeneralizationPredictor, networks: list[Network]) -> list[Generalization]:
    if not networks:
        return []
    features = WeightSpaceFeatures.cat([network.normalized for network in networks])
    return predict_many(predictor, features, [network.classifier.activation for network in networks])


@torch.no_grad()
def predict_many(
    predictor: GeneralizationPredictor, features: WeightSpaceFeatures, activations: Sequence[str | None]
) -> list[Generalization]:
    """Predictions for networks `(n, 1, ...)` of pixels in [-1, 1], a few at a time, which bounds the memory."""
    parts = [slice(i, i + AT_ONCE) for i in range(0, len(activations), AT_ONCE)]
    return [r for part in parts for r in predictor.predict_batch(features.select(part), activations[part])]
