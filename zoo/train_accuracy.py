"""Train `AccuracyPredictor`: run wild networks on pictures, fit Gaussian processes, calibrate on left-out runs."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from nfn.accuracy.answers import angle
from nfn.accuracy.gaussian_process import GaussianProcess
from nfn.accuracy.predictor import CLASSES, PLAIN, AccuracyConfig, AccuracyPredictor, Look, StoredPictures
from nfn.mosaic import pack
from zoo.build_wild import GRAY, wild_image_sets, wild_images
from zoo.errors import ZooError
from zoo.images import IMAGE_SETS
from zoo.wild_collection import wild_networks, wild_rows

LOOKS = (2_000, 300)
"""The number of stored pictures that a network is run on, and the number for one with very many multiply-adds."""
PERTURBATIONS = (PLAIN, "flipped", "turned by 10 degrees", "turned by 25 degrees")
FEATURES: tuple[tuple[str, str], ...] = (
    *((name, "accuracy") for name in PERTURBATIONS),
    (PLAIN, "likelihood"),
    ("turned by 25 degrees", "likelihood"),
)
"""Of eight perturbations and eleven statistics, those with the best likelihood of left-out runs: with more inputs the
process fits noise."""
FARTHEST = 0.99
CORRECTION_ERRORS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""Candidates of how much the standard deviation of an error grows per unit of correction."""


@dataclass(frozen=True)
class AccuracyRecipe:
    """Training settings: `steps` of Adam on the marginal likelihood; `folds` of left-out runs for calibration."""

    steps: int = 150
    learning_rate: float = 0.05
    folds: int = 10
    coverage: float = 0.9


@dataclass(frozen=True)
class Examples:
    """Networks as inputs of the predictor: statistics `(looks, n, perturbations, statistics)`, and facts of each."""

    read: Tensor
    facts: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.facts)

    def where(self, belongs: Callable[[dict[str, Any]], bool]) -> "Examples":
        """The examples whose facts satisfy `belongs`."""
        chosen = [i for i, facts in enumerate(self.facts) if belongs(facts)]
        return Examples(self.read[:, chosen], [self.facts[i] for i in chosen])

    @property
    def groups(self) -> Tensor:
        """The image set index of each network `(n,)`."""
        names = wild_image_sets()
        return torch.tensor([names.index(facts["images"]) for facts in self.facts])

    @property
    def accuracy(self) -> Tensor:
        """Test accuracies `(n,)`."""
        return torch.tensor([facts["test_accuracy"] for facts in self.facts], dtype=torch.float64)

    @property
    def runs(self) -> Tensor:
        """The training run index of each network `(n,)`."""
        keys = [(facts["collection"], facts["run"]) for facts in self.facts]
        order = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return torch.tensor([order[key] for key in keys])


@dataclass(frozen=True)
class Rows:
    """What a process learns from: features `(n, d)`, targets, image set and run indices, all `(n,)`."""

    inputs: Tensor
    targets: Tensor
    group: Tensor
    run: Tensor

    def __add__(self, other: "Rows") -> "Rows":
        """Both; their runs are different ones."""
        return Rows(
            torch.cat([self.inputs, other.inputs]),
            torch.cat([self.targets, other.targets]),
            torch.cat([self.group, other.group]),
            torch.cat([self.run, other.run + int(self.run.max()) + 1]),
        )


def rows_of(model: AccuracyPredictor, look: int, examples: Examples) -> Rows:
    """Networks as rows: the target is the difference between test accuracy and accuracy on the pictures."""
    features = model.features(examples.read[look])
    return Rows(features, angle(examples.accuracy) - features[:, 0], examples.groups, examples.runs)


def stored_rows(model: AccuracyPredictor, look: int) -> Rows:
    """The rows that a trained predictor learned from, as it stores them."""
    process = _process(model, look)
    return Rows(process.inputs.double(), process.targets.double(), process.group, process.run)


def train_accuracy(
    folders: Sequence[Path],
    recipe: AccuracyRecipe,
    work: Path,
    features: Sequence[tuple[str, str]] = FEATURES,
    earlier: AccuracyPredictor | None = None,
) -> AccuracyPredictor:
    """Train on the training splits of wild zoos. Statistics read from their networks are cached in `work`.

    With an `earlier` predictor, whose pictures and features are used, also on all networks that it learned from: it
    stores what it read of them, so that they are not needed again.
    """
    blank = earlier
    if blank is None:
        blank = AccuracyPredictor(blank_config(features))
        fill_pictures(blank)
    examples = read_folders(blank, folders, work).where(lambda facts: facts["split"] == "train")
    if not examples:
        raise ZooError("These folders have no network in the training split.")
    rows = [rows_of(blank, look, examples) for look in range(len(blank.config.looks))]
    if earlier is not None:
        rows = [stored_rows(earlier, look) + new for look, new in enumerate(rows)]
    looks = tuple(replace(look, examples=len(rows[0].targets)) for look in blank.config.looks)
    model = AccuracyPredictor(replace(blank.config, looks=looks, coverage=recipe.coverage))
    processes = {name: value for name, value in model.state_dict().items() if name.startswith("processes")}
    model.load_state_dict(blank.state_dict() | processes)
    for look, learned in enumerate(rows):
        fit(model, look, learned, recipe)
        calibrate(model, look, recipe)
    return model.eval()


def blank_config(features: Sequence[tuple[str, str]]) -> AccuracyConfig:
    """A config for the stored pictures, with no training networks yet."""
    stored = {}
    for name in IMAGE_SETS:
        images = stored_pictures(name)[0]
        count, channels, size, _ = images.shape
        stored[name] = StoredPictures(count, size, channels, len(mosaic(images)), class_shares(name))
    looks = tuple(Look(pictures, 2) for pictures in LOOKS)
    return AccuracyConfig(wild_image_sets(), stored, PERTURBATIONS, tuple(features), looks)


def stored_pictures(name: str) -> tuple[Tensor, Tensor]:
    """The first training pictures of a set and their labels, which trainings on part of the set often include too."""
    images, labels = wild_images(name, "train")
    return images[: LOOKS[0]], labels[: LOOKS[0]]


def class_shares(name: str) -> tuple[float, ...]:
    """The fraction of each of the ten classes in the published training split."""
    labels = torch.cat([wild_images(name, split)[1] for split in ("train", "validation")])
    return tuple((torch.bincount(labels, minlength=CLASSES).double() / len(labels)).tolist())


def mosaic(images: Tensor) -> Tensor:
    """The bytes in which pictures are stored: JPEG for colour, which would be three times as large without loss."""
    return pack(images, lossless=images.shape[1] == 1)


def fill_pictures(model: AccuracyPredictor) -> None:
    """Store the pictures in the model."""
    for name in model.config.stored:
        images, labels = stored_pictures(name)
        getattr(model, f"mosaic_{name}").copy_(mosaic(images))
        getattr(model, f"labels_{name}").copy_(labels)


def read_folders(model: AccuracyPredictor, folders: Sequence[Path], work: Path) -> Examples:
    """All networks of finished builds as examples, from the cache in `work` if they were read before."""
    parts = [read_folder(model, folder, work) for folder in folders]
    return Examples(torch.cat([p.read for p in parts], 1), [facts for p in parts for facts in p.facts])


def read_folder(model: AccuracyPredictor, folder: Path, work: Path) -> Examples:
    """As `read_folders`, for one folder."""
    cache = work / f"{folder.name}.pt"
    read = _read_cache(cache, model.config.perturbations)
    rows: list[dict[str, Any]] = []
    for network in track(wild_networks(folder), f"reading {folder.name}", len(wild_rows(folder))):
        facts = {**network.facts, "collection": folder.name, "cost": network.architecture.multiplications}
        key = f"{facts['run']} {facts['step']}"
        if key not in read:
            name, shape = facts["images"].removesuffix(GRAY), network.architecture.input_shape
            assert len(shape) == 3, "Wild networks take pictures."
            looks = range(len(model.config.looks))
            read[key] = torch.stack([model.statistics(name, shape, network.scores, look) for look in looks])
        rows.append({**facts, "key": key})
    work.mkdir(parents=True, exist_ok=True)
    torch.save({"perturbations": list(model.config.perturbations), "read": read}, cache)
    return Examples(torch.stack([read[facts["key"]] for facts in rows], 1), rows)


def _read_cache(cache: Path, perturbations: Sequence[str]) -> dict[str, Tensor]:
    """The cached statistics of each network under these perturbations; nothing if one of them is missing."""
    if not cache.exists():
        return {}
    noise = torch.load(cache, weights_only=True)
    if not set(perturbations) <= set(noise["perturbations"]):
        return {}
    columns = [noise["perturbations"].index(name) for name in perturbations]
    return {key: values[:, columns] for key, values in noise["read"].items()}


