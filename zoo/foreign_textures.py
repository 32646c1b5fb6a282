"""Draw textures and noise, which show nothing."""

from collections.abc import Callable

import numpy as np

SIDE = 112
"""Pixels a side of a mask: four times those of a digit."""
Rng = np.random.Generator
Draw = Callable[[Rng], np.ndarray]
"""Draws one picture, from random numbers: a mask `(SIDE, SIDE)` of float32 from 0 (ground) to 1."""


def stripes(rng: Rng) -> np.ndarray:
    """Waves or bars in one direction, or in two."""
    wave = np.sin(turned(rng)[0] * rng.uniform(4, 40) + rng.uniform(0, 6.3))
    if rng.random() < 0.3:
        wave = wave * np.sin(turned(rng)[0] * rng.uniform(4, 40))
    return levels(np.sign(wave) if rng.random() < 0.5 else wave)


def gradient(rng: Rng) -> np.ndarray:
    """From dark to bright along a line or from a point."""
    x, y = turned(rng)
    return levels(x if rng.random() < 0.5 else np.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1)))


def clouds(rng: Rng) -> np.ndarray:
    """Noise with a spectrum that falls as a power of the frequency: from white noise to clouds."""
    return levels(noise(rng, rng.uniform(0, 2.5)))


def blobs(rng: Rng) -> np.ndarray:
    """Soft spots."""
    rows, cols = grid()
    spots = sum(
        rng.uniform(-1, 1) * np.exp(-((rows - a) ** 2 + (cols - b) ** 2) / rng.uniform(0.02, 0.3))
        for a, b in rng.uniform(-1, 1, (rng.integers(1, 7), 2))
    )
    return levels(np.asarray(spots))


def checkers(rng: Rng) -> np.ndarray:
    """A checkerboard, turned or not."""
    x, y = turned(rng) if rng.random() < 0.5 else grid()
    fields = rng.uniform(1, 6)
    return levels(np.sign(np.sin(x * np.pi * fields) * np.sin(y * np.pi * fields)))


def rings(rng: Rng) -> np.ndarray:
    """Waves around a point, or a fan of rays."""
    rows, cols = grid()
    rows, cols = rows - rng.uniform(-0.6, 0.6), cols - rng.uniform(-0.6, 0.6)
    if rng.random() < 0.5:
        return levels(np.sin(np.hypot(rows, cols) * rng.uniform(8, 40)))
    return levels(np.sin(np.arctan2(rows, cols) * rng.integers(3, 12)))


def marble(rng: Rng) -> np.ndarray:
    """Waves that clouds bend."""
    return levels(np.sin(turned(rng)[0] * rng.uniform(3, 15) + noise(rng, 2.0) * rng.uniform(1, 4)))


def cells(rng: Rng) -> np.ndarray:
    """The cells around random points, each of one shade."""
    rows, cols = grid()
    points = rng.uniform(-1, 1, (rng.integers(4, 30), 2))
    nearest = ((rows[..., None] - points[:, 0]) ** 2 + (cols[..., None] - points[:, 1]) ** 2).argmin(-1)
    return rng.random(len(points)).astype(np.float32)[nearest]


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns from -1 to 1."""
    rows, cols = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return rows.astype(np.float32), cols.astype(np.float32)


def turned(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """The same, turned by a random angle."""
    (rows, cols), angle = grid(), rng.uniform(0, 6.3)
    return rows * np.cos(angle) + cols * np.sin(angle), cols * np.cos(angle) - rows * np.sin(angle)


def noise(rng: Rng, power: float) -> np.ndarray:
    """Noise of mean 0 and deviation 1, its amplitudes falling with this power of the frequency."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1
    keep = (frequency < 0.125) / frequency**power
    wave = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(SIDE, SIDE))) * keep, (SIDE, SIDE))
    return ((wave - wave.mean()) / wave.std()).astype(np.float32)


def levels(wave: np.ndarray) -> np.ndarray:
    """Any values as a mask from 0 to 1."""
    low, high = float(wave.min()), float(wave.max())
    return ((wave - low) / max(high - low, 1e-6)).astype(np.float32)
