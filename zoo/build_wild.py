"""Build the wild zoo: image classifiers of random architectures, trained with random recipes."""

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn.architecture.trace import trace
from nfn.wiring.pictures import PictureSet, Pixels, own_statistics
from zoo.errors import ZooError
from zoo.files import write_whole
from zoo.images import IMAGE_SETS, find_image_set, load_images, to_gray
from zoo.own_architectures import write_pixels
from zoo.shards import shard_paths, write_rows
from zoo.wild_module import build_module
from zoo.wild_recipe import Draw, Family, draw_recipe
from zoo.wild_training import WildPlan, WildTraining, draw_training, train

GRAY = "-gray"
MEASURED_TRAINING_IMAGES = 2_000
KINDS: tuple[tuple[str, Family], ...] = (
    ("train", "cnn"), ("test", "cnn"), ("train", "mlp"), ("unseen", "resnet"), ("train", "cnn"),
    ("train", "cnn"), ("test", "cnn"), ("train", "cnn"), ("train", "mlp"), ("unseen", "depthwise"),
    ("test", "cnn"), ("train", "cnn"), ("train", "cnn"), ("test", "mlp"), ("train", "cnn"),
    ("unseen", "gelu-mlp"), ("train", "cnn"), ("train", "mlp"), ("test", "cnn"), ("train", "cnn"),
)  # fmt: skip
"""The split and family of run i is entry i % 20; all checkpoints of a run share the split."""


@dataclass(frozen=True)
class WildBuild:
    """Settings of a build: `count` runs on `images` (`cifar10-gray` is grayscale), with two or three checkpoints each.

    `effort` multiplies the length of every training; 1 means 1 to 20 seconds on one CPU core. A fraction of the runs,
    `by_heart`, trains on the first few thousand pictures only, so that they are memorized; a fraction of the others,
    `usual`, trains with good settings for a few epochs.
    """

    images: str
    count: int = 100
    seed: int = 0
    effort: float = 1.0
    by_heart: float = 0.0
    usual: float = 0.0

    @property
    def total(self) -> int:
        return self.count

    @property
    def shard_size(self) -> int:
        return 1

    def check(self) -> None:
        """Raise ZooError unless the numbers make sense."""
        if self.count < 1 or self.seed < 0 or self.effort <= 0:
            raise ZooError(
                f"{self.count} runs from seed {self.seed} with effort {self.effort}: expected at least 1 run, a seed "
                "of 0 or more, and an effort above 0."
            )
        fractions = {"by heart": self.by_heart, "usual": self.usual}
        if not all(0 <= fraction <= 1 for fraction in fractions.values()):
            raise ZooError(f"Got the fractions of trainings {fractions}; expected each to be from 0 to 1.")
        if self.images not in wild_image_sets():
            raise ZooError(f"Unknown images {self.images!r}: choose one of {', '.join(wild_image_sets())}.")

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> "WildRun":
        """Train and measure one run, always on the CPU because the networks are small."""
        run = make_run(self, shard)
        on_fit(1)
        return run

    def describe(self) -> dict:
        """The content of `spec.json`."""
        image_set = find_image_set(self.images.removesuffix(GRAY))
        gray = " in gray" if self.images.endswith(GRAY) else ""
        return {
            "format": 1,
            "title": f"{image_set.title}{gray}: classifiers of many architectures",
            "kind": "wild",
            "images": image_set.facts(),
            "labels": list(image_set.labels),
            "build": asdict(self),
        }


@dataclass(frozen=True)
class WildRun:
    """One run: the tensors of each checkpoint as `<checkpoint>/<name>`, and a table row for each."""

    tensors: dict[str, Tensor]
    rows: list[dict]

    def write(self, folder: Path, number: int) -> None:
        """Write tensors, then rows, each atomically."""
        write_whole(shard_paths(folder, number)[0], lambda part: save_file(self.tensors, part))
        write_rows(folder, number, self.rows)


def wild_image_sets() -> tuple[str, ...]:
    """The image sets that a wild zoo can be built on: all of them, and CIFAR-10 in grayscale."""
    return (*IMAGE_SETS, f"cifar10{GRAY}")


