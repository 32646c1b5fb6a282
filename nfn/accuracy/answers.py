"""Statistics of a network's outputs on labelled images, comparable across architectures."""

import math

import torch
from torch import Tensor

TEMPERATURES = torch.logspace(-1.5, 1.5, 25)
"""Candidate temperatures, in units of the standard deviation of the logits."""
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


def angle(fraction: Tensor) -> Tensor:
    """`arcsin(sqrt(fraction))`, which makes the variance of a counted fraction constant."""
    return fraction.clamp(0, 1).sqrt().asin()


def fraction(angle: Tensor) -> Tensor:
    """The inverse of `angle`, clamped to [0, 1]."""
    return angle.clamp(0, math.pi / 2).sin().square()


def output_statistics(
    scores: Tensor, labels: Tensor, plain: Tensor, shares: Tensor | None = None
) -> dict[str, Tensor]:
    """Each of `STATISTICS` of logits `(K, classes)` for images with these labels.

    `plain` are the logits of the unperturbed images. All statistics are invariant to the scale of the logits and to a
    constant added to all logits of an image, so that log-probabilities give the same. In accuracies a class counts as
    much as its share of the data set, one of `shares` `(classes,)`, all alike without it; so the accuracy of a network
    that always answers one class is that class's share, however many of these images it has. `lead` is the mean
    difference of the two largest logits, `lean` the standard deviation of class means.
    """
    shares = torch.ones(scores.shape[1]) if shares is None else shares
    z = scores - scores.mean(1, keepdim=True)
    z = z / z.std().clamp_min(1e-6)
    rows, weight = torch.arange(len(z)), _class_weights(labels, shares)
    log_likelihoods = torch.log_softmax(z / TEMPERATURES[:, None, None], 2)[:, rows, labels] @ weight
    best = int(log_likelihoods.argmax())
    probs = torch.softmax(z / TEMPERATURES[best], 1)
    others = z.scatter(1, labels[:, None], -math.inf).amax(1)
    margin = z[rows, labels] - others
    first, second = z.topk(2, 1).values.T
    predicted = z.argmax(1)
    values = (
        angle((predicted == labels).float() @ weight),
        angle(probs[rows, labels] @ weight),
        angle(probs.amax(1).mean()),
        log_likelihoods[best],
        TEMPERATURES[best].log(),
        margin.mean(),
        margin.std(),
        margin.quantile(0.1),
        (first - second).mean(),
        z.mean(0).std(),
        angle((predicted == plain.argmax(1)).float().mean()),
    )
    return dict(zip(STATISTICS, values, strict=True))


def _class_weights(labels: Tensor, shares: Tensor) -> Tensor:
    """Weights `(K,)` with sum 1 that give every class that occurs a total in proportion to its share."""
    counts = torch.bincount(labels, minlength=len(shares))
    return (shares / counts)[labels] / shares[counts > 0].sum().clamp_min(1e-12)
