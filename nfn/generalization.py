"""Predict the test accuracy of a small CNN: how it answers a few stored probe pictures, read by an ensemble.

Probe features (arXiv:2403.12143, section 3; arXiv:2410.10811) see the function that a network computes, so the
answer is the same for every order of its neurons. Statistics of the weights (StatNN, arXiv:2002.11448) serve to tell
what kind of network it is. Intervals are split conformal (arXiv:2107.07511, section 2.2) with a learned scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from nfn.cnn import Activation, class_scores, small_cnn_spec
from nfn.features import WeightSpaceFeatures
from nfn.layers.statistics import StatFeaturizer
from nfn.network import NO_CHAIN, NO_CLASSIFIER, Network
from nfn.predictor import CONFIG_FILE, Predictor

TEMPERATURES = (0.5, 1.0, 2.0, 4.0)
SUMMARIES = 4 * len(TEMPERATURES) + 3
MAX_WIDTH = 64
SPEC = small_cnn_spec()
KINDS: tuple[Activation, ...] = ("relu", "tanh")


@dataclass(frozen=True)
class GeneralizationConfig:
    """`sizes`: image sets and their pixels a side. `half_widths`: per set, the conformal quantile of error / scale.

    `typical_from`: the typicality that 99% of the zoo's finished validation networks reach.
    """

    sizes: dict[str, int] = field(default_factory=lambda: {"cifar10": 32, "fashion_mnist": 28})
    probes: int = 128
    width: int = 128
    members: int = 5
    dropout: float = 0.2
    coverage: float = 0.9
    half_widths: dict[str, float] = field(default_factory=dict)
    typical_from: float = 0.5


@dataclass(frozen=True)
class Generalization:
    """A prediction; accuracies from 0 to 1.

    `[low, high]` holds the truth for a share `coverage` of networks like the zoo's. Where `typical` is False the
    network is unlike them, no such interval is known, and it is `[0, 1]`. `images` is the image set that the network
    seems trained on, `activation` what it was told or seems to be; `reason` says why a number is not to be trusted.
    """

    test_accuracy: float
    low: float
    high: float
    coverage: float
    typical: bool
    typicality: float
    images: str
    activation: str
    reason: str = ""
    predictor: str = "generalization"


class Member(nn.Module):
    """From summaries and answers of one image set to the logit of an accuracy: a head, and a linear shortcut."""

    base: Tensor

    def __init__(self, inputs: int, width: int, dropout: float):
        super().__init__()
        self.deep, self.direct = head(inputs, width, 1, dropout), nn.Linear(SUMMARIES, 1)
        self.register_buffer("base", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Accuracies `(n,)`."""
        return (self.base + self.deep(inputs)[:, 0] + self.direct(inputs[:, :SUMMARIES])[:, 0]).sigmoid()


class Ensemble(nn.Module):
    """What reads the networks of one image set: members, and the scale of their error."""

    def __init__(self, config: GeneralizationConfig):
        super().__init__()
        inputs = SUMMARIES + config.probes * SPEC.get_io()[1]
        self.members = nn.ModuleList(
            Member(inputs, config.width, config.dropout) for _ in range(config.members)
        )
        self.scale = head(SUMMARIES, 32, 1, 0.0)

    def start_from(self, accuracy: float) -> None:
        """Let untrained members answer about `accuracy`."""
        for member in self.members:
            assert isinstance(member, Member), "The list holds nothing else."
            member.base.fill_(math.log(accuracy / (1 - accuracy)))

    def accuracy(self, inputs: Tensor) -> Tensor:
        """The mean of the members `(n,)`."""
        return torch.stack([member(inputs) for member in self.members]).mean(0)

    def error_scale(self, inputs: Tensor) -> Tensor:
        """The scale `(n,)` that errors on such networks have; 0.001 at least."""
        return 1e-3 + nn.functional.softplus(self.scale(inputs[:, :SUMMARIES])[:, 0] - 4)


