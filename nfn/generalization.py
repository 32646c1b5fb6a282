"""Predict the test accuracy of a small CNN from its outputs on stored probe images, by one ensemble per image set.

Probe features (arXiv:2403.12143, section 3; arXiv:2410.10811) depend only on the function that a network computes, so
the prediction is invariant to the order of its neurons. Weight statistics (StatNN, arXiv:2002.11448) classify the
image set and activation, and detect out-of-distribution networks. Intervals are split conformal (arXiv:2107.07511,
section 2.2) with a learned scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from nfn.cnn import Activation, class_scores, small_cnn_spec
from nfn.features import WeightSpaceFeatures
from nfn.layer_fit import NO_FIT, chain_fit
from nfn.layers.statistics import StatFeaturizer
from nfn.network import NO_CHAIN, NO_CLASSIFIER, Network
from nfn.predictor import CONFIG_FILE, Predictor

TEMPERATURES = (0.5, 1.0, 2.0, 4.0)
SUMMARIES = 4 * len(TEMPERATURES) + 3
MAX_WIDTH = 64
SPEC = small_cnn_spec()
KINDS: tuple[Activation, ...] = ("relu", "tanh")
HARDLY_LEARNED, FITS_FROM = 0.12, 0.2
"""A network that is predicted below the first and whose layers fit each other less than the second (`chain_fit`) may be
hardly trained or taken apart: it is not typical, as nothing tells which."""
AT_ONCE = 8
"""Networks to predict together: the probe answers of more would no longer fit a CPU core's cache."""


@dataclass(frozen=True)
class GeneralizationConfig:
    """`sizes`: image sets and their pixels a side. `half_widths`: per set, the conformal quantile of error / scale.

    `typical_from`: the in-distribution threshold, which 99% of the zoo's finished validation networks reach.
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

    `[low, high]` contains the true accuracy for a fraction `coverage` of in-distribution networks. If `typical` is
    False the network is out of distribution and the interval is `[0, 1]`. `images` is the predicted image set,
    `activation` the given or predicted activation; `reason` says why a number cannot be trusted, `note` what else a
    visitor should know. `seen` is its accuracy on stored training images, NaN if it was not run on them.
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
    note: str = ""
    seen: float = field(default=math.nan, compare=False)


class Member(nn.Module):
    """One ensemble member: an MLP on probe features plus a linear shortcut on their summaries."""

    base: Tensor

    def __init__(self, inputs: int, width: int, dropout: float):
        super().__init__()
        self.deep, self.direct = head(inputs, width, 1, dropout), nn.Linear(SUMMARIES, 1)
        self.register_buffer("base", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Probe features `(n, inputs)` to accuracies `(n,)`."""
        return (self.base + self.deep(inputs)[:, 0] + self.direct(inputs[:, :SUMMARIES])[:, 0]).sigmoid()


class Ensemble(nn.Module):
    """The ensemble of one image set: its members, and a net for the scale of their error."""

    def __init__(self, config: GeneralizationConfig):
        super().__init__()
        inputs = SUMMARIES + config.probes * SPEC.get_io()[1]
        self.members = nn.ModuleList(
            Member(inputs, config.width, config.dropout) for _ in range(config.members)
        )
        self.scale = head(SUMMARIES, 32, 1, 0.0)

    def start_from(self, accuracy: float) -> None:
        """Set the output bias of all members so that untrained ones predict about `accuracy`."""
        for member in self.members:
            assert isinstance(member, Member), "The list holds nothing else."
            member.base.fill_(math.log(accuracy / (1 - accuracy)))

    def accuracy(self, inputs: Tensor) -> Tensor:
        """The members' mean prediction `(n,)`."""
        return torch.stack([member(inputs) for member in self.members]).mean(0)

    def error_scale(self, inputs: Tensor) -> Tensor:
        """The expected scale `(n,)` of the error, at least 0.001."""
        return 1e-3 + nn.functional.softplus(self.scale(inputs[:, :SUMMARIES])[:, 0] - 4)


