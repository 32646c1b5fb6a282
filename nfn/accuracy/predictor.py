"""`AccuracyPredictor`: the test accuracy of any classifier of MNIST, Fashion-MNIST or CIFAR-10.

The network is run on stored labelled training images and on perturbed copies of them. From statistics of its outputs
(`answers.py`) a Gaussian process predicts the difference between test accuracy and accuracy on the stored images, with
its standard deviation; intervals are conformal (arXiv:2107.07511, section 2.2), with one quantile per image set.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nfn.accuracy.answers import STATISTICS, fraction, output_statistics
from nfn.accuracy.gaussian_process import GaussianProcess
from nfn.accuracy.perturb import PERTURBATIONS
from nfn.mosaic import unpack
from nfn.network import NO_CLASSIFIER, Graph, Network
from nfn.predictor import Predictor
from nfn.wiring.fit import Setting, class_scores
from nfn.wiring.identify import NO_PICTURES, NO_WIRING, candidates_of, given_by, identify
from nfn.wiring.pictures import PictureSet
from nfn.wiring.search import input_shapes

PLAIN = "as they are"
CLASSES = 10
BATCH = 100
Scores = Callable[[Tensor], Tensor]
"""Images `(N, c, h, w)` with values from 0 to 1 to class scores `(N, 10)`."""


@dataclass(frozen=True)
class StoredPictures:
    """A mosaic of `count` images: their pixels per side and channels, and its size in bytes.

    `shares` are the fractions of the classes in the whole training set.
    """

    count: int
    size: int
    channels: int
    bytes: int
    shares: tuple[float, ...] = (1 / CLASSES,) * CLASSES

    def __post_init__(self):
        object.__setattr__(self, "shares", tuple(self.shares))
        if len(self.shares) != CLASSES or not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(f"`shares` are {CLASSES} numbers from 0 to 1, one for each class.")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape `(n, c, h, w)` of the images."""
        return self.count, self.channels, self.size, self.size


@dataclass(frozen=True)
class Look:
    """One evaluation setting: the network runs on the first `pictures` images of its set.

    `examples`: the number of networks that the process was fitted to. `quantiles`: per group, the conformal quantile
    of error / standard deviation. `farthest`: the in-distribution threshold, the 99th percentile of the predicted
    standard deviation over the zoo's networks. `correction_error`: the standard deviation of the error that each unit
    of correction adds to the process's own.
    """

    pictures: int
    examples: int
    correction_error: float = 0.0
    quantiles: dict[str, float] = field(default_factory=dict)
    farthest: float = math.inf


@dataclass(frozen=True)
class AccuracyConfig:
    """`groups`: image sets, with gray CIFAR-10 as a group of its own.

    `perturbations` are those of the images that a network runs on, the identity first. `features`: perturbation and
    statistic of each input of the process, minus the same statistic on unperturbed images.
    """

    groups: tuple[str, ...]
    stored: dict[str, StoredPictures]
    perturbations: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    looks: tuple[Look, ...]
    coverage: float = 0.9
    test_pictures: int = 5_000

    def __post_init__(self):
        stored = {name: StoredPictures(**_fields(s)) for name, s in self.stored.items()}
        looks = tuple(Look(**_fields(look)) for look in self.looks)
        features = tuple((perturbation, statistic) for perturbation, statistic in self.features)
        for name, value in (("stored", stored), ("looks", looks), ("features", features),
                            ("groups", tuple(self.groups)), ("perturbations", tuple(self.perturbations))):  # fmt: skip
            object.__setattr__(self, name, value)
        if self.perturbations[0] != PLAIN or features[0] != (PLAIN, "accuracy"):
            raise ValueError(f"The first perturbation is {PLAIN!r}, and the first feature its accuracy.")


def _fields(value: object) -> dict:
    return value if isinstance(value, dict) else dict(vars(value))


@dataclass(frozen=True)
class AccuracyEstimate:
    """A prediction; accuracies from 0 to 1.

    `[low, high]` contains the accuracy on as many test images as the zoo was measured on, for a fraction `coverage` of
    in-distribution networks. If `typical` is False the network is out of distribution and the interval is `[0, 1]`.
    `seen` is its accuracy on the `pictures` stored training images.
    """

    test_accuracy: float
    low: float
    high: float
    coverage: float
    typical: bool
    images: str
    seen: float
    pictures: int


