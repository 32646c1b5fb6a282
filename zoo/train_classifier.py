"""Train `InrClassifier` on images degraded like a SIREN's rendering, on SIRENs, and on pictures that show nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F

from nfn.classifier import InrClassifier, InrClassifierConfig, as_three_channels
from nfn.siren import random_sirens, render
from nfn.spec import NetworkSpec
from zoo.collection import Collection
from zoo.images import IMAGE_SETS, find_image_set, load_images, to_float
from zoo.training import low_precision, run_steps, step_generator

SIZE = 32


@dataclass(frozen=True)
class ClassifierRecipe:
    """Settings. A batch holds `shares` of each image set, `siren_share` of them SIRENs; the rest are negatives."""

    steps: int = 5000
    batch: int = 256
    learning_rate: float = 0.15
    weight_decay: float = 5e-4
    shares: tuple[tuple[str, float], ...] = (("mnist", 0.12), ("fashion_mnist", 0.3), ("cifar10", 0.5))
    siren_share: float = 0.25
    label_smoothing: float = 0.02
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """Pictures `(n, c, size, size)` of one image set as half floats in [-1, 1] or uint8, and their classes `(n,)`."""

    pictures: torch.Tensor
    classes: torch.Tensor

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """A random batch as float32 at the probe grid's size."""
        index = torch.randint(len(self.classes), (count,), generator=generator)
        pictures = self.pictures[index]
        pixels = to_float(pictures) if pictures.dtype == torch.uint8 else pictures.float()
        return to_grid(pixels), self.classes[index]


def to_grid(pixels: torch.Tensor) -> torch.Tensor:
    """Resample to the probe grid, aligning corners, as the coordinates of a SIREN do."""
    if pixels.shape[-1] == SIZE:
        return pixels
    return F.interpolate(pixels, (SIZE, SIZE), mode="bilinear", align_corners=True)


def default_config() -> InrClassifierConfig:
    """A config with all labels of all image sets."""
    return InrClassifierConfig(labels={name: list(s.labels) for name, s in IMAGE_SETS.items()}, size=SIZE)


