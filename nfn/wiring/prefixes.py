"""`PrefixCache`: networks that differ only in their last operations share what the first ones compute."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Conv, Op

MAX_BYTES = 2**26
"""The most bytes of values that are kept."""


@dataclass
class _Kept:
    """A value, what it takes to compute it in multiply-adds per byte, and its rank: the lowest is dropped first."""

    value: Tensor
    worth: float
    rank: float


class PrefixCache:
    """Runs architectures with the same tensors, and keeps what convolutions give for those that begin alike.

    Values are dropped by GreedyDual-Size (Cao and Irani 1997): those that are cheap for their size, and long unused.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.tensors = tensors
        self._prefixes: dict[Hashable, int] = {}
        self._kept: dict[int, _Kept] = {}
        self._bytes, self._dropped = 0, 0.0

    @torch.inference_mode()
    def run(self, architecture: Architecture, key: Hashable, inputs: Callable[[], Tensor]) -> Tensor:
        """As `Architecture.run` for the `inputs`, to the bit; equal keys stand for equal inputs."""
        ops, cuts, prefixes = architecture.ops, _cuts(architecture), self._numbers(key, architecture.ops)
        start = max((cut for cut in cuts if prefixes[cut] in self._kept), default=0)
        alive = {start: self._recall(prefixes[start]) if start else inputs()}
        for number in range(start, len(ops)):
            alive[number + 1] = ops[number].run([alive[i] for i in ops[number].inputs], self.tensors)
            if number + 1 in cuts and isinstance(ops[number], Conv):
                self._keep(prefixes[number + 1], alive[number + 1], _cost(architecture, number + 1))
            for i in {*ops[number].inputs, number + 1}:
                if architecture.last_use[i] <= number:
                    alive.pop(i, None)
        return alive[len(ops)]

    def _numbers(self, key: Hashable, ops: tuple[Op, ...]) -> list[int]:
        """A number for the inputs, and one for the inputs and the first operations up to each."""
        numbers = [self._prefixes.setdefault(key, len(self._prefixes))]
        for op in ops:
            numbers.append(self._prefixes.setdefault((numbers[-1], op), len(self._prefixes)))
        return numbers

    def _recall(self, prefix: int) -> Tensor:
        kept = self._kept[prefix]
        kept.rank = self._dropped + kept.worth
        return kept.value

    def _keep(self, prefix: int, value: Tensor, cost: float) -> None:
        worth = cost * len(value) / value.nbytes
        self._kept[prefix] = _Kept(value, worth, self._dropped + worth)
        self._bytes += value.nbytes
        while self._bytes > MAX_BYTES:
            lowest = min(self._kept, key=lambda one: self._kept[one].rank)
            dropped = self._kept.pop(lowest)
            self._bytes, self._dropped = self._bytes - dropped.value.nbytes, dropped.rank


def _cuts(architecture: Architecture) -> set[int]:
    """The indices of values after which no operation takes an earlier value."""
    cuts, latest = set(), -1
    for index, last in enumerate(architecture.last_use):
        if latest < index:
            cuts.add(index)
        latest = max(latest, last)
    return cuts


def _cost(architecture: Architecture, count: int) -> int:
    """The multiply-adds per input of the first operations."""
    pairs = zip(architecture.ops[:count], architecture.values[1 : count + 1], strict=True)
    return sum(op.multiplications(out, architecture.shapes) for op, out in pairs)
