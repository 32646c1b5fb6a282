"""Train `WeightReader` to predict any column of any collection of chains from weights alone, on a CPU.

    python -m zoo train reader --task label --out my-reader COLLECTION...

A batch is networks drawn at random; SIRENs are first transformed at random (`nfn.augment`), which changes the picture
but not its label. The learning rate warms up, stays, and decays to zero. A stopped run can be resumed, even with more
or fewer steps.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn.augment import Moves, jitter, random_moves
from nfn.classifier import InrClassifier
from nfn.features import WeightSpaceFeatures
from nfn.weight_reader import ACTIVATIONS, Canonical, WeightReader, WeightReaderConfig
from zoo.collection import Collection
from zoo.distill import teach
from zoo.errors import ZooError
from zoo.files import read_json, write_json
from zoo.training import low_precision, run_steps, step_generator

log = logging.getLogger(__name__)
LABEL, ACCURACY = "label", "accuracy"
COLUMNS = {ACCURACY: "test_accuracy"}
"""Short names of columns."""
MOVES = {
    "mnist": Moves(rotation=0.15, scale=0.12, shear=0.12, shift=0.07),
    "fashion_mnist": Moves(0.05, 0.06, 0.04, 0.05, mirror=True, contrast=0.06, brightness=0.02),
    "cifar10": Moves(rotation=0.12, scale=0.15, mirror=True, contrast=0.25, brightness=0.15),
}
"""The transformations of a picture of each image set that keep its label."""
VIEWS = 8
"""The number of copies of a SIREN over which labels are averaged, besides mirrored ones."""
WITHOUT_WEIGHTS = ("dropout", "views", "moves", "mirror")
"""Values of a config that no weight depends on."""
CURVE_FILE = "curve.json"
HELD_OUT = 0.05
"""The last networks of each collection, used for validation if there is no such split."""
BATCH = 500
DISTILLATION = 0.8
"""With a teacher."""
Teacher = Callable[[Collection], Tensor]
"""The class probabilities `(n, labels)` of a collection's networks."""


@dataclass(frozen=True)
class ReaderSize:
    """The size of a reader, as in `WeightReaderConfig`."""

    channels: int = WeightReaderConfig.channels
    rounds: int = WeightReaderConfig.rounds
    wide: int = WeightReaderConfig.wide


