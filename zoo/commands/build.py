"""`python -m zoo build`: make a collection, with progress, rate and time left."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from zoo.build import find_device, run_build, usable_cores
from zoo.build_cnn import CnnBuild
from zoo.build_siren import SirenBuild
from zoo.build_ticket import TicketBuild
from zoo.build_wild import WildBuild, grow
from zoo.collection import Collection
from zoo.sample import sample_collection
from zoo.shards import Build
from zoo.table import read_table
from zoo.training import progress_bar

console = Console()
Out = Annotated[Path, typer.Option(help="folder of the collection; a build that was stopped there goes on")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same files")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


def build_siren(
    images: Annotated[str, typer.Option(help="mnist, fashion_mnist or cifar10")],
    out: Out,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    count: Annotated[int, typer.Option(help="how many images")] = 1000,
    first: Annotated[int, typer.Option(help="row of the first image in the split")] = 0,
    copies: Annotated[int, typer.Option(help="random initialisations of each image")] = 1,
    recipe: Annotated[
        str,
        typer.Option(
            help="fixed, quick (half the steps), or varied: learning rate and steps drawn at random"
        ),
    ] = "fixed",
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Fit one SIREN to each image and copy."""
    build = SirenBuild(images, split, count, first, copies, recipe, seed)
    seconds = run(build, out, device)
    psnr = Collection(out).rows["psnr"].to_numpy()
    console.print(
        f"{len(psnr)} SIRENs in {out}: PSNR {psnr.mean():.1f} dB on average, {psnr.min():.1f} dB at least; "
        f"{seconds:.1f} s."
    )


def build_cnn(
    images: Annotated[str, typer.Option(help="cifar10 (made gray), fashion_mnist or mnist")],
    out: Out,
    count: Annotated[int, typer.Option(help="how many networks to train")] = 1000,
    min_steps: Annotated[int, typer.Option(help="the fewest training steps that a network may get")] = 150,
    max_steps: Annotated[int, typer.Option(help="the most")] = 8000,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train small CNNs under random hyperparameters, and measure each."""
    seconds = run(CnnBuild(images, count, seed, min_steps, max_steps), out, device)
    accuracy = Collection(out).rows["test_accuracy"].to_numpy()
    low, middle, high = np.quantile(accuracy, [0.1, 0.5, 0.9])
    console.print(
        f"{len(accuracy)} networks in {out}: test accuracy {middle:.1%} in the middle, {low:.1%} to {high:.1%} for "
        f"80% of them, {accuracy.max():.1%} at best; {seconds:.1f} s."
    )


def build_ticket(
    images: Annotated[str, typer.Option(help="mnist (an MLP) or cifar10 (a CNN)")],
    out: Out,
    count: Annotated[int, typer.Option(help="how many pairs; the last 50 are held out")] = 450,
    sparsity: Annotated[float, typer.Option(help="share of the weights that is pruned")] = 0.95,
    rounds: Annotated[int, typer.Option(help="times to train and prune; 1 as in the paper")] = 1,
    measure_all: Annotated[bool, typer.Option(help="train every ticket, not the held-out ones only")] = True,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Find winning tickets: train initializations, prune by magnitude, train again under the mask."""
    seconds = run(TicketBuild(images, count, sparsity, rounds, seed, measure_all), out, device)
    rows = Collection(out).rows
    dense, ticket = (np.nanmean(rows[name].to_numpy()) for name in ("dense_accuracy", "ticket_accuracy"))
    console.print(
        f"{len(rows)} pairs in {out}: {dense:.1%} dense, {ticket:.1%} as tickets of {1 - sparsity:.0%} of the weights; "
        f"{seconds:.1f} s."
    )


def build_wild(
    images: Annotated[str, typer.Option(help="mnist, fashion_mnist, cifar10 or cifar10-gray")],
    out: Out,
    count: Annotated[
        int, typer.Option(help="how many training runs; more than a folder has makes it grow")
    ] = 100,
    effort: Annotated[float, typer.Option(help="1: a training takes 1 to 20 s of one core")] = 1.0,
    by_heart: Annotated[
        float, typer.Option(help="share of trainings on the first few thousand pictures only")
    ] = 0.0,
    usual: Annotated[
        float,
        typer.Option(help="share of the others that are trained for some epochs with settings that work"),
    ] = 0.0,
    seed: Seed = 0,
) -> None:
    """Train image classifiers of random architectures under random recipes, and measure each along the way."""
    build = WildBuild(images, count, seed, effort, by_heart, usual)
    grow(build, out)
    seconds = run(build, out, "cpu")
    accuracy = read_table(out / "networks.parquet")["test_accuracy"].to_numpy()
    low, middle, high = np.quantile(accuracy, [0.1, 0.5, 0.9])
    console.print(
        f"{len(accuracy)} networks of {count} runs in {out}: test accuracy {middle:.1%} in the middle, {low:.1%} to "
        f"{high:.1%} for 80% of them, {accuracy.max():.1%} at best; {seconds:.1f} s."
    )


def run(build: Build, out: Path, device: str) -> float:
    """Run a build with progress; the seconds it took. Ctrl-C ends it with advice, and exit status 130."""
    found, started = find_device(device), perf_counter()
    with progress_bar() as progress:
        task = progress.add_task(f"{out.name} on {found}", total=build.total)
        try:
            run_build(build, out, found, usable_cores(), lambda count: progress.advance(task, count))
        except KeyboardInterrupt:
            console.print("Stopped. Run the same command again to go on from the last finished shard.")
            raise typer.Exit(130) from None
    return perf_counter() - started


def sample(
    sources: Annotated[list[Path], typer.Argument(help="folders of collections of one kind and shape")],
    out: Annotated[Path, typer.Option(help="folder of the new collection")],
    count: Annotated[int, typer.Option(help="how many networks")],
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    final_only: Annotated[bool, typer.Option(help="leave out checkpoints along training")] = False,
    seed: Seed = 0,
) -> None:
    """Draw a small collection from larger ones."""
    sample_collection(sources, out, split, count, final_only, seed)
    console.print(f"{count} networks in {out}. `python -m zoo index` puts them into the catalog.")
