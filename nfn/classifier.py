"""Say what a SIREN shows: probe it on a grid of coordinates and read the answers with a small convolutional net."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from nfn.features import WeightSpaceFeatures
from nfn.network import Network
from nfn.predictor import Predictor
from nfn.siren import picture_fault, render, render_network
from nfn.siren_convention.convention import SirenConvention
from nfn.siren_convention.judges import PictureJudge, SirenJudges
from nfn.siren_convention.search import Reading, find_convention
from nfn.typicality import TypicalityHead

AUTO = "auto"
TAIL = 4
"""Parts of the head behind its last convolution: maximum, flattening, dropout, linear layer."""
LEAST_ALTERNATIVE = 0.1
"""Readings that give another label are shown where they are at least this likely."""
UNREADABLE = (
    "None of the usual conventions of SIRENs makes a picture of this network. It is shown as if it were written in "
    "ours: omega 30, (row, column) from -1 to 1, pixels from -1 to 1."
)
NONE_OF_THESE = (
    "It shows none of the classes that the reader knows: the picture resembles none that it learned from. The nearest "
    "is {label}."
)
SEVERAL_FIT = (
    "More than one of the usual conventions fits the file, and the network shows something else in each."
)
UNSURE = "No convention fits the file so well that what the network shows in it could be believed."
TAKEN_FOR_GRANTED = "Nothing says how this SIREN is written down, and our convention is taken for granted."


@dataclass(frozen=True)
class InrClassifierConfig:
    """`labels` per domain; `size` probes a side; `typical_from`: the least typicality of typical SIRENs, per domain.

    `judges` says whether it can find conventions, `rejects` whether it learned what pictures of other things look like
    (`nfn.typicality`). A label of a network whose convention had to be found is believed
    where the conventions that give it are together at least as likely as `label_from`.
    """

    labels: dict[str, list[str]] = field(default_factory=dict)
    size: int = 32
    widths: tuple[int, ...] = (32, 64, 128, 256)
    typical_from: dict[str, float] = field(default_factory=dict)
    judges: bool = False
    rejects: bool = False
    label_from: float = 0.9

    def __post_init__(self):
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON gives a list
        if isinstance(self.typical_from, float):  # one for all, as older files have it
            object.__setattr__(self, "typical_from", dict.fromkeys(self.labels, self.typical_from))


@dataclass(frozen=True)
class Alternative:
    """Another convention that is about as likely, in which the network shows something else."""

    convention: SirenConvention
    probability: float
    sentence: str
    domain: str
    label: str


@dataclass(frozen=True)
class InrClassification:
    """What a SIREN shows. `probabilities` are over the ten labels of `domain` and sum to 1.

    `typicality` is the probability, by the predictor's own account, that the network resembles those it
    learned from; below the shipped threshold it shows `none_of_these` classes, and `label` is the nearest. `typical` is
    False then, and as well where `alternatives` are about as likely: the label should not be believed, and `reason`
    says why. `assumed` says what had to be found, or assumed, of
    the network's convention; `convention` is the one that the label is for.
    """

    domain: str
    label: str
    probabilities: dict[str, float]
    domain_probabilities: dict[str, float]
    typical: bool
    typicality: float
    assumed: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    convention: SirenConvention = field(default_factory=SirenConvention)
    none_of_these: bool = False

    @property
    def reason(self) -> str:
        """Why it is not typical, as a sentence; empty where it is."""
        if self.typical:
            return ""
        if self.none_of_these:
            return NONE_OF_THESE.format(label=self.label)
        return SEVERAL_FIT if self.alternatives else UNSURE


class InrClassifier(Predictor[InrClassifierConfig, InrClassification]):
    """Probe features (arXiv:2403.12143, section 3) at `size x size` grid coordinates, then a residual CNN.

    The probes see the function that the network computes and nothing else, so the answer is the same for every
    permutation of its hidden neurons and every sign flip. One head serves all domains: its classes are the labels
    of every domain, and one more for "none of these", learned from untrained networks, noise and scrambled images; a
    second, small head knows pictures of other things (`nfn.typicality`).
    """

    name = "inr-classifier"
    config_class = InrClassifierConfig
    task = "INR classification"
    title = "What an image network shows"

    def __init__(self, config: InrClassifierConfig):
        super().__init__(config)
        classes = sum(len(labels) for labels in config.labels.values()) + 1
        self.head = convolutional_head(config.widths, classes)
        self.log_temperature: torch.Tensor
        self.register_buffer("log_temperature", torch.zeros(()))
        self.judges = SirenJudges(config.widths[-1]) if config.judges else None
        self.typicality = TypicalityHead(seen_size(config.widths)) if config.rejects else None

    def probe(self, features: WeightSpaceFeatures) -> torch.Tensor:
        """The networks' outputs `(B, 3, size, size)` on the probe grid; one output channel is shown as three."""
        return as_three_channels(render(features, self.config.size, self.config.size))

    def stages(self, probes: torch.Tensor) -> list[torch.Tensor]:
        """What the head sees in pictures `(B, c, size, size)`, finest first: `(B, widths[i], h, w)` each."""
        x = as_three_channels(probes).clamp(-1.5, 1.5).contiguous(memory_format=torch.channels_last)
        outputs = []
        for layer in self.head[:-TAIL].children():
            if isinstance(layer, nn.MaxPool2d):
                outputs.append(x)
            x = layer(x)
        return [*outputs, x]

    def maps(self, probes: torch.Tensor) -> torch.Tensor:
        """What the last convolution sees, `(B, widths[-1], h, w)`, in pictures `(B, c, size, size)`."""
        return self.stages(probes)[-1]

    def forward(self, probes: torch.Tensor) -> torch.Tensor:
        """Logits `(B, classes + 1)` from probe outputs `(B, 3, size, size)`; the last class is "none of these"."""
        return self.head[-TAIL:](self.maps(probes))

    @torch.no_grad()
    def probabilities(self, features: WeightSpaceFeatures) -> torch.Tensor:
        """Calibrated probabilities `(B, classes + 1)` for features in our convention (`Network.normalized`)."""
        return self.probabilities_of(self.stages(self.probe(features.to(self.device))))

    @torch.no_grad()
    def probabilities_of(self, stages: Sequence[torch.Tensor]) -> torch.Tensor:
        """Calibrated probabilities `(B, classes + 1)` from `stages`; the last is that of "none of these"."""
        logits = self.head[-TAIL:](stages[-1])
        shares = torch.softmax(logits.float() / self.log_temperature.exp(), 1)
        if self.typicality is not None:
            of_labels = shares[:, :-1] * self.typicality(seen_at(stages)).sigmoid()[:, None]
            shares = torch.cat([of_labels, 1 - of_labels.sum(1, keepdim=True)], 1)
        return shares.cpu()

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: SIRENs of gray or colour pictures can, of any depth and width."""
        return picture_fault(network)

    def readings(self, network: Network) -> tuple[Reading, ...] | None:
        """The likely ways to read a SIREN (`find_convention`); None where there is nothing to find, or no judge."""
        return None if not network.undeclared or self.judges is None else find_convention(network, self)

    def settle(self, network: Network, readings: tuple[Reading, ...] | None = None) -> Network:
        """The SIREN in the likeliest convention, and in `assumed` a sentence on what was found: to draw and edit it.

        `readings` are those of this network, where they are at hand. A network that declares everything stays as it is.
        """
        if not network.undeclared:
            return network
        readings = self.readings(network) if readings is None else readings
        convention = readings[0].convention if readings else network.siren
        return replace(network, convention=convention, assumed=(*network.assumed, _found(readings)))

    def predict(
        self, network: Network, domain: str = AUTO, readings: tuple[Reading, ...] | None = None
    ) -> InrClassification:
        """Classify one SIREN, within `domain` or, with `auto`, within the most probable one.

        Where the file leaves its convention open (`network.undeclared`) it is found first; `readings` are what was
        found before, where that is at hand.
        """
        fault = self.fault(network)
        if fault is not None:
            raise ValueError(fault)
        if domain != AUTO and domain not in self.config.labels:
            raise ValueError(
                f"Unknown domain {domain!r}: choose one of auto, {', '.join(self.config.labels)}."
            )
        readings = self.readings(network) if readings is None else readings
        if readings and network.undeclared:
            return self._of_readings(readings, domain)
        result = self._as_declared(network, domain)
        if not network.undeclared:
            return result
        typical = result.typical and readings is None
        return replace(result, typical=typical, assumed=(_found(readings),))

    def _as_declared(self, network: Network, domain: str) -> InrClassification:
        picture = render_network(network.to(self.device), self.config.size, self.config.size, self.device)
        row = self.probabilities_of(self.stages(picture))[0]
        return replace(self.explain(row, domain), convention=network.siren)

    def _of_readings(self, readings: tuple[Reading, ...], domain: str) -> InrClassification:
        """The likeliest reading's label; typical only where other readings of any weight have the same one."""
        results = [self.explain(reading.probabilities, domain) for reading in readings]
        best, named = results[0], [(result.domain, result.label) for result in results]
        sure = sum(r.probability * self.share(r.probabilities, *named[0]) for r in readings)
        others: dict[tuple[str, str], Reading] = {}
        for reading, name in zip(readings, named, strict=True):
            if name != named[0] and reading.probability >= LEAST_ALTERNATIVE:
                others.setdefault(name, reading)
        return replace(
            best,
            typical=best.typical and sure >= self.config.label_from,
            assumed=(_found(readings),),
            alternatives=tuple(
                Alternative(r.convention, r.probability, r.sentence, *name) for name, r in others.items()
            ),
            convention=readings[0].convention,
        )

    def explain(self, probabilities: torch.Tensor, domain: str = AUTO) -> InrClassification:
        """The result for one row of `probabilities`."""
        per_domain = dict(zip(self.config.labels, probabilities[:-1].split(self._sizes()), strict=True))
        shares = {name: float(p.sum()) for name, p in per_domain.items()}
        chosen = max(shares, key=lambda name: shares[name]) if domain == AUTO else domain
        inside = per_domain[chosen] / per_domain[chosen].sum().clamp_min(1e-30)
        named = dict(zip(self.config.labels[chosen], inside.tolist(), strict=True))
        typicality = 1 - float(probabilities[-1])
        typical = math.isfinite(typicality) and typicality >= self.config.typical_from.get(chosen, 0.5)
        total = max(sum(shares.values()), 1e-30)
        return InrClassification(
            domain=chosen,
            label=max(named, key=lambda name: named[name]),
            probabilities=named,
            domain_probabilities={name: share / total for name, share in shares.items()},
            typical=typical,
            typicality=typicality,
            none_of_these=not typical,
        )

    def share(self, probabilities: torch.Tensor, domain: str, label: str) -> float:
        """The probability of one label in a row of `probabilities`, among all that are known."""
        place = self.class_offset(domain) + self.config.labels[domain].index(label)
        return float(probabilities[place] / probabilities[:-1].sum().clamp_min(1e-30))

    def class_offset(self, domain: str) -> int:
        """The index of a domain's first label among the classes."""
        names = list(self.config.labels)
        return sum(self._sizes()[: names.index(domain)])

    def _sizes(self) -> list[int]:
        return [len(labels) for labels in self.config.labels.values()]


