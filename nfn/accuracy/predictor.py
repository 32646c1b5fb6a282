"""`AccuracyPredictor`: the test accuracy of any classifier of MNIST, Fashion-MNIST or CIFAR-10.

The network is run on stored labelled training pictures and on perturbed copies of them. Few numbers are read from its
answers (`answers.py`), a Gaussian process says how far its test accuracy is from the accuracy on the pictures as they
are, and how sure that is; intervals are conformal (arXiv:2107.07511, section 2.2), one quantile for each image set.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nfn.accuracy.answers import STATISTICS, read_answers, share
from nfn.accuracy.gaussian_process import GaussianProcess
from nfn.accuracy.perturb import PERTURBATIONS
from nfn.accuracy.pictures import unpack
from nfn.network import NO_CLASSIFIER, Network
from nfn.predictor import Predictor
from nfn.wiring.identify import candidates_of
from nfn.wiring.pictures import PictureSet
from nfn.wiring.search import input_shapes

PLAIN = "as they are"
CLASSES = 10
BATCH = 100
Scores = Callable[[Tensor], Tensor]
"""Pictures `(N, c, h, w)` with values from 0 to 1, to class scores `(N, 10)`."""


@dataclass(frozen=True)
class StoredPictures:
    """A mosaic of `count` pictures: how many bytes it has, channels, pixels per side."""

    count: int
    size: int
    channels: int
    bytes: int


@dataclass(frozen=True)
class Look:
    """One way to look at a network: at the first `pictures` of its set. `examples` networks were looked at so.

    `quantiles`: per group, the conformal quantile of error / deviation. `farthest`: how unsure the process is of the
    most unusual hundredth of the zoo's own networks; who is beyond is not typical.
    """

    pictures: int
    examples: int
    quantiles: dict[str, float] = field(default_factory=dict)
    farthest: float = math.inf


@dataclass(frozen=True)
class AccuracyConfig:
    """`groups`: image sets, CIFAR-10 in gray beside colour.

    `perturbations`, the pictures as they are first, are what a network is shown. `features`: perturbation and
    statistic of each number that the process takes, less the same statistic of the pictures as they are.
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

    `[low, high]` holds the accuracy on as many test pictures as the zoo's were measured on, for a share `coverage` of
    networks like the zoo's. Where `typical` is False the network answers unlike all of them, no such interval is
    known, and it is `[0, 1]`. `seen` is its accuracy on the `pictures` training pictures that it was shown.
    """

    test_accuracy: float
    low: float
    high: float
    coverage: float
    typical: bool
    images: str
    seen: float
    pictures: int


class AccuracyPredictor(Predictor):
    """Estimates the test accuracy of a classifier of ten classes, whatever its architecture."""

    name = "accuracy"
    config_class = AccuracyConfig

    def __init__(self, config: AccuracyConfig):
        super().__init__(config)
        self.processes = nn.ModuleList(
            GaussianProcess(look.examples, len(config.features)) for look in config.looks
        )
        for name, stored in config.stored.items():
            self.register_buffer(f"mosaic_{name}", torch.zeros(stored.bytes, dtype=torch.uint8))
            self.register_buffer(f"labels_{name}", torch.zeros(stored.count, dtype=torch.uint8))
        self._pictures: dict[str, PictureSet] = {}
        self._shown: dict[tuple, dict[str, Tensor]] = {}

    def pictures(self, images: str) -> PictureSet:
        """The stored training pictures of an image set."""
        if images not in self.config.stored:
            raise ValueError(
                f"Unknown images {images!r}: this predictor knows {', '.join(self.config.stored)}."
            )
        if images not in self._pictures:
            stored = self.config.stored[images]
            pixels = unpack(getattr(self, f"mosaic_{images}"), stored.count, stored.channels, stored.size)
            self._pictures[images] = PictureSet(images, pixels, getattr(self, f"labels_{images}").long())
        return self._pictures[images]

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: it takes a stored set's pictures, in one of the sizes it may be shown.

        A network that is no fault here may still answer none of the pictures: that takes trying (`nfn.wiring`).
        """
        if network.kind != "classifier":
            return NO_CLASSIFIER
        known, sizes = candidates_of(network), {stored.size for stored in self.config.stored.values()}
        if (
            known is not None
            and known.classes == CLASSES
            and any(input_shapes(known, size) for size in sizes)
        ):
            return None
        return (
            f"This classifier has {network.inputs} inputs and {network.outputs} outputs; test accuracies are known of "
            f"networks that tell apart the {CLASSES} classes of {', '.join(self.config.stored)}."
        )

    def look_for(self, work: float) -> int:
        """The number of the look for a network of so many multiply-adds a picture: the fewest where they are many."""
        return 0 if work <= FULL_LOOK or len(self.config.looks) == 1 else 1

    @torch.inference_mode()
    def read(self, images: str, shape: tuple[int, int, int], scores: Scores, look: int = 0) -> Tensor:
        """Every statistic `(perturbations, statistics)` of a network that takes pictures of an image set in `shape`."""
        labels = self.pictures(images).labels[: self.config.looks[look].pictures]
        shown = self._perturbed(images, shape, look)
        logits = [torch.cat([_logits(scores, x) for x in shown[name].split(BATCH)]) for name in shown]
        read = [read_answers(z, labels, logits[0]) for z in logits]
        return torch.stack([torch.stack([one[name] for name in STATISTICS]) for one in read])

    def features(self, read: Tensor) -> Tensor:
        """The numbers `(..., features)` that the process takes, of what was read `(..., perturbations, statistics)`."""
        index = self.config.perturbations.index
        places = [(index(name), STATISTICS.index(number)) for name, number in self.config.features]
        columns = [read[..., row, column] - (read[..., 0, column] if row else 0.0) for row, column in places]
        return torch.stack(columns, -1)

    def estimate(
        self, images: str, shape: tuple[int, int, int], scores: Scores, work: float = 0.0
    ) -> AccuracyEstimate:
        """The test accuracy of a network on an image set.

        `scores` takes pictures in `shape` and does to them what the network expects. `work` is the network's number
        of multiply-adds for a picture: very large ones are shown fewer pictures.
        """
        look = self.look_for(work)
        read = self.read(images, shape, scores, look)[None]
        return self.explain(read, torch.tensor([self.group(images, shape[0])]), look)[0]

    def explain(self, read: Tensor, groups: Tensor, look: int = 0) -> list[AccuracyEstimate]:
        """The estimates for what was read `(n, perturbations, statistics)` from networks of these groups `(n,)`."""
        process = self.processes[look]
        assert isinstance(process, GaussianProcess), "The list holds nothing else."
        features = self.features(read)
        seen = features[:, 0].double()
        shift, deviation = process(features, groups)
        return [
            self._interval(float(seen[i]), float(shift[i]), float(deviation[i]), int(groups[i]), look)
            for i in range(len(read))
        ]

    def group(self, images: str, channels: int) -> int:
        """The number of a group: an image set, or CIFAR-10 in gray."""
        gray = f"{images}-gray"
        name = gray if channels == 1 and gray in self.config.groups else images
        return self.config.groups.index(name)

    def _interval(
        self, seen: float, shift: float, deviation: float, group: int, look: int
    ) -> AccuracyEstimate:
        facts = self.config.looks[look]
        name = self.config.groups[group]
        typical = deviation <= facts.farthest and name in facts.quantiles
        reach = facts.quantiles.get(name, 0.0) * math.hypot(
            deviation, 0.5 / math.sqrt(self.config.test_pictures)
        )
        middle, low, high = share(
            torch.tensor([seen + shift, seen + shift - reach, seen + shift + reach])
        ).tolist()
        low, high = (low, high) if typical else (0.0, 1.0)
        accuracy = float(share(torch.tensor(seen)))
        return AccuracyEstimate(
            middle,
            low,
            high,
            self.config.coverage,
            typical,
            name.removesuffix("-gray"),
            accuracy,
            facts.pictures,
        )

    def _perturbed(self, images: str, shape: tuple[int, int, int], look: int) -> dict[str, Tensor]:
        """The pictures under every perturbation that a feature needs."""
        key = (images, shape, look)
        if key not in self._shown:
            x = self.pictures(images).first(self.config.looks[look].pictures).shaped(shape)
            names = self.config.perturbations
            kept = {other: shown for other, shown in self._shown.items() if other[:2] == key[:2]}
            shown = {
                name: PERTURBATIONS[name](x).contiguous(memory_format=torch.channels_last) for name in names
            }
            self._shown = {**kept, key: shown}  # channels last: convolutions take half the time
        return self._shown[key]


FULL_LOOK = 5e6
"""Multiply-adds for a picture up to which a network is shown all stored pictures: seconds on one processor core."""


def _logits(scores: Scores, x: Tensor) -> Tensor:
    out = scores(x)
    if tuple(out.shape) != (len(x), CLASSES):
        raise ValueError(
            f"The network gives {tuple(out.shape[1:])} for a picture; wanted {CLASSES} class scores."
        )
    return out.float().nan_to_num(0.0, 1e6, -1e6)
