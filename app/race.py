"""A race: one initialization trained under four masks at once, on the same batches. No gradio."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from app.actions import predictor
from app.aside import rest
from app.gpu import device
from app.tickets import Found, Masked
from nfn.features import WeightSpaceFeatures
from nfn.pruning import kept_per_layer, shuffled_masks
from nfn.sparse_training import SparseTraining, TrainingRecipe, accuracies, batches, cross_entropies
from nfn.tickets import TicketPredictor
from zoo.bundled import test_images

LANES = ("ticket", "random", "magnitude", "dense")
STEPS = {"mnist": 1290, "cifar10": 1000}
"""Steps of a race of networks of the zoo's size: as many as the zoo's own training has."""
STOPS = (
    0.01,
    0.02,
    0.04,
    0.06,
    0.09,
    0.12,
    0.16,
    0.2,
    0.25,
    0.3,
    0.35,
    0.4,
    0.46,
    0.52,
    0.58,
    0.65,
    0.72,
    0.8,
    0.9,
    1.0,
)
"""At which shares of the steps the test accuracy is measured."""


@dataclass(frozen=True)
class Lane:
    """One runner: how many weights it has, and its accuracy and loss on test images after each of `steps`."""

    name: str
    kept: int
    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True)
class Race:
    """The state of a race; `images` says what is trained and measured on."""

    lanes: tuple[Lane, ...]
    step: int
    total: int
    seconds: float
    images: str
    finished: bool


def race(found: Found, shown: Masked, seed: int, steps: int | None = None) -> Iterator[Race]:
    """Train the four lanes, and give the state of the race before the first step and some twenty times on the way.

    All lanes start from the same weights and see the same batches; the random mask keeps as many weights in each layer
    as the ticket does. Closing the iterator ends the race.
    """
    start, model = time.perf_counter(), predictor(found.predictor)
    generator = torch.Generator().manual_seed(seed)
    total = steps or steps_for(found, model)
    masks = lanes_of(shown, generator)
    training = SparseTraining(_copies(found), masks, _recipe(model, total))
    test = _test_images(model)
    rows = batches(model.config.images, training.recipe, generator)
    lanes = tuple(
        Lane(name, int(k), (), (), ()) for name, k in zip(LANES, kept_per_layer(masks).sum(1), strict=True)
    )
    stops = {max(1, round(share * total)) for share in STOPS}
    for step in range(total + 1):
        if step == 0 or step in stops:
            lanes = _measure(lanes, training.features, step, *test)
            yield Race(
                lanes, step, total, time.perf_counter() - start, _sentence(model, len(test[0])), step == total
            )
        if step < total:
            training.step(*model.stored(next(rows)))
            rest()


def lanes_of(shown: Masked, generator: torch.Generator) -> list[Tensor]:
    """The masks of all lanes, joined along the batch."""
    random = shuffled_masks(shown.masks, generator)
    dense = [torch.ones_like(layer) for layer in shown.masks]
    return [
        torch.cat(layers).to(device())
        for layers in zip(shown.masks, random, shown.magnitude, dense, strict=True)
    ]


def steps_for(found: Found, model: TicketPredictor) -> int:
    """Fewer steps for larger networks, so that a race takes as long."""
    usual = sum(torch.Size(shape).numel() for shape in model.config.shapes)
    actual = sum(weight.numel() for weight in found.network.features.weights)
    return max(20, round(STEPS[found.config.task] * min(1.0, usual / actual)))


def _copies(found: Found) -> WeightSpaceFeatures:
    return found.network.features.map(lambda x: x.repeat(len(LANES), *[1] * (x.dim() - 1)).to(device()))


def _recipe(model: TicketPredictor, steps: int) -> TrainingRecipe:
    config = model.config
    return TrainingRecipe(steps, config.batch, config.optimizer, config.learning_rate)


def _test_images(model: TicketPredictor) -> tuple[Tensor, Tensor]:
    images, labels = test_images(model.config.task)
    return model.seen(model.shrunk(images)), labels.to(device())


def _measure(
    lanes: tuple[Lane, ...], networks: WeightSpaceFeatures, step: int, images: Tensor, labels: Tensor
):
    with torch.no_grad():
        losses = cross_entropies(networks, images, labels).tolist()
    reached = accuracies(networks, images, labels).tolist()
    return tuple(
        Lane(lane.name, lane.kept, (*lane.steps, step), (*lane.accuracy, reached[i]), (*lane.loss, losses[i]))
        for i, lane in enumerate(lanes)
    )


def _sentence(model: TicketPredictor, tested: int) -> str:
    names = {"mnist": "MNIST digits", "cifar10": "CIFAR-10 pictures"}
    size = "×".join(map(str, model.config.stored_shape[1:]))
    trained = f"{model.config.images:,} {names[model.config.task]} of {size} pixels"
    return f"Trained on {trained}, measured on {tested:,} others."
