"""The race: train one initialization under four masks at once, on the same batches. No gradio."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from app.runtime.device import device
from app.runtime.errors import RequestError
from app.runtime.low_priority import pause_for_requests
from app.tabs.tickets.actions import Initialization, Masked, ScoredNetwork, ticket_predictor
from nfn.architecture.graph import Architecture
from nfn.graph_tickets import GraphTraining, fit_recipe, on_device, step_cost
from nfn.pruning import kept_per_layer, shuffled_masks
from nfn.sparse_training import SparseTraining, TrainingRecipe, accuracies, batches, cross_entropies
from nfn.tickets import TicketPredictor, TicketReader
from zoo.bundled import test_images

LANES = ("ticket", "random", "magnitude", "dense")
STEPS = {"mnist": 1290, "cifar10": 1000}
"""Training steps for networks of the zoo's size: as many as in the zoo's own training."""
MAX_GRAPH_STEPS, MIN_GRAPH_STEPS = 600, 40
RACING, TESTING, MIN_TESTED = 6e10, 4e10, 200
"""Multiply-adds (forward) for training all lanes and for testing them; and the fewest images of a test."""
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
"""The fractions of the steps at which the test accuracy is measured."""


@dataclass(frozen=True)
class Lane:
    """One mask's run: the number of weights, and the accuracy and loss on test images after each of `steps`."""

    name: str
    kept: int
    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True)
class Race:
    """The state of a race; `images` is a sentence on the training and test images, `reader` that of the ticket."""

    reader: TicketReader
    lanes: tuple[Lane, ...]
    step: int
    total: int
    seconds: float
    images: str
    finished: bool


class Runners(Protocol):
    """The training of the four lanes on the same batches."""

    total: int
    tested: int

    def step(self) -> None: ...
    def measure(self) -> tuple[list[float], list[float]]: ...


def race(scored: ScoredNetwork, masked: Masked, seed: int, steps: int | None = None) -> Iterator[Race]:
    """Train the four lanes; yield the state before the first step and about twenty times during training.

    All lanes start from the same weights and see the same batches; the random mask keeps as many weights in each layer
    as the ticket does. Closing the iterator stops the race. Raises RequestError if the network is too large.
    """
    start, model = time.perf_counter(), ticket_predictor(scored.opened.images)
    generator = torch.Generator().manual_seed(seed)
    masks = lanes_of(masked, generator)
    kind = FamilyRunners if scored.opened.setup is None else GraphRunners
    runners: Runners = kind(scored.opened, masks, model, generator, steps)
    counts = kept_per_layer(masks).sum(1).tolist()
    lanes = tuple(Lane(name, int(k), (), (), ()) for name, k in zip(LANES, counts, strict=True))
    total, images = runners.total, _sentence(scored.opened, model, runners.tested)
    stops = {max(1, round(share * total)) for share in STOPS}
    for step in range(total + 1):
        if step == 0 or step in stops:
            lanes = _measure(lanes, step, *runners.measure())
            yield Race(
                scored.ticket.reader, lanes, step, total, time.perf_counter() - start, images, step == total
            )
        if step < total:
            runners.step()
            pause_for_requests()


class FamilyRunners:
    """Networks of the families that the predictors know: all lanes in one batch."""

    def __init__(
        self,
        opened: Initialization,
        masks: list[Tensor],
        model: TicketPredictor,
        generator: torch.Generator,
        steps: int | None,
    ):
        self.model, self.total = model, steps or steps_for(opened, model)
        config, initial = model.config, opened.network.features
        recipe = TrainingRecipe(self.total, config.batch, config.optimizer, config.learning_rate)
        copies = initial.map(lambda x: x.repeat(len(LANES), *[1] * (x.dim() - 1)).to(device()))
        self.training = SparseTraining(copies, masks, recipe)
        self.rows = batches(config.images, recipe, generator)
        images, labels = test_images(config.task)
        self.test = model.normalize(model.downsample(images)), labels.to(device())
        self.tested = len(labels)

    def step(self) -> None:
        """One update of every lane."""
        self.training.step(*self.model.stored_batch(next(self.rows)))

    def measure(self) -> tuple[list[float], list[float]]:
        """Accuracy and loss of every lane on test images."""
        networks = self.training.features
        with torch.no_grad():
            losses = cross_entropies(networks, *self.test).tolist()
        return accuracies(networks, *self.test).tolist(), losses


