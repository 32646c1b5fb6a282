"""Quality and speed of fitting networks to pictures: `python -m bench.fits` writes docs/fits.md.

The photos are those of the gradio package, the others are drawn by `zoo.foreign_pictures`. Edits are compared with the
operator applied to the picture itself. Seconds are those of one core, so that other programs do not count.
"""

import platform
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from nfn.editor import InrEditor
from nfn.operators import apply_style
from nfn.picture_fit import SIZES, fit_picture
from zoo.card import table
from zoo.catalog import Zoo
from zoo.executor import usable_cores
from zoo.foreign_pictures import KINDS
from zoo.picture_sizes import PictureSizes, compare_sizes
from zoo.pictures import as_network, shrink

ROOT = Path(__file__).parents[1]
PHOTOS = ("lion.jpg", "tower.jpg", "cheetah.jpg")
DRAWN = tuple(kind.name for kind in KINDS.values() if kind.held_out)
PHOTO_CASES = (("small", 28), ("medium", 64), ("medium", 128), ("medium", 256), ("large", 256))
DRAWN_CASES = (("medium", 64, DRAWN), ("medium", 128, DRAWN), ("large", 256, DRAWN[::3]))
"""Size, side, and the kinds that are drawn."""
STYLES = ("dilate", "contrast")


@dataclass(frozen=True)
class Task:
    """A picture, by its name, to be fitted by a network of one size with `side` pixels per side."""

    name: str
    size: str
    side: int

    @property
    def row(self) -> tuple[str, str, int]:
        """The row of the report that it belongs to."""
        return ("photos" if self.name in PHOTOS else "drawn", self.size, self.side)


@dataclass(frozen=True)
class Edit:
    """Mean squared errors of an edit against the operator on the picture, and on the network's own picture."""

    error: float
    own_error: float
    seconds: float


@dataclass(frozen=True)
class Fit:
    """One fitted picture, and its edits by style."""

    task: Task
    steps: int
    seconds: float
    psnr: float
    weights: int
    sizes: PictureSizes
    edits: dict[str, Edit]


def tasks() -> list[Task]:
    """The photos in all their cases, then the drawings."""
    photos = [Task(name, *case) for case in PHOTO_CASES for name in PHOTOS]
    return photos + [Task(name, size, side) for size, side, names in DRAWN_CASES for name in names]


def picture(task: Task) -> torch.Tensor:
    """The picture `(3, side, side)` in [-1, 1]: the middle square of a photo, or a drawing in two colours."""
    if task.name in PHOTOS:
        with Image.open(str(files("gradio") / "media_assets" / "images" / task.name)) as image:
            short = min(image.size)
            return shrink(ImageOps.fit(image.convert("RGB"), (short, short)), task.side)
    rng = np.random.default_rng(task.side)
    mask = torch.from_numpy(KINDS[task.name].draw(rng))[None, None].float().clamp(0, 1)
    mask = F.interpolate(mask, (task.side, task.side), mode="bilinear", antialias=True)[0]
    ground, ink = torch.from_numpy(rng.uniform(-1, 1, (2, 3, 1, 1))).float()
    return ground + (ink - ground) * mask


def measure(task: Task) -> Fit:
    """Fit and edit one picture."""
    image, start = picture(task), process_time()
    *_, done = fit_picture(image, SIZES[task.size])
    seconds, network, edits = process_time() - start, as_network(done), {}
    for style in STYLES:
        start, target = process_time(), apply_style(image[None], style)[0]
        edit = _editor().edit(network, style)
        error = float((edit.after - target).square().mean())
        edits[style] = Edit(error, edit.mse, process_time() - start)
    return Fit(task, done.steps, seconds, done.psnr, network.parameters, compare_sizes(image, done), edits)


@cache
def _editor() -> InrEditor:
    return Zoo().predictor("inr-editor", InrEditor)


def measure_all() -> Iterator[Fit]:
    """Measure all tasks, one per core at a time, with one thread each."""
    with ProcessPoolExecutor(usable_cores(), get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        yield from pool.map(measure, tasks())


def report(fits: list[Fit]) -> str:
    """The report: one row per kind of pictures, size and side."""
    rows = [
        _row([fit for fit in fits if fit.task.row == row]) for row in dict.fromkeys(f.task.row for f in fits)
    ]
    return f"""# Pictures as networks

One SIREN per picture, seed 0: {len(PHOTOS)} photos ({", ".join(PHOTOS)} of the gradio package, the middle square) and
drawings of {len(DRAWN)} kinds ({", ".join(DRAWN)}; `zoo.foreign_pictures`). Seconds of one core of
{platform.machine()}, torch {torch.__version__}. Errors of edits are mean squares on pixels in [-1, 1], mean and worst,
against the operator on the picture itself; "own" is the worst against the operator on the network's picture. Contrast
(CLAHE) amplifies small differences in flat areas of small pictures: where "own" is far lower, the operator differs, not
the edit. Sizes are mean KB: the weights as float16, and PNG, JPEG and WebP files (of the network's PSNR; "-" if no
quality reaches it in one of the pictures). Written by `python -m bench.fits`.

{table(rows, {name: name for name in rows[0]})}
"""


def _row(fits: list[Fit]) -> dict[str, str]:
    (kind, size, side), psnrs = fits[0].task.row, [fit.psnr for fit in fits]
    seconds = [edit.seconds for fit in fits for edit in fit.edits.values()]
    return {
        "pictures": f"{len(fits)} {kind}",
        "size": size,
        "weights": f"{fits[0].weights:,}",
        "pixels": f"{side} × {side}",
        "steps": f"{fits[0].steps:,}",
        "slowest": f"{max(fit.seconds for fit in fits):.1f} s",
        "mean PSNR": f"{_mean(psnrs):.1f} dB",
        "worst PSNR": f"{min(psnrs):.1f} dB",
        **{style: _errors([fit.edits[style] for fit in fits]) for style in STYLES},
        "slowest edit": f"{max(seconds):.1f} s",
        "float16": _kilobytes([fit.sizes.float16 for fit in fits]),
        "PNG": _kilobytes([fit.sizes.png for fit in fits]),
        "JPEG": _kilobytes([fit.sizes.jpeg for fit in fits]),
        "WebP": _kilobytes([fit.sizes.webp for fit in fits]),
    }


def _errors(edits: list[Edit]) -> str:
    errors = [edit.error for edit in edits]
    return f"{_mean(errors):.4f}, {max(errors):.4f} (own {max(edit.own_error for edit in edits):.4f})"


def _kilobytes(sizes: list[int | None]) -> str:
    known = [size for size in sizes if size is not None]
    return f"{_mean(known) / 1024:.1f}" if len(known) == len(sizes) else "-"


def _mean(values: list[float] | list[int]) -> float:
    return sum(values) / len(values)


def main() -> None:
    """Measure, showing progress, and write the report."""
    fits = []
    for fit in measure_all():
        print(f"{fit.task}: {fit.psnr:.1f} dB, {fit.seconds:.1f} s", flush=True)
        fits.append(fit)
    (ROOT / "docs" / "fits.md").write_text(report(fits))


if __name__ == "__main__":
    main()
