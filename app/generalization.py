"""Generalization: how well a small image classifier will do, read from its weights, and then measured. No gradio."""

import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from statistics import NormalDist
from threading import Lock, Thread
from typing import cast

import torch

from app.actions import MAX_ACTIVATIONS, RequestError, Source, count_moved, predictor, reading, zoo
from app.elsewhere import elsewhere
from app.gpu import lent_device, on_gpu
from nfn.cnn import Activation, class_scores
from nfn.features import WeightSpaceFeatures
from nfn.generalization import Generalization
from nfn.network import ClassifierConvention, Network
from nfn.permutation import permute, random_permutations
from nfn.reader import NetworkFileError
from nfn.reader.stack import read_networks
from zoo import small_cnns
from zoo.bundled import bundled_images
from zoo.catalog import CollectionInfo
from zoo.errors import ZooError
from zoo.images import to_pixels

MAX_WEIGHTS = 250_000
"""Weights of a classifier that is read here."""
BATCH = 100
"""Images that a network sees at once, and after which progress shows."""


def classifier_collections() -> list[CollectionInfo]:
    """The collections whose networks classify images, as the catalog lists them."""
    return [info for info in zoo().collections() if info.kind == "classifier"]


def first_classifier() -> str:
    """The zoo id that a visitor sees before choosing one: the best network of the first collection."""
    rows = zoo().rows(classifier_collections()[0].name)
    return max(rows, key=lambda row: row["test_accuracy"])["id"]


def open_upload(path: str | None, classifier: ClassifierConvention | None = None) -> Source:
    """An upload as a source, opened once so that a bad file is refused before anything changes on screen."""
    if path is None:
        raise RequestError("Upload a file first.")
    source = Source(path=path, classifier=classifier)
    open_classifier(source)
    return source


def tell(source: Source, activation: str = "auto", pixels: str = "auto") -> Source:
    """The source with its activation, or what black and white become, told over what its file says; auto leaves it."""
    if activation == pixels == "auto":
        return source
    if source.path is None:
        raise RequestError("The zoo knows activation and pixels of its networks: leave both at auto.")
    try:
        return replace(
            source, classifier=small_cnns.tell(open_classifier(source), activation, pixels).classifier
        )
    except ValueError as error:
        raise RequestError(str(error)) from error


@lru_cache(maxsize=32)
def open_classifier(source: Source) -> Network:
    """The small CNN behind `source`, checked; RequestError says what is supported where it is something else."""
    with reading():
        network = _read(source)
    return _check(network)


def _read(source: Source) -> Network:
    if source.zoo_id is not None:
        return zoo(source.zoo).network(source.zoo_id)
    network, *others = read_networks(source.path or "", classifier=source.classifier)
    if others:
        raise RequestError(
            f"This file stacks {1 + len(others):,} networks: give it to the batch, which reads them all."
        )
    if isinstance(network, NetworkFileError):
        raise network
    return network


def _check(network: Network) -> Network:
    weights = network.spec.get_num_params()
    if weights > MAX_WEIGHTS:
        raise RequestError(
            f"Networks of up to {MAX_WEIGHTS:,} weights are read here; this one has {weights:,}."
        )
    try:
        return small_cnns.check_small_cnn(network)
    except ZooError as error:
        raise RequestError(f"{error}{elsewhere(network)}") from error


@dataclass(frozen=True)
class Predicted:
    """A prediction, where it stands among the zoo, and how long the predictor took.

    `percentile` is the share, 0 to 100, of the zoo's finished networks on `result.images` that measure below the
    predicted accuracy, None where the zoo has none of them; `measured` is what a zoo network reaches on all test
    images, 0 to 1, and None for an upload.
    """

    result: Generalization
    percentile: float | None
    measured: float | None
    predictor: str
    seconds: float


def predict(source: Source) -> Predicted:
    """Read a classifier's test accuracy from its weights."""
    network = open_classifier(source)
    measured = None if source.zoo_id is None else zoo(source.zoo).row(source.zoo_id)["test_accuracy"]
    start = time.perf_counter()
    result = predict_network(network)
    seconds = time.perf_counter() - start
    return Predicted(result, percentile(result), measured, predictor("generalization").name, seconds)


@torch.no_grad()
def predict_network(network: Network) -> Generalization:
    """What the predictor says of a network at hand; RequestError where it cannot read it."""
    try:
        result = predictor("generalization").predict(network)
    except ValueError as error:
        raise RequestError(str(error)) from error
    if not math.isfinite(result.test_accuracy):
        raise RequestError(small_cnns.NO_NUMBER)
    return result


def percentile(result: Generalization) -> float | None:
    """See `Predicted`."""
    accuracies = _finished_accuracies(result.images)
    return 100 * bisect_left(accuracies, result.test_accuracy) / len(accuracies) if accuracies else None


@cache
def _finished_accuracies(images: str) -> list[float]:
    return sorted(
        row["test_accuracy"]
        for info in classifier_collections()
        if zoo().collection(info.name).images == images
        for row in zoo().rows(info.name)
        if row["final"]
    )