def _found(readings: tuple[Reading, ...] | None) -> str:
    """A sentence on what was found of a convention that is not declared."""
    if readings is None:
        return TAKEN_FOR_GRANTED
    return readings[0].sentence if readings else UNREADABLE


def seen_at(stages: Sequence[torch.Tensor]) -> torch.Tensor:
    """Means and maxima of `stages` `(B, channels, h, w)`, of the last the means of its quarters: `(B, seen_size)`."""
    finer = [x for stage in stages[:-1] for x in (stage.amax((2, 3)), stage.mean((2, 3)))]
    return torch.cat([*finer, PictureJudge.inputs(stages[-1])], 1)


def seen_size(widths: Sequence[int]) -> int:
    """The number of values of `seen_at`, for stages of so many channels."""
    return 2 * sum(widths[:-1]) + PictureJudge.size(widths[-1])


def as_three_channels(images: torch.Tensor) -> torch.Tensor:
    """Gray images as equal red, green and blue."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


class Residual(nn.Sequential):
    """A sequence added to its input."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input + super().forward(input)


def convolutional_head(widths: tuple[int, ...], classes: int) -> nn.Sequential:
    """One plain block, then per further width a plain and a residual block, halving the picture before each."""
    layers: list[nn.Module] = [_block(3, widths[0])]
    for before, after in itertools.pairwise(widths):
        layers += [nn.MaxPool2d(2), _block(before, after), Residual(_block(after, after))]
    return nn.Sequential(
        *layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(widths[-1], classes)
    )


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )
