"""`PrefixCache`: networks that differ only in their last operations share what the first ones compute."""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import BatchNorm, Conv, Op

MAX_BYTES = 2**26
"""The most bytes of values that are kept."""
DROPOUT = 0.25
"""How much a smaller variance than its running variance counts for a batch norm that may be behind dropout: in training
dropout adds variance. The first batch norm is taken to be in front of it."""
ROUNDING = 1e-6
"""The fraction of the mean square below which a variance is rounding: a constant channel has none."""


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
        self._shifts: dict[int, Tensor] = {}
        self._bytes, self._dropped = 0, 0.0

    @torch.inference_mode()
    def run(
        self, architecture: Architecture, key: Hashable, inputs: Callable[[], Tensor], parts: int = 1
    ) -> Tensor:
        """As `Architecture.run` for the `inputs`, to the bit; equal keys stand for equal inputs.

        The inputs have `parts` of equal size, of which `norm_shifts` has one number each.
        """
        ops, cuts, prefixes = architecture.ops, _cuts(architecture), self._numbers(key, architecture.ops)
        start = max((cut for cut in cuts if prefixes[cut] in self._kept), default=0)
        alive = {start: self._recall(prefixes[start]) if start else inputs()}
        for number in range(start, len(ops)):
            op = ops[number]
            taken = [alive[i] for i in op.inputs]
            alive[number + 1] = op.run(taken, self.tensors)
            if isinstance(op, BatchNorm):
                self._shifts[prefixes[number + 1]] = _norm_shifts(op, taken[0], self.tensors, parts)
            if number + 1 in cuts and isinstance(op, Conv):
                self._keep(prefixes[number + 1], alive[number + 1], _cost(architecture, number + 1))
            for i in {*op.inputs, number + 1}:
                if architecture.last_use[i] <= number:
                    alive.pop(i, None)
        return alive[len(ops)]

    def norm_shifts(self, architecture: Architecture, key: Hashable) -> Tensor | None:
        """How far batch norms are from their running variances, for inputs that were run `(parts,)`, or None."""
        prefixes = self._numbers(key, architecture.ops)
        norms = [i for i, op in enumerate(architecture.ops) if isinstance(op, BatchNorm)]
        return _distance(torch.stack([self._shifts[prefixes[i + 1]] for i in norms])) if norms else None

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


def _norm_shifts(op: BatchNorm, x: Tensor, tensors: Mapping[str, Tensor], parts: int) -> Tensor:
    """How far the variances of a batch norm's inputs `(parts * n, c, ...)` are from its running variances.

    In the setting that it was trained in they are about equal. Per part the median over channels of the ratio's
    logarithm `(parts,)`.
    """
    each = x.unflatten(0, (parts, -1))
    axes = [1, *range(3, each.dim())]
    means, squares = each.mean(axes), (each * each).mean(axes)  # a tenth of the time of `Tensor.var`
    variances = squares - means * means
    variances = torch.where(variances > ROUNDING * squares, variances, 0.0)
    ratio = (variances + op.eps) / (tensors[op.variance] + op.eps)
    return ratio.log().median(1).values.nan_to_num(math.inf).float()


def _distance(shifts: Tensor) -> Tensor:
    """The largest distance of shifts `(norms, parts)` from 0; negative ones count less behind the first norm."""
    return torch.cat([shifts[:1].abs(), shifts[1:], -DROPOUT * shifts[1:]]).amax(0)


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
