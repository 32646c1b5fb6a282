"""Generalization: how well a small image classifier will do, read from its weights, and then measured. No gradio."""

import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from threading import Lock, Thread
from typing import Literal

import torch

from app.actions import MAX_ACTIVATIONS, RequestError, Source, part_of, reading, zoo
from app.gpu import lent_device, on_gpu
from app.remembering import remember
from app.routing import elsewhere
from app.zoos import predictor
from nfn.accuracy.predictor import AccuracyPredictor
from nfn.architecture.axes import axes_of
from nfn.architecture.graph import Architecture
from nfn.generalization import Generalization, GeneralizationPredictor
from nfn.network import NO_CLASSIFIER, Graph, Network
from nfn.reader import NetworkFileError
from nfn.reader.errors import GRAPH_ADVICE
from nfn.reader.stack import read_networks
from nfn.wiring.pictures import PictureSet
from zoo import classifiers, small_cnns
from zoo.bundled import bundled_images, test_images
from zoo.catalog import CollectionInfo
from zoo.classifiers import AccuracyReaders, Classifier
from zoo.errors import shorten

AUTO = "auto"
MAX_REMEMBERED = 1_000_000
"""Weights of a network that is kept for the next request about it."""
MAX_WORK, WORK_PER_SECOND = 4 * 10**12, 4 * 10**10
"""Multiplications of all images that are measured, and how many a core does in a second."""
BATCH = 100
"""Images that a network sees at once, and after which progress shows."""


def classifier_collections() -> list[CollectionInfo]:
    """The collections whose networks classify images, as the catalog lists them."""
    return [info for info in zoo().collections() if info.kind == "classifier"]


def first_classifier() -> str:
    """The zoo id that a visitor sees before choosing one: the best network of the first collection."""
    rows = zoo().rows(classifier_collections()[0].name)
    return max(rows, key=lambda row: row["test_accuracy"])["id"]


def open_upload(path: str | None, part: str = "") -> Source:
    """An upload as a source, opened once so that a bad file is refused before anything changes on screen."""
    if path is None:
        raise RequestError("Upload a file first.")
    source = part_of(Source(path=path), part)
    open_classifier(source)
    return source


def read_as(
    source: Source, images: str = AUTO, activation: str = AUTO, pixels: str = AUTO, reading: str = AUTO
) -> Source:
    """The source with what the visitor knows of it, which overrules its file; auto leaves a point to the file.

    `images` is the image set that it learned from, `pixels` what black and white become, or a usual normalisation.
    """
    if images == activation == pixels == reading == AUTO:
        return source
    if source.path is None:
        raise RequestError(
            "All is known of the zoo's networks: leave images, activation, pixels and reading at auto."
        )
    if images != AUTO and images not in pictures():
        raise RequestError(
            f"Unknown images {shorten(str(images))}: choose one of auto, {', '.join(pictures())}."
        )
    try:
        known = small_cnns.tell(open_classifier(source), activation, pixels).convention
    except ValueError as error:
        raise RequestError(str(error)) from error
    source = replace(source, convention=known, images=None if images == AUTO else images)
    return source if reading == AUTO else replace(source, reading=reading)


def pictures() -> dict[str, PictureSet]:
    """The labelled training pictures that uploads are tried on, by image set."""
    return {one.name: one for one in readers().pictures}


@cache
def readers() -> AccuracyReaders:
    """The app's predictors of test accuracy."""
    return AccuracyReaders(
        predictor("generalization", GeneralizationPredictor), predictor("accuracy", AccuracyPredictor)
    )


def _is_small(network: Network) -> bool:
    return network.parameters <= MAX_REMEMBERED


@remember(32, _is_small)
def open_classifier(source: Source) -> Network:
    """The classifier behind `source`; RequestError says which tab reads it where it is something else."""
    with reading():
        network = read_any(source)
    fault = _fault(source, network)
    if fault is not None:
        raise RequestError(f"{fault}{elsewhere(network)}")
    return network


