"""How well, and how fast, photos become networks: `python -m bench.fits` writes docs/fits.md.

The photos are those that the gradio package brings along. Edits are measured against the operator on the photo itself.
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from time import perf_counter

import torch

from nfn.editor import InrEditor
from nfn.operators import apply_style
from nfn.picture_fit import SIZES, fit_picture
from zoo.build import usable_cores
from zoo.card import table
from zoo.catalog import Zoo
from zoo.pictures import as_network, read_picture

ROOT = Path(__file__).parents[1]
PHOTOS = ("lion.jpg", "tower.jpg", "cheetah.jpg")
CASES = (("small", 28), ("medium", 64), ("medium", 128), ("medium", 256), ("large", 256))
STYLES = ("dilate", "contrast")


@dataclass(frozen=True)
class Fit:
    """One photo as a network of a size; `edits` has the error of each style, where it was edited."""

    photo: str
    size: str
    side: int
    steps: int
    seconds: float
    psnr: float
    weights: int
    edits: dict[str, float]


def measure(model: InrEditor) -> Iterator[Fit]:
    """Every photo in every case."""
    for photo in PHOTOS:
        path = Path(str(files("gradio") / "media_assets" / "images" / photo))
        for size, side in CASES:
            picture, start = read_picture(path, side), perf_counter()
            *_, done = fit_picture(picture, SIZES[size])
            seconds, network = perf_counter() - start, as_network(done)
            edits = {}
            for style in STYLES if size != "large" else ():
                target = apply_style(picture[None], style, 1.0)[0]
                edits[style] = float((model.edit(network, style).after - target).square().mean())
            yield Fit(photo, size, side, done.steps, seconds, done.psnr, network.parameters, edits)


def report(fits: list[Fit]) -> str:
    """The page: one row per size and side, the worst photo beside the mean."""
    rows = [_row([fit for fit in fits if (fit.size, fit.side) == case]) for case in CASES]
    return f"""# Photos as networks

{len(PHOTOS)} photos ({", ".join(PHOTOS)} of the gradio package), the middle square, one SIREN each, seed 0, on
{usable_cores()} cores of {platform.machine()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}. Errors
of edits are mean squares on pixels in [-1, 1], against the operator on the photo itself, the worst of the photos; what
has none takes longer to edit than a visitor waits. Written by `python -m bench.fits`.

{table(rows, {name: name for name in rows[0]})}
"""


def _row(fits: list[Fit]) -> dict[str, str]:
    psnrs = [fit.psnr for fit in fits]
    return {
        "size": fits[0].size,
        "weights": f"{fits[0].weights:,}",
        "pixels": f"{fits[0].side} × {fits[0].side}",
        "steps": f"{fits[0].steps:,}",
        "slowest": f"{max(fit.seconds for fit in fits):.1f} s",
        "mean PSNR": f"{sum(psnrs) / len(psnrs):.1f} dB",
        "worst PSNR": f"{min(psnrs):.1f} dB",
        **{s: f"{max(fit.edits[s] for fit in fits):.4f}" if fits[0].edits else "" for s in STYLES},
    }


def main() -> None:
    """Measure, say how far it is, and write the page."""
    torch.set_num_threads(1)  # as the app does on two cores
    fits = []
    for fit in measure(Zoo().predictor("inr-editor", InrEditor)):
        print(f"{fit.photo} {fit.size} {fit.side}: {fit.psnr:.1f} dB, {fit.seconds:.1f} s", flush=True)
        fits.append(fit)
    (ROOT / "docs" / "fits.md").write_text(report(fits))


if __name__ == "__main__":
    main()
