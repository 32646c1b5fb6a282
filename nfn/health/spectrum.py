"""Spectra of weights, as description: stable rank, and the exponent of the tail of the eigenvalues.

The exponent is WeightWatcher's alpha (Martin, Peng & Mahoney, arXiv:2002.06716): a power law by maximum likelihood
(Clauset, Shalizi & Newman, arXiv:0706.1062) to the eigenvalues of WᵀW from the x_min whose Kolmogorov-Smirnov distance
is smallest. It is no measure of how accurate a network is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.health.measure import floats
from nfn.interrupt import between_steps
from nfn.reader.errors import NetworkFileError

MAX_SIDE = 2_048
"""The largest smaller side of a matrix; its Gram matrix is in memory, and its eigenvalues take seconds."""
LEAST_SIDE = 10
ZERO = 1e-10
"""Eigenvalues below this fraction of the largest are rounding errors, and not part of the tail."""


@dataclass(frozen=True)
class Spectrum:
    """Of one weight as a matrix of (out, the rest). `alpha` is None for too few values.

    `stable_rank` is ‖W‖²_F / ‖W‖²₂, `largest` is ‖W‖₂, `tail` the number of eigenvalues from x_min on, `distance` how
    far these are from the power law (0 to 1), `axes` the number of axes of the weight itself.
    """

    name: str
    shape: tuple[int, int]
    stable_rank: float
    largest: float
    alpha: float | None
    tail: int
    distance: float
    axes: int = 2

    @property
    def relative_rank(self) -> float:
        """The stable rank over that of a large random matrix of this shape, mn / (√m + √n)² (Marchenko & Pastur 1967);
        about 1 for independent values, whatever the shape."""
        m, n = self.shape
        return self.stable_rank * (m**0.5 + n**0.5) ** 2 / (m * n)


def spectra(checkpoint: Checkpoint, most: int = MAX_SIDE) -> Iterator[Spectrum]:
    """The spectra of all weights whose smaller side is at most `most`, in the file's order.

    Those whose values cannot be read have none; `examine` says so.
    """
    for info in floats(checkpoint):
        try:
            spectrum = spectrum_of(checkpoint, info) if side_of(info) <= most else None
        except NetworkFileError:
            continue
        if spectrum is not None:
            yield spectrum


def side_of(info: TensorInfo) -> int:
    """The smaller side of a tensor as a matrix."""
    return min(info.shape[0], info.numel // info.shape[0]) if len(info.shape) > 1 else 0


def spectrum_of(checkpoint: Checkpoint, info: TensorInfo) -> Spectrum | None:
    """The spectrum of a weight, read in blocks; None for vectors, zeros, what is not finite, and a smaller side
    that is not 10 to 2,048."""
    if len(info.shape) < 2 or checkpoint.blocks is None:
        return None
    if not LEAST_SIDE <= side_of(info) <= MAX_SIDE:
        return None
    out, into = info.shape[0], info.numel // info.shape[0]
    square = _square(checkpoint, info.name, out, into)
    if not np.isfinite(square).all() or not square.any():
        return None
    values = np.maximum(np.linalg.eigvalsh(square)[::-1], 0)
    alpha, tail, distance = tail_of(values[values > ZERO * values[0]])
    stable = float(values.sum() / values[0])
    largest = float(np.sqrt(values[0]))
    return Spectrum(info.name, (out, into), stable, largest, alpha, tail, distance, len(info.shape))


def _square(checkpoint: Checkpoint, name: str, out: int, into: int) -> np.ndarray:
    """WᵀW or WWᵀ, whichever is smaller."""
    assert checkpoint.blocks is not None
    if into <= out:
        total = np.zeros((into, into))
        for block in checkpoint.blocks(name):
            between_steps()
            rows = block.reshape(-1, into).astype(np.float64)
            total += rows.T @ rows
        return total
    rows = np.concatenate([block.reshape(-1, into) for block in checkpoint.blocks(name)])
    total = np.zeros((out, out))
    for start in range(0, into, MAX_SIDE):
        between_steps()
        part = rows[:, start : start + MAX_SIDE].astype(np.float64)
        total += part @ part.T
    return total


def tail_of(values: np.ndarray) -> tuple[float | None, int, float]:
    """Exponent, length and distance of the power law that fits eigenvalues (falling) best; None for fewer than 10.

    α = 1 + n / Σ ln(λᵢ / x_min) over the n values from x_min on.
    """
    rising = np.sort(values)
    if len(rising) < LEAST_SIDE:
        return None, 0, 0.0
    best: tuple[float, float, int] = (np.inf, 0.0, 0)
    logs = np.log(rising)
    for start in range(len(rising) - 1):
        count = len(rising) - start
        spread = float((logs[start:] - logs[start]).sum())
        if spread <= 0:
            continue
        alpha = 1 + count / spread
        model = 1 - np.exp((1 - alpha) * (logs[start:] - logs[start]))
        distance = float(np.abs(model - np.arange(count) / count).max())
        if alpha > 1 and distance < best[0]:
            best = (distance, alpha, count)
    return (best[1], best[2], best[0]) if best[2] else (None, 0, 0.0)
