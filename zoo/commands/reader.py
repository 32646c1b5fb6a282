"""`python -m zoo train reader`: a reader of weights alone, for any column of any collection."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nfn.weight_reader import WeightReaderConfig
from zoo.build import find_device
from zoo.commands.train import Device, Seed, Work, save
from zoo.train_reader import ReaderRecipe
from zoo.train_reader import train_reader as fit_reader


def train_reader(
    collections: Annotated[list[Path], typer.Argument(help="folders of networks of one shape")],
    out: Annotated[Path, typer.Option(help="folder of the reader")],
    task: Annotated[str, typer.Option(help="label, accuracy, or a column of networks.parquet")] = "label",
    work: Work = Path("work/reader"),
    samples: Annotated[int, typer.Option(help="networks to see, again and again")] = ReaderRecipe.samples,
    channels: Annotated[int, typer.Option(help="width of the messages")] = WeightReaderConfig.channels,
    batch: Annotated[int, typer.Option(help="networks a step")] = ReaderRecipe.batch,
    learning_rate: Annotated[float, typer.Option(help="at its highest")] = ReaderRecipe.learning_rate,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train a reader of weights alone."""
    recipe = ReaderRecipe(samples=samples, batch=batch, learning_rate=learning_rate, seed=seed)
    start = time.time()
    model = fit_reader(collections, task, channels, recipe, work, find_device(device))
    save(
        model,
        out,
        collections,
        {"recipe": asdict(recipe), "seconds": round(time.time() - start), "task": task},
    )
