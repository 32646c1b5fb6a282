"""Masks over the weights of networks, from one score per weight; and the scores that need no learning.

A mask is a list with one bool tensor per layer, laid out as `WeightSpaceFeatures.weights`: `(N, 1, out, in[, kh, kw])`.
Biases are never pruned. Where networks are pruned, all their weights compete: the ranking is global.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures

Scores = Sequence[Tensor]
Masks = Sequence[Tensor]


def top_masks(scores: Scores, sparsity: float) -> list[Tensor]:
    """Keep the weights of the highest scores: of n weights exactly `n - round(sparsity * n)`, in each network.

    Equal scores go to the earlier layer and place. Raises ValueError for a sparsity outside [0, 1] and for NaN.
    """
    flat = flat_rows(scores)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"Got a sparsity of {sparsity:g}; wanted one from 0 (keep all) to 1 (keep none).")
    if flat.isnan().any():
        raise ValueError("The scores hold NaN: they rank nothing.")
    kept = kept_of(flat.shape[1], sparsity)
    chosen = flat.argsort(dim=1, descending=True, stable=True)[:, :kept]
    return _unflat(torch.zeros_like(flat, dtype=torch.bool).scatter_(1, chosen, True), scores)


def kept_of(total: int, sparsity: float) -> int:
    """How many of `total` weights are kept."""
    return total - round(sparsity * total)


def bernoulli_masks(scores: Scores, sparsity: float, generator: torch.Generator) -> list[Tensor]:
    """Keep each weight with probability `1 - sparsity`, as the random masks of arXiv:2302.14040, table 5."""
    return [torch.rand(s.shape, generator=generator).to(s.device) >= sparsity for s in scores]


def shuffled_masks(masks: Masks, generator: torch.Generator) -> list[Tensor]:
    """Random masks with the same number of weights in every layer."""
    out = []
    for mask in masks:
        order = torch.rand(mask.flatten(1).shape, generator=generator).to(mask.device).argsort(1)
        out.append(mask.flatten(1).gather(1, order).view_as(mask))
    return out


def magnitude_scores(features: WeightSpaceFeatures) -> list[Tensor]:
    """`|w|` over the root mean square of its layer.

    Without the division the layer of the smallest fan-in takes everything: its initial weights are the largest.
    """
    return [
        w.abs() / w.square().flatten(1).mean(1).sqrt().clamp_min(1e-12).view(-1, *_ones(w))
        for w in features.weights
    ]


def snip_scores(features: WeightSpaceFeatures, gradient: WeightSpaceFeatures) -> list[Tensor]:
    """`|w * dL/dw|`: connection sensitivity (SNIP, arXiv:1810.02340)."""
    return [(w * g).abs() for w, g in zip(features.weights, gradient.weights, strict=True)]


def apply_masks(features: WeightSpaceFeatures, masks: Masks) -> WeightSpaceFeatures:
    """The same networks with zeros where the masks are False; biases as they were."""
    pairs = zip(features.weights, masks, strict=True)
    return WeightSpaceFeatures([w * m for w, m in pairs], features.biases)


def kept_per_layer(masks: Masks) -> Tensor:
    """How many weights each layer keeps `(N, layers)`."""
    return torch.stack([mask.flatten(1).sum(1) for mask in masks], 1)


def dead_neurons(masks: Masks) -> Tensor:
    """How many hidden neurons of each layer `(N, layers - 1)` hear nothing or are heard by none.

    A convolution's channel hears and is heard through any place of its kernels.
    """
    counts = []
    for before, after in itertools.pairwise(masks):
        hears = before[:, 0].flatten(2).any(2)
        heard = after[:, 0].transpose(1, 2).flatten(2).any(2)
        counts.append((~(hears & heard)).sum(1))
    return torch.stack(counts, 1)


def overlap(one: Masks, other: Masks) -> Tensor:
    """The share of the first mask's kept weights that the other keeps too `(N,)`."""
    a, b = flat_rows(one), flat_rows(other)
    return (a & b).sum(1) / a.sum(1).clamp_min(1)


def flat_rows(tensors: Sequence[Tensor]) -> Tensor:
    """One row per network of what a list of tensors says of its weights `(N, weights)`."""
    return torch.cat([x.flatten(1) for x in tensors], 1)


def _unflat(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = flat.split([x[0].numel() for x in like], 1)
    return [part.reshape(x.shape) for part, x in zip(parts, like, strict=True)]


def _ones(x: Tensor) -> tuple[int, ...]:
    return (1,) * (x.dim() - 1)
