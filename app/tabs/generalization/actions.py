"""The actions of the Accuracy tab and the API: open classifiers and predict their test accuracy. No gradio."""

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import torch

from app.networks.source import Source, reader_errors, with_part
from app.networks.zoos import predictor, zoo_at
from app.runtime.cache import lru_cache_if
from app.runtime.errors import RequestError, UnsuitableNetwork
from nfn.accuracy.predictor import AccuracyPredictor
from nfn.generalization import Generalization, GeneralizationPredictor
from nfn.network import NO_CLASSIFIER, Graph, Network
from nfn.reader import NetworkFileError
from nfn.reader.errors import GRAPH_ADVICE
from nfn.reader.stack import read_networks
from nfn.weight_reader import WeightReader
from nfn.wiring.pictures import PictureSet
from zoo import classifiers, small_cnns
from zoo.catalog import CollectionInfo
from zoo.classifiers import AccuracyPredictors, Classifier
from zoo.errors import shorten
from zoo.families import FAMILIES

AUTO = "auto"
MAX_CACHED_WEIGHTS = 1_000_000
"""Weights of a network that is cached for later requests."""


def classifier_collections() -> list[CollectionInfo]:
    """The collections of image classifiers, by family, in the catalog's order."""
    infos = [info for info in zoo_at().collections() if FAMILIES[info.kind].classifies]
    return sorted(infos, key=lambda info: list(FAMILIES).index(info.kind))


def first_classifier() -> str:
    """The zoo id of the network that is shown at first: the best one of the first collection."""
    rows = zoo_at().rows(classifier_collections()[0].name)
    return max(rows, key=lambda row: row["test_accuracy"])["id"]


def open_upload(path: str | None, part: str = "") -> Source:
    """An upload as a source; opened once, so that a bad file is refused before anything changes on screen."""
    if path is None:
        raise RequestError("Upload a file first.")
    source = with_part(Source(path=path), part)
    open_classifier(source)
    return source


def read_as(
    source: Source, images: str = AUTO, activation: str = AUTO, pixels: str = AUTO, reading: str = AUTO
) -> Source:
    """The source with a visitor's choices, which override its file; "auto" leaves a choice to the file.

    `images` is the image set that it was trained on, `pixels` the inputs for black and white, or the name of a
    normalization.
    """
    if images == activation == pixels == reading == AUTO:
        return source
    if source.path is None:
        raise RequestError(
            "The zoo's networks are known: leave images, activation, pixels and reading at auto."
        )
    if images != AUTO and images not in pictures():
        raise RequestError(
            f"Unknown images {shorten(str(images))}: choose one of auto, {', '.join(pictures())}."
        )
    try:
        convention = small_cnns.override_convention(open_classifier(source), activation, pixels).convention
    except ValueError as error:
        raise RequestError(str(error)) from error
    source = replace(source, convention=convention, images=None if images == AUTO else images)
    return source if reading == AUTO else replace(source, reading=reading)


def pictures() -> dict[str, PictureSet]:
    """The labelled training pictures on which readings of an upload are tried, by image set."""
    return {one.name: one for one in readers().pictures}


@cache
def readers() -> AccuracyPredictors:
    """The app's predictors of test accuracy."""
    small, general = (
        predictor("generalization", GeneralizationPredictor),
        predictor("accuracy", AccuracyPredictor),
    )
    weights = [predictor(name, WeightReader) for name in zoo_at().readers()]
    return AccuracyPredictors(small, general, classifiers.accuracy_readers(weights))


def _is_small(network: Network) -> bool:
    return network.parameters <= MAX_CACHED_WEIGHTS


@lru_cache_if(32, _is_small)
def open_classifier(source: Source) -> Network:
    """The classifier of `source`; UnsuitableNetwork if it is another kind of network."""
    with reader_errors():
        network = read_any(source)
    fault = _fault(source, network)
    if fault is not None:
        raise UnsuitableNetwork(fault, network)
    return network