@dataclass(frozen=True)
class ReaderRecipe:
    """AdamW, gradients clipped at norm 1; `rise` and `fall` are the fractions of all steps in which the rate changes.

    `noise` is added to weights, relative to their typical size. `distillation` is the weight of the loss against a
    teacher's probabilities; that against the labels has the rest.
    """

    samples: int = 1_000_000
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    rise: float = 0.05
    fall: float = 0.5
    label_smoothing: float = 0.05
    noise: float = 0.01
    seed: int = 0
    distillation: float = 0.0

    @property
    def steps(self) -> int:
        """The number of batches."""
        return max(1, self.samples // self.batch)

    def rate(self, step: int) -> float:
        """The learning rate of one step."""
        done = (step + 1) / self.steps
        return self.learning_rate * min(1.0, done / self.rise, (1 - step / self.steps) / self.fall)


@dataclass(frozen=True)
class Examples:
    """Networks `(n, 1, ...)` in our convention, their targets `(n,)`, and which are for training or validation.

    `moves` is None if the networks are not pictures, `activations` is empty if they are. Checkpoints along a training
    are drawn half as often as its end (`weights`). `taught` has a teacher's probabilities `(n, outputs)`.
    """

    features: WeightSpaceFeatures
    targets: Tensor
    train: Tensor
    validation: Tensor
    moves: Moves | None = None
    activations: tuple[str, ...] = ()
    weights: Tensor | None = None
    taught: Tensor | None = None

    def draw(self, count: int, generator: torch.Generator) -> tuple[WeightSpaceFeatures, Tensor]:
        """Random training networks, transformed, and their rows."""
        if self.weights is None:
            places = torch.randint(len(self.train), (count,), generator=generator)
        else:
            places = torch.multinomial(self.weights[self.train], count, replacement=True, generator=generator)
        rows = self.train[places]
        features = self.features.select(rows)
        moved = features if self.moves is None else random_moves(features, self.moves, generator)
        return moved, rows

    def activations_of(self, rows: Tensor) -> list[str]:
        """The activations of these rows, none for SIRENs."""
        return [self.activations[row] for row in rows.tolist()] if self.activations else []


def reader_config(task: str, collections: Sequence[Collection], size: ReaderSize) -> WeightReaderConfig:
    """A config for these collections; ZooError if they do not have the column, or differ in shape."""
    specs = {collection.spec.network for collection in collections}
    if len(specs) != 1:
        raise ZooError(f"A reader reads networks of one shape; these collections have {len(specs)}.")
    for collection in collections:
        if column_of(task) not in collection.rows.column_names:
            columns = ", ".join(collection.rows.column_names)
            raise ZooError(
                f"{collection.folder.name} has no column {column_of(task)!r}: choose one of {columns}."
            )
    labels = {c.images: list(c.spec.label_names) for c in collections} if task == LABEL else {}
    names = list(dict.fromkeys(c.images for c in collections))
    pictures = bool(labels) and are_sirens(collections)
    mirror = tuple(name for name in labels if MOVES.get(name, Moves()).mirror) if pictures else ()
    return WeightReaderConfig(
        shapes=tuple(weight.shape for weight in collections[0].spec.network.weight_spec),
        task=task, labels=labels, canonical=canonical_of(collections),
        channels=size.channels, rounds=size.rounds, wide=size.wide,
        waves=size.channels if are_sirens(collections) else 0, dropout=0.03 if are_sirens(collections) else 0.3,
        views=VIEWS if pictures else 1, moves=view_moves(names), mirror=mirror,
        images="" if labels or len(names) > 1 else names[0],
    )  # fmt: skip


def view_moves(names: Sequence[str]) -> tuple[float, float, float, float]:
    """The ranges in which the pictures of a reader's answer are moved: the means of those in training."""
    ranges = [(m.rotation, m.scale, m.shear, m.shift) for m in (MOVES.get(name, Moves()) for name in names)]
    rotation, scale, shear, shift = (sum(values) / len(ranges) for values in zip(*ranges, strict=True))
    return rotation, scale, shear, shift


def column_of(task: str) -> str:
    """The column of `networks.parquet` for a task."""
    return COLUMNS.get(task, task)


def canonical_of(collections: Sequence[Collection]) -> Canonical:
    """The symmetries of units that the networks have besides permutation."""
    if are_sirens(collections):
        return "sine"
    by_own = all(set(activations_of(c)) and set(activations_of(c)) <= set(ACTIVATIONS) for c in collections)
    return "activation" if by_own else "none"


def are_sirens(collections: Sequence[Collection]) -> bool:
    """Whether these collections of one shape hold SIRENs."""
    return collections[0].spec.family.network == "siren"


def default_noise(collections: Sequence[Path]) -> float:
    """The noise to train with: there are fewer classifiers than SIRENs, and they are not moved."""
    return 0.003 if are_sirens([Collection(path) for path in collections]) else 0.1


def activations_of(collection: Collection) -> tuple[str, ...]:
    """The activation of every classifier; empty for other networks."""
    table = collection.rows
    return tuple(table["activation"].to_pylist()) if "activation" in table.column_names else ()


def read_examples(
    model: WeightReader, collections: Sequence[Collection], teacher: Teacher | None = None
) -> list[Examples]:
    """The networks of each image set, with the teacher's probabilities if there is one."""
    by_images: dict[str, list[Examples]] = {}
    for collection in collections:
        column = torch.tensor(collection.rows[column_of(model.config.task)].to_numpy())
        offset = model.class_offset(collection.images) if model.config.labels else 0
        train, validation = split_rows(collection)
        moves = MOVES.get(collection.images, Moves()) if are_sirens([collection]) else None
        targets = column + offset if model.config.labels else column.float()
        activations, weights = activations_of(collection), draw_weights(collection)
        after = model.config.outputs - offset - len(collection.spec.label_names)
        taught = None if teacher is None else F.pad(teacher(collection), (offset, after))
        examples = Examples(
            collection.normalized(), targets, train, validation, moves, activations, weights, taught
        )
        by_images.setdefault(collection.images, []).append(examples)
    return [join(parts) for parts in by_images.values()]


def draw_weights(collection: Collection) -> Tensor | None:
    """How often to draw each network, relative to others; None for all alike."""
    if "final" not in collection.rows.column_names:
        return None
    return 1.0 + torch.tensor(collection.rows["final"].to_pylist()).float()


def split_rows(collection: Collection) -> tuple[Tensor, Tensor]:
    """Row numbers for training and for validation; the last training ones if there is no validation split."""
    splits = collection.rows["split"].to_pylist()
    train = torch.tensor([i for i, split in enumerate(splits) if split == "train"])
    watched = torch.tensor([i for i, split in enumerate(splits) if split == "validation"])
    if not len(train):
        raise ZooError(f"{collection.folder.name} has no networks in the split 'train' to train on.")
    held = 0 if len(watched) else max(1, round(HELD_OUT * len(train)))
    return train[: len(train) - held], watched if len(watched) else train[len(train) - held :]


def join(parts: Sequence[Examples]) -> Examples:
    """The examples of several collections of one image set."""
    starts = [sum(len(p.targets) for p in parts[:i]) for i in range(len(parts))]
    return Examples(
        WeightSpaceFeatures.cat([p.features for p in parts]),
        torch.cat([p.targets for p in parts]),
        torch.cat([p.train + at for p, at in zip(parts, starts, strict=True)]),
        torch.cat([p.validation + at for p, at in zip(parts, starts, strict=True)]),
        parts[0].moves,
        tuple(activation for part in parts for activation in part.activations),
        None if parts[0].weights is None else torch.cat([p.weights for p in parts if p.weights is not None]),
        None if parts[0].taught is None else torch.cat([p.taught for p in parts if p.taught is not None]),
    )


def train_reader(
    collections: Sequence[Path],
    task: str,
    size: ReaderSize,
    recipe: ReaderRecipe,
    folder: Path,
    device: str,
    teacher: InrClassifier | None = None,
    start: WeightReader | None = None,
) -> WeightReader:
    """Train on the collections' training networks; checkpoints and the validation curve are in `folder`.

    `teacher` classifies the pictures of SIRENs, for the recipe's `distillation`; `start` is a reader to continue from,
    of the same config, or with fewer rounds or narrower pooling (ZooError if it has another). How answers are averaged,
    and the dropout, are those of a new reader.
    """
    opened = [Collection(path) for path in collections]
    torch.manual_seed(recipe.seed)
    model = WeightReader(reader_config(task, opened, size))
    probabilities = None if teacher is None else lambda c: teach(teacher, c, folder / taught_file(c))
    sets = read_examples(model, opened, probabilities)
    if start is None:
        prepare(model, sets)
    else:
        continue_from(model, start)
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    every, curve = max(1, recipe.steps // 40), folder / CURVE_FILE
    began = time.perf_counter() - seconds_until_now(curve)

    def step(i: int) -> float:
        loss = train_step(model, optimizer, sets, recipe, i)
        if (i + 1) % every == 0:
            scores = validation_scores(model, sets)
            append_validation(curve, (i + 1) * recipe.batch, scores, time.perf_counter() - began)
        return loss

    run_steps(step, recipe.steps, {"model": model, "optimizer": optimizer}, folder, every)
    return model.eval()


def taught_file(collection: Collection) -> str:
    """The file of a teacher's probabilities: another one for another folder, and once a collection has grown."""
    place = hashlib.sha256(str(collection.folder.resolve()).encode()).hexdigest()[:8]
    return f"teacher-{collection.folder.name}-{place}-{len(collection)}.pt"


def continue_from(model: WeightReader, start: WeightReader) -> None:
    """Make `model` answer as `start` does, a reader of its config or one with fewer rounds or narrower pooling.

    What `model` has more adds nothing at first (Net2Net, arXiv:1511.05641): further messages are zero, and so are the
    weights of the head for what is pooled in addition.
    """
    other = start.config
    config = replace(model.config, mean=other.mean, deviation=other.deviation)
    smaller = replace(config, rounds=min(config.rounds, other.rounds), wide=other.wide)
    smaller = replace(smaller, **{name: getattr(other, name) for name in WITHOUT_WEIGHTS})
    if smaller != other or other.wide not in (0, config.wide):
        raise ZooError(f"The reader to start from has another config: {other}, and not {config}.")
    model.config = config
    known, grown = start.state_dict(), model.state_dict()
    for name in grown.keys() - known.keys():
        if name.startswith("sweeps") and ".net.3." in name:  # the last layer of an update
            grown[name].zero_()
    head = known["head.0.weight"]
    known["head.0.weight"] = F.pad(head, (0, grown["head.0.weight"].shape[1] - head.shape[1]))
    model.load_state_dict(grown | known)


def train_step(
    model: WeightReader,
    optimizer: torch.optim.Optimizer,
    sets: Sequence[Examples],
    recipe: ReaderRecipe,
    i: int,
) -> float:
    """One batch at the recipe's learning rate; return the loss."""
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(i)
    torch.manual_seed(recipe.seed + i)  # dropout
    loss = batch_loss(model, sets, recipe, step_generator(recipe.seed, i))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def prepare(model: WeightReader, sets: Sequence[Examples]) -> None:
    """Measure typical sizes of weights and, for a column of numbers, of its values."""
    training = WeightSpaceFeatures.cat([s.features.select(s.train[:2000]) for s in sets])
    model.measure(training, [name for s in sets for name in s.activations_of(s.train[:2000])])
    if not model.config.labels:
        numbers = torch.cat([s.targets[s.train] for s in sets])
        model.config = replace(model.config, mean=float(numbers.mean()), deviation=float(numbers.std()))


def batch_loss(
    model: WeightReader, sets: Sequence[Examples], recipe: ReaderRecipe, generator: torch.Generator
) -> Tensor:
    """The loss of one batch, in which each image set has its fraction of all networks."""
    total = sum(len(s.train) for s in sets)
    parts = [s.draw(max(1, round(recipe.batch * len(s.train) / total)), generator) for s in sets]
    rows = [rows for _, rows in parts]
    features = WeightSpaceFeatures.cat([features for features, _ in parts])
    activations = [name for s, chosen in zip(sets, rows, strict=True) for name in s.activations_of(chosen)]
    features = jitter(model.canonical(features, activations), recipe.noise, generator).to(model.device)
    targets = torch.cat([s.targets[chosen] for s, chosen in zip(sets, rows, strict=True)]).to(model.device)
    with low_precision(model.device.type):
        out = model(features, activations)
    out = out.float()
    if not model.config.labels:
        return F.smooth_l1_loss(out[:, 0], (targets - model.config.mean) / model.config.deviation, beta=0.5)
    loss = F.cross_entropy(out, targets, label_smoothing=recipe.label_smoothing)
    taught = [s.taught[chosen] for s, chosen in zip(sets, rows, strict=True) if s.taught is not None]
    if not taught:
        return loss
    return loss.lerp(F.cross_entropy(out, torch.cat(taught).to(out)), recipe.distillation)


@torch.no_grad()
def run_batched(
    read: Callable[..., Tensor], features: WeightSpaceFeatures, activations: Sequence[str] = ()
) -> Tensor:
    """Run a reader, or its `read`, on many networks in batches, `(n, outputs)`; classifiers with their activations."""
    parts = [slice(i, i + BATCH) for i in range(0, len(features.tensors[0]), BATCH)]
    return torch.cat([read(features.select(part), activations[part]).cpu() for part in parts])


def validation_scores(model: WeightReader, sets: Sequence[Examples]) -> list[float]:
    """For each image set: validation accuracy of labels, or the mean error of a number."""
    model.eval()
    scores = []
    for examples in sets:
        rows = examples.validation
        out = run_batched(
            model, examples.features.select(rows).to(model.device), examples.activations_of(rows)
        )
        truth = examples.targets[rows]
        if model.config.labels:
            scores.append(round(float((out.argmax(1) == truth).float().mean()), 4))
        else:
            numbers = out[:, 0] * model.config.deviation + model.config.mean
            scores.append(round(float((numbers - truth).abs().mean()), 5))
    model.train()
    return scores


def append_validation(path: Path, samples: int, scores: list[float], seconds: float) -> None:
    """Append a row to the validation curve, dropping rows of later steps that a stopped run wrote."""
    rows = read_json(path)["rows"] if path.exists() else []
    rows = [row for row in rows if row["samples"] < samples]
    row = {"samples": samples, "seconds": round(seconds), "validation": scores}
    write_json(path, {"rows": [*rows, row]})
    log.info("%s networks seen, validation %s", f"{samples:,}", ", ".join(map(str, scores)))


def seconds_until_now(curve: Path) -> int:
    """The total duration of the runs that wrote this curve, in seconds."""
    return read_json(curve)["rows"][-1]["seconds"] if curve.exists() else 0
