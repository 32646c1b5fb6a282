"""`python -m zoo score`: predict for every network of a collection, into one parquet file."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from zoo.commands.browse import ZooOption
from zoo.commands.overwrite import OverwriteOption, check_new
from zoo.executor import Executor, usable_cores
from zoo.families.building import Ray
from zoo.score import find_score, run_score
from zoo.table import count_rows
from zoo.training import progress_bar

console = Console()


def score(
    what: Annotated[
        str,
        typer.Argument(
            metavar="COLLECTION|FOLDER|OWNER/NAME",
            help="a collection of the zoo, a collection's folder, or a zoo on the Hub with one collection",
        ),
    ],
    out: Annotated[Path, typer.Option(help="parquet file; a stopped run of it is resumed")],
    workers: Annotated[int, typer.Option(help="processes; 0: one per core")] = 0,
    ray: Ray = None,
    overwrite: OverwriteOption = False,
    zoo: ZooOption = None,
) -> None:
    """Predict accuracy or label of every network of a collection, beside what the collection says."""
    check_new(out, overwrite)
    job, started = find_score(what, zoo), perf_counter()
    executor = Executor(workers=workers or usable_cores(), ray=ray)
    with progress_bar() as progress:
        task = progress.add_task(f"scores of {job.name}", total=job.count())
        try:
            run_score(job, out, executor, lambda count: progress.advance(task, count))
        except KeyboardInterrupt:
            console.print("Stopped. Run the same command again to resume from the last finished part.")
            raise typer.Exit(130) from None
    seconds = perf_counter() - started
    count = count_rows(out)
    console.print(
        f"{count:,} networks of {job.name} in {out}: {seconds:.1f} s, {count / seconds:.1f} a second."
    )