def _fault(source: Source, network: Network) -> str | None:
    """Every uploaded classifier is taken: of which nothing is predicted is still drawn, permuted and measured."""
    if source.zoo_id is not None:
        return predictor("generalization", GeneralizationPredictor).fault(network)
    return NO_CLASSIFIER if network.kind != "classifier" else None


def read_any(source: Source) -> Network:
    """The network behind `source`, of whatever kind."""
    if source.zoo_id is not None:
        return zoo(source.zoo).network(source.zoo_id)
    network, *others = read_networks(source.path or "", source.convention, source.part or None)
    if others:
        raise RequestError(
            f"This file stacks {1 + len(others):,} networks: give it to the batch, which reads them all."
        )
    if isinstance(network, NetworkFileError):
        raise network
    return network


def _is_small_inside(classifier: Classifier) -> bool:
    return _is_small(classifier.network)


@remember(32, _is_small_inside)
@torch.no_grad()
def classifier_of(source: Source) -> Classifier:
    """The classifier behind `source` and what it computes: known of the zoo's, declared by a file, or found."""
    if source.reading:
        with reading():
            return classifiers.with_reading(classifier_of(replace(source, reading="")), source.reading)
    network = open_classifier(source)
    if source.zoo_id is not None:
        images = zoo(source.zoo).collection(source.zoo_id.partition("/")[0]).images
        return classifiers.zoo_classifier(network, images, readers().small.config.sizes.get(images, 32))
    with reading():
        return classifiers.found_classifier(network, list(pictures().values()), source.images)


@dataclass(frozen=True)
class Predicted:
    """A prediction, where it stands among the zoo, and how long the predictor took.

    `percentile` is the share, 0 to 100, of the zoo's finished networks on `result.images` that measure below the
    predicted accuracy, None where the zoo has none of them; `measured` is what a zoo network reaches on all test
    images, 0 to 1, and None for an upload. `assumed` says in words what was taken for granted of an upload, `readings`
    are the ways in which it was tried.
    """

    result: Generalization
    percentile: float | None
    measured: float | None
    assumed: tuple[str, ...]
    seconds: float
    readings: tuple[str, ...] = ()


def predict(source: Source) -> Predicted:
    """Read a classifier's test accuracy from how it answers a few training pictures."""
    start = time.perf_counter()
    classifier = classifier_of(source)
    result = predict_classifier(classifier)
    seconds = time.perf_counter() - start
    measured = None if source.zoo_id is None else zoo(source.zoo).row(source.zoo_id)["test_accuracy"]
    return Predicted(result, percentile(result), measured, classifier.assumed, seconds, classifier.readings)


@torch.no_grad()
def predict_classifier(classifier: Classifier) -> Generalization:
    """What the predictors say of a classifier at hand."""
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
    results = small_cnns.predict_many(readers().small, opened.features(), activations)
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


Disguise = Literal["permute", "rescale"]
SAME = 1e-3
"""Outputs that differ by no more, as a share of the largest, are the same up to rounding."""
NOT_SCALED = (
    "Rescaling would change what this network computes: only ReLU units can be made larger and what they feed smaller, "
    "and not where a batch norm or another activation lies between."
)


@dataclass(frozen=True, eq=False)
class Disguised:
    """One network and a copy that computes the same, and how far the two predictions are apart (0 to 1).

    `output_difference` is that of its outputs for random inputs, as a share of the largest.
    """

    how: Disguise
    before: Classifier
    after: Classifier
    moved: int
    total: int
    prediction_before: Generalization
    prediction_after: Generalization
    difference: float
    output_difference: float


