"""Compare two tensors of one shape, read together in blocks."""

from dataclasses import dataclass, field

import numpy as np
import torch

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.checkpoint.values import BLOCK
from nfn.interrupt import between_steps

STEPS = 256
"""The most steps of an 8-bit quantization grid."""
MAX_ROWS = 1 << 20
"""The most rows of a tensor in which a permutation is searched."""
ROWS, COLUMNS = 4, 1 << 16
"""Rows and columns of a block that are checked for a quantization grid."""
_TORCH = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
          "float8 (e4m3)": torch.float8_e4m3fn, "float8 (e5m2)": torch.float8_e5m2}  # fmt: skip
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Pair:
    """What was seen of tensors `a` and `b`. `dot`, `aa`, `bb` and `dd` are the sums of a·b, a², b² and (b - a)².

    `equal` counts equal values, `cast` those of b that are a's in b's type; `dropped` are zero in b alone, and
    `kept_equal` equal where b is not zero; `wrong` are not finite on one side, and count as zeros. `rows` and `columns`
    hold a number for each (columns: of each block), the same for the same values in another order. `levels` count
    distinct values of a few rows, where b is not zero and a in b's type; `grid` says whether all of these rows of b lie
    on a grid of at most 256 steps each.
    """

    a: TensorInfo
    b: TensorInfo
    count: int = 0
    dot: float = 0.0
    aa: float = 0.0
    bb: float = 0.0
    dd: float = 0.0
    equal: int = 0
    cast: int = 0
    dropped: int = 0
    kept_equal: int = 0
    kept: int = 0
    wrong: int = 0
    levels_a: int = 0
    levels_b: int = 0
    grid: bool = True
    rows_a: list[np.ndarray] = field(default_factory=list)
    rows_b: list[np.ndarray] = field(default_factory=list)
    columns_a: list[np.ndarray] = field(default_factory=list)
    columns_b: list[np.ndarray] = field(default_factory=list)

    @property
    def cosine(self) -> float:
        """The cosine of the two tensors as vectors; 0 if one is zero."""
        return (
            self.dot / float(np.sqrt(self.aa * self.bb)) if self.aa and self.bb else float(self.aa == self.bb)
        )

    @property
    def distance(self) -> float:
        """‖b - a‖ / ‖a‖."""
        return float(np.sqrt(self.dd / self.aa)) if self.aa else float(self.dd > 0)

    @property
    def is_reordered(self) -> bool:
        """Whether b has a's rows and columns, with the same values, in another order."""
        if not self.rows_a:
            return False
        rows = [np.sort(np.concatenate(rows)) for rows in (self.rows_a, self.rows_b)]
        columns = [
            np.sort(np.sum(parts, axis=0, dtype=np.uint64)) for parts in (self.columns_a, self.columns_b)
        ]
        return np.array_equal(rows[0], rows[1]) and np.array_equal(columns[0], columns[1])

    @property
    def is_quantised(self) -> bool:
        """Whether b is quantized: far fewer distinct values than a would have in b's dtype, or values on a grid."""
        return self.cosine > 0.9 and (self.grid or 2 * self.levels_b <= self.levels_a)


def measure_pair(one: Checkpoint, other: Checkpoint, name: str, other_name: str) -> Pair:
    """Measure two tensors of one shape; NetworkFileError if values cannot be read."""
    assert one.blocks is not None and other.blocks is not None, "Both have values that can be read."
    pair = Pair(one.tensors[name], other.tensors[other_name])
    for a, b in zip(one.blocks(name), other.blocks(other_name), strict=True):
        between_steps()
        _add(pair, a.reshape(len(a), -1), b.reshape(len(b), -1))
    return pair


def _add(pair: Pair, a: np.ndarray, b: np.ndarray) -> None:
    same = a == b
    wrong = ~(np.isfinite(a) & np.isfinite(b))
    if wrong.any():
        pair.wrong += int(wrong.sum())
        same |= np.isnan(a) & np.isnan(b)
        a, b = np.where(wrong, 0, a), np.where(wrong, 0, b)
    alive = b != 0
    if same.all():
        return _add_equal(pair, a, int(alive.sum()))
    pair.count += a.size
    pair.dot, pair.aa, pair.bb = pair.dot + _dot(a, b), pair.aa + _dot(a, a), pair.bb + _dot(b, b)
    difference = b - a
    pair.dd += _dot(difference, difference)
    pair.equal += int(same.sum())
    pair.cast += int((_as(a, pair.b.dtype) == b).sum())
    pair.dropped += int((~alive & (a != 0)).sum())
    pair.kept += int(alive.sum())
    pair.kept_equal += int((same & alive).sum())
    few = np.s_[:: max(1, len(a) // ROWS), :COLUMNS]
    pair.levels_a += _levels(_as(a[few], pair.b.dtype), alive[few])
    pair.levels_b += _levels(b[few], alive[few])
    pair.grid = pair.grid and all(map(_on_grid, b[few]))
    if a.size <= BLOCK and pair.a.shape[:1] <= (MAX_ROWS,):
        _add_order(pair, a, b)


def _add_order(pair: Pair, a: np.ndarray, b: np.ndarray) -> None:
    """Order-invariant hashes of rows and columns."""
    inputs = pair.a.shape[1] if len(pair.a.shape) > 1 else 1
    for values, rows, columns in ((a, pair.rows_a, pair.columns_a), (b, pair.rows_b, pair.columns_b)):
        hashes = _hash(values).reshape(len(values), inputs, -1)
        rows.append(hashes.sum(axis=(1, 2), dtype=np.uint64))
        columns.append(hashes.sum(axis=(0, 2), dtype=np.uint64))


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """The sum of products, accumulated in float64 without a copy."""
    return float(np.einsum("ij,ij->", a, b, dtype=np.float64))


def _add_equal(pair: Pair, values: np.ndarray, alive: int) -> None:
    """A block that both share: what is said of rows and columns is of the others."""
    square = _dot(values, values)
    pair.dot, pair.aa, pair.bb = pair.dot + square, pair.aa + square, pair.bb + square
    pair.count, pair.equal, pair.cast = (
        pair.count + values.size,
        pair.equal + values.size,
        pair.cast + values.size,
    )
    pair.kept, pair.kept_equal = pair.kept + alive, pair.kept_equal + alive


def _as(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values rounded to a dtype, as float32."""
    if dtype not in _TORCH:
        return values
    return torch.from_numpy(values).to(_TORCH[dtype]).to(torch.from_numpy(values).dtype).numpy()


def _levels(rows: np.ndarray, alive: np.ndarray) -> int:
    """The total number of distinct values of rows, for those that are `alive`."""
    return sum(len(np.unique(row[here])) for row, here in zip(rows, alive, strict=True))


def _on_grid(row: np.ndarray) -> bool:
    """Whether the values are multiples of one step, with a range of at most 256 steps."""
    gaps = np.diff(np.unique(row.astype(np.float64)))
    if not gaps.size:
        return True
    steps = gaps / gaps.min()
    return float(steps.sum()) <= STEPS and float(np.abs(steps - np.round(steps)).max()) < 0.1


def _hash(values: np.ndarray) -> np.ndarray:
    """A hash of each value, so that sums of hashes identify sets of values."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        bits *= _MIX
        bits ^= bits >> np.uint64(29)
        bits *= _MIX
    return bits


def whole(checkpoint: Checkpoint, name: str) -> np.ndarray:
    """All values of a tensor, `(out, rest)`."""
    assert checkpoint.blocks is not None, "Only checkpoints whose values are at hand are compared."
    return np.concatenate([block.reshape(len(block), -1) for block in checkpoint.blocks(name)])
