"""How a network answers labelled pictures in one setting: what was assumed of it, and how well that fits."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Softmax
from nfn.wiring.pictures import Pixels
from nfn.wiring.propose import Choice

TEMPERATURES = torch.tensor([0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 12.0, 40.0])
LARGE = 1e4, -1e4
"""What infinite scores count as."""


@dataclass(frozen=True)
class View:
    """Pictures of a set, in a shape that the network takes."""

    images: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Setting:
    """All that was assumed: which pictures, in which shape and normalisation, and the wiring."""

    images: str
    shape: tuple[int, int, int]
    pixels: Pixels
    choice: Choice

    @property
    def view(self) -> View:
        """The pictures and their shape."""
        return View(self.images, self.shape)

    def sentences(self) -> list[str]:
        """What is assumed, in words, for the visitor."""
        channels = "gray" if self.shape[0] == 1 else "colour"
        looked = f"{channels} pictures of {self.shape[1]} x {self.shape[2]} pixels, from {self.pixels.name}"
        return [looked, *self.choice.sentences()]

    @property
    def words(self) -> str:
        """The same in one line, which names the setting among others."""
        return "; ".join(self.sentences())


@dataclass(frozen=True)
class Fit:
    """How a network answers labelled pictures in one setting.

    `log_likelihood` is the mean log-probability of the right class at the best of a few temperatures; `confidence` the
    mean probability of the answer at temperature 1; accuracy from 0 to 1; `finite` whether every score was a number.
    """

    setting: Setting
    log_likelihood: float
    accuracy: float
    confidence: float
    temperature: float
    pictures: int
    finite: bool

    @property
    def overconfidence(self) -> float:
        """By how much the network is more sure than right, from -1 to 1."""
        return self.confidence - self.accuracy


def class_scores(architecture: Architecture, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """As `logits`, with NaN counted as 0 and infinite scores as large ones."""
    return logits(architecture, tensors, x).nan_to_num(0.0, *LARGE)


@torch.inference_mode()
def logits(architecture: Architecture, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Logits `(N, classes)` of inputs `(N, c, H, W)`, or logarithms where the network gives probabilities."""
    scores = architecture.run(tensors, x).flatten(1)
    last = architecture.ops[-1]
    if isinstance(last, Softmax) and not last.log:
        scores = scores.clamp_min(1e-12).log()
    return scores


def fit_of(setting: Setting, given: Tensor, labels: Tensor) -> Fit:
    """How logits `(N, classes)` answer pictures with these labels."""
    scores = given.nan_to_num(0.0, *LARGE)
    logs = torch.log_softmax(scores / TEMPERATURES[:, None, None], 2)
    right = logs[:, torch.arange(len(labels)), labels].mean(1)
    best = int(right.argmax())
    at_one = logs[int((TEMPERATURES == 1).nonzero())].exp()
    return Fit(
        setting=setting,
        log_likelihood=float(right[best]),
        accuracy=float((scores.argmax(1) == labels).float().mean()),
        confidence=float(at_one.amax(1).mean()),
        temperature=float(TEMPERATURES[best]),
        pictures=len(labels),
        finite=bool(given.isfinite().all()),
    )
