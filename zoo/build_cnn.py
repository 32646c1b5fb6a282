"""Build a collection of small CNNs, trained with random hyperparameters so that accuracies spread from chance up.

The architecture and most of the hyperparameter ranges follow the Small CNN Zoo (arXiv:2002.11448).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.cnn import CnnRecipe, class_scores, init_cnns, small_cnn_spec, train_cnns
from nfn.features import WeightSpaceFeatures
from zoo.errors import ZooError
from zoo.images import find_image_set, load_images, to_float, to_gray
from zoo.shards import Shard, shard_numbers

GROUP = 8
"""Networks trained together on a CPU core: the activations of more would no longer fit its cache."""
CHECKPOINTS = (0.05, 0.3, 1.0)
"""The fractions of the training steps after which a checkpoint is kept."""
MEASURED_TRAINING_IMAGES = 2_000
SPLIT_OF_25 = ("train",) * 16 + ("validation",) * 4 + ("test",) * 5
"""The split of network i is entry i % 25; all checkpoints of a network share it."""
TENSOR_NAMES = tuple((f"{i}.weight", f"{i}.bias") for i in (0, 2, 4, 8))
"""As `nn.Sequential(conv, act, conv, act, conv, act, AdaptiveAvgPool2d(1), Flatten(), linear)` saves them."""


@dataclass(frozen=True)
class CnnBuild:
    """Settings of a build: `count` networks with `len(CHECKPOINTS)` checkpoints each.

    Each group of 8 draws activation, batch norm (30%), biases (85% of the others) and steps (log-uniform); each network
    its optimizer, learning rate, weight decay, dropout, fraction of the training images, schedule and initialisation.
    """

    images: str
    count: int = 1000
    seed: int = 0
    min_steps: int = 400
    max_steps: int = 8000
    shard_size: int = 40

    @property
    def total(self) -> int:
        return self.count

    def check(self) -> None:
        """Raise ZooError unless the numbers make sense."""
        if self.count < GROUP or self.count % GROUP or self.shard_size % GROUP:
            raise ZooError(
                f"{self.count} networks: they are trained {GROUP} at a time; choose a multiple of it."
            )
        if self.seed < 0 or not 1 <= self.min_steps <= self.max_steps:
            raise ZooError("The seed must be at least 0, and 1 <= min_steps <= max_steps.")
        find_image_set(self.images)

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> Shard:
        """Train and measure the networks of one shard."""
        numbers = shard_numbers(self, shard)
        generator = torch.Generator().manual_seed((self.seed << 20) + shard)
        parts, rows = [], []
        for first in range(numbers.start, numbers.stop, GROUP):
            recipe = draw_recipe(self, generator)
            init = init_cnns(recipe, small_cnn_spec(), generator)
            images, labels = gray_images(self.images, "train")
            keep = sorted({max(1, round(fraction * recipe.steps)) for fraction in CHECKPOINTS})
            for step, networks in train_cnns(init, images, labels, recipe, keep, generator, device):
                parts.append(networks)
                rows += describe_networks(self.images, networks, recipe, first, step, device)
            on_fit(GROUP)
        return Shard(WeightSpaceFeatures.cat(parts), rows, TENSOR_NAMES)

    def describe(self) -> dict:
        """The content of `spec.json`: architecture, tensor names, settings, source of the images."""
        image_set = find_image_set(self.images)
        gray = " in grayscale" if image_set.channels == 3 else ""
        return {
            "format": 1,
            "title": f"{image_set.title}{gray}: small CNNs",
            "kind": "classifier",
            "shapes": [array.shape for array in small_cnn_spec().weight_spec],
            "tensor_names": TENSOR_NAMES,
            "images": image_set.facts(),
            "labels": list(image_set.labels),
            "build": asdict(self),
        }


def draw_recipe(build: CnnBuild, generator: torch.Generator) -> CnnRecipe:
    """Draw random hyperparameters for a group."""

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    def choose(*options: Any) -> Any:
        return options[int(torch.randint(len(options), (), generator=generator))]

    def each(value: Callable[[], Any]) -> tuple:
        return tuple(value() for _ in range(GROUP))

    optimizer = each(lambda: choose("sgd", "adam", "rmsprop"))
    batch_norm, drops = draw(0, 1) < 0.3, draw(0, 1) < 0.5
    return CnnRecipe(
        activation=choose("relu", "tanh"),
        batch_norm=batch_norm,
        biases=batch_norm or draw(0, 1) < 0.85,
        steps=round(build.min_steps * (build.max_steps / build.min_steps) ** draw(0, 1)),
        optimizer=optimizer,
        learning_rate=tuple(10 ** (draw(-2.7, -0.7) if name == "sgd" else draw(-3.7, -1.8)) for name in optimizer),
        weight_decay=each(lambda: 10 ** draw(-6, -2)),
        dropout=each(lambda: draw(0, 0.5) if drops else 0.0),
        train_share=each(lambda: choose(0.1, 0.25, 0.5, 1.0)),
        schedule=each(lambda: choose("constant", "cosine")),
        init=each(lambda: choose("he", "glorot")),
        init_scale=each(lambda: 10 ** draw(-0.5, 0.3)),
    )  # fmt: skip


def describe_networks(
    images: str, networks: WeightSpaceFeatures, recipe: CnnRecipe, first: int, step: int, device: str
) -> list[dict]:
    """A table row for each network: its split, its accuracies and how it was trained."""
    networks = networks.to(device)
    test = measure(networks, *gray_images(images, "test"), recipe.activation)
    pixels, labels = gray_images(images, "train")
    train = measure(
        networks, pixels[:MEASURED_TRAINING_IMAGES], labels[:MEASURED_TRAINING_IMAGES], recipe.activation
    )
    shared = {"activation": recipe.activation, "batch_norm": recipe.batch_norm, "biases": recipe.biases,
              "step": step, "steps": recipe.steps, "final": step == recipe.steps}  # fmt: skip
    own = (
        "optimizer",
        "learning_rate",
        "weight_decay",
        "dropout",
        "train_share",
        "schedule",
        "init",
        "init_scale",
    )
    return [
        {
            "split": SPLIT_OF_25[(first + i) % 25],
            "test_accuracy": float(test[0][i]), "train_accuracy": float(train[0][i]),
            "test_loss": float(test[1][i]), "train_loss": float(train[1][i]),
            "run": first + i, **shared, **{name: getattr(recipe, name)[i] for name in own},
        }
        for i in range(len(recipe))
    ]  # fmt: skip


@torch.no_grad()
def measure(
    networks: WeightSpaceFeatures, images: Tensor, labels: Tensor, activation, batch: int = 250
) -> tuple[Tensor, Tensor]:
    """Accuracy and mean cross entropy `(N,)` of each network on labelled images."""
    right, loss = 0, 0
    device = networks.weights[0].device
    for pixels, target in zip(images.split(batch), labels.split(batch), strict=True):
        scores = class_scores(networks, pixels.to(device), activation)
        target = target.to(device).expand(len(scores), -1)
        right = right + (scores.argmax(2) == target).sum(1)
        loss = loss + F.cross_entropy(scores.transpose(1, 2), target, reduction="none").sum(1)
    return torch.as_tensor(right).cpu() / len(labels), torch.as_tensor(loss).cpu() / len(labels)


@cache
def gray_images(name: str, split: str) -> tuple[Tensor, Tensor]:
    """All images of a split in grayscale, `(n, 1, size, size)` in [-1, 1], and their labels; cached per process."""
    images, labels = load_images(name, split, slice(None))
    return to_float(to_gray(images)), labels