def fit(model: AccuracyPredictor, look: int, rows: Rows, recipe: AccuracyRecipe) -> None:
    """Fit the process to these rows, with its scales."""
    process = _process(model, look)
    noise = torch.full((len(rows.targets),), 0.25 / model.config.test_pictures)
    process.set_examples(rows.inputs, rows.targets, rows.group, rows.run, noise)
    optimizer = torch.optim.Adam(process.parameters(), recipe.learning_rate)
    for _ in range(recipe.steps):
        loss = process.loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    process.forget()


def calibrate(model: AccuracyPredictor, look: int, recipe: AccuracyRecipe) -> None:
    """Set the scale of errors, the conformal quantile of each group, and the largest usual deviation, from left-out
    runs."""
    process = _process(model, look)
    shift, deviation = leave_out(process, process.run, recipe.folds)
    set_look(model, look, farthest=float(deviation.quantile(FARTHEST)))
    set_look(model, look, correction_error=likeliest_correction_error(model, look, shift, deviation))
    errors = relative_errors(model, look, shift, deviation, process.targets)
    set_look(model, look, quantiles=group_quantiles(model, look, errors, recipe.coverage))


def set_look(model: AccuracyPredictor, look: int, **values: Any) -> None:
    """Replace some values of a look in the model's config."""
    looks = list(model.config.looks)
    looks[look] = replace(looks[look], **values)
    model.config = replace(model.config, looks=tuple(looks))


def likeliest_correction_error(
    model: AccuracyPredictor, look: int, shift: Tensor, deviation: Tensor
) -> float:
    """Of `CORRECTION_ERRORS` the one under which left-out errors are likeliest, normal with a unit for each group."""
    process = _process(model, look)
    errors = (shift - process.targets.double()).abs()

    def likelihood(candidate: float) -> float:
        scales = model.error_scale(candidate, shift, deviation)
        for group in process.group.unique():
            mine = process.group == group
            scales[mine] *= (errors[mine] / scales[mine]).square().mean().sqrt()
        return float(-scales.log().sum())

    return max(CORRECTION_ERRORS, key=likelihood)


def left_out_errors(model: AccuracyPredictor, look: int, folds: int) -> Tensor:
    """The relative errors `(n,)` of the training examples, each predicted without its own fold of runs."""
    process = _process(model, look)
    return relative_errors(model, look, *leave_out(process, process.run, folds), process.targets)


def relative_errors(
    model: AccuracyPredictor, look: int, shift: Tensor, deviation: Tensor, targets: Tensor
) -> Tensor:
    """Errors `(n,)` in units of their standard deviation (`AccuracyPredictor.error_scale`)."""
    return (shift - targets.double()).abs() / model.error_scale(
        model.config.looks[look].correction_error, shift, deviation
    )


def group_quantiles(model: AccuracyPredictor, look: int, errors: Tensor, coverage: float) -> dict[str, float]:
    """The conformal quantile of each group for intervals of this coverage, from errors `(n,)` of its examples."""
    groups = _process(model, look).group
    return {
        name: conformal_quantile(errors[groups == number], coverage)
        for number, name in enumerate(model.config.groups)
        if bool((groups == number).any())
    }


def leave_out(process: GaussianProcess, runs: Tensor, folds: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation `(n,)` for each example, predicted without its own fold of runs."""
    shift, deviation = torch.zeros(2, len(runs), dtype=torch.float64)
    for fold in range(folds):
        out = runs % folds == fold
        if bool(out.any()):
            shift[out], deviation[out] = process.predict_from(~out, process.inputs[out], process.group[out])
    return shift, deviation


def conformal_quantile(errors: Tensor, coverage: float) -> float:
    """The error that a fraction `coverage` of new errors stays below, if they are distributed like these `(n,)`."""
    rank = math.ceil((len(errors) + 1) * coverage)
    return float(errors.sort().values[min(rank, len(errors)) - 1])


def describe_wild(folder: Path) -> dict[str, Any]:
    """The facts of a wild zoo for a card."""
    spec = json.loads((folder / "spec.json").read_text())
    return {"collection": folder.name, **spec["build"]}


def describe_training(model: AccuracyPredictor) -> dict[str, int]:
    """The number of networks and training runs that the model was trained on."""
    process = _process(model, 0)
    return {"networks": len(process.targets), "runs": len(process.run.unique())}


def _process(model: AccuracyPredictor, look: int) -> GaussianProcess:
    process = model.processes[look]
    assert isinstance(process, GaussianProcess), "The list holds nothing else."
    return process
