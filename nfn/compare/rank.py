"""The difference of two weights as a matrix: its rank, and whether it is a rescaling of units."""

import numpy as np

from nfn.compare.pairs import Pair

MAX_VALUES = 1 << 24
"""The most values of a weight whose difference is analysed as a matrix."""
MAX_RANK = 512
"""The largest rank that is determined; larger differences are sketched by random projections of this size."""
GLANCE = 48
"""Rows and inputs in a quick test that rejects most pairs as no rescaling."""
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The unit of least precision of each dtype."""
LOOSE = 1e-3
"""The tolerance on log ratios that should be the sum of a row's and a column's log factor."""


def fits(pair: Pair) -> bool:
    """Whether the tensors are small enough to be analysed as matrices."""
    return len(pair.a.shape) > 1 and pair.a.shape[0] > 1 and pair.a.shape[0] < pair.count <= MAX_VALUES


def rank_of(a: np.ndarray, b: np.ndarray, dtype: str) -> int:
    """Singular values of b - a `(out, the rest)` above what rounding to `dtype` leaves, at most `MAX_RANK`."""
    difference = b - a if a.shape[0] <= a.shape[1] else (b - a).T
    side, length = difference.shape
    if side > MAX_RANK:
        mixing = np.random.default_rng(0).standard_normal((MAX_RANK, side), dtype=np.float32)
        difference = (mixing / np.sqrt(side, dtype=np.float32)) @ difference.astype(np.float32)
    difference = difference.astype(np.float64)
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(difference @ difference.T)[::-1], 0))
    typical = float(np.sqrt(np.mean(np.square(b), dtype=np.float64)))
    rounding = EPS.get(dtype, EPS["float32"]) * typical * (np.sqrt(min(side, MAX_RANK)) + np.sqrt(length))
    return int((singular > max(rounding, 1e-3 * singular[0])).sum()) if singular[0] > 0 else 0


def rescaling_of(a: np.ndarray, b: np.ndarray, inputs: int) -> float | None:
    """The mean log factor, if b is a with rescaled rows and inputs; None otherwise.

    b[i, j] = r[i] a[i, j] c[j] with r and c positive, which ReLU lets pass (arXiv:1506.02617, "node-wise rescaling");
    each of `inputs` units has `a.shape[1] / inputs` columns.
    """
    one, other = a.reshape(len(a), inputs, -1), b.reshape(len(a), inputs, -1)
    if _factor(one[:GLANCE, :GLANCE], other[:GLANCE, :GLANCE]) is None or not one.any(axis=(1, 2)).all():
        return None
    return _factor(one.astype(np.float64), other.astype(np.float64))


def _factor(one: np.ndarray, other: np.ndarray) -> float | None:
    if not np.array_equal(one == 0, other == 0) or (one * other < 0).any():
        return None
    weights = (one != 0).astype(np.float64)
    logs = np.log(np.abs(other), where=weights > 0, out=np.zeros_like(other))
    logs -= np.log(np.abs(one), where=weights > 0, out=np.zeros_like(one))
    row, column = _factors(logs, weights)
    left = (logs - row[:, None, None] - column[None, :, None]) * weights
    return float(row.mean() + column.mean()) if np.abs(left).max() < LOOSE else None


def _factors(logs: np.ndarray, weights: np.ndarray, steps: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Alternating least squares, which is exact after one round if no value is missing."""
    column = np.zeros(logs.shape[1])
    row = np.zeros(logs.shape[0])
    for _ in range(steps):
        row = _mean(logs - column[None, :, None], weights, (1, 2))
        column = _mean(logs - row[:, None, None], weights, (0, 2))
    return row, column


def _mean(values: np.ndarray, weights: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    return (values * weights).sum(axis=axes) / np.maximum(1, weights.sum(axis=axes))
