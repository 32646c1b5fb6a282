"""Tensors on a weight space. This is the one place that states their layout."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from nfn.spec import ArraySpec, NetworkSpec


class WeightSpaceFeatures(Sequence):
    """Features of a batch of `B` networks with `C` channels per weight and per bias.

    Layout: `weights[i]` is `(B, C, out, in)` or `(B, C, out, in, kh, kw)`, `biases[i]` is `(B, C, out)`.
    A batch of plain networks has `C = 1`.
    """

    def __init__(self, weights: Iterable[torch.Tensor], biases: Iterable[torch.Tensor]):
        self.weights = tuple(weights)
        self.biases = tuple(biases)
        if len(self.weights) != len(self.biases):
            raise ValueError(
                f"Got {len(self.weights)} weights and {len(self.biases)} biases: one each per layer."
            )

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return zip(self.weights, self.biases, strict=True)

    def __getitem__(self, index):
        return self.weights[index], self.biases[index]

    def __add__(self, other: "WeightSpaceFeatures") -> "WeightSpaceFeatures":
        return self.combine(other, torch.add)

    def __sub__(self, other: "WeightSpaceFeatures") -> "WeightSpaceFeatures":
        return self.combine(other, torch.sub)

    def __mul__(self, other: "WeightSpaceFeatures | torch.Tensor | float") -> "WeightSpaceFeatures":
        if isinstance(other, WeightSpaceFeatures):
            return self.combine(other, torch.mul)
        return self.map(lambda x: x * other)

    def __repr__(self) -> str:
        return f"WeightSpaceFeatures({[tuple(w.shape) for w in self.weights]})"

    def map(self, func: Callable[[torch.Tensor], torch.Tensor]) -> "WeightSpaceFeatures":
        """Apply `func` to each weight and each bias tensor."""
        return WeightSpaceFeatures([func(w) for w in self.weights], [func(b) for b in self.biases])

    def combine(self, other: "WeightSpaceFeatures", func: Callable) -> "WeightSpaceFeatures":
        """Apply a function of two tensors to each pair; both sides must have the same number of layers."""
        if len(self) != len(other):
            raise ValueError(f"Cannot combine features of {len(self)} and {len(other)} layers.")
        return WeightSpaceFeatures(
            [func(a, b) for a, b in zip(self.weights, other.weights, strict=True)],
            [func(a, b) for a, b in zip(self.biases, other.biases, strict=True)],
        )

    def detach(self) -> "WeightSpaceFeatures":
        """The same values, cut from the autograd graph."""
        return self.map(torch.Tensor.detach)

    def to(self, *args, **kwargs) -> "WeightSpaceFeatures":
        """Move or cast every tensor, with the arguments of `torch.Tensor.to`."""
        return self.map(lambda x: x.to(*args, **kwargs))

    def select(self, index) -> "WeightSpaceFeatures":
        """The networks at `index` (a slice, list or tensor) of the batch; an int keeps a batch of one."""
        index = slice(index, index + 1 or None) if isinstance(index, int) else index
        return self.map(lambda x: x[index])

    @classmethod
    def from_zipped(cls, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> "WeightSpaceFeatures":
        """Build from an iterable of `(weight, bias)` pairs, one per layer."""
        weights, biases = zip(*pairs, strict=True)
        return cls(weights, biases)

    @classmethod
    def cat(cls, parts: Sequence["WeightSpaceFeatures"], dim: int = 0) -> "WeightSpaceFeatures":
        """Join along the batch (`dim=0`) or the channels (`dim=1`)."""
        return cls(
            [torch.cat(tensors, dim) for tensors in zip(*(p.weights for p in parts), strict=True)],
            [torch.cat(tensors, dim) for tensors in zip(*(p.biases for p in parts), strict=True)],
        )


def network_spec_from_wsfeat(wsfeat: WeightSpaceFeatures, set_all_dims: bool = False) -> NetworkSpec:
    """The spec of the networks in `wsfeat`; hidden dimensions stay open unless `set_all_dims`."""
    last = len(wsfeat) - 1
    weights, biases = [], []
    for i, (weight, bias) in enumerate(wsfeat):
        rows = weight.shape[2] if set_all_dims or i == last else -1
        cols = weight.shape[3] if set_all_dims or i == 0 else -1
        weights.append(ArraySpec((rows, cols, *weight.shape[4:])))
        biases.append(ArraySpec((bias.shape[2] if set_all_dims or i == last else -1,)))
    return NetworkSpec(tuple(weights), tuple(biases))
