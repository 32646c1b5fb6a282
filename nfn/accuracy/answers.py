"""What is read from a network's answers: few numbers, each of which means the same for every architecture."""

import math

import torch
from torch import Tensor

TEMPERATURES = torch.logspace(-1.5, 1.5, 25)
"""Tried in units of the logits' own spread."""
STATISTICS = (
    "accuracy",
    "soft accuracy",
    "confidence",
    "likelihood",
    "temperature",
    "margin",
    "margin's spread",
    "low margin",
    "lead",
    "lean",
    "agreement",
)


def angle(share: Tensor) -> Tensor:
    """`arcsin(sqrt(share))`: on this scale a share that was counted is equally uncertain everywhere."""
    return share.clamp(0, 1).sqrt().asin()


def share(angle: Tensor) -> Tensor:
    """The inverse of `angle`; beyond its ends 0 and 1."""
    return angle.clamp(0, math.pi / 2).sin().square()


def read_answers(scores: Tensor, labels: Tensor, plain: Tensor) -> dict[str, Tensor]:
    """Each of `STATISTICS` of logits `(K, classes)` for pictures with these labels.

    `plain` are the logits of the same pictures as they are. Nothing depends on the logits' unit,
    nor on what is added to all classes of a picture: logarithms of probabilities give the same. Accuracies count every
    class the same. `lead` is how far the first class is before the second, `lean` how unequal the classes come out.
    """
    z = scores - scores.mean(1, keepdim=True)
    z = z / z.std().clamp_min(1e-6)
    rows, weight = torch.arange(len(z)), _class_weights(labels, z.shape[1])
    log_likelihoods = torch.log_softmax(z / TEMPERATURES[:, None, None], 2)[:, rows, labels] @ weight
    best = int(log_likelihoods.argmax())
    chances = torch.softmax(z / TEMPERATURES[best], 1)
    others = z.scatter(1, labels[:, None], -math.inf).amax(1)
    margin = z[rows, labels] - others
    first, second = z.topk(2, 1).values.T
    answer = z.argmax(1)
    values = (
        angle((answer == labels).float() @ weight),
        angle(chances[rows, labels] @ weight),
        angle(chances.amax(1).mean()),
        log_likelihoods[best],
        TEMPERATURES[best].log(),
        margin.mean(),
        margin.std(),
        margin.quantile(0.1),
        (first - second).mean(),
        z.mean(0).std(),
        angle((answer == plain.argmax(1)).float().mean()),
    )
    return dict(zip(STATISTICS, values, strict=True))


def _class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights `(K,)` with sum 1 under which every class that occurs counts the same."""
    counts = torch.bincount(labels, minlength=classes)
    return 1 / (counts[labels] * (counts > 0).sum())