@torch.no_grad()
def check_symmetry(source: Source, seed: int, how: Disguise = "permute") -> Disguised:
    """Disguise the hidden units, predict again, and look at what changes: accuracy and both ends of the interval.

    RequestError where rescaling would change what the network computes.
    """
    before = classifier_of(source)
    graph = known_graph(before)
    tensors = _disguise(graph, torch.Generator().manual_seed(seed), how)
    after = replace(before, graph=replace(graph, tensors=tensors), identified=None)
    apart = _output_difference(graph, known_graph(after))
    if how == "rescale" and not apart < SAME:
        raise RequestError(NOT_SCALED)
    first, second = (predict_classifier(replace(one, identified=None)) for one in (before, after))
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("test_accuracy", "low", "high")]
    return Disguised(
        how=how,
        before=before,
        after=after,
        moved=sum(
            int((graph.tensors[name] != moved).sum()) for name, moved in known_graph(after).tensors.items()
        ),
        total=sum(tensor.numel() for tensor in graph.tensors.values()),
        prediction_before=first,
        prediction_after=second,
        difference=max(abs(a - b) for a, b in pairs if math.isfinite(a)),
        output_difference=apart,
    )


def _disguise(graph: Graph, generator: torch.Generator, how: Disguise) -> dict[str, torch.Tensor]:
    """Tensors in which hidden units have changed places, or are up to ten times as large or as small."""
    axes = axes_of(graph.architecture)
    if how == "permute":
        return axes.permute(graph.tensors, axes.random_permutations(generator))
    factors = {g: 10 ** (2 * torch.rand(axes.groups[g].size, generator=generator) - 1) for g in axes.hidden}
    return axes.rescale(graph.tensors, factors)


def _output_difference(graph: Graph, other: Graph) -> float:
    """The largest difference of outputs for a few random inputs, as a share of the largest output."""
    x = torch.randn(8, *graph.architecture.input_shape, generator=torch.Generator().manual_seed(0))
    first, second = graph.run(x), other.run(x)
    return float((first - second).abs().max() / first.abs().max().clamp_min(1e-12))


def known_graph(classifier: Classifier) -> Graph:
    """What it computes; RequestError where that is not known."""
    if classifier.graph is None:
        raise RequestError(f"What this network computes is not known. {GRAPH_ADVICE}")
    return classifier.graph


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

    Only what the file declares, the visitor says or the search clearly found is measured: of any other network the
    number would be that of another function.
    """
    classifier = classifier_of(source)
    fault = classifier.fault
    if fault is not None or classifier.setting is None:
        raise RequestError(f"{fault} So there is nothing to measure: {GRAPH_ADVICE}")
    setting = replace(classifier.setting, images=images)
    classifier = replace(classifier, setting=setting)
    pixels, labels = _test_images(images, setting.shape[0])
    yield from _measure(
        classifier, pixels, labels, _batch_of(known_graph(classifier).architecture, len(pixels))
    )


def _batch_of(architecture: Architecture, images: int) -> int:
    """How many images the network sees at once; RequestError where all of them would take too long."""
    if architecture.multiplications * images > MAX_WORK:
        seconds = architecture.multiplications * images / WORK_PER_SECOND
        raise RequestError(
            f"This network needs {architecture.multiplications:,} multiplications an image, so {images:,} images "
            f"would take about {seconds:,.0f} s here: that is more than one visitor gets."
        )
    return max(1, min(BATCH, MAX_ACTIVATIONS // max(1, architecture.peak)))


@on_gpu(seconds=15)
@torch.no_grad()
def _measure(
    classifier: Classifier, pixels: torch.Tensor, labels: torch.Tensor, batch: int
) -> Iterator[Measured]:
    classifier = classifier.to(lent_device())
    right, seen, start = 0, 0, time.perf_counter()
    for part, wanted in zip(pixels.split(batch), labels.split(batch), strict=True):
        right += int((classifiers.answers(classifier, part.to(lent_device())).cpu() == wanted).sum())
        seen += len(part)
        yield Measured(right, seen, len(pixels), time.perf_counter() - start)


def _test_images(name: str, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        return bundled_images(name) if channels == 1 else test_images(name)
    except ValueError as error:
        raise RequestError(str(error)) from error


def wilson(right: int, total: int, coverage: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927, JASA 22): honest for few images and near 0 and 1."""
    z = NormalDist().inv_cdf((1 + coverage) / 2)
    share, weight = right / total, 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / weight
    spread = z / weight * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, centre - spread), min(1.0, centre + spread)
