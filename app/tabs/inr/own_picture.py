"""Fit a SIREN to a visitor's own picture, within limits, and save it. No gradio."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from app.page.figures import to_pixels
from app.runtime.cost import TOO_LONG
from app.runtime.device import gpu_call_device, on_gpu
from app.runtime.errors import RequestError
from nfn.picture_fit import SIZES, FitProgress, fit_picture
from nfn.reader import write_network
from zoo.picture_sizes import PictureSizes, compare_sizes
from zoo.pictures import as_network

MAX_STEPS = 5000
SECONDS = 180.0
"""Time limit of a fit."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """The progress of a fit to `image`, and the seconds so far."""

    image: torch.Tensor
    progress: FitProgress
    seconds: float

    @property
    def done(self) -> bool:
        """Whether the fit is complete."""
        return self.progress.step == self.progress.steps

    @property
    def sizes(self) -> PictureSizes:
        """The bytes of the network, and of picture files of the same PSNR."""
        return compare_sizes(self.image, self.progress)


def fit(image: torch.Tensor, size: str, steps: int | None = None) -> Iterator[Fitted]:
    """Fit a new SIREN of a size (`nfn.picture_fit.SIZES`) to a picture; yield the progress twice a second."""
    if size not in SIZES:
        raise RequestError(f"Unknown size {size[:40]!r}: choose one of {', '.join(SIZES)}.")
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise RequestError(f"Got {steps} steps; choose from 1 to {MAX_STEPS:,}.")
    start = time.monotonic()
    for progress in _fit(image, size, steps):
        seconds = time.monotonic() - start
        if seconds > SECONDS and progress.step < progress.steps:
            raise RequestError(TOO_LONG.format(SECONDS))
        yield Fitted(image, progress, seconds)


@on_gpu(seconds=60)
def _fit(image: torch.Tensor, size: str, steps: int | None) -> Iterator[FitProgress]:
    """A minute of ZeroGPU is many times what `MAX_STEPS` take."""
    for progress in fit_picture(image.to(gpu_call_device()), SIZES[size], steps):
        yield progress.cpu()


def save(fitted: Fitted, folder: Path, name: str = "my-picture") -> Path:
    """Write the SIREN of a fit into a folder; return its path."""
    path = folder / f"{name}.safetensors"
    write_network(as_network(fitted.progress), path)
    return path


def save_with_png(fitted: Fitted, folder: Path, name: str = "my-picture") -> list[Path]:
    """As `save`, with a PNG of the network's picture; return both paths."""
    png = folder / f"{name}.png"
    Image.fromarray(to_pixels(fitted.progress.picture)).save(png)
    return [save(fitted, folder, name), png]