class GeneralizationPredictor(Predictor):
    """Tells image set, activation and typicality of a network; the ensemble of that image set reads the accuracy."""

    name = "generalization"
    config_class = GeneralizationConfig
    probe_labels: Tensor
    center: Tensor
    spread: Tensor
    answer_center: Tensor

    def __init__(self, config: GeneralizationConfig):
        super().__init__(config)
        sets, statistics = len(config.sizes), StatFeaturizer.get_num_outs(SPEC)
        kind_size = statistics + len(KINDS) * sets * SUMMARIES
        answers = config.probes * SPEC.get_io()[1]
        self.probes = nn.ParameterList(
            nn.Parameter(torch.zeros(config.probes, 1, size, size), requires_grad=False)
            for size in config.sizes.values()
        )
        self.register_buffer("probe_labels", torch.zeros(sets, config.probes, dtype=torch.int64))
        self.register_buffer("center", torch.zeros(kind_size))
        self.register_buffer("spread", torch.ones(kind_size))
        self.register_buffer("answer_center", torch.zeros(len(KINDS), sets, answers))
        self.ensembles = nn.ModuleList(Ensemble(config) for _ in range(sets))
        self.kind = head(kind_size, config.width, sets + 2, config.dropout)

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """As of `Predictor`; ValueError, too, where it was not calibrated: its intervals would mean nothing."""
        model = super().load(folder, device)
        widths = model.config.half_widths
        missing = [name for name in model.config.sizes if not 0 < widths.get(name, 0.0) < math.inf]
        if missing:
            raise ValueError(
                f"{Path(folder).name}/{CONFIG_FILE} has no calibration for {', '.join(missing)}: `half_widths` wants a "
                "number above 0 for every image set. `python -m zoo train` computes them."
            )
        return model

    def ensemble(self, images: int) -> Ensemble:
        """The ensemble of image set number `images`."""
        found = self.ensembles[images]
        assert isinstance(found, Ensemble), "The list holds nothing else."
        return found

    @torch.no_grad()
    def look(self, features: WeightSpaceFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Statistics `(n, 56)`; summaries and answers `(n, activations, image sets, ...)`, of n networks."""
        statistics = signed_log(StatFeaturizer()(features).flatten(1))
        summaries, answers = [], []
        for activation in KINDS:
            for probes, labels in zip(self.probes, self.probe_labels, strict=True):
                scores = class_scores(features, probes, activation)
                scores = scores - scores.mean(2, keepdim=True)
                summaries.append(summarize(scores, labels))
                answers.append(scale_free(scores).flatten(1))
        shape = (len(KINDS), len(self.config.sizes))
        return (
            statistics,
            torch.stack(summaries, 1).unflatten(1, shape),
            torch.stack(answers, 1).unflatten(1, shape),
        )

    def kind_input(self, statistics: Tensor, summaries: Tensor) -> Tensor:
        """What the kind head reads: standardized statistics and all summaries, `(n, ...)`."""
        raw = torch.cat([statistics, summaries.flatten(1)], 1)
        return ((raw - self.center) / self.spread).clamp(-6, 6)

    def member_input(self, summaries: Tensor, answers: Tensor, kind: int, images: int) -> Tensor:
        """What the members of image set `images` read, with activation number `kind`."""
        at = StatFeaturizer.get_num_outs(SPEC) + (kind * len(self.config.sizes) + images) * SUMMARIES
        part = slice(at, at + SUMMARIES)
        z = ((summaries[:, kind, images] - self.center[part]) / self.spread[part]).clamp(-6, 6)
        return torch.cat([z, 0.3 * (answers[:, kind, images] - self.answer_center[kind, images])], 1)

    @torch.no_grad()
    def predict_batch(
        self, features: WeightSpaceFeatures, activations: Sequence[str | None]
    ) -> list[Generalization]:
        """Predictions for networks `(n, 1, ...)` that take pixels in [-1, 1]; None where the activation is not told.

        Raises ValueError, a sentence for the visitor, for architectures that it cannot read.
        """
        reason = unreadable(features)
        if reason:
            raise ValueError(reason)
        looked = self.look(features.to(self.device))
        kinds = self.kind(self.kind_input(*looked[:2])).cpu()
        same_width = features.weights[0].shape[2] == SPEC.weight_spec[0].shape[0]
        return [
            self._explain(tuple(part[i : i + 1] for part in looked), kinds[i], told, same_width)
            for i, told in enumerate(activations)
        ]

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: CNNs of the zoo's family can (`unreadable`), of any width."""
        if network.kind != "classifier":
            return NO_CLASSIFIER
        return NO_CHAIN if network.chain is None else unreadable(network.chain)

    def predict(self, network: Network) -> Generalization:
        """Predict for one classifier; ValueError, a sentence for the visitor, where it cannot be read."""
        fault = self.fault(network)
        if fault is not None:
            raise ValueError(fault)
        return self.predict_batch(network.normalized, [network.classifier.activation])[0]

    def _explain(
        self, looked: tuple[Tensor, ...], kind: Tensor, told: str | None, same_width: bool
    ) -> Generalization:
        """The result for one network, from what was looked at and from the outputs of the kind head."""
        sets = list(self.config.sizes)
        images = int(kind[: len(sets)].argmax())
        activation = KINDS.index(told) if told else int(kind[-2] > 0)
        inputs = self.member_input(looked[1], looked[2], activation, images)
        ensemble = self.ensemble(images)
        accuracy = float(ensemble.accuracy(inputs))
        width = self.config.half_widths.get(sets[images], 0.0)
        reach = width * float(ensemble.error_scale(inputs)) if 0 < width < math.inf else math.inf
        typicality = float(kind[-1].sigmoid()) if same_width else 0.0
        typical = typicality >= self.config.typical_from
        low, high = (max(0.0, accuracy - reach), min(1.0, accuracy + reach)) if typical else (0.0, 1.0)
        return Generalization(
            accuracy, low, high, self.config.coverage, typical, typicality, sets[images], KINDS[activation]
        )


def head(inputs: int, width: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width),
                         nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))  # fmt: skip