def make_run(build: WildBuild, number: int) -> WildRun:
    """Draw, train and measure run `number`: a pure function of its arguments."""
    images = build.images
    draw = Draw(zlib.crc32(f"{images} {build.seed} {number}".encode()))
    split, family = KINDS[number % len(KINDS)]
    pixels, labels = wild_images(images, "train")
    recipe = draw_recipe(family, pixels.shape[1], pixels.shape[2], draw)
    training = draw_training(
        recipe, own_pixels(images), len(pixels), WildPlan(build.effort, build.by_heart, build.usual), draw
    )
    rows = _subset(training, len(pixels), draw.generator)
    train_pixels, train_labels = (
        pixels[rows],
        _shuffle(labels[rows], training.shuffled_labels, draw.generator),
    )
    module = build_module(recipe)
    architecture = trace(module, pixels.shape[1:]).to_json()
    module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    facts = {"split": split, "family": family, "images": images, "run": number, "steps": training.steps,
             "architecture": architecture,
             "recipe": json.dumps(asdict(recipe)), "training": json.dumps(asdict(training)),
             **_training_facts(training, len(pixels))}  # fmt: skip
    tensors, out = {}, []
    for step, network in train(module, train_pixels, train_labels, training, draw.generator):
        state = {name: value.clone().contiguous() for name, value in network.state_dict().items()}
        tensors |= {f"{len(out)}/{name}": value for name, value in state.items()}
        out.append(
            {
                **facts,
                "step": step,
                "final": step == training.steps,
                **_measure_all(network, images, train_pixels, train_labels, training),
            }
        )
    return WildRun(tensors, out)


def _training_facts(training: WildTraining, available: int) -> dict[str, str | float]:
    """The facts of a training that are shown of a network, and its pixel normalization as in a file's metadata."""
    return {
        "optimizer": training.optimizer,
        "learning_rate": training.learning_rate,
        "train_share": training.train_images / available,
        "shuffled_labels": training.shuffled_labels,
        **write_pixels(training.pixels),
    }


def _measure_all(
    network: nn.Module, images: str, train_pixels: Tensor, train_labels: Tensor, training: WildTraining
) -> dict[str, float]:
    """Accuracy and loss on the test pictures, and on the first training pictures with the labels used in training."""
    test = measure(network, *wild_images(images, "test"), training.pixels)
    first = slice(MEASURED_TRAINING_IMAGES)
    train = measure(network, train_pixels[first], train_labels[first], training.pixels)
    return {
        "test_accuracy": test[0],
        "test_loss": test[1],
        "train_accuracy": train[0],
        "train_loss": train[1],
    }


@torch.no_grad()
def measure(
    network: nn.Module, images: Tensor, labels: Tensor, pixels: Pixels, batch: int = 100
) -> tuple[float, float]:
    """Accuracy and mean cross entropy of a network on labelled uint8 pictures `(n, c, h, w)`."""
    right, loss = 0, 0.0
    for x, target in zip(images.split(batch), labels.split(batch), strict=True):
        scores = network(pixels(x.float() / 255).contiguous(memory_format=torch.channels_last))
        right += int((scores.argmax(1) == target).sum())
        loss += float(F.cross_entropy(scores, target, reduction="sum"))
    return right / len(labels), loss / len(labels)


@cache
def wild_images(name: str, split: str) -> tuple[Tensor, Tensor]:
    """All pictures of a split, uint8 `(n, c, h, w)`, and their labels; cached per process."""
    images, labels = load_images(name.removesuffix(GRAY), split, slice(None))
    return (to_gray(images) if name.endswith(GRAY) else images), labels


@cache
def own_pixels(name: str) -> Pixels:
    """The mean and standard deviation of a set's own pixels, to four digits."""
    images, labels = wild_images(name, "train")
    return own_statistics(PictureSet(name, images[:5_000], labels[:5_000]), images.shape[1])


def _subset(training: WildTraining, available: int, generator: torch.Generator) -> Tensor:
    if training.subset == "first":
        return torch.arange(training.train_images)
    return torch.randperm(available, generator=generator)[: training.train_images]


def _shuffle(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Replace a fraction of the labels with random ones, each class equally likely."""
    drawn = torch.randint(10, labels.shape, generator=generator)
    return torch.where(torch.rand(labels.shape, generator=generator) < fraction, drawn, labels)