def reads(network: Network) -> bool:
    """Whether a network is a classifier; without a prediction it is still drawn, permuted and measured."""
    return network.kind == "classifier"


def _fault(source: Source, network: Network) -> str | None:
    """Why a network is refused; every classifier with a graph of its own and every uploaded one is accepted, also if
    there is no prediction for it."""
    if source.zoo_id is not None and network.graph is None:
        return predictor("generalization", GeneralizationPredictor).fault(network)
    return NO_CLASSIFIER if network.kind != "classifier" else None


def read_any(source: Source) -> Network:
    """The network of `source`, of any kind."""
    if source.zoo_id is not None:
        return zoo_at(source.zoo).network(source.zoo_id)
    network, *others = read_networks(source.path or "", source.convention, source.part or None)
    if others:
        raise RequestError(
            f"This file is a stack of {1 + len(others):,} networks: upload it as a batch to read them all."
        )
    if isinstance(network, NetworkFileError):
        raise network
    return network


def _is_small_classifier(classifier: Classifier) -> bool:
    return _is_small(classifier.network)


@lru_cache_if(32, _is_small_classifier)
@torch.no_grad()
def classifier_of(source: Source) -> Classifier:
    """The classifier of `source` and what it computes: known for the zoo, declared by a file, or found by trying."""
    if source.reading:
        with reader_errors():
            return classifiers.with_reading(classifier_of(replace(source, reading="")), source.reading)
    network = open_classifier(source)
    if source.zoo_id is not None:
        images = zoo_at(source.zoo).collection(source.zoo_id.partition("/")[0]).images
        return classifiers.zoo_classifier(network, images, readers().small.config.sizes.get(images, 32))
    with reader_errors():
        return classifiers.identify_classifier(network, list(pictures().values()), source.images)


@dataclass(frozen=True)
class Predicted:
    """A prediction, and its rank among the zoo.

    `percentile` is the percentage of the zoo's finished networks on `result.images` that measure below the predicted
    accuracy, None if the zoo has none; `measured` is a zoo network's accuracy on test images, 0 to 1, None for an
    upload. `weights` is the accuracy that weights alone say, None if no reader takes such networks. `assumed` are
    sentences on what an upload does not say, `readings` the ways to read it that were tried.
    """

    result: Generalization
    percentile: float | None
    measured: float | None
    assumed: tuple[str, ...]
    readings: tuple[str, ...] = ()
    weights: float | None = None


@lru_cache(maxsize=256)
def predict(source: Source) -> Predicted:
    """Predict a classifier's test accuracy from its answers on training pictures, and for small CNNs its weights."""
    classifier = classifier_of(source)
    result = predict_classifier(classifier)
    measured = None if source.zoo_id is None else zoo_at(source.zoo).row(source.zoo_id)["test_accuracy"]
    weights = classifiers.accuracy_from_weights(classifier, readers()) if result.typical else None
    return Predicted(result, percentile(result), measured, classifier.assumed, classifier.readings, weights)


@torch.no_grad()
def predict_classifier(classifier: Classifier) -> Generalization:
    """Predict the test accuracy of an open classifier."""
    return classifiers.predict_accuracy(classifier, readers())


def percentile(result: Generalization) -> float | None:
    """See `Predicted`."""
    if not math.isfinite(result.test_accuracy):
        return None
    accuracies = _finished_accuracies(result.images)
    return 100 * bisect_left(accuracies, result.test_accuracy) / len(accuracies) if accuracies else None


@cache
def _finished_accuracies(images: str) -> list[float]:
    return sorted(
        row["test_accuracy"]
        for info in classifier_collections()
        if zoo_at().collection(info.name).images == images
        for row in zoo_at().rows(info.name)
        if row["final"]
    )


def require_graph(classifier: Classifier) -> Graph:
    """The classifier's graph; RequestError if it is unknown."""
    if classifier.graph is None:
        raise RequestError(f"The graph of this network is unknown. {GRAPH_ADVICE}")
    return classifier.graph
