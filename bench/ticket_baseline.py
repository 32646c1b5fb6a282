"""Tickets for which no network is trained, for the card: those of a reference whose hidden units are matched.

    python -m bench.ticket_baseline mnist

The reference is trained on the zoo's images from an initialization of the training split, and pruned on the way. It
keeps as many weights per layer as the shipped predictor, which has that from IMP's masks of the training pairs. The row
of figures is added to the card of the shipped predictor; an interrupted command resumes from `work`.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from bench.record import record
from nfn.features import WeightSpaceFeatures
from nfn.pruning import Masks, top_masks
from nfn.reference_ticket import ReferenceTicket
from nfn.sparse_training import SparseTraining, TrainingRecipe, batches, default_init
from zoo.build_ticket import GROUP, TASKS, pixels_of
from zoo.card_tickets import tickets_card
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.commands.evaluate import BASELINES_FILE, METRICS_FILE, write_card
from zoo.evaluate_tickets import SPARSITY, join, mask_figures, mask_row, train_under
from zoo.files import read_json, write_json
from zoo.train_tickets import rows_of

PRUNED = (0.15, 0.6)
"""The part of the reference's training in which it is pruned."""
EVERY = 25
"""Steps from one pruning to the next."""


def train_reference(
    init: WeightSpaceFeatures, kept: Sequence[int], recipe: TrainingRecipe, images: Tensor, labels: Tensor
) -> list[Tensor]:
    """Train one network `(1, 1, ...)` and prune it gradually by magnitude (arXiv:1710.01878, equation 1).

    `kept` is the number of weights per layer that remain. Returns the trained weights `(out, in[, kh, kw])`.
    """
    training = SparseTraining(init, None, recipe)
    for rows in batches(len(images), recipe, torch.Generator().manual_seed(0)):
        training.step(images[rows], labels[rows])
        done = (training.step_number / recipe.steps - PRUNED[0]) / (PRUNED[1] - PRUNED[0])
        if done > 0 and training.step_number % EVERY == 0:
            training.prune(_largest(training.features, kept, (1 - min(done, 1)) ** 3))
    return [weight[0, 0] for weight in training.features.weights]


def _largest(network: WeightSpaceFeatures, kept: Sequence[int], left: float) -> Masks:
    """Masks of the largest weights of each layer: `kept` of them, and the fraction `left` of all others."""
    layers = [(weight, weight[0].numel(), count) for weight, count in zip(network.weights, kept, strict=True)]
    return [
        top_masks([weight.abs()], 1 - (count + left * (total - count)) / total)[0]
        for weight, total, count in layers
    ]


def measured(
    reference: ReferenceTicket, collection: Collection, rows: list[int], path: Path
) -> dict[str, list]:
    """Train some networks under the reference's tickets and write their figures; read them if they are there."""
    if not path.exists():
        init, imp = collection.features(rows), collection.masks(rows)
        masks = top_masks(reference.scores(init), SPARSITY)
        order = collection.rows["batch_order"][rows[0]].as_py()
        write_json(path, mask_figures(masks, imp, train_under(init, masks, collection, order)))
    return read_json(path)


def kept_by(metrics: dict[str, Any]) -> list[int]:
    """The number of weights per layer that the shipped predictor keeps, on average."""
    return next(row["kept"] for row in metrics["methods"] if row["mask"] == metrics["shipped"])


def add_row(metrics: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The metrics with a further method, and the part of the gap that it closes."""
    others = {other["mask"]: other for other in metrics["methods"] if other["mask"] != row["mask"]}
    low, high = (others[name]["accuracy"] for name in ("random, Bernoulli", "IMP"))
    gap = (row["accuracy"] - low) / (high - low)
    return {**metrics, "methods": [*others.values(), {**row, "gap_closed": gap}]}


def main(
    images: Annotated[str, typer.Argument(help=" or ".join(TASKS))],
    steps: Annotated[int, typer.Option(help="training steps of the reference")] = 2000,
    number: Annotated[int, typer.Option(help="seed of its initialization")] = 0,
    work: Annotated[Path, typer.Option(help="folder for results")] = Path("work/ticket-baseline"),
) -> None:
    """Train a reference, measure its tickets on held-out initializations, and write the card."""
    folder, task = EMBEDDED / f"predictors/tickets-{images}", TASKS[images]
    metrics, start = read_json(folder / METRICS_FILE), time.process_time()
    recipe = TrainingRecipe(steps, task.recipe.batch, task.recipe.optimizer, task.recipe.learning_rate)
    init = default_init(task.spec, [number])
    weights = train_reference(init, kept_by(metrics), recipe, *pixels_of(images, "train", "cpu"))
    minutes = round((time.process_time() - start) / 60, 1)
    collection, results = (
        Collection(EMBEDDED / f"collections/{images}-inits"),
        work / f"{images}-{number}-{steps}",
    )
    results.mkdir(parents=True, exist_ok=True)
    rows, reference = rows_of(collection, "test"), ReferenceTicket(weights)
    groups = [rows[i : i + GROUP] for i in range(0, len(rows), GROUP)]
    name = "ticket of a reference with matched units, nothing trained"
    parts = [measured(reference, collection, group, results / f"group-{group[0]}.json") for group in groups]
    row = mask_row(name, join(parts))
    print(row)
    record(folder / BASELINES_FILE, {
        "model": name, "what": "reference", "device": "cpu", "moments": "none", "steps": steps, "minutes": minutes,
    }, ("model",))  # fmt: skip
    write_card(folder, tickets_card, add_row(metrics, row))


if __name__ == "__main__":
    typer.run(main)
