"""Two tensors of one shape against each other, read together in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.interrupt import between_steps

STEPS = 256
"""Of a grid that values of 8 bits lie on."""
ROWS = 4
"""Of a block that are looked at for a grid."""
_TORCH = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
          "float8 (e4m3)": torch.float8_e4m3fn, "float8 (e5m2)": torch.float8_e5m2}  # fmt: skip
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Pair:
    """What was seen of tensors `a` and `b`. `dot`, `aa`, `bb` and `dd` are the sums of a·b, a², b² and (b - a)².

    `equal` counts equal values, `cast` those of b that are a's in b's type; `dropped` are zero in b alone, and
    `kept_equal` equal where b is not zero. `rows` and `columns` hold a number for each, the same for the same values in
    another order. `levels` count distinct values of a few rows, where b is not zero and a in b's type; `grid` says
    whether all of these rows of b lie on a grid of at most 256 steps each.
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
    levels_a: int = 0
    levels_b: int = 0
    grid: bool = True
    rows_a: list[np.ndarray] = field(default_factory=list)
    rows_b: list[np.ndarray] = field(default_factory=list)
    columns_a: np.ndarray = field(default_factory=lambda: np.zeros(1, np.uint64))
    columns_b: np.ndarray = field(default_factory=lambda: np.zeros(1, np.uint64))

    @property
    def cosine(self) -> float:
        """Of the angle between the two, as vectors; 0 where one is zero."""
        return (
            self.dot / float(np.sqrt(self.aa * self.bb)) if self.aa and self.bb else float(self.aa == self.bb)
        )

    @property
    def distance(self) -> float:
        """‖b - a‖ / ‖a‖."""
        return float(np.sqrt(self.dd / self.aa)) if self.aa else float(self.dd > 0)

    @property
    def is_reordered(self) -> bool:
        """Whether b has a's rows and columns, each with the same values, in another order."""
        rows = np.array_equal(np.sort(np.concatenate(self.rows_a)), np.sort(np.concatenate(self.rows_b)))
        return rows and np.array_equal(np.sort(self.columns_a), np.sort(self.columns_b))

    @property
    def is_quantised(self) -> bool:
        """Whether b has far fewer distinct values than a would have in b's type, or lies on a grid."""
        return self.cosine > 0.9 and (self.grid or 2 * self.levels_b <= self.levels_a)


def measure_pair(one: Checkpoint, other: Checkpoint, name: str, other_name: str) -> Pair:
    """Read two tensors of one shape together; NetworkFileError where values cannot be read."""
    assert one.blocks is not None and other.blocks is not None, "Both have values that can be read."
    pair = Pair(one.tensors[name], other.tensors[other_name])
    for a, b in zip(one.blocks(name), other.blocks(other_name), strict=True):
        between_steps()
        _add(pair, a.reshape(len(a), -1), b.reshape(len(b), -1))
    return pair


def _add(pair: Pair, a: np.ndarray, b: np.ndarray) -> None:
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    same = a == b
    alive = b != 0
    pair.count += a.size
    pair.dot += float(x @ y)
    pair.aa += float(x @ x)
    pair.bb += float(y @ y)
    pair.dd += float((y - x) @ (y - x))
    pair.equal += int(same.sum())
    pair.cast += int((_as(a, pair.b.dtype) == b).sum())
    pair.dropped += int((~alive & (a != 0)).sum())
    pair.kept += int(alive.sum())
    pair.kept_equal += int((same & alive).sum())
    few = slice(None, None, max(1, len(a) // ROWS))
    pair.levels_a += _levels(_as(a[few], pair.b.dtype), alive[few])
    pair.levels_b += _levels(b[few], alive[few])
    pair.grid = pair.grid and all(map(_on_grid, b[few]))
    inputs = pair.a.shape[1] if len(pair.a.shape) > 1 else 1
    hashes = [_hash(values).reshape(len(values), inputs, -1) for values in (a, b)]
    pair.rows_a.append(hashes[0].sum(axis=(1, 2), dtype=np.uint64))
    pair.rows_b.append(hashes[1].sum(axis=(1, 2), dtype=np.uint64))
    pair.columns_a = pair.columns_a + hashes[0].sum(axis=(0, 2), dtype=np.uint64)
    pair.columns_b = pair.columns_b + hashes[1].sum(axis=(0, 2), dtype=np.uint64)


def _as(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values rounded to a type, as float32."""
    if dtype not in _TORCH:
        return values
    return torch.from_numpy(values).to(_TORCH[dtype]).to(torch.from_numpy(values).dtype).numpy()


def _levels(rows: np.ndarray, alive: np.ndarray) -> int:
    """The numbers of distinct values of rows, where they are `alive`, added up."""
    return sum(len(np.unique(row[here])) for row, here in zip(rows, alive, strict=True))


def _on_grid(row: np.ndarray) -> bool:
    """Whether the values are multiples of one step, at most 256 of them from end to end."""
    gaps = np.diff(np.unique(row.astype(np.float64)))
    if not gaps.size:
        return True
    steps = gaps / gaps.min()
    return float(steps.sum()) <= STEPS and float(np.abs(steps - np.round(steps)).max()) < 0.1


def _hash(values: np.ndarray) -> np.ndarray:
    """A number for each value, well mixed, so that sums of them tell which values were added."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        bits *= _MIX
        bits ^= bits >> np.uint64(29)
        bits *= _MIX
    return bits


def whole(checkpoint: Checkpoint, name: str) -> np.ndarray:
    """All values of a tensor at once, `(out, the rest)`, float64."""
    return np.concatenate([block.reshape(len(block), -1) for block in _blocks(checkpoint, name)]).astype(
        np.float64
    )


def _blocks(checkpoint: Checkpoint, name: str) -> Iterator[np.ndarray]:
    assert checkpoint.blocks is not None
    return checkpoint.blocks(name)
