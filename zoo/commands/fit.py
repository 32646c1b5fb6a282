"""`python -m zoo fit`: fit a network to a picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nfn.picture_fit import SIZES, fit_picture
from nfn.reader import write_network
from zoo.commands.overwrite import OverwriteOption, check_new
from zoo.errors import ZooError
from zoo.picture_sizes import compare_sizes, kilobytes
from zoo.pictures import as_network, read_picture
from zoo.training import progress_bar

console = Console()


def fit(
    image: Annotated[Path, typer.Argument(help="a PNG, JPEG or WebP file")],
    out: Annotated[Path, typer.Option(help="file to write the network to (safetensors)")],
    size: Annotated[
        str, typer.Option(help="small (1,200 weights), medium (34,000) or large (133,000)")
    ] = "medium",
    pixels: Annotated[int, typer.Option(help="pixels of the longest side, from 8 to 256")] = 128,
    steps: Annotated[
        int | None, typer.Option(help="training steps; by default as many as suit the size")
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same network")] = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Fit a SIREN to a picture: a network that maps each pixel's coordinates to its colour."""
    if size not in SIZES:
        raise ZooError(f"Unknown size {size!r}: choose one of {', '.join(SIZES)}.")
    if not image.is_file():
        raise ZooError(f"There is no picture file {image}: name a PNG, JPEG or WebP file.")
    check_new(out, overwrite)
    picture = read_picture(image, pixels)
    with progress_bar() as bar:
        task = bar.add_task(f"fitting {image.name}", total=steps or SIZES[size].steps(picture[0].numel()))
        for progress in fit_picture(picture, SIZES[size], steps, seed):
            bar.update(task, completed=progress.step)
    network, (height, width) = as_network(progress), picture.shape[1:]
    write_network(network, out)
    console.print(
        f"{out}: {progress.psnr:.1f} dB PSNR at {width} × {height} pixels, {network.parameters:,} weights, "
        f"{kilobytes(4 * network.parameters)} as float32. {compare_sizes(picture, progress).sentence} "
        f"Next: python -m zoo predict edit {out} --style neon --out edited.safetensors"
    )