class AccuracyPredictor(Predictor[AccuracyConfig, AccuracyEstimate]):
    """Estimates the test accuracy of a classifier of ten classes, of any architecture."""

    name = "accuracy"
    config_class = AccuracyConfig
    task = "generalization prediction"
    title = "Test accuracy of any image classifier"

    def __init__(self, config: AccuracyConfig):
        super().__init__(config)
        self.processes = nn.ModuleList(
            GaussianProcess(look.examples, len(config.features)) for look in config.looks
        )
        for name, stored in config.stored.items():
            self.register_buffer(f"mosaic_{name}", torch.zeros(stored.bytes, dtype=torch.uint8))
            self.register_buffer(f"labels_{name}", torch.zeros(stored.count, dtype=torch.uint8))
        self._pictures: dict[str, PictureSet] = {}
        self._perturbed_cache: dict[tuple, dict[str, Tensor]] = {}

    def pictures(self, images: str) -> PictureSet:
        """The stored training images of an image set; ValueError if there are none."""
        if images not in self.config.stored:
            raise ValueError(
                f"Unknown images {images!r}: this predictor knows {', '.join(self.config.stored)}."
            )
        if images not in self._pictures:
            stored = self.config.stored[images]
            pixels = unpack(getattr(self, f"mosaic_{images}"), stored.shape)
            self._pictures[images] = PictureSet(images, pixels, getattr(self, f"labels_{images}").long())
        return self._pictures[images]

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: it must take the images of a stored set, possibly resized.

        Whether it classifies them better than chance is checked elsewhere (`nfn.wiring`).
        """
        if network.kind != "classifier":
            return NO_CLASSIFIER
        candidates, sizes = candidates_of(network), {stored.size for stored in self.config.stored.values()}
        if candidates is None:
            return NO_WIRING
        if candidates.classes == CLASSES and any(input_shapes(candidates, size) for size in sizes):
            return None
        return (
            f"This classifier has {network.inputs} inputs and {network.outputs} outputs; test accuracies are known of "
            f"networks that tell apart the {CLASSES} classes of {', '.join(self.config.stored)}."
        )

    def picture_sets(self) -> list[PictureSet]:
        """The stored training images of all image sets, on which readings of a classifier are tried."""
        return [self.pictures(name) for name in self.config.stored]

    def predict(self, network: Network) -> AccuracyEstimate:
        """The estimate for one classifier; what its file does not declare is searched (`nfn.wiring.identify`).

        Raises ValueError, a sentence for the visitor, if it cannot be read or is no better than chance in any reading.
        """
        fault = self.fault(network)
        if fault is not None:
            raise ValueError(fault)
        identified = identify(network, self.picture_sets(), given_by(network.classifier))
        fault = NO_PICTURES if identified is None else identified.fault
        if identified is None or fault is not None:
            raise ValueError(fault)
        return self.estimate_graph(identified.graph, identified.setting)

    def look_for(self, work: float) -> int:
        """The index of the look for a network with `work` multiply-adds per image: expensive ones see fewer images."""
        return 0 if work <= FULL_LOOK or len(self.config.looks) == 1 else 1

    @torch.inference_mode()
    def statistics(self, images: str, shape: tuple[int, int, int], scores: Scores, look: int = 0) -> Tensor:
        """All output statistics `(perturbations, statistics)` of a network with inputs of `shape` on an image set."""
        labels = self.pictures(images).labels[: self.config.looks[look].pictures]
        shares = torch.tensor(self.config.stored[images].shares)
        perturbed = self._perturbed(images, shape, look)
        logits = [_logits(scores, x) for x in perturbed.values()]
        rows = [output_statistics(z, labels, logits[0], shares) for z in logits]
        return torch.stack([torch.stack([row[name] for name in STATISTICS]) for row in rows])

    def features(self, statistics: Tensor) -> Tensor:
        """Statistics `(..., perturbations, statistics)` to the inputs of the process `(..., features)`."""
        index = self.config.perturbations.index
        places = [(index(name), STATISTICS.index(number)) for name, number in self.config.features]
        columns = [
            statistics[..., row, column] - (statistics[..., 0, column] if row else 0.0)
            for row, column in places
        ]
        return torch.stack(columns, -1)

    def estimate(
        self, images: str, shape: tuple[int, int, int], scores: Scores, work: float = 0.0
    ) -> AccuracyEstimate:
        """Estimate the test accuracy of a network on an image set.

        `scores` takes images of `shape` and applies the network's own normalization. `work` is the network's number
        of multiply-adds per image: see `look_for`.
        """
        look = self.look_for(work)
        statistics = self.statistics(images, shape, scores, look)[None]
        return self.explain(statistics, torch.tensor([self.group(images, shape[0])]), look)[0]

    def estimate_graph(self, graph: Graph, setting: Setting) -> AccuracyEstimate:
        """Estimate the test accuracy of a network with a known graph, in the setting that it was trained in."""

        scores = _scores_of(graph, setting)
        return self.estimate(setting.images, setting.shape, scores, graph.architecture.multiplications)

    @torch.inference_mode()
    def stored_accuracy(self, graph: Graph, setting: Setting) -> float:
        """The accuracy on the stored training images, 0 to 1: `seen` of an estimate, at a quarter of its cost."""
        look = self.look_for(graph.architecture.multiplications)
        x = self._perturbed(setting.images, setting.shape, look)[PLAIN]
        z = _logits(_scores_of(graph, setting), x)
        shares = torch.tensor(self.config.stored[setting.images].shares)
        found = output_statistics(z, self.pictures(setting.images).labels[: len(z)], z, shares)
        return float(fraction(found["accuracy"]))

    def explain(self, statistics: Tensor, groups: Tensor, look: int = 0) -> list[AccuracyEstimate]:
        """The estimates for statistics `(n, perturbations, statistics)` of networks of these groups `(n,)`."""
        process = self.processes[look]
        assert isinstance(process, GaussianProcess), "The list holds nothing else."
        features = self.features(statistics)
        seen = features[:, 0].double()
        shift, deviation = process(features, groups)
        return [
            self._interval(float(seen[i]), float(shift[i]), float(deviation[i]), int(groups[i]), look)
            for i in range(len(statistics))
        ]

    def error_scale(self, correction_error: float, correction: Tensor, deviation: Tensor) -> Tensor:
        """The standard deviations `(n,)` of measured errors, as angles: those of the process, what the size of its
        correction adds, and that of counting correct test pictures."""
        counting = 0.5 / math.sqrt(self.config.test_pictures)
        return (deviation.square() + (correction_error * correction).square() + counting**2).sqrt()

    def group(self, images: str, channels: int) -> int:
        """The index of a group: an image set, or gray CIFAR-10."""
        gray = f"{images}-gray"
        name = gray if channels == 1 and gray in self.config.groups else images
        return self.config.groups.index(name)

    def _interval(
        self, seen: float, shift: float, deviation: float, group: int, look: int
    ) -> AccuracyEstimate:
        setting = self.config.looks[look]
        name = self.config.groups[group]
        typical = deviation <= setting.farthest and name in setting.quantiles
        scale = self.error_scale(setting.correction_error, torch.tensor(shift), torch.tensor(deviation))
        half_width = setting.quantiles.get(name, 0.0) * float(scale)
        middle, low, high = fraction(
            torch.tensor([seen + shift, seen + shift - half_width, seen + shift + half_width])
        ).tolist()
        low, high = (low, high) if typical else (0.0, 1.0)
        accuracy = float(fraction(torch.tensor(seen)))
        return AccuracyEstimate(
            middle,
            low,
            high,
            self.config.coverage,
            typical,
            name.removesuffix("-gray"),
            accuracy,
            setting.pictures,
        )

    def _perturbed(self, images: str, shape: tuple[int, int, int], look: int) -> dict[str, Tensor]:
        """The images under every perturbation, cached for the last image set and shape."""
        key = (images, shape, look)
        if key not in self._perturbed_cache:
            x = self.pictures(images).first(self.config.looks[look].pictures).shaped(shape)
            # Channels last halves the time of convolutions.
            perturbed = {
                name: PERTURBATIONS[name](x).contiguous(memory_format=torch.channels_last)
                for name in self.config.perturbations
            }
            kept = {other: x for other, x in self._perturbed_cache.items() if other[:2] == key[:2]}
            self._perturbed_cache = {**kept, key: perturbed}
        return self._perturbed_cache[key]


FULL_LOOK = 5e6
"""Multiply-adds per image up to which a network runs on all stored images, which takes seconds on one core."""


def _scores_of(graph: Graph, setting: Setting) -> Scores:
    """The class scores of a network for images without normalization."""
    return lambda x: class_scores(graph.architecture, graph.tensors, setting.pixels(x))


def _logits(scores: Scores, x: Tensor) -> Tensor:
    """Finite logits `(N, 10)` for all images, in batches; ValueError if there are not ten for each."""
    return torch.cat([_checked(scores(part), len(part)) for part in x.split(BATCH)])


def _checked(out: Tensor, count: int) -> Tensor:
    if tuple(out.shape) != (count, CLASSES):
        raise ValueError(
            f"The network gives {tuple(out.shape[1:])} for a picture; expected {CLASSES} class scores."
        )
    return out.float().nan_to_num(0.0, 1e6, -1e6)
