"""Predict the test accuracy of a small CNN: how it answers a few stored probe pictures, read by an ensemble.

Probe features (arXiv:2403.12143, section 3; arXiv:2410.10811) see the function that a network computes, so the
answer is the same for every order of its neurons. Statistics of the weights (StatNN, arXiv:2002.11448) serve to tell
what kind of network it is. Intervals are split conformal (arXiv:2107.07511, section 2.2) with a learned scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nfn.cnn import Activation, class_scores, small_cnn_spec
from nfn.features import WeightSpaceFeatures
from nfn.layers.statistics import StatFeaturizer
from nfn.network import Network
from nfn.predictor import Predictor

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
    dropout: float = 0.3
    coverage: float = 0.9
    half_widths: dict[str, float] = field(default_factory=dict)
    typical_from: float = 0.5

    @property
    def answers(self) -> int:
        """How many logits the probes give."""
        return len(self.sizes) * self.probes * SPEC.get_io()[1]


@dataclass(frozen=True)
class Generalization:
    """A prediction; accuracies from 0 to 1.

    `[low, high]` holds the truth for a share `coverage` of networks like the zoo's. Where `typical` is False the
    network is unlike them, no such interval is known, and it is `[0, 1]`. `images` is the image set that the network
    seems trained on, `activation` what it was told or seems to be.
    """

    test_accuracy: float
    low: float
    high: float
    coverage: float
    typical: bool
    typicality: float
    images: str
    activation: str


class GeneralizationPredictor(Predictor):
    """An ensemble that reads probe answers, and one head that tells image set, activation and typicality."""

    name = "generalization"
    config_class = GeneralizationConfig
    probe_labels: Tensor
    center: Tensor
    spread: Tensor
    answer_center: Tensor

    def __init__(self, config: GeneralizationConfig):
        super().__init__(config)
        sets = len(config.sizes)
        kind_size = StatFeaturizer.get_num_outs(SPEC) + 2 * sets * SUMMARIES
        self.probes = nn.ParameterList(
            nn.Parameter(torch.zeros(config.probes, 1, size, size), requires_grad=False)
            for size in config.sizes.values()
        )
        self.register_buffer("probe_labels", torch.zeros(sets, config.probes, dtype=torch.int64))
        self.register_buffer("center", torch.zeros(kind_size))
        self.register_buffer("spread", torch.ones(kind_size))
        self.register_buffer("answer_center", torch.zeros(len(KINDS), config.answers))
        inputs = sets * SUMMARIES + config.answers
        self.members = nn.ModuleList(
            head(inputs, config.width, 1, config.dropout) for _ in range(config.members)
        )
        self.scale = head(sets * SUMMARIES, 32, 1, 0.0)
        self.kind = head(kind_size, config.width, sets + 2, config.dropout)

    @torch.no_grad()
    def look(self, features: WeightSpaceFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Statistics `(n, 56)`, and summaries and answers `(2, n, ...)` with each activation, of n networks."""
        statistics = signed_log(StatFeaturizer()(features).flatten(1))
        summaries, answers = [], []
        for activation in KINDS:
            scores = [class_scores(features, probes, activation) for probes in self.probes]
            scores = [s - s.mean(2, keepdim=True) for s in scores]
            summaries.append(
                torch.cat(
                    [summarize(s, labels) for s, labels in zip(scores, self.probe_labels, strict=True)], 1
                )
            )
            answers.append(torch.cat([scale_free(s).flatten(1) for s in scores], 1))
        return statistics, torch.stack(summaries), torch.stack(answers)  # fmt: skip

    def kind_input(self, statistics: Tensor, summaries: Tensor) -> Tensor:
        """What the kind head reads: standardized statistics and summaries with both activations."""
        raw = torch.cat([statistics, *summaries], 1)
        return ((raw - self.center) / self.spread).clamp(-6, 6)

    def member_input(self, summaries: Tensor, answers: Tensor, kind: int) -> Tensor:
        """What a member reads, with activation number `kind`."""
        at = StatFeaturizer.get_num_outs(SPEC) + kind * summaries.shape[1]
        part = slice(at, at + summaries.shape[1])
        z = ((summaries - self.center[part]) / self.spread[part]).clamp(-6, 6)
        return torch.cat([z, 0.3 * (answers - self.answer_center[kind])], 1)

    def accuracy_and_scale(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The ensemble's accuracy `(n,)`, and the scale `(n,)` that errors of such networks have."""
        accuracies = torch.cat([member(inputs) for member in self.members], 1).sigmoid()
        return accuracies.mean(1), self.error_scale(inputs)

    def error_scale(self, inputs: Tensor) -> Tensor:
        """The scale of error `(n,)` by the summaries in a member's input; 0.001 at least."""
        raw = self.scale(inputs[:, : len(self.config.sizes) * SUMMARIES])[:, 0]
        return 1e-3 + nn.functional.softplus(raw - 4)

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
        kinds = self.kind(self.kind_input(*looked[:2]))
        sets = len(self.config.sizes)
        told = [KINDS.index(a) if a else int(kinds[i, sets] > 0) for i, a in enumerate(activations)]
        inputs = torch.cat([
            self.member_input(looked[1][kind, i : i + 1], looked[2][kind, i : i + 1], kind)
            for i, kind in enumerate(told)])  # fmt: skip
        accuracies, scales = self.accuracy_and_scale(inputs)
        same_width = features.weights[0].shape[2] == SPEC.weight_spec[0].shape[0]
        return [
            self._explain(float(accuracies[i]), float(scales[i]), kinds[i].cpu(), KINDS[kind], same_width)
            for i, kind in enumerate(told)
        ]

    def predict(self, network: Network) -> Generalization:
        """Predict for one classifier; ValueError, a sentence for the visitor, where it cannot be read."""
        if network.kind == "siren":
            raise ValueError("This file holds a SIREN, a picture: choose the INR tab for it.")
        return self.predict_batch(network.normalized, [network.classifier.activation])[0]

    def _explain(
        self, accuracy: float, scale: float, kind: Tensor, activation: str, same_width: bool
    ) -> Generalization:
        sets = list(self.config.sizes)
        images = sets[int(kind[: len(sets)].argmax())]
        typicality = float(kind[-1].sigmoid()) if same_width else 0.0
        typical = typicality >= self.config.typical_from
        reach = self.config.half_widths.get(images, 0.0) * scale
        low, high = (max(0.0, accuracy - reach), min(1.0, accuracy + reach)) if typical else (0.0, 1.0)
        return Generalization(
            accuracy, low, high, self.config.coverage, typical, typicality, images, activation
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