class GraphRunners:
    """Networks of any wiring: each lane is trained separately."""

    def __init__(
        self,
        opened: Initialization,
        masks: list[Tensor],
        model: TicketPredictor,
        generator: torch.Generator,
        steps: int | None,
    ):
        assert opened.setup is not None, "networks of known families use FamilyRunners"
        self.model, self.setup = model, opened.setup
        graph = on_device(self.setup.graph, device())
        recipe = _fitted(graph.architecture, steps)
        self.total = recipe.steps
        lanes = [
            dict(zip(self.setup.names, (m[i, 0] for m in masks), strict=True)) for i in range(len(LANES))
        ]
        self.trainings = [GraphTraining(graph, lane, recipe) for lane in lanes]
        self.rows = batches(model.config.images, recipe, generator)
        images, labels = test_images(model.config.task)
        effort = len(LANES) * (len(STOPS) + 1) * step_cost(graph.architecture, 1)
        self.tested = min(len(labels), max(MIN_TESTED, int(TESTING / effort)))
        self.test = (
            self.setup.images(model, model.downsample(images[: self.tested])),
            labels[: self.tested].to(device()),
        )

    def step(self) -> None:
        """One update of every lane."""
        batch = self.setup.stored(self.model, next(self.rows))
        for training in self.trainings:
            training.step(*batch)
            pause_for_requests()

    def measure(self) -> tuple[list[float], list[float]]:
        """Accuracy and loss of every lane on test images."""
        results = [training.measure(*self.test) for training in self.trainings]
        return [accuracy for accuracy, _ in results], [loss for _, loss in results]


def _fitted(architecture: Architecture, steps: int | None) -> TrainingRecipe:
    limit = steps or MAX_GRAPH_STEPS
    try:
        return fit_recipe(architecture, RACING / len(LANES), limit, min(MIN_GRAPH_STEPS, limit))
    except ValueError as error:
        raise RequestError(
            f"This network is too large for a race here, but its ticket can be downloaded. {error}"
        ) from error


def lanes_of(masked: Masked, generator: torch.Generator) -> list[Tensor]:
    """The masks of all lanes, concatenated along the batch axis."""
    random = shuffled_masks(masked.masks, generator)
    dense = [torch.ones_like(layer) for layer in masked.masks]
    return [
        torch.cat(layers).to(device())
        for layers in zip(masked.masks, random, masked.magnitude, dense, strict=True)
    ]


def steps_for(opened: Initialization, model: TicketPredictor) -> int:
    """Fewer steps for larger networks, so that every race takes about as long."""
    usual = sum(torch.Size(shape).numel() for shape in model.config.shapes)
    actual = sum(weight.numel() for weight in opened.weights)
    return max(20, round(STEPS[model.config.task] * min(1.0, usual / actual)))


def _measure(
    lanes: tuple[Lane, ...], step: int, accuracies: list[float], losses: list[float]
) -> tuple[Lane, ...]:
    return tuple(
        Lane(
            lane.name,
            lane.kept,
            (*lane.steps, step),
            (*lane.accuracy, accuracies[i]),
            (*lane.loss, losses[i]),
        )
        for i, lane in enumerate(lanes)
    )


def _sentence(opened: Initialization, model: TicketPredictor, tested: int) -> str:
    names = {"mnist": "MNIST images", "cifar10": "CIFAR-10 images"}
    size = "×".join(map(str, model.config.stored_shape[1:]))
    trained = f"{model.config.images:,} {names[model.config.task]} of {size} pixels"
    enlarged = ""
    if opened.setup is not None and opened.setup.shape[1:] != model.config.stored_shape[1:]:
        enlarged = f", resized to {opened.setup.shape[1]}×{opened.setup.shape[2]}"
    return f"Trained on {trained}{enlarged}, measured on {tested:,} others."
