"""`python -m zoo train reader`, `evaluate reader`: weights-only readers for any column of any collection."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nfn.classifier import InrClassifier
from nfn.weight_reader import WeightReader
from zoo.build import find_device
from zoo.card_plot import learning_curve_svg
from zoo.card_reader import LEARNING_CURVE_PLOT, curve_svg, reader_card
from zoo.collection import Collection
from zoo.commands.evaluate import write_card
from zoo.commands.train import TRAINING_FILE, Device, Out, Overwrite, Seed, Work, check_out, save
from zoo.evaluate_reader import evaluate_reader as measure_reader
from zoo.files import read_json
from zoo.train_reader import (
    CURVE_FILE,
    DISTILLATION,
    ReaderRecipe,
    ReaderSize,
    default_noise,
    seconds_until_now,
)
from zoo.train_reader import train_reader as fit_reader

PICTURE_FILE = "curve.svg"


def train_reader(
    collections: Annotated[list[Path], typer.Argument(help="folders of networks of one shape")],
    out: Out,
    task: Annotated[str, typer.Option(help="label, accuracy, or a column of networks.parquet")] = "label",
    work: Work = Path("work/reader"),
    samples: Annotated[
        int, typer.Option(help="networks to train on, with repetition")
    ] = ReaderRecipe.samples,
    channels: Annotated[int, typer.Option(help="width of the messages")] = ReaderSize.channels,
    rounds: Annotated[int, typer.Option(help="sweeps of messages forward")] = ReaderSize.rounds,
    wide: Annotated[int, typer.Option(help="pool this many further features of each unit")] = ReaderSize.wide,
    batch: Annotated[int, typer.Option(help="networks per step")] = ReaderRecipe.batch,
    learning_rate: Annotated[float, typer.Option(help="peak learning rate")] = ReaderRecipe.learning_rate,
    teacher: Annotated[
        Path | None,
        typer.Option(help="an inr-classifier, to learn from its probabilities too (distillation)"),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="a reader to continue from, of this size or smaller")
    ] = None,
    remark: Annotated[str, typer.Option(help="a sentence about the training for the card")] = "",
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train a weights-only reader."""
    check_out(out, overwrite)
    recipe = ReaderRecipe(
        samples, batch, learning_rate, noise=default_noise(collections), seed=seed,
        distillation=DISTILLATION if teacher else 0.0,
    )  # fmt: skip
    model = fit_reader(
        collections, task, ReaderSize(channels, rounds, wide), recipe, work, find_device(device),
        InrClassifier.load(teacher) if teacher else None, WeightReader.load(start) if start else None,
    )  # fmt: skip
    seconds = seconds_until_now(work / CURVE_FILE)
    facts = {"recipe": asdict(recipe), "seconds": seconds, "task": task, "remark": remark}
    rows = read_json(work / CURVE_FILE)["rows"]
    save(
        "reader",
        model,
        out,
        collections,
        facts,
        f", validation {', '.join(map(str, rows[-1]['validation']))}",
    )
    names = list(dict.fromkeys(Collection(path).images for path in collections))
    (out / PICTURE_FILE).write_text(curve_svg(rows, names))


def evaluate_reader(
    collections: Annotated[list[Path], typer.Argument(help="folders of held-out networks")],
    folder: Annotated[Path, typer.Option(help="folder of the reader")],
    device: Device = "auto",
) -> None:
    """Measure a weights-only reader and write its card."""
    model = WeightReader.load(folder, find_device(device))
    metrics = measure_reader(model, collections)
    curve = read_json(folder / TRAINING_FILE).get("learning_curve")
    if curve:
        (folder / LEARNING_CURVE_PLOT).write_text(learning_curve_svg(curve, metrics["rows"][0]["networks"]))
    write_card(folder, reader_card, metrics)
