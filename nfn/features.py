"""`WeightSpaceFeatures`: tensors on a weight space. Its docstring defines the layout that all of nfn uses."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from nfn.spec import ArraySpec, NetworkSpec


class WeightSpaceFeatures(Sequence):
    """Features of a batch of `B` networks with `C` channels per weight and per bias.

    `tensors` are in the order of the weight space, each `(B, C, *shape)`; a batch of plain networks has `C = 1`. For
    a chain of layers they are weight 0, bias 0, weight 1 and so on: `weights[i]` is `(B, C, out, in)` or
    `(B, C, out, in, kh, kw)`, `biases[i]` is `(B, C, out)`, and the features are a sequence of such pairs. On any
    other `WeightSpace`, build them with `of_tensors`. Elsewhere `(N, 1, ...)` stands for this layout with B = N, C = 1.

        >>> layer = torch.nn.Linear(2, 5)
        >>> features = WeightSpaceFeatures([layer.weight[None, None]], [layer.bias[None, None]])
        >>> features.weights[0].shape, features.biases[0].shape
        (torch.Size([1, 1, 5, 2]), torch.Size([1, 1, 5]))
    """

    def __init__(self, weights: Iterable[torch.Tensor], biases: Iterable[torch.Tensor]):
        weights, biases = tuple(weights), tuple(biases)
        if len(weights) != len(biases):
            raise ValueError(f"Got {len(weights)} weights and {len(biases)} biases: one each per layer.")
        self.tensors = tuple(x for pair in zip(weights, biases, strict=True) for x in pair)
        self.is_chain = True

    @classmethod
    def of_tensors(cls, tensors: Iterable[torch.Tensor]) -> "WeightSpaceFeatures":
        """Features on any `WeightSpace`, from tensors in its order."""
        features = cls((), ())
        features.tensors, features.is_chain = tuple(tensors), False
        return features

    def with_tensors(self, tensors: Iterable[torch.Tensor]) -> "WeightSpaceFeatures":
        """Features on the same weight space with other tensors; ValueError for a wrong number of them."""
        features = WeightSpaceFeatures.of_tensors(tensors)
        features.is_chain = self.is_chain
        if len(features.tensors) != len(self.tensors):
            raise ValueError(f"Got {len(features.tensors)} tensors, expected {len(self.tensors)}.")
        return features

    @property
    def weights(self) -> tuple[torch.Tensor, ...]:
        """The weights of a chain of layers; ValueError for any other weight space."""
        self._require_chain()
        return self.tensors[::2]

    @property
    def biases(self) -> tuple[torch.Tensor, ...]:
        """The biases of a chain of layers; ValueError for any other weight space."""
        self._require_chain()
        return self.tensors[1::2]

    def _require_chain(self) -> None:
        if not self.is_chain:
            raise ValueError(
                "These features may not be a chain of layers with a weight and a bias each: use their "
                f"{len(self.tensors)} `tensors` rather than `weights` and `biases`."
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
        return f"WeightSpaceFeatures({[tuple(x.shape) for x in (self.weights if self.is_chain else self.tensors)]})"

    def map(self, func: Callable[[torch.Tensor], torch.Tensor]) -> "WeightSpaceFeatures":
        """Apply `func` to each tensor."""
        if self.is_chain:  # weights first: functions that draw random numbers depend on this order
            return WeightSpaceFeatures([func(w) for w in self.weights], [func(b) for b in self.biases])
        return WeightSpaceFeatures.of_tensors(func(x) for x in self.tensors)

    def combine(self, other: "WeightSpaceFeatures", func: Callable) -> "WeightSpaceFeatures":
        """Apply `func` to each pair of tensors; ValueError if the numbers of tensors differ."""
        if len(self.tensors) != len(other.tensors):
            sides = [f"{len(x)} layers" if x.is_chain else f"{len(x.tensors)} tensors" for x in (self, other)]
            raise ValueError(f"Cannot combine features of {sides[0]} and {sides[1]}.")
        return self.with_tensors(func(a, b) for a, b in zip(self.tensors, other.tensors, strict=True))

    def detach(self) -> "WeightSpaceFeatures":
        """`torch.Tensor.detach` of every tensor."""
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
        """Concatenate along the batch (`dim=0`) or the channels (`dim=1`)."""
        joined = zip(*(part.tensors for part in parts), strict=True)
        return parts[0].with_tensors(torch.cat(tensors, dim) for tensors in joined)


def network_spec_from_wsfeat(wsfeat: WeightSpaceFeatures, set_all_dims: bool = False) -> NetworkSpec:
    """The spec of the networks in `wsfeat`; hidden dimensions are left open (`ANY`) unless `set_all_dims`."""
    last = len(wsfeat) - 1
    weights, biases = [], []
    for i, (weight, bias) in enumerate(wsfeat):
        rows = weight.shape[2] if set_all_dims or i == last else -1
        cols = weight.shape[3] if set_all_dims or i == 0 else -1
        weights.append(ArraySpec((rows, cols, *weight.shape[4:])))
        biases.append(ArraySpec((bias.shape[2] if set_all_dims or i == last else -1,)))
    return NetworkSpec(tuple(weights), tuple(biases))
