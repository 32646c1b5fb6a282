"""`python -m zoo train typicality` and `evaluate typicality`: what shows none of the classes."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer

from nfn.classifier import InrClassifier
from nfn.weight_reader import WeightReader
from zoo.card import classifier_card
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.commands.evaluate import METRICS_FILE, write_card
from zoo.commands.train import MADE_IN, TRAINING_FILE, check_training_split, machine
from zoo.evaluate_typicality import evaluate_typicality as measure
from zoo.files import read_json, write_json
from zoo.train_typicality import TypicalityRecipe
from zoo.train_typicality import train_typicality as fit

Folder = Annotated[
    Path, typer.Option(help="folder of the classifier, which stays as it is but for this part")
]
Beside = Annotated[
    Path, typer.Option(help="folder of a reader of weights alone, to measure where both agree")
]
WORK = Path("work/typicality")


def train_typicality(
    collections: Annotated[list[Path], typer.Argument(help="folders of SIRENs fitted to training images")],
    validation: Annotated[
        list[Path], typer.Option(help="folder of SIRENs to calibrate on; may be given again")
    ],
    folder: Folder = MADE_IN["inr-classifier"],
) -> None:
    """Teach the classifier of SIRENs what shows none of its classes; minutes of one core."""
    check_training_split(collections)
    start, recipe = time.time(), TypicalityRecipe()
    model = fit(InrClassifier.load(folder), collections, validation, recipe)
    model.save(folder)
    facts = {"recipe": asdict(recipe), "machine": machine(), "seconds": round(time.time() - start),
             "torch": torch.__version__, "collections": [Collection(path).describe() for path in collections],
             "validation": [Collection(path).describe() for path in validation]}  # fmt: skip
    write_json(folder / TRAINING_FILE, read_json(folder / TRAINING_FILE) | {"typicality": facts})


def evaluate_typicality(
    collections: Annotated[list[Path], typer.Argument(help="folders of SIRENs fitted to held-out images")],
    folder: Folder = MADE_IN["inr-classifier"],
    beside: Beside = EMBEDDED / "predictors" / "reader-gray",
    work: Annotated[Path, typer.Option(help="folder for fits; the same command goes on from them")] = WORK,
) -> None:
    """Measure what the classifier calls typical, and write it into its card."""
    model, reader = InrClassifier.load(folder), WeightReader.load(beside)
    metrics = read_json(folder / METRICS_FILE)
    metrics["typicality"] = measure(model, collections, work, reader)
    write_card(folder, classifier_card, metrics)
