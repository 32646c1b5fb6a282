"""`Setting`: one way to read a classifier; `Fit`: how well the network classifies labelled images in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Softmax
from nfn.wiring.pictures import Pixels
from nfn.wiring.propose import Choice

TEMPERATURES = torch.tensor([0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 12.0, 40.0])
UNCHANGED = TEMPERATURES.tolist().index(1.0)
LARGE = 1e4, -1e4
"""Replacements for infinite scores."""


@dataclass(frozen=True)
class View:
    """The images of a set, in a shape that the network takes."""

    images: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Setting:
    """One way to read a classifier: the image set, input shape, normalization and wiring."""

    images: str
    shape: tuple[int, int, int]
    pixels: Pixels
    choice: Choice

    @property
    def view(self) -> View:
        """The images and their shape."""
        return View(self.images, self.shape)

    def sentences(self) -> list[str]:
        """The setting in words, for the visitor."""
        channels = "gray" if self.shape[0] == 1 else "colour"
        inputs = f"{channels} pictures of {self.shape[1]} x {self.shape[2]} pixels, from {self.pixels.name}"
        return [inputs, *self.choice.sentences()]

    @property
    def words(self) -> str:
        """`sentences` in one line, which identifies the setting."""
        return "; ".join(self.sentences())


@dataclass(frozen=True)
class Fit:
    """How well a network classifies labelled images in one setting.

    `log_likelihood` is the mean log-probability of the correct class at the best of a few temperatures, and
    `temperature_gain` how much of it is lost without those above 1; `confidence` the mean probability of the predicted
    class at temperature 1; accuracy is from 0 to 1; `finite` says whether all scores are finite. `norm_shift`: how far
    a batch norm's inputs are from its running statistics, as the logarithm of the ratio of variances (smaller ones
    count less behind the first batch norm: `nfn.wiring.prefixes.DROPOUT`).
    """

    setting: Setting
    log_likelihood: float
    accuracy: float
    confidence: float
    temperature_gain: float
    pictures: int
    finite: bool
    norm_shift: float = 0.0

    @property
    def overconfidence(self) -> float:
        """Confidence minus accuracy, from -1 to 1."""
        return self.confidence - self.accuracy


def class_scores(architecture: Architecture, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """As `logits`, with NaN replaced by 0 and infinite scores by large ones."""
    return logits(architecture, tensors, x).nan_to_num(0.0, *LARGE)


@torch.inference_mode()
def logits(architecture: Architecture, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Logits `(N, classes)` for inputs `(N, c, H, W)`; log-probabilities if the network ends in a softmax."""
    return log_scores(architecture, architecture.run(tensors, x))


@torch.inference_mode()
def log_scores(architecture: Architecture, outputs: Tensor) -> Tensor:
    """As `logits`, for the outputs of the architecture."""
    scores = outputs.flatten(1)
    last = architecture.ops[-1]
    if isinstance(last, Softmax) and not last.log:
        scores = scores.clamp_min(1e-12).log()
    return scores


def fits_of(
    settings: Sequence[Setting], raw: Tensor, labels: Tensor, shifts: Tensor | None = None
) -> list[Fit]:
    """The fits of logits `(settings, N, classes)` for images with these labels `(N,)`; `shifts` `(settings,)` are those
    of their batch norms, None where there are none."""
    scores = raw.nan_to_num(0.0, *LARGE)
    log_probs = torch.log_softmax(scores / TEMPERATURES[:, None, None, None], 3)
    at_each = log_probs[:, :, torch.arange(len(labels)), labels].mean(2)
    log_likelihoods = at_each.amax(0)
    gains = log_likelihoods - at_each[: UNCHANGED + 1].amax(0)
    accuracies = (scores.argmax(2) == labels).float().mean(1)
    confidences = log_probs[UNCHANGED].amax(2).exp().mean(1)
    shifts = torch.zeros(len(settings)) if shifts is None else shifts
    finite = raw.isfinite().flatten(1).all(1)
    numbers = torch.stack([log_likelihoods, accuracies, confidences, gains, shifts.float()], 1)
    rows = zip(settings, numbers.tolist(), finite.tolist(), strict=True)
    return [
        Fit(setting, likelihood, accuracy, confidence, gain, len(labels), all_finite, shift)
        for setting, (likelihood, accuracy, confidence, gain, shift), all_finite in rows
    ]