@dataclass(frozen=True)
class ZooPoint:
    """A network of the zoo: measured and predicted test accuracy (0 to 1), and its row of facts."""

    zoo_id: str
    images: str
    measured: float
    predicted: float
    low: float
    high: float
    typical: bool
    row: dict


_PREDICTING: defaultdict[str, Lock] = defaultdict(Lock)
"""By collection: whoever comes while it is predicted waits for the same answer."""


def start_predicting() -> None:
    """Predict the zoo's classifiers in the background, which takes seconds, before a visitor asks for them."""
    Thread(target=zoo_points, name="predict the zoo").start()


def zoo_points(images: str | None = None) -> list[ZooPoint]:
    """Every classifier of the zoo, or those on one image set; each collection is predicted once, in a batch."""
    names = [info.name for info in classifier_collections()]
    wanted = [name for name in names if images in (None, zoo().collection(name).images)]
    return [point for name in wanted for point in _points_once(name)]


def _points_once(collection: str) -> list[ZooPoint]:
    with _PREDICTING[collection]:
        return _points(collection)


@cache
def _points(collection: str) -> list[ZooPoint]:
    opened, rows = zoo().collection(collection), zoo().rows(collection)
    activations = [row["activation"] for row in rows]
    results = small_cnns.predict_many(predictor("generalization"), opened.features(), activations)
    return [
        ZooPoint(
            zoo_id=row["id"],
            images=opened.images,
            measured=row["test_accuracy"],
            predicted=result.test_accuracy,
            low=result.low,
            high=result.high,
            typical=result.typical,
            row=row,
        )
        for row, result in zip(rows, results, strict=True)
    ]


@dataclass(frozen=True)
class PermutedCopy:
    """One network in two orders of its hidden neurons, and how far the two predictions are apart (0 to 1)."""

    before: Network
    after: Network
    moved: int
    total: int
    prediction_before: Generalization
    prediction_after: Generalization
    difference: float


def check_symmetry(source: Source, seed: int) -> PermutedCopy:
    """Reorder the hidden neurons, predict again, and look at what changes: accuracy and both ends of the interval."""
    before = open_classifier(source)
    permutations = random_permutations(before.spec, torch.Generator().manual_seed(seed))
    after = before.with_features(permute(before.features, permutations))
    first, second = predict_network(before), predict_network(after)
    return PermutedCopy(
        before=before,
        after=after,
        moved=count_moved(before, after),
        total=before.spec.get_num_params(),
        prediction_before=first,
        prediction_after=second,
        difference=max(
            abs(getattr(first, name) - getattr(second, name)) for name in ("test_accuracy", "low", "high")
        ),
    )


@dataclass(frozen=True)
class Measured:
    """`right` of the `seen` images so far, of `total`; accuracy with its 95% interval (Wilson), 0 to 1."""

    right: int
    seen: int
    total: int
    seconds: float

    @property
    def accuracy(self) -> float:
        return self.right / self.seen

    @property
    def low(self) -> float:
        return wilson(self.right, self.seen)[0]

    @property
    def high(self) -> float:
        return wilson(self.right, self.seen)[1]


def measure_accuracy(source: Source, images: str) -> Iterator[Measured]:
    """Run the network on the bundled test images of a set; give what is known after each batch, the last being all.

    Its activation is the one it was told to have, else the one that the predictor takes it for.
    """
    network = open_classifier(source)
    pixels, labels = _test_images(images)
    activation = cast(Activation, network.classifier.activation or predict_network(network).activation)
    widest = max(bias.shape[0] for bias in network.spec.bias_spec)
    batch = max(1, min(BATCH, MAX_ACTIVATIONS // (widest * pixels[0].numel())))
    yield from _measure(network.normalized, pixels, labels, activation, batch)


@on_gpu(seconds=15)
def _measure(
    features: WeightSpaceFeatures,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    activation: Activation,
    batch: int,
) -> Iterator[Measured]:
    features, right, seen, start = features.to(lent_device()), 0, 0, time.perf_counter()
    for part, wanted in zip(pixels.split(batch), labels.split(batch), strict=True):
        right += int((_guess(features, part, activation) == wanted).sum())
        seen += len(part)
        yield Measured(right, seen, len(pixels), time.perf_counter() - start)


def _test_images(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        return bundled_images(name)
    except ValueError as error:
        raise RequestError(str(error)) from error


@torch.no_grad()
def _guess(features: WeightSpaceFeatures, pixels: torch.Tensor, activation: Activation) -> torch.Tensor:
    """The class `(M,)` that one network gives to each image `(M, 1, H, W)` uint8."""
    try:
        return (
            class_scores(features, to_pixels(pixels).to(features.weights[0].device), activation)[0]
            .argmax(1)
            .cpu()
        )
    except ValueError as error:
        raise RequestError(str(error)) from error


def wilson(right: int, total: int, coverage: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927, JASA 22): honest for few images and near 0 and 1."""
    z = NormalDist().inv_cdf((1 + coverage) / 2)
    share, weight = right / total, 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / weight
    spread = z / weight * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, centre - spread), min(1.0, centre + spread)