def train_classifier(
    collections: Sequence[Path], recipe: ClassifierRecipe, folder: Path, device: str
) -> InrClassifier:
    """Train on the images' training split and on `collections` of SIRENs fitted to it; checkpoints are in `folder`."""
    torch.manual_seed(recipe.seed)
    model = InrClassifier(default_config()).to(device).train()
    images = {name: image_examples(model, name) for name, _ in recipe.shares}
    sirens = siren_examples(model, [Collection(path) for path in collections])
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, 0.9, 0, recipe.weight_decay, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, recipe.steps, pct_start=0.2
    )

    def step(i: int) -> float:
        torch.manual_seed(recipe.seed + i)  # dropout
        pictures, classes = training_batch(images, sirens, recipe, step_generator(recipe.seed, i))
        with low_precision(device):
            logits = model(pictures.to(device))
        loss = F.cross_entropy(logits.float(), classes.to(device), label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    run_steps(step, recipe.steps, {"model": model, "optimizer": optimizer, "schedule": schedule}, folder)
    return model.eval()


def calibrate(model: InrClassifier, validation: Sequence[Path]) -> None:
    """Fit the temperature on SIRENs of held-out images, and set the threshold so that 99% of them are typical."""
    model.log_temperature.zero_()
    rows = [validation_logits(model, Collection(path)) for path in validation]
    logits, classes = torch.cat([r[0] for r in rows]), torch.cat([r[1] for r in rows])
    grid = torch.linspace(-2, 2, 401)
    losses = torch.stack([F.cross_entropy(logits / t.exp(), classes) for t in grid])
    model.log_temperature.fill_(float(grid[losses.argmin()]))
    typicality = 1 - torch.softmax(logits / model.log_temperature.exp(), 1)[:, -1]
    threshold = round(float(typicality.quantile(0.01)), 4)
    model.config = replace(model.config, typical_from=dict.fromkeys(model.config.labels, threshold))


@torch.no_grad()
def validation_logits(model: InrClassifier, collection: Collection) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and class indices of a whole collection."""
    features = collection.normalized().to(model.device)
    parts = [model(model.probe(features.select(slice(i, i + 500)))) for i in range(0, len(collection), 500)]
    classes = collection.labels + model.class_offset(collection.spec.images["name"])
    return torch.cat(parts).float().cpu(), classes


def image_examples(model: InrClassifier, name: str) -> Examples:
    """All training images of a set."""
    images, labels = load_images(name, "train", slice(None))
    return Examples(images, labels + model.class_offset(name))


def siren_examples(model: InrClassifier, collections: Sequence[Collection]) -> dict[str, Examples]:
    """The renderings of all SIRENs of each image set."""
    by_images: dict[str, list[Examples]] = {}
    for collection in collections:
        features = collection.normalized()
        pictures = [
            render(features.select(slice(i, i + 500)), SIZE, SIZE).half()
            for i in range(0, len(collection), 500)
        ]
        name = collection.spec.images["name"]
        by_images.setdefault(name, []).append(
            Examples(torch.cat(pictures), collection.labels + model.class_offset(name))
        )
    return {name: _join(parts) for name, parts in by_images.items()}


def _join(parts: list[Examples]) -> Examples:
    return Examples(torch.cat([p.pictures for p in parts]), torch.cat([p.classes for p in parts]))


def training_batch(
    images: dict[str, Examples], sirens: dict[str, Examples], recipe: ClassifierRecipe, generator
):
    """One batch: for each image set SIRENs and degraded images, then negatives of the class "none of these"."""
    pictures, classes = [], []
    for name, share in recipe.shares:
        count = round(recipe.batch * share)
        fitted = round(count * recipe.siren_share) if name in sirens else 0
        pixels, pixel_classes = images[name].draw(count - fitted, generator)
        parts, labels = [as_three_channels(roughen(pixels, generator))], [pixel_classes]
        if fitted:
            smooth, siren_classes = sirens[name].draw(fitted, generator)
            parts.append(as_three_channels(smooth))
            labels.append(siren_classes)
        pictures.append(augment(torch.cat(parts), name, generator))
        classes += labels
    nothing = negatives(recipe.batch - sum(map(len, pictures)), torch.cat(pictures), generator)
    none_of_these = sum(len(find_image_set(name).labels) for name in IMAGE_SETS)
    return torch.cat([*pictures, nothing]), torch.cat([*classes, torch.full((len(nothing),), none_of_these)])


def augment(pictures: torch.Tensor, name: str, generator: torch.Generator) -> torch.Tensor:
    """Shift each picture by up to three pixels (edges repeat) and mirror half of them, except digits."""
    reach = 3
    padded = F.pad(pictures, (reach,) * 4, mode="replicate")
    shifts = torch.randint(2 * reach + 1, (len(pictures), 2), generator=generator)
    span = torch.arange(SIZE)
    rows, cols = shifts[:, :1] + span, shifts[:, 1:] + span
    if name != "mnist":
        mirrored = torch.rand(len(pictures), generator=generator) < 0.5
        cols = torch.where(mirrored[:, None], cols.flip(1), cols)
    batch, channel = torch.arange(len(pictures))[:, None, None, None], torch.arange(3)[None, :, None, None]
    return padded[batch, channel, rows[:, None, :, None], cols[:, None, None, :]]


def roughen(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Degrade images as a SIREN's fit does: a third lose fine detail, all get noise of 20 to 45 dB, partly smooth."""
    third = len(pictures) // 3
    size = int(torch.randint(16, 29, (), generator=generator))
    coarse = F.interpolate(F.interpolate(pictures[:third], (size, size), mode="area"), (SIZE, SIZE), mode="bilinear",
                           align_corners=True)  # fmt: skip
    pictures = torch.cat([coarse, pictures[third:]])
    noise = torch.randn(pictures.shape, generator=generator)
    noise[::2] = F.avg_pool2d(noise[::2], 3, 1, 1) * 3
    decibel = 20 + 25 * torch.rand(len(pictures), 1, 1, 1, generator=generator)
    return pictures + noise * 2 * 10 ** (-decibel / 20)


def negatives(count: int, pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures `(count, 3, size, size)` that show nothing: untrained SIRENs, noise of any scale, scrambled images."""
    third = count // 3
    channels = 1 if torch.rand((), generator=generator) < 0.5 else 3
    untrained = random_sirens(third, NetworkSpec.mlp(2, 32, 32, channels), generator)
    scale = 0.5 + 3 * torch.rand(third, generator=generator)
    untrained = untrained.map(lambda x: x * scale.view(-1, *[1] * (x.ndim - 1)))
    grain = int(torch.randint(1, SIZE + 1, (), generator=generator))
    noise = torch.randn(third, channels, grain, grain, generator=generator) * (
        0.2 + torch.rand((), generator=generator)
    )
    blocks = scramble(
        pictures[torch.randint(len(pictures), (count - 2 * third,), generator=generator)], generator
    )
    parts = [render(untrained, SIZE, SIZE), F.interpolate(noise, (SIZE, SIZE), mode="bilinear")]
    return torch.cat([*(as_three_channels(part) for part in parts), blocks])


def scramble(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cut pictures into blocks of 1, 2, 4 or 8 pixels and put these back in random order."""
    block = 2 ** int(torch.randint(4, (), generator=generator))
    blocks = F.unfold(pictures, block, stride=block)
    order = torch.randperm(blocks.shape[2], generator=generator)
    return F.fold(blocks[:, :, order], SIZE, block, stride=block)
