"""Flat parameter vectors: tensors with a leading batch dimension as one row per batch entry, and back."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def flat_rows(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors `(N, ...)` concatenated to rows `(N, entries)`."""
    return torch.cat([x.flatten(1) for x in tensors], 1)


def unflat_rows(flat: Tensor, shapes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Views of rows `(N, entries)` as tensors `(N, *shape)`; the inverse of `flat_rows`."""
    parts = flat.split([math.prod(shape) for shape in shapes], 1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]
