"""What all commands of `python -m zoo build` share: options, progress, speed and remaining time."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from rich.console import Console

from zoo.build import find_device, run_build
from zoo.errors import ZooError
from zoo.executor import usable_cores
from zoo.shards import Build
from zoo.table import read_table
from zoo.training import progress_bar

console = Console()
Out = Annotated[Path, typer.Option(help="folder of the collection; a stopped build in it is resumed")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same files")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Ray = Annotated[
    str | None,
    typer.Option(
        help="address of a Ray cluster, such as auto or host:6379; local: start one on this machine",
    ),
]


def accuracy_summary(rows: pa.Table) -> str:
    """The test accuracies of a collection in words."""
    accuracy = rows["test_accuracy"].to_numpy()
    low, middle, high = np.quantile(accuracy, [0.1, 0.5, 0.9])
    return f"median test accuracy {middle:.1%}, {low:.1%} to {high:.1%} for 80% of them, {accuracy.max():.1%} at best"


def run(build: Build, out: Path, device: str, ray: str | None = None) -> tuple[pa.Table, float]:
    """Run a build with progress; return its table of networks and its duration in seconds.

    Ctrl-C ends it with advice and exit status 130.
    """
    if ray is not None and device == "cuda":
        raise ZooError("Ray tasks run on one CPU core each: leave out --device cuda, or --ray.")
    chosen_device, started = "cpu" if ray is not None else find_device(device), perf_counter()
    with progress_bar() as progress:
        task = progress.add_task(f"{out.name} on {ray or chosen_device}", total=build.total)
        try:
            run_build(
                build, out, chosen_device, usable_cores(), lambda count: progress.advance(task, count), ray
            )
        except KeyboardInterrupt:
            console.print("Stopped. Run the same command again to resume from the last finished shard.")
            raise typer.Exit(130) from None
    return read_table(out / "networks.parquet"), perf_counter() - started
