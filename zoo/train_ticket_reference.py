"""Train the reference of a ticket predictor: a network whose ticket others get, by matching hidden units."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.pruning import Masks, top_masks
from nfn.sparse_training import SparseTraining, TrainingRecipe, batches

PRUNED = (0.15, 0.6)
"""The part of the training in which the reference is pruned."""
EVERY = 25
"""Steps from one pruning to the next."""


@dataclass(frozen=True)
class ReferenceTraining:
    """The zoo's own recipe over so many steps; `kept` is the number of weights per layer that remain.

    `seed` is that of the initialization.
    """

    kept: Sequence[int]
    steps: int = 2000
    seed: int = 0


def train_reference(
    init: WeightSpaceFeatures, kept: Sequence[int], recipe: TrainingRecipe, images: Tensor, labels: Tensor
) -> list[Tensor]:
    """Train one network `(1, 1, ...)` and prune it gradually by magnitude (arXiv:1710.01878, equation 1).

    `kept` is the number of weights per layer that remain. Returns the trained weights `(out, in[, kh, kw])`.
    """
    training = SparseTraining(init, None, recipe)
    for rows in batches(len(images), recipe, torch.Generator().manual_seed(0)):
        training.step(images[rows], labels[rows])
        done = (training.step_number / recipe.steps - PRUNED[0]) / (PRUNED[1] - PRUNED[0])
        if done > 0 and training.step_number % EVERY == 0:
            training.prune(_largest(training.features, kept, (1 - min(done, 1)) ** 3))
    return [weight[0, 0] for weight in training.features.weights]


def _largest(network: WeightSpaceFeatures, kept: Sequence[int], left: float) -> Masks:
    """Masks of the largest weights of each layer: `kept` of them, and the fraction `left` of all others."""
    layers = [(weight, weight[0].numel(), count) for weight, count in zip(network.weights, kept, strict=True)]
    return [
        top_masks([weight.abs()], 1 - (count + left * (total - count)) / total)[0]
        for weight, total, count in layers
    ]
