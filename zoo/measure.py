"""Measure a classifier's accuracy on labelled images, with the interval for their number, and for each class."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import torch

from nfn.interrupt import between_steps
from nfn.network import Graph
from nfn.reader.class_names import class_names
from nfn.reader.errors import GRAPH_ADVICE
from nfn.wiring.fit import Setting
from nfn.wiring.identify import given_by
from nfn.wiring.propose import AsDeclared, Declared
from zoo.classifiers import Classifier, predicted_classes
from zoo.errors import ZooError
from zoo.images import IMAGE_SETS, ImageSet
from zoo.labelled_images import read_labelled_images

PIXELS_UNKNOWN = (
    "The inputs for black and white are not known: the file does not say, and the network does not know the stored "
    "pictures on which they are tried. Give them, such as 0,1 or imagenet: under “How to read my upload” on the page, "
    "as pixels in the API, as --pixels on the command line."
)


@dataclass(frozen=True)
class Measured:
    """`correct` of the `seen` images so far, of `total`; `classes` has the same two for each class, by its number."""

    correct: int
    seen: int
    total: int
    seconds: float
    classes: tuple[tuple[int, int], ...] = ()

    @property
    def accuracy(self) -> float:
        return self.correct / self.seen

    @property
    def low(self) -> float:
        """The lower end of the 95% interval (`wilson`), 0 to 1."""
        return wilson(self.correct, self.seen)[0]

    @property
    def high(self) -> float:
        """The upper end of the 95% interval (`wilson`), 0 to 1."""
        return wilson(self.correct, self.seen)[1]


def wilson(correct: int, total: int, coverage: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22), which holds for few images and near 0 and 1."""
    z = NormalDist().inv_cdf((1 + coverage) / 2)
    share, weight = correct / total, 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / weight
    spread = z / weight * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, centre - spread), min(1.0, centre + spread)


@dataclass(frozen=True, eq=False)
class Trial:
    """A classifier and the labelled images `(n, c, H, W)` uint8, `(n,)` that it is measured on.

    `dataset` is an image set or the name of somebody's file, `classes` are the names of the classes, and `sentences`
    say how the images become the network's inputs.
    """

    dataset: ImageSet | str
    classifier: Classifier
    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    sentences: tuple[str, ...]


@torch.no_grad()
def measure(trial: Trial, batch: int = 100, device: torch.device | str = "cpu") -> Iterator[Measured]:
    """Run the classifier on the images; yield the result so far after each batch."""
    classifier, start = trial.classifier.to(device), time.perf_counter()
    classes = int(trial.labels.max()) + 1
    seen, correct = torch.zeros(classes, dtype=torch.long), torch.zeros(classes, dtype=torch.long)
    for part, targets in zip(trial.images.split(batch), trial.labels.split(batch), strict=True):
        between_steps()
        right = predicted_classes(classifier, part.to(device)).cpu() == targets
        seen += torch.bincount(targets, minlength=classes)
        correct += torch.bincount(targets[right], minlength=classes)
        counts = tuple(zip(correct.tolist(), seen.tolist(), strict=True))
        yield Measured(
            int(correct.sum()), int(seen.sum()), len(trial.images), time.perf_counter() - start, counts
        )


def own_trial(classifier: Classifier, path: str | Path) -> Trial:
    """A file of labelled test images (`read_labelled_images`) for a classifier of any number of classes.

    Raises ZooError if the file is not one, or the network's graph, inputs or normalization are not known.
    """
    classifier, setting = for_own_images(classifier)
    count = _classes_of(classifier)
    read = read_labelled_images(path, setting.shape, count, _class_names(classifier, count))
    sentences = (*read.converted, normalization_sentence(classifier))
    return Trial(read.name, classifier, read.images, read.labels, read.classes, sentences)


def for_own_images(classifier: Classifier) -> tuple[Classifier, Setting]:
    """The classifier and its setting for pictures of no stored set, with the normalization that is known.

    That is the file's or the user's own, or the one with which it classifies stored training pictures.

    Raises ZooError if its graph, the shape of its inputs or the normalization is not known.
    """
    if classifier.setting is not None and classifier.fault is None:
        return classifier, classifier.setting
    graph, pixels = classifier.network.graph, given_by(classifier.network.classifier).pixels
    if graph is None:
        raise ZooError(f"{classifier.fault} So it cannot be measured. {GRAPH_ADVICE}")
    shape = image_shape(graph.architecture.input_shape)
    if pixels is None:
        raise ZooError(PIXELS_UNKNOWN)
    if not pixels.fits(shape[0]):
        raise ZooError(
            f"The normalization has {len(pixels.mean)} channels, the network {shape[0]}: give one that fits."
        )
    architecture = Declared(graph.architecture).build(AsDeclared(), shape)
    setting = Setting("", shape, pixels, AsDeclared())
    graph = Graph(architecture, graph.tensors)
    return replace(classifier, graph=graph, setting=setting, identified=None), setting


def image_shape(inputs: tuple[int, ...]) -> tuple[int, int, int]:
    """The image `(c, H, W)` that a network takes; a vector is a square image, gray if its length is a square."""
    if len(inputs) == 3 and inputs[0] in (1, 3):
        return inputs[0], inputs[1], inputs[2]
    for channels in (1, 3):
        side = math.isqrt(inputs[0] // channels)
        if len(inputs) == 1 and channels * side * side == inputs[0]:
            return channels, side, side
    raise ZooError(f"This network takes inputs of the shape {inputs}, which are no gray or colour pictures.")


def _classes_of(classifier: Classifier) -> int:
    """The number of classes of a classifier whose graph is known; ZooError if it has fewer than two."""
    assert classifier.graph is not None, "`for_own_images` has checked it"
    shape = classifier.graph.architecture.output_shape
    if len(shape) != 1 or shape[0] < 2:
        raise ZooError(
            f"This network has outputs of the shape {shape}; expected a score for each of several classes."
        )
    return shape[0]


def _class_names(classifier: Classifier, count: int) -> tuple[str, ...]:
    """The names of the classes: those in the file, or of the stored images that it classifies; () if unknown."""
    setting, declared = classifier.setting, class_names(classifier.network.metadata, count)
    stored = IMAGE_SETS[setting.images].labels if setting is not None and setting.images else ()
    return declared or (tuple(stored) if len(stored) == count else ())


def normalization_sentence(classifier: Classifier) -> str:
    """How pixels become inputs, and where that is known from."""
    assert classifier.setting is not None, "`for_own_images` has checked it"
    pixels, network = classifier.setting.pixels, classifier.network
    mean, std = (", ".join(f"{number:.4g}" for number in values) for values in (pixels.mean, pixels.std))
    formula = f"Inputs are (x − mean) / std of pixels x from 0 to 1, with mean {mean} and std {std}"
    if given_by(network.classifier).pixels is not None:
        return f"{formula}: from the file, or as chosen"
    if classifier.identified is None:
        return f"{formula}: those of this network’s collection"
    return f"{formula} ({pixels.name}): found by trying on stored training pictures"


def as_dict(measured: Measured, trial: Trial) -> dict[str, Any]:
    """A measurement as plain data: accuracy and its 95% interval from 0 to 1, each class, how images became inputs."""
    classes = [
        {"class": name, "images": seen, "correct": correct}
        for name, (correct, seen) in zip(trial.classes, measured.classes, strict=False)
    ]
    return {
        "accuracy": measured.accuracy,
        "low": measured.low,
        "high": measured.high,
        "images": measured.total,
        "correct": measured.correct,
        "classes": classes,
        "converted": list(trial.sentences),
    }
