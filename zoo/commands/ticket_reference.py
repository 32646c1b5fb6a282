"""`python -m zoo train ticket-reference`: let a predictor of winning tickets read weights alone."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from nfn.sparse_training import default_init
from nfn.tickets import TicketPredictor
from zoo.build_ticket import TASKS, pixels_of
from zoo.commands.evaluate import METRICS_FILE, SHIPPED
from zoo.commands.train import TRAINING_FILE, machine
from zoo.evaluate_tickets import reader_rows
from zoo.files import read_json, write_json
from zoo.train_ticket_reference import ReferenceTraining, train_reference


def train_ticket_reference(
    folder: Annotated[
        Path, typer.Argument(help="folder of a measured predictor, which stays as it is but for this part")
    ],
    steps: Annotated[int, typer.Option(help="training steps")] = ReferenceTraining.steps,
    seed: Annotated[int, typer.Option(help="seed of its initialization")] = ReferenceTraining.seed,
) -> None:
    """Train and prune the network whose ticket other initializations get by matching units; minutes of one core.

    It keeps as many weights of each layer as the predictor's short training keeps on average.
    """
    model, start = TicketPredictor.load(folder), time.time()
    training = ReferenceTraining(_kept(read_json(folder / METRICS_FILE), model), steps, seed)
    task, images = TASKS[model.config.task], pixels_of(model.config.task, "train", "cpu")
    init, recipe = default_init(task.spec, [seed]), replace(task.recipe, steps=steps)
    model.store_reference(train_reference(init, training.kept, recipe, *images))
    model.save(folder)
    facts = {"recipe": asdict(training), "seconds": round(time.time() - start), "device": "cpu",
             "machine": machine(), "torch": torch.__version__}  # fmt: skip
    write_json(folder / TRAINING_FILE, read_json(folder / TRAINING_FILE) | {"reference": facts})
    print(
        f"Wrote {folder}, {facts['seconds']} s. Next: python -m zoo evaluate tickets PAIRS --folder {folder} --keep"
    )


def _kept(metrics: dict[str, Any], model: TicketPredictor) -> list[int]:
    """The number of weights per layer that the short training keeps, on average."""
    name = reader_rows(SHIPPED, model.config.readers)["training"]
    return next(row["kept"] for row in metrics["methods"] if row["mask"] == name)
