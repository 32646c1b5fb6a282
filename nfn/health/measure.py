"""Measure a tensor in one pass over its values: counts, range, equal rows, and a sample."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.interrupt import between_steps

SAMPLE = 1 << 16
"""The size of the evenly spaced sample for comparing distributions."""
HASHED = 1 << 12
"""The number of evenly spaced values of a row that are hashed."""
MAX_ROWS = 1 << 20
"""The most rows of a tensor that are hashed."""
TINY = 2.0**-25
"""Below this float16 rounds to zero."""
_CODES = np.random.default_rng(0).integers(1, 2**63, HASHED, dtype=np.uint64) | np.uint64(1)


@dataclass
class Measured:
    """What was seen of a tensor. `low` and `high` are of its finite values.

    `rows` counts rows along the first axis (0 where there are too many to be told apart), `zero_rows` those of zeros
    alone, `equal_rows` those that are not zero and equal to one before. `scheme` is the initialization that its values
    fit (`nfn.health.initial`), `typical` the magnitude that 1% of them exceed.
    """

    info: TensorInfo
    count: int = 0
    nan: int = 0
    infinite: int = 0
    zeros: int = 0
    tiny: int = 0
    low: float = np.inf
    high: float = -np.inf
    rows: int = 0
    zero_rows: int = 0
    equal_rows: int = 0
    scheme: str = ""
    typical: float = 0.0
    sample: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def finite(self) -> int:
        """The number of finite values."""
        return self.count - self.nan - self.infinite

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high)) if self.finite else 0.0


def measure(checkpoint: Checkpoint, info: TensorInfo) -> Measured:
    """Measure a floating-point tensor, read in blocks; NetworkFileError if its values cannot be read."""
    assert checkpoint.blocks is not None, "Whoever measures has asked whether values can be read."
    measured, codes, step = Measured(info), [], max(1, -(-info.numel // SAMPLE))
    samples = []
    for block in checkpoint.blocks(info.name):
        between_steps()
        flat = block.reshape(-1)
        samples.append(flat[(-measured.count) % step :: step])
        _count(measured, flat)
        if len(info.shape) > 1 and info.shape[0] <= MAX_ROWS:
            codes.append(_row_codes(measured, block.reshape(len(block), -1)))
    measured.sample = np.concatenate(samples) if samples else measured.sample
    if codes:
        measured.equal_rows = sum(map(len, codes)) - len(np.unique(np.concatenate(codes)))
    return measured


def typical(sample: np.ndarray) -> float:
    """The 99th percentile of the magnitudes of finite values, a scale that is robust to outliers and zeros."""
    return float(np.quantile(np.abs(sample[np.isfinite(sample)]), 0.99)) if np.isfinite(sample).any() else 0.0


def _count(measured: Measured, flat: np.ndarray) -> None:
    finite = np.isfinite(flat)
    measured.count += flat.size
    if not finite.all():
        measured.nan += int(np.isnan(flat).sum())
        measured.infinite += int(np.isinf(flat).sum())
        flat = flat[finite]
    if not flat.size:
        return
    zeros = flat.size - int(np.count_nonzero(flat))
    low, high = float(flat.min()), float(flat.max())
    measured.zeros += zeros
    measured.low, measured.high = min(measured.low, low), max(measured.high, high)
    measured.tiny += int(np.count_nonzero(np.abs(flat) < TINY)) - zeros


def _row_codes(measured: Measured, rows: np.ndarray) -> np.ndarray:
    """A hash for each row that is not zero."""
    alive = rows.any(axis=1)
    measured.rows += len(rows)
    measured.zero_rows += len(rows) - int(alive.sum())
    step = max(1, -(-rows.shape[1] // HASHED))
    bits = np.ascontiguousarray(rows[alive][:, ::step], dtype=np.float32).view(np.uint32)
    return (bits.astype(np.uint64) * _CODES[: bits.shape[1]]).sum(axis=1, dtype=np.uint64)


def floats(checkpoint: Checkpoint) -> Iterator[TensorInfo]:
    """The floating-point tensors whose values are all in the file."""
    for name, info in checkpoint.tensors.items():
        if info.dtype.startswith(("float", "bfloat")) and info.numel and name not in checkpoint.missing:
            yield info