class GeneralizationPredictor(Predictor[GeneralizationConfig, Generalization]):
    """Predicts image set, activation and typicality of a network, and its accuracy by the image set's ensemble."""

    name = "generalization"
    config_class = GeneralizationConfig
    task = "generalization prediction"
    title = "Test accuracy of small CNNs"
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
        """As `Predictor.load`; also raises ValueError if an image set has no calibration."""
        model = super().load(folder, device)
        widths = model.config.half_widths
        missing = [name for name in model.config.sizes if not 0 < widths.get(name, 0.0) < math.inf]
        if missing:
            raise ValueError(
                f"{Path(folder).name}/{CONFIG_FILE} has no calibration for {', '.join(missing)}: `half_widths` needs a "
                "number above 0 for every image set. `python -m zoo train` computes them."
            )
        return model

    def ensemble(self, images: int) -> Ensemble:
        """The ensemble of image set number `images`."""
        ensemble = self.ensembles[images]
        assert isinstance(ensemble, Ensemble), "The list holds nothing else."
        return ensemble

    @torch.no_grad()
    def probe_features(self, features: WeightSpaceFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Weight statistics `(n, 56)`; summaries and probe outputs `(n, activations, image sets, ...)`."""
        statistics = signed_log(StatFeaturizer()(features).flatten(1))
        summaries, answers = [], []
        for activation in KINDS:
            for probes, labels in zip(self.probes, self.probe_labels, strict=True):
                scores = class_scores(features, probes, activation)
                scores = scores - scores.mean(2, keepdim=True)
                summaries.append(summarize(scores, labels))
                answers.append((scores / (scores.std((1, 2), keepdim=True) + 1e-6)).flatten(1))  # scale-free
        shape = (len(KINDS), len(self.config.sizes))
        return (
            statistics,
            torch.stack(summaries, 1).unflatten(1, shape),
            torch.stack(answers, 1).unflatten(1, shape),
        )

    def kind_input(self, statistics: Tensor, summaries: Tensor) -> Tensor:
        """The input of the kind head: standardized statistics and all summaries, `(n, ...)`."""
        raw = torch.cat([statistics, summaries.flatten(1)], 1)
        return ((raw - self.center) / self.spread).clamp(-6, 6)

    def member_input(self, summaries: Tensor, answers: Tensor, kind: int, images: int) -> Tensor:
        """The input of the members of image set `images`, with activation number `kind`."""
        at = StatFeaturizer.get_num_outs(SPEC) + (kind * len(self.config.sizes) + images) * SUMMARIES
        part = slice(at, at + SUMMARIES)
        z = ((summaries[:, kind, images] - self.center[part]) / self.spread[part]).clamp(-6, 6)
        return torch.cat([z, 0.3 * (answers[:, kind, images] - self.answer_center[kind, images])], 1)

    def predict_features(
        self, features: WeightSpaceFeatures, activations: Sequence[str | None]
    ) -> list[Generalization]:
        """Predictions for networks `(n, 1, ...)` that take pixels in [-1, 1]; an activation may be None (predicted).

        Raises ValueError, a sentence for the visitor, for architectures that it cannot read.
        """
        reason = unreadable(features)
        if reason:
            raise ValueError(reason)
        parts = [slice(i, i + AT_ONCE) for i in range(0, len(activations), AT_ONCE)]
        return [one for part in parts for one in self._predict(features.select(part), activations[part])]

    @torch.no_grad()
    def _predict(
        self, features: WeightSpaceFeatures, activations: Sequence[str | None]
    ) -> list[Generalization]:
        probed = self.probe_features(features.to(self.device))
        kinds = self.kind(self.kind_input(*probed[:2])).cpu()
        same_width = features.weights[0].shape[2] == SPEC.weight_spec[0].shape[0]
        results = [
            self._explain(tuple(part[i : i + 1] for part in probed), kinds[i], activation, same_width)
            for i, activation in enumerate(activations)
        ]
        return [unless_apart(*pair) for pair in zip(results, chain_fit(features).tolist(), strict=True)]

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: CNNs of the zoo's family can (see `unreadable`)."""
        if network.kind != "classifier":
            return NO_CLASSIFIER
        return NO_CHAIN if network.chain is None else unreadable(network.chain)

    def predict(self, network: Network) -> Generalization:
        """Predict for one classifier; ValueError, a sentence for the visitor, if it cannot be read."""
        fault = self.fault(network)
        if fault is not None:
            raise ValueError(fault)
        return self.predict_features(network.normalized, [network.classifier.activation])[0]

    def predict_batch(self, networks: Sequence[Network]) -> list[Generalization]:
        """As `Predictor.predict_batch`; neighbours of one shape are run together."""
        results = []
        for _, group in groupby(networks, key=lambda network: network.spec):
            alike = list(group)
            features = WeightSpaceFeatures.cat([network.normalized for network in alike])
            results += self.predict_features(features, [one.classifier.activation for one in alike])
        return results

    def _explain(
        self, probed: tuple[Tensor, ...], kind: Tensor, activation_name: str | None, same_width: bool
    ) -> Generalization:
        """The result for one network, from its `probe_features` and the outputs of the kind head."""
        sets = list(self.config.sizes)
        images = int(kind[: len(sets)].argmax())
        activation = KINDS.index(activation_name) if activation_name else int(kind[-2] > 0)
        inputs = self.member_input(probed[1], probed[2], activation, images)
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


def unless_apart(result: Generalization, fit: float) -> Generalization:
    """The result, not typical if a network near chance has layers that fit each other as little as `fit`."""
    if not result.typical or result.test_accuracy >= HARDLY_LEARNED or fit >= FITS_FROM:
        return result
    return replace(result, typical=False, low=0.0, high=1.0, reason=NO_FIT)


def head(inputs: int, width: int, outputs: int, dropout: float) -> nn.Sequential:
    """An MLP with two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width),
                         nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))  # fmt: skip


def summarize(scores: Tensor, labels: Tensor) -> Tensor:
    """Logits `(n, K, classes)` on K probes with labels `(K,)` to summaries `(n, 19)`.

    At each of four temperatures the mean probability and log-probability of the label, negative entropy and
    confidence; then accuracy, log standard deviation of the logits, and log standard deviation of the class means.
    """
    index = labels.expand(len(scores), -1)[..., None]
    parts = []
    for temperature in TEMPERATURES:
        log_probs = torch.log_softmax(scores / temperature, -1)
        probs = log_probs.exp()
        parts += [probs.gather(2, index).mean((1, 2)), signed_log(log_probs.gather(2, index).mean((1, 2))),
                  (log_probs * probs).sum(2).mean(1), probs.amax(2).mean(1)]  # fmt: skip
    accuracy = (scores.argmax(2) == labels).float().mean(1)
    spread = (scores.std((1, 2)) + 1e-6).log()
    class_bias = (scores.mean(1).std(1) + 1e-6).log()
    return torch.stack([*parts, accuracy, spread, class_bias], 1)


def signed_log(x: Tensor) -> Tensor:
    """`sign(x) log(1 + |x|)`."""
    return x.sign() * x.abs().log1p()


def unreadable(features: WeightSpaceFeatures) -> str | None:
    """Why networks of this shape cannot be read, or None: three 3x3 convolutions and a linear layer can be read."""
    kernels = [tuple(array.shape[2:]) for array in SPEC.weight_spec]
    shapes = [tuple(weight.shape[2:]) for weight in features.weights]
    family = "three 3x3 convolutions of stride 2 and one linear layer, from 1 gray channel to 10 classes"
    if [shape[2:] for shape in shapes] != kernels:
        return f"This network has {len(shapes)} layers of weights {shapes}; this predictor reads {family}."
    inputs, classes = shapes[0][1], shapes[-1][0]
    if (inputs, classes) != SPEC.get_io():
        return (
            f"This network goes from {inputs} channels to {classes} classes; this predictor reads {family}."
        )
    if max(shape[0] for shape in shapes) > MAX_WIDTH:
        return f"This network has more than {MAX_WIDTH} channels, the most that this predictor reads."
    return None
