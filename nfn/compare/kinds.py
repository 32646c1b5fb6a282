"""Classify a pair of tensors by its measurements; the first kind that fits is used."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nfn.checkpoint.listing import Checkpoint
from nfn.compare.pairs import Pair, whole
from nfn.compare.rank import MAX_RANK, fits, rank_of, rescaling_of

Kind = Literal[
    "equal", "cast", "pruned", "quantised", "permuted", "rescaled", "low rank", "changed", "unrelated"
]
LOW = 4
"""The ratio of a matrix's smaller side to the rank of the difference from which on the rank is low."""
CLOSE = 0.5
"""The cosine from which on one tensor derives from the other; for unrelated ones it is about 1 / √values."""


@dataclass(frozen=True)
class Row:
    """A pair: `distance` is ‖b - a‖ / ‖a‖, `changed` the share of values that differ, `rank` that of b - a (None: not
    looked at), `side` the smaller side of it as a matrix, `kind` what b is of a. `factor` is the mean logarithm of what
    rows and inputs were multiplied by."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    distance: float
    cosine: float
    changed: float
    rank: int | None = None
    side: int = 0
    factor: float = 0.0

    @property
    def is_weight(self) -> bool:
        """Whether it has more than one axis."""
        return len(self.shape) > 1


def row_of(one: Checkpoint, other: Checkpoint, pair: Pair) -> Row:
    """The kind of a pair, with its evidence; matrices are analysed only if nothing simpler fits."""
    out = pair.a.shape[0] if pair.a.shape else 1
    changed = 1 - pair.equal / max(1, pair.count)
    side = min(out, pair.count // max(1, out))
    row = Row(pair.a.name, pair.a.shape, "changed", pair.distance, pair.cosine, changed, side=side)
    simple = _simple(pair)
    if simple is not None:
        return replace(row, kind=simple)
    if fits(pair) and not pair.wrong:
        return _as_matrix(row, whole(one, pair.a.name), whole(other, pair.b.name), pair.b.dtype)
    return replace(row, kind="changed" if pair.cosine > CLOSE else "unrelated")


def _simple(pair: Pair) -> Kind | None:
    if pair.equal == pair.count:
        return "equal" if pair.a.dtype == pair.b.dtype else "cast"
    if pair.wrong:
        return None
    if pair.cast == pair.count:
        return "cast"
    if pair.dropped and pair.kept_equal == pair.kept:
        return "pruned"
    if pair.is_reordered:
        return "permuted"
    return "quantised" if len(pair.a.shape) > 1 and pair.is_quantised else None


def _as_matrix(row: Row, a: np.ndarray, b: np.ndarray, dtype: str) -> Row:
    factor = rescaling_of(a, b, row.shape[1])
    if factor is not None:
        return replace(row, kind="rescaled", factor=factor)
    if row.cosine <= CLOSE:
        return replace(row, kind="unrelated")
    rank = rank_of(a, b, dtype)
    return replace(
        row, kind="low rank" if LOW * rank <= row.side and rank < MAX_RANK else "changed", rank=rank
    )
