"""`python -m zoo train reader`, `evaluate reader`: weights alone, for any column of any collection."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nfn.classifier import InrClassifier
from nfn.weight_reader import WeightReader, WeightReaderConfig
from zoo.build import find_device
from zoo.card_reader import curve_svg, reader_card
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.commands.evaluate import write_card
from zoo.commands.train import Device, Out, Overwrite, Seed, Work, check_out, save
from zoo.evaluate_reader import evaluate_reader as measure_reader
from zoo.files import read_json
from zoo.train_reader import CURVE_FILE, ReaderRecipe, seconds_until_now
from zoo.train_reader import train_reader as fit_reader

PICTURE_FILE = "curve.svg"
CLASSIFIER = EMBEDDED / "predictors" / "inr-classifier"


def train_reader(
    collections: Annotated[list[Path], typer.Argument(help="folders of networks of one shape")],
    out: Out,
    task: Annotated[str, typer.Option(help="label, accuracy, or a column of networks.parquet")] = "label",
    work: Work = Path("work/reader"),
    samples: Annotated[int, typer.Option(help="networks to see, again and again")] = ReaderRecipe.samples,
    channels: Annotated[int, typer.Option(help="width of the messages")] = WeightReaderConfig.channels,
    batch: Annotated[int, typer.Option(help="networks a step")] = ReaderRecipe.batch,
    learning_rate: Annotated[float, typer.Option(help="at its highest")] = ReaderRecipe.learning_rate,
    remark: Annotated[str, typer.Option(help="a sentence for the card on how the training went")] = "",
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train a reader of weights alone."""
    check_out(out, overwrite)
    recipe = ReaderRecipe(samples=samples, batch=batch, learning_rate=learning_rate, seed=seed)
    model = fit_reader(collections, task, channels, recipe, work, find_device(device))
    seconds = seconds_until_now(work / CURVE_FILE)
    facts = {"recipe": asdict(recipe), "seconds": seconds, "task": task, "remark": remark}
    save(model, out, collections, facts)
    names = list(dict.fromkeys(Collection(path).images for path in collections))
    (out / PICTURE_FILE).write_text(curve_svg(read_json(work / CURVE_FILE)["rows"], names))


def evaluate_reader(
    collections: Annotated[list[Path], typer.Argument(help="folders of networks that were held out")],
    folder: Annotated[Path, typer.Option(help="folder of the reader")],
    device: Device = "auto",
) -> None:
    """Measure a reader of weights alone and write its card."""
    model = WeightReader.load(folder, find_device(device))
    best = InrClassifier.load(CLASSIFIER, find_device(device)) if model.config.labels else None
    write_card(folder, reader_card, measure_reader(model, collections, best))
