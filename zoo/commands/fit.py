"""`python -m zoo fit`: a picture becomes a network."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nfn.picture_fit import SIZES, fit_picture
from nfn.reader import write_network
from zoo.errors import ZooError
from zoo.pictures import as_network, read_picture
from zoo.training import progress_bar

console = Console()


def fit(
    image: Annotated[Path, typer.Argument(help="a PNG, JPEG or WebP file; its middle square is learned")],
    out: Annotated[Path, typer.Option(help="where the network goes (safetensors)")],
    size: Annotated[
        str, typer.Option(help="small (1,200 weights), medium (34,000) or large (133,000)")
    ] = "medium",
    pixels: Annotated[int, typer.Option(help="pixels a side that are learned, from 8 to 256")] = 128,
    steps: Annotated[
        int | None, typer.Option(help="steps of training; as many as suit the size otherwise")
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same network")] = 0,
    overwrite: Annotated[bool, typer.Option(help="replace a file that is there")] = False,
) -> None:
    """Fit a SIREN to a picture: a network that answers each pixel's coordinates with its colour."""
    if size not in SIZES:
        raise ZooError(f"Unknown size {size!r}: choose one of {', '.join(SIZES)}.")
    if out.exists() and not overwrite:
        raise ZooError(f"{out} is there already: name another file, or add --overwrite.")
    picture = read_picture(image, pixels)
    with progress_bar() as bar:
        task = bar.add_task(f"fitting {image.name}", total=steps or SIZES[size].steps(pixels**2))
        for progress in fit_picture(picture, SIZES[size], steps, seed):
            bar.update(task, completed=progress.step)
    network = as_network(progress)
    write_network(network, out)
    console.print(
        f"{out}: {progress.psnr:.1f} dB PSNR at {pixels} × {pixels} pixels, {network.parameters:,} weights. "
        f"Next: python -m zoo predict edit {out} --style neon --out edited.safetensors"
    )
