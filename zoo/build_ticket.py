"""Build a collection of (initialization, winning ticket) pairs: train, prune by magnitude, train again under the mask.

One step of iterative magnitude pruning (IMP, arXiv:1803.03635) as in arXiv:2302.14040, section 3.3, or more (`rounds`).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.pruning import Masks, top_masks
from nfn.sparse_training import SparseTraining, TrainingRecipe, accuracies, default_init, train
from nfn.spec import ArraySpec, NetworkSpec
from zoo.errors import ZooError
from zoo.images import find_image_set, load_images
from zoo.shards import shard_numbers
from zoo.tickets import TicketShard, checksum

GROUP = 5
"""Networks trained together on a CPU core, on the same batches."""
HELD_OUT = 50
"""The number of networks at the end of a build that form its test split."""


@dataclass(frozen=True)
class Task:
    """The network and its training for an image set: shapes, tensor names as in `nn.Sequential`, pixels, recipe.

    The network's input is `(pixel / 255 - pixel_mean) / pixel_std`.
    """

    title: str
    shapes: tuple[tuple[int, ...], ...]
    layers: tuple[int, ...]
    pixel_mean: float
    pixel_std: float
    recipe: TrainingRecipe

    @property
    def spec(self) -> NetworkSpec:
        """The weight space."""
        biases = tuple(ArraySpec(shape[:1]) for shape in self.shapes)
        return NetworkSpec(tuple(map(ArraySpec, self.shapes)), biases)

    @property
    def tensor_names(self) -> tuple[tuple[str, str], ...]:
        """Weight and bias names, layer by layer."""
        return tuple((f"{i}.weight", f"{i}.bias") for i in self.layers)

    def pixels(self, images: Tensor) -> Tensor:
        """Normalise uint8 images into the network's input."""
        return (images.float() / 255 - self.pixel_mean) / self.pixel_std


TASKS = {
    "mnist": Task(
        "MLPs", ((128, 784), (128, 128), (10, 128)), (1, 3, 5), 0.1307, 0.3081, TrainingRecipe(1290, learning_rate=0.1)
    ),
    "cifar10": Task(
        "CNNs", ((32, 3, 3, 3), (32, 32, 3, 3), (32, 32, 3, 3), (64, 32), (10, 64)), (0, 2, 4, 8, 10), 0.473, 0.251,
        TrainingRecipe(1000, 64, "adam", 3e-3),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class TicketBuild:
    """Settings of a build: `count` networks, the last 50 held out, with tickets at `sparsity` after `rounds`.

    With several rounds, weights are pruned gradually and training restarts from the initialization each time.
    Without `measure_all`, only held-out tickets are trained: the accuracy of the others is NaN.
    """

    images: str
    count: int = 450
    sparsity: float = 0.95
    rounds: int = 1
    seed: int = 0
    measure_all: bool = True
    shard_size: int = 25

    @property
    def total(self) -> int:
        return self.count

    @property
    def task(self) -> Task:
        """The network and its training."""
        return TASKS[self.images]

    def check(self) -> None:
        """Raise ZooError unless the numbers make sense."""
        if self.images not in TASKS:
            raise ZooError(f"Tickets are built on {' or '.join(TASKS)}; got {self.images!r}.")
        if self.count <= HELD_OUT or self.count % GROUP or self.shard_size % GROUP:
            raise ZooError(
                f"Got {self.count} networks; expected more than {HELD_OUT}, and a multiple of {GROUP}."
            )
        if not 0 < self.sparsity < 1 or self.rounds < 1 or self.seed < 0:
            raise ZooError("The sparsity must be between 0 and 1, rounds at least 1, the seed at least 0.")
        find_image_set(self.images)

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> TicketShard:
        """Find and measure the tickets of one shard."""
        numbers, masks, rows = shard_numbers(self, shard), [], []
        for first in range(numbers.start, numbers.stop, GROUP):
            group_masks, facts = self._find(range(first, min(first + GROUP, numbers.stop)), device)
            masks.append(group_masks)
            rows += facts
            on_fit(len(facts))
        joined = [torch.cat(layer) for layer in zip(*masks, strict=True)]
        return TicketShard(joined, rows, [weight for weight, _ in self.task.tensor_names])

    def _find(self, group: range, device: str) -> tuple[list[Tensor], list[dict]]:
        """The masks of a group of networks, and a table row for each."""
        seeds, order = [init_seed(self.seed, number) for number in group], init_seed(self.seed, group.start)
        init = default_init(self.task.spec, seeds).to(device)
        dense = train_networks(init, None, self.images, order)
        masks = find_tickets(init, dense, self, order)
        splits = ["train" if number < self.count - HELD_OUT else "test" for number in group]
        reached = [test_accuracies(dense, self.images), torch.full((len(group),), math.nan)]
        if self.measure_all or "test" in splits:
            reached[1] = test_accuracies(train_networks(init, masks, self.images, order), self.images)
        rows = [
            {
                "split": splits[i],
                "init_seed": seeds[i], "init_sha256": checksum(init.select(i)), "batch_order": order,
                "dense_accuracy": float(reached[0][i]), "ticket_accuracy": float(reached[1][i]),
            }
            for i in range(len(group))
        ]  # fmt: skip
        return [mask.cpu() for mask in masks], rows

    def describe(self) -> dict:
        """The content of `spec.json`: architecture, tensor names, settings, source of the images."""
        image_set, task = find_image_set(self.images), self.task
        return {
            "format": 1,
            "title": f"{image_set.title}: untrained {task.title} and their winning tickets",
            "kind": "init",
            "shapes": task.shapes,
            "tensor_names": task.tensor_names,
            "images": image_set.facts(),
            "labels": list(image_set.labels),
            "build": {
                **asdict(self),
                "pixels": [task.pixel_mean, task.pixel_std],
                "recipe": asdict(task.recipe),
            },
        }


def find_tickets(
    init: WeightSpaceFeatures, dense: WeightSpaceFeatures, build: TicketBuild, order: int
) -> list[Tensor]:
    """Prune trained networks by magnitude, then train and prune again for the remaining rounds."""
    masks, trained = None, dense
    for number in range(1, build.rounds + 1):
        if number > 1:
            trained = train_networks(init, masks, build.images, order)
        kept = (1 - build.sparsity) ** (number / build.rounds)
        masks = top_masks([weight.abs() for weight in trained.weights], 1 - kept)
    assert masks is not None, "There is at least one round."
    return masks


def train_networks(
    init: WeightSpaceFeatures, masks: Masks | None, images: str, order: int
) -> WeightSpaceFeatures:
    """Train networks with the recipe of their task; `order` seeds the batches."""
    pixels, labels = pixels_of(images, "train", str(init.weights[0].device))
    training = SparseTraining(init, masks, TASKS[images].recipe)
    return train(training, pixels, labels, torch.Generator().manual_seed(order))


def test_accuracies(networks: WeightSpaceFeatures, images: str) -> Tensor:
    """Top-1 accuracy `(N,)` of each network on all test images."""
    return accuracies(networks, *pixels_of(images, "test", str(networks.weights[0].device)))


@cache
def pixels_of(name: str, split: str, device: str) -> tuple[Tensor, Tensor]:
    """All images of a split as inputs of the task's networks, and their labels; cached per process."""
    images, labels = load_images(name, split, slice(None))
    return TASKS[name].pixels(images).to(device), labels.to(device)


def init_seed(seed: int, number: int) -> int:
    """The seed of network `number` of a build."""
    return (seed << 32) + number
