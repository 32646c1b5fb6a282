"""Small CNNs that people bring: which ones the predictor takes, what is told of them, and many predicted at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nfn.features import WeightSpaceFeatures
from nfn.generalization import Generalization, GeneralizationPredictor
from nfn.network import Network
from nfn.reader import NetworkFileError
from nfn.reader.classifier_convention import read_classifier_convention
from nfn.reader.stack import read_networks
from zoo.errors import ZooError, shorten

ACTIVATIONS = ("auto", "relu", "tanh")
SUPPORTED = (
    "Supported: 3×3 convolutions of stride 2 with ReLU or tanh, then global average pooling and one linear layer "
    "to 10 classes, on gray images."
)
AT_ONCE = 8
"""Networks that are predicted together: with more, their answers to the probes no longer fit a CPU core's cache."""
NO_NUMBER = (
    "The weights of this network are so large that its answers hold no numbers: nothing can be read of it."
)
NEEDED = "reading those would take a zoo of them to learn from"


def check_small_cnn(network: Network) -> Network:
    """The network itself if it is of the family that the predictor learned from; ZooError says why not."""
    fault = _fault(network)
    if fault is not None:
        raise ZooError(f"{fault} {SUPPORTED}")
    return network


def _fault(network: Network) -> str | None:
    if network.kind != "classifier":
        return f"This is a network of kind {network.kind}, not an image classifier."
    ranks = [len(array.shape) for array in network.spec.weight_spec]
    if 4 not in ranks:
        return f"This is a plain MLP, without convolutions: {NEEDED}."
    if ranks != [4] * (len(ranks) - 1) + [2]:
        return f"This CNN ends in {ranks.count(2)} linear layers: {NEEDED}."
    channels, classes = network.spec.get_io()
    if channels != 1:
        return (
            f"This CNN takes images of {channels} channels: {NEEDED}, for the zoo is gray. "
            "Train yours on grayscale images to have it read."
        )
    return None if classes == 10 else f"This CNN tells {classes} classes apart: {NEEDED}."


def tell(network: Network, activation: str = "auto", pixels: str = "auto") -> Network:
    """The network with its activation told, or what black and white become for it ("0,1"); auto leaves it as it is.

    Raises ValueError where either makes no sense.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"Unknown activation {shorten(str(activation))}: choose one of {', '.join(ACTIVATIONS)}."
        )
    told = network.classifier
    if pixels != "auto":
        told = replace(_of_range(pixels), activation=told.activation)
    if activation != "auto":
        told = replace(told, activation=activation)
    return replace(network, classifier=told)


def _of_range(pixels: str):
    try:
        return read_classifier_convention({"pixel_range": str(pixels)})
    except NetworkFileError as error:
        wanted = "what black and white become, such as 0,1 or -1,1, or auto"
        raise ValueError(f"Got the pixels {shorten(str(pixels))}; wanted {wanted}.") from error


@dataclass(frozen=True)
class Answer:
    """One network's prediction, or the sentence that says why there is none."""

    name: str
    result: Generalization | None = None
    error: str = ""


def predict_file(
    predictor: GeneralizationPredictor, path: str | Path, activation: str = "auto", pixels: str = "auto"
) -> list[Answer]:
    """An answer for the one network of a file, under the file's name, or one per network of a stack, as `name[i]`.

    Raises ValueError for an activation or pixels that make no sense, OSError where the file cannot be opened.
    """
    name = Path(path).name
    try:
        networks = read_networks(path)
    except NetworkFileError as error:
        return [Answer(name, error=str(error))]
    names = [name] if len(networks) == 1 else [f"{name}[{i}]" for i in range(len(networks))]
    networks = [tell(n, activation, pixels) if isinstance(n, Network) else n for n in networks]
    return predict_alike(predictor, names, networks)


def predict_alike(
    predictor: GeneralizationPredictor, names: Sequence[str], networks: Sequence[Network | NetworkFileError]
) -> list[Answer]:
    """An answer for each of some networks of one spec, or for the error that came in its place."""
    checked = [_checked(network) for network in networks]
    good = [network for network in checked if isinstance(network, Network)]
    try:
        results = iter(_predict(predictor, good))
    except ValueError as error:  # they are of one spec, so it goes for all of them
        checked = [str(error) if isinstance(network, Network) else network for network in checked]
    return [
        Answer(name, error=network) if isinstance(network, str) else _answer(name, next(results))
        for name, network in zip(names, checked, strict=True)
    ]


def _answer(name: str, result: Generalization) -> Answer:
    return Answer(name, result) if math.isfinite(result.test_accuracy) else Answer(name, error=NO_NUMBER)


def _checked(network: Network | NetworkFileError) -> Network | str:
    try:
        return str(network) if isinstance(network, NetworkFileError) else check_small_cnn(network)
    except ZooError as error:
        return str(error)


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
