"""Train a predictor of winning tickets on pairs of an initialization and the mask that magnitude pruning gives it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.progress import track
from torch import nn

from nfn.features import WeightSpaceFeatures
from nfn.tickets import TicketConfig, TicketPredictor
from zoo.build_ticket import TASKS
from zoo.collection import Collection
from zoo.images import find_image_set, load_images
from zoo.training import run_steps, step_generator

READ_AT_ONCE = 5


@dataclass(frozen=True)
class TicketTraining:
    """Adam on the binary cross entropy between scores and masks, `batch` networks a step, a rate that decays to 0."""

    steps: int = 1200
    batch: int = 4
    learning_rate: float = 3e-3
    seed: int = 0


def train_tickets(
    folder: Path,
    config: TicketConfig,
    training: TicketTraining,
    work: Path,
    device: str = "cpu",
    model_class: type[TicketPredictor] = TicketPredictor,
) -> TicketPredictor:
    """Train on the `train` split of a collection of pairs; resumes from the checkpoint in `work`."""
    collection = Collection(folder)
    torch.manual_seed(training.seed)
    model = model_class(config_of(collection, config))
    model.store(*load_images(collection.images, "train", slice(model.config.images)))
    start_from_fraction(model, 1 - collection.spec.build["sparsity"])
    model.to(device)
    rows = rows_of(collection, "train")
    features, masks = collection.features(rows), collection.masks(rows)
    if config.rule == "magnitude":
        model.calibrate(features, masks)
        return model.eval()
    inputs = read_all(model, features)
    optimizer = torch.optim.Adam(model.parameters(), training.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps)

    def step(number: int) -> float:
        generator = step_generator(training.seed, number)
        chosen = torch.randint(len(rows), (training.batch,), generator=generator)
        parts = inputs.select(chosen).to(device, torch.float32), [mask[chosen].to(device) for mask in masks]
        loss = model.loss(*parts, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    run_steps(step, training.steps, parts, work)
    return model.eval()


def config_of(collection: Collection, config: TicketConfig) -> TicketConfig:
    """The config with the collection's facts about its networks and their images."""
    task, recipe = TASKS[collection.images], TASKS[collection.images].recipe
    images = find_image_set(collection.images)
    return replace(
        config, task=collection.images, shapes=task.shapes, pixel_mean=task.pixel_mean, pixel_std=task.pixel_std,
        image_shape=(images.channels, images.size, images.size), batch=recipe.batch, optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
    )  # fmt: skip


def start_from_fraction(model: TicketPredictor, fraction: float) -> None:
    """Initialise the scores to predict the same kept fraction for every weight."""
    nn.init.constant_(model.offset, float(torch.logit(torch.tensor(fraction))))


def rows_of(collection: Collection, split: str) -> list[int]:
    """The row numbers of a split."""
    return [i for i, name in enumerate(collection.rows["split"].to_pylist()) if name == split]


@torch.no_grad()
def read_all(model: TicketPredictor, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
    """The input channels of all networks, on the CPU in half precision."""
    starts = range(0, len(features.weights[0]), READ_AT_ONCE)
    parts = [
        model.input_channels(features.select(slice(i, i + READ_AT_ONCE)).to(model.device)).to(
            "cpu", torch.float16
        )
        for i in track(starts, "reading")
    ]
    return WeightSpaceFeatures.cat(parts)
