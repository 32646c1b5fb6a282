"""`python -m zoo build`: make a collection, with progress, rate and time left."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from zoo.build import find_device, run_build, usable_cores
from zoo.build_siren import SirenBuild
from zoo.collection import Collection
from zoo.training import progress_bar

console = Console()


def build_siren(
    images: Annotated[str, typer.Option(help="mnist, fashion_mnist or cifar10")],
    out: Annotated[
        Path, typer.Option(help="folder of the collection; a build that was stopped there goes on")
    ],
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    count: Annotated[int, typer.Option(help="how many images")] = 1000,
    first: Annotated[int, typer.Option(help="row of the first image in the split")] = 0,
    copies: Annotated[int, typer.Option(help="random initialisations of each image")] = 1,
    recipe: Annotated[
        str, typer.Option(help="fixed, or varied: learning rate and steps drawn at random")
    ] = "fixed",
    seed: Annotated[int, typer.Option(help="the same seed gives the same files")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Fit one SIREN to each image and copy."""
    build = SirenBuild(images, split, count, first, copies, recipe, seed)
    found = find_device(device)
    started = perf_counter()
    with progress_bar() as progress:
        task = progress.add_task(f"{images} on {found}", total=build.total)
        try:
            run_build(build, out, found, usable_cores(), lambda count: progress.advance(task, count))
        except KeyboardInterrupt:
            console.print("Stopped. Run the same command again to go on from the last finished shard.")
            raise typer.Exit(130) from None
    psnr = Collection(out).rows["psnr"].to_numpy()
    console.print(
        f"{len(psnr)} SIRENs in {out}: PSNR {psnr.mean():.1f} dB on average, {psnr.min():.1f} dB at least; "
        f"{perf_counter() - started:.1f} s."
    )
