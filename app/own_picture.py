"""A visitor's own picture becomes a network: fit a SIREN to it within limits, write that down. No gradio."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from app.cost import TOO_LONG
from app.errors import RequestError
from app.figures import to_pixels
from nfn.picture_fit import SIZES, FitProgress, fit_picture
from nfn.reader import write_network
from zoo.pictures import as_network

MOST_STEPS = 5000
SECONDS = 90.0
"""After which a fit ends with what it has."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """How far a fit is, and the seconds it took so far."""

    progress: FitProgress
    seconds: float

    @property
    def done(self) -> bool:
        """Whether this is the end of it."""
        return self.progress.step == self.progress.steps


def fit(image: torch.Tensor, size: str, steps: int | None = None) -> Iterator[Fitted]:
    """Fit a new SIREN of a size (`nfn.picture_fit.SIZES`) to a picture, and say how far it is twice a second."""
    if size not in SIZES:
        raise RequestError(f"Unknown size {size[:40]!r}: choose one of {', '.join(SIZES)}.")
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise RequestError(f"Got {steps} steps; choose from 1 to {MOST_STEPS:,}.")
    start = time.monotonic()
    for progress in fit_picture(image, SIZES[size], steps):
        seconds = time.monotonic() - start
        if seconds > SECONDS and progress.step < progress.steps:
            raise RequestError(TOO_LONG.format(SECONDS))
        yield Fitted(progress, seconds)


def save(fitted: Fitted, folder: Path, name: str = "my-picture") -> Path:
    """Write the SIREN of a fit into a folder."""
    path = folder / f"{name}.safetensors"
    write_network(as_network(fitted.progress), path)
    return path


def save_both(fitted: Fitted, folder: Path, name: str = "my-picture") -> list[Path]:
    """As `save`, and a PNG of what the network shows beside it."""
    png = folder / f"{name}.png"
    Image.fromarray(to_pixels(fitted.progress.picture)).save(png)
    return [save(fitted, folder, name), png]