def summarize(scores: Tensor, labels: Tensor) -> Tensor:
    """Logits `(n, K, classes)` of K probes with known labels `(K,)` to `(n, 19)`: at four temperatures the mean
    probability and log-probability of the label, negative entropy and confidence; then accuracy, scale and bias."""
    wanted = labels.expand(len(scores), -1)[..., None]
    parts = []
    for temperature in TEMPERATURES:
        logs = torch.log_softmax(scores / temperature, -1)
        chances = logs.exp()
        parts += [chances.gather(2, wanted).mean((1, 2)), signed_log(logs.gather(2, wanted).mean((1, 2))),
                  (logs * chances).sum(2).mean(1), chances.amax(2).mean(1)]  # fmt: skip
    right = (scores.argmax(2) == labels).float().mean(1)
    spread = (scores.std((1, 2)) + 1e-6).log()
    lean = (scores.mean(1).std(1) + 1e-6).log()
    return torch.stack([*parts, right, spread, lean], 1)


def scale_free(scores: Tensor) -> Tensor:
    """Logits `(n, K, classes)` divided by their spread, one number per network."""
    return scores / (scores.std((1, 2), keepdim=True) + 1e-6)


def signed_log(x: Tensor) -> Tensor:
    """`sign(x) log(1 + |x|)`: keeps order and sign, and tames the large."""
    return x.sign() * x.abs().log1p()


def unreadable(features: WeightSpaceFeatures) -> str | None:
    """Why networks of this shape cannot be read, or None: a chain of three 3x3 convolutions and a linear layer can."""
    wanted = [tuple(array.shape[2:]) for array in SPEC.weight_spec]
    shapes = [tuple(weight.shape[2:]) for weight in features.weights]
    family = "three 3x3 convolutions of stride 2 and one linear layer, from 1 gray channel to 10 classes"
    if [shape[2:] for shape in shapes] != wanted:
        return f"This network has {len(shapes)} layers of weights {shapes}; this predictor reads {family}."
    inputs, classes = shapes[0][1], shapes[-1][0]
    if (inputs, classes) != SPEC.get_io():
        return (
            f"This network goes from {inputs} channels to {classes} classes; this predictor reads {family}."
        )
    if max(shape[0] for shape in shapes) > MAX_WIDTH:
        return f"This network is wider than the {MAX_WIDTH} channels that are read here."
    return None
