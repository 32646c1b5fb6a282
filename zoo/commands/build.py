"""`python -m zoo sample`; the builds are in `zoo.families`."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.families.building import Seed, console
from zoo.sample import Sample, sample_collection


def sample(
    sources: Annotated[list[Path], typer.Argument(help="folders of collections of the same kind and shape")],
    out: Annotated[Path, typer.Option(help="folder of the new collection")],
    count: Annotated[int, typer.Option(help="how many networks")],
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, validation, test or unseen; repeatable; test if not given"),
    ] = None,
    final_only: Annotated[bool, typer.Option(help="leave out earlier checkpoints of each training")] = False,
    smallest: Annotated[
        bool, typer.Option(help="the networks with the fewest weights, at least one of each group")
    ] = False,
    half: Annotated[bool, typer.Option(help="store weights in half precision")] = False,
    seed: Seed = 0,
) -> None:
    """Sample a small collection from larger ones: random networks, or the smallest."""
    sample_collection(
        sources, out, Sample(tuple(split or ("test",)), count, final_only, smallest, half, seed)
    )
    console.print(
        f"{count} networks in {out}. `python -m zoo index FOLDER` adds them to the catalog of a zoo."
    )
