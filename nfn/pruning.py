"""Pruning masks from one score per weight, and scores that need no learning.

A mask is a list with one bool tensor per layer, in the layout of `WeightSpaceFeatures.weights` with one channel.
Biases are never pruned. Pruning is global: all weights of a network are ranked together.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.flat import flat_rows, unflat_rows

Scores = Sequence[Tensor]
Masks = Sequence[Tensor]


def top_masks(scores: Scores, sparsity: float) -> list[Tensor]:
    """Keep the weights with the highest scores: exactly `n - round(sparsity * n)` of each network's n weights.

    Of equal scores the earlier weight is kept. Raises ValueError for a sparsity outside [0, 1] and for NaN.
    """
    flat = flat_rows(scores)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"Got a sparsity of {sparsity:g}; expected one from 0 (keep all) to 1 (keep none).")
    if flat.isnan().any():
        raise ValueError("The scores contain NaN, so they cannot be ranked.")
    kept = kept_count(flat.shape[1], sparsity)
    indices = flat.argsort(dim=1, descending=True, stable=True)[:, :kept]
    kept_rows = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, indices, True)
    return unflat_rows(kept_rows, [score.shape[1:] for score in scores])


def kept_count(total: int, sparsity: float) -> int:
    """The number of weights that are kept out of `total`."""
    return total - round(sparsity * total)


def bernoulli_masks(scores: Scores, sparsity: float, generator: torch.Generator) -> list[Tensor]:
    """Keep each weight with probability `1 - sparsity`, as the random masks of arXiv:2302.14040, table 5."""
    return [torch.rand(s.shape, generator=generator).to(s.device) >= sparsity for s in scores]


def shuffled_masks(masks: Masks, generator: torch.Generator) -> list[Tensor]:
    """Random masks that keep the same number of weights in every layer."""
    out = []
    for mask in masks:
        order = torch.rand(mask.flatten(1).shape, generator=generator).to(mask.device).argsort(1)
        out.append(mask.flatten(1).gather(1, order).view_as(mask))
    return out


def magnitude_scores(features: WeightSpaceFeatures) -> list[Tensor]:
    """`|w|` over the root mean square of its layer.

    Without the division most kept weights would be in the layer with the smallest fan-in, whose weights are largest.
    """
    return [
        w.abs() / w.square().flatten(1).mean(1).sqrt().clamp_min(1e-12).view(-1, *[1] * (w.dim() - 1))
        for w in features.weights
    ]


def snip_scores(features: WeightSpaceFeatures, gradient: WeightSpaceFeatures) -> list[Tensor]:
    """`|w * dL/dw|`: connection sensitivity (SNIP, arXiv:1810.02340)."""
    return [(w * g).abs() for w, g in zip(features.weights, gradient.weights, strict=True)]


def apply_masks(features: WeightSpaceFeatures, masks: Masks) -> WeightSpaceFeatures:
    """Set the weights to zero where the masks are False; biases are unchanged."""
    pairs = zip(features.weights, masks, strict=True)
    return WeightSpaceFeatures([w * m for w, m in pairs], features.biases)


def kept_per_layer(masks: Masks) -> Tensor:
    """The number of kept weights `(N, layers)` of each layer."""
    return torch.stack([mask.flatten(1).sum(1) for mask in masks], 1)


def dead_neurons(masks: Masks) -> Tensor:
    """The number of hidden neurons `(N, layers - 1)` of each layer without kept incoming or outgoing weights.

    A convolution's channel is connected by any entry of its kernels.
    """
    counts = []
    for before, after in itertools.pairwise(masks):
        has_inputs = before[:, 0].flatten(2).any(2)
        has_outputs = after[:, 0].transpose(1, 2).flatten(2).any(2)
        counts.append((~(has_inputs & has_outputs)).sum(1))
    return torch.stack(counts, 1)


def overlap(one: Masks, other: Masks) -> Tensor:
    """The fraction `(N,)` of the first mask's kept weights that the other mask keeps too."""
    a, b = flat_rows(one), flat_rows(other)
    return (a & b).sum(1) / a.sum(1).clamp_min(1)
