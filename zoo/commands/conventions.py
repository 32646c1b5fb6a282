"""`python -m zoo train conventions` and `evaluate conventions`: the classifier's part that finds SIREN conventions."""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from nfn.classifier import InrClassifier
from zoo.card import classifier_card
from zoo.commands.evaluate import METRICS_FILE, write_card
from zoo.commands.train import MADE_IN, TRAINING_FILE, machine
from zoo.evaluate_conventions import convention_rows, measure
from zoo.foreign_fits import fit_many
from zoo.train_conventions import ConventionRecipe, split_fits, train_field_judge, train_picture_judge

Folder = Annotated[Path, typer.Option(help="folder of the classifier; only this part of it is changed")]
Work = Annotated[
    Path, typer.Option(help="folder for fits and checkpoints; an interrupted command resumes from it")
]
HERE, WORK = MADE_IN["inr-classifier"], Path("work/conventions")
SEEDS = {"train": 7, "test": 8}
SHARES = (("mnist", 0.3), ("fashion_mnist", 0.3), ("cifar10", 0.4))
"""The fraction of the pictures from each image set."""


def train_conventions(
    folder: Folder = HERE,
    work: Work = WORK,
    groups: Annotated[int, typer.Option(help="random recipes, each with ten SIRENs")] = 150,
) -> None:
    """Train the part that finds a SIREN's convention; about 15 minutes on one core."""
    start, recipe, model = time.time(), ConventionRecipe(), InrClassifier.load(folder)
    fits = split_fits(fit_many(work / "fits", groups, "train", SEEDS["train"]))
    pictures = train_picture_judge(model, SHARES, recipe, work)
    with_judges = InrClassifier(replace(model.config, judges=True))
    with_judges.load_state_dict(model.state_dict(), strict=False)
    assert with_judges.judges is not None, "the config above has judges"
    with_judges.judges.picture = pictures
    with_judges.judges.field = train_field_judge(fits, recipe, work)
    with_judges.eval().save(folder)
    facts = {"recipe": asdict(recipe), "networks": len(fits), "recipes": groups, "machine": machine(),
             "seconds": round(time.time() - start), "torch": torch.__version__}  # fmt: skip
    training = json.loads((folder / TRAINING_FILE).read_text()) | {"conventions": facts}
    (folder / TRAINING_FILE).write_text(json.dumps(training, indent=2) + "\n")


def evaluate_conventions(
    folder: Folder = HERE,
    work: Work = WORK,
    groups: Annotated[int, typer.Option(help="random recipes, each with ten SIRENs of test images")] = 42,
) -> None:
    """Measure how well conventions are found, and write the figures into the classifier's card."""
    fits = fit_many(work / "fits", groups, "test", SEEDS["test"])
    rows = convention_rows(measure(InrClassifier.load(folder), fits))
    metrics = json.loads((folder / METRICS_FILE).read_text()) | {"conventions": rows}
    write_card(folder, classifier_card, metrics)
