"""Import the published Small CNN Zoo (arXiv:2002.11448) as a collection.

A folder of it, one per image set, holds `weights.npy` (a flat row of parameters per checkpoint), `metrics.csv.gz` (a
row of facts for each) and `layout.csv` (`varname,start_idx,end_idx,shape` per parameter: Keras kernels (kh, kw, in,
out) and (in, out), biases). Its networks take pixels in [-1, 1], as ours do, and grayscale as the mean of the colours.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import torch

from nfn.features import WeightSpaceFeatures
from zoo.build_cnn import SPLIT_OF_25
from zoo.errors import ZooError, shorten
from zoo.files import short_name
from zoo.images import IMAGE_SETS
from zoo.shards import Shard, shard_numbers

SOURCE = "Small CNN Zoo (arXiv:2002.11448), CC BY 4.0"
FACTS = {
    "test_accuracy": "test_accuracy",
    "train_accuracy": "train_accuracy",
    "test_loss": "test_loss",
    "train_loss": "train_loss",
    "activation": "config.activation",
    "step": "step",
    "steps": "config.epochs",
    "optimizer": "config.optimizer",
    "learning_rate": "config.learning_rate",
    "weight_decay": "config.l2reg",
    "dropout": "config.dropout",
    "train_share": "config.train_fraction",
    "init": "config.w_init",
    "init_std": "config.init_std",
}
"""Our column names and the corresponding ones of the zoo; steps are epochs there."""
SVHN = {"name": "svhn_cropped", "repo": "ufldl-stanford/svhn", "size": 32, "licence": "other"}
_VARIABLE = re.compile(r"(.+)/(kernel|bias)(?::0)?")


@dataclass(frozen=True)
class Variable:
    """One parameter in the flat rows: its layer, whether it is a kernel, its position, its Keras shape."""

    layer: str
    is_kernel: bool
    start: int
    stop: int
    shape: tuple[int, ...]

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Return `(n, 1, out, in[, kh, kw])` or `(n, 1, out)` from flat rows `(n, parameters)`."""
        values = torch.from_numpy(np.array(rows[:, self.start : self.stop], np.float32))
        values = values.view(-1, 1, *self.shape)
        order = {4: (0, 1, 5, 4, 2, 3), 2: (0, 1, 3, 2), 1: (0, 1, 2)}[len(self.shape)]
        return values.permute(order).contiguous()


@dataclass(frozen=True)
class CnnImport:
    """What to import: the checkpoints of some steps (epochs) of a folder, at most the first `limit` of them."""

    folder: str
    steps: tuple[int, ...] = (86,)
    limit: int | None = None
    shard_size: int = 1000

    @property
    def total(self) -> int:
        return len(self.chosen)

    @property
    def chosen(self) -> np.ndarray:
        """The rows of `weights.npy` to import, in order: of these steps, finite, and with ReLU or tanh."""
        return _valid_rows(Path(self.folder), self.steps)[: self.limit]

    @property
    def left_out(self) -> int:
        """The number of checkpoints of these steps that are not finite (NaN), or have another activation."""
        steps = _metrics(Path(self.folder))["step"].to_numpy()
        return int(np.isin(steps, self.steps).sum()) - len(_valid_rows(Path(self.folder), self.steps))

    def check(self) -> None:
        """Raise ZooError unless the folder is in the format of the Small CNN Zoo and has such checkpoints."""
        if self.limit is not None and self.limit < 1:
            raise ZooError(f"The limit must be at least 1 network, got {self.limit}.")
        if not self.total:
            steps = sorted(set(_metrics(Path(self.folder))["step"].to_pylist()))
            raise ZooError(f"No finite checkpoint of the steps {list(self.steps)}: choose among {steps}.")

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> Shard:
        """Read the networks of one shard."""
        numbers = shard_numbers(self, shard)
        chosen = self.chosen[numbers.start : numbers.stop]
        rows = np.asarray(_weights(Path(self.folder))[chosen])
        pairs = [(kernel.read(rows), bias.read(rows)) for kernel, bias in _layers(Path(self.folder))]
        facts = [_describe(_metrics(Path(self.folder)), int(row)) for row in chosen]
        on_fit(len(chosen))
        return Shard(WeightSpaceFeatures.from_zipped(pairs), facts, _names(Path(self.folder)))

    def describe(self) -> dict:
        """The content of `spec.json`."""
        name = str(_metrics(Path(self.folder))["config.dataset"][0])
        title, images, labels = _images(name)
        layers = _layers(Path(self.folder))
        return {
            "format": 1,
            "title": f"{title}: Small CNN Zoo",
            "kind": "classifier",
            "shapes": [list(kernel.read(np.zeros((1, kernel.stop))).shape[2:]) for kernel, _ in layers],
            "tensor_names": _names(Path(self.folder)),
            "images": images,
            "labels": labels,
            "build": {
                "source": SOURCE, "images": name, "steps": list(self.steps), "limit": self.limit,
                "shard_size": self.shard_size,
            },
        }  # fmt: skip


def _images(name: str) -> tuple[str, dict[str, Any], list[str]]:
    """Title, facts and labels of the images that the networks were trained on."""
    if name == SVHN["name"]:
        return "SVHN digits in grayscale", SVHN, list("0123456789")
    if name not in IMAGE_SETS:
        raise ZooError(
            f"The networks were trained on {shorten(name)}: expected one of {', '.join(IMAGE_SETS)}, svhn_cropped."
        )
    images = IMAGE_SETS[name]
    title = images.title + (" in grayscale" if images.channels == 3 else "")
    facts = {"name": name, "repo": images.repo, "size": images.size, "licence": images.licence}
    return title, facts, list(images.labels)


def _describe(metrics: pa.Table, row: int) -> dict[str, Any]:
    """The table row of one checkpoint; all checkpoints of a run share its split."""
    theirs = metrics.slice(row, 1).to_pylist()[0]
    facts = {ours: theirs.get(name) for ours, name in FACTS.items()}
    return {
        "split": SPLIT_OF_25[theirs["run"] % 25],
        "run": theirs["run"],
        "batch_norm": False,
        "biases": True,
        "final": theirs["final"],
        **facts,
    }


@cache
def _metrics(folder: Path) -> pa.Table:
    """Read `metrics.csv.gz`, adding the number of each run and whether a checkpoint is its last."""
    table = _read_csv(folder / "metrics.csv.gz")
    expected = ("step", "modeldir", "config.dataset", "config.activation", "test_accuracy")
    _check_columns(table, expected, folder / "metrics.csv.gz")
    runs = table["modeldir"].combine_chunks().dictionary_encode().indices.to_numpy()
    steps, last = table["step"].to_numpy(), np.full(runs.max(initial=0) + 1, -1)
    np.maximum.at(last, runs, steps)
    for name, values in (("run", runs), ("final", steps == last[runs])):
        table = table.append_column(name, pa.array(values))
    return table


@cache
def _valid_rows(folder: Path, steps: tuple[int, ...]) -> np.ndarray:
    metrics, weights = _metrics(folder), _weights(folder)
    if len(metrics) != len(weights):
        raise ZooError(
            f"{folder.name} has {len(weights)} rows of weights and {len(metrics)} rows of metrics."
        )
    activation = np.array(metrics["config.activation"].to_pylist(), dtype=object)
    accuracy = metrics["test_accuracy"].to_numpy().astype(float)
    rows = np.flatnonzero(
        np.isin(metrics["step"].to_numpy(), steps)
        & np.isin(activation, ["relu", "tanh"])
        & np.isfinite(accuracy)
    )
    sound = [np.isfinite(weights[part]).all(1) for part in np.array_split(rows, len(rows) // 1000 + 1)]
    return rows[np.concatenate(sound)]


@cache
def _weights(folder: Path) -> np.ndarray:
    """`weights.npy` `(n, parameters)`, memory-mapped."""
    path = folder / "weights.npy"
    _check_exists(path)
    try:
        weights = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ZooError(f"{short_name(path)} is not an array of numbers ({error}).") from error
    expected = max(variable.stop for pair in _layers(folder) for variable in pair)
    if weights.ndim != 2 or weights.shape[1] != expected or weights.dtype.kind != "f":
        raise ZooError(
            f"{short_name(path)} is of shape {weights.shape} and type {weights.dtype}; "
            f"expected floats of shape (n, {expected}), as layout.csv says."
        )
    return weights


@cache
def _layers(folder: Path) -> tuple[tuple[Variable, Variable], ...]:
    """Kernel and bias of each layer, from input to output, according to `layout.csv`."""
    path = folder / "layout.csv"
    table = _read_csv(path)
    _check_columns(table, ("varname", "start_idx", "end_idx", "shape"), path)
    variables = [_variable(row, path) for row in table.to_pylist()]
    kernels = {v.layer: v for v in variables if v.is_kernel}
    biases = {v.layer: v for v in variables if not v.is_kernel}
    widths = {layer: kernel.shape[-1] for layer, kernel in kernels.items()}
    if not kernels or {layer: bias.shape[-1] for layer, bias in biases.items()} != widths:
        raise ZooError(f"{short_name(path)}: expected a kernel and a bias of matching width for each layer.")
    return tuple((kernel, biases[layer]) for layer, kernel in kernels.items())


def _variable(row: dict[str, Any], path: Path) -> Variable:
    match = _VARIABLE.fullmatch(str(row["varname"]))
    shape = tuple(int(size) for size in re.findall(r"\d+", str(row["shape"])[:100]))
    start, stop = row["start_idx"], row["end_idx"]
    ranks = {"kernel": (2, 4), "bias": (1,)}[match[2]] if match else ()
    numbers = isinstance(start, int) and isinstance(stop, int) and 0 <= start <= stop
    if match is None or len(shape) not in ranks or not numbers or stop - start != math.prod(shape):
        raise ZooError(
            f"{short_name(path)}: the row {shorten(str(row))} is not a kernel or bias whose shape fits its position."
        )
    return Variable(match[1], match[2] == "kernel", start, stop, shape)


def _names(folder: Path) -> list[tuple[str, str]]:
    """Tensor names in PyTorch style: `conv2d.weight`, `dense.bias`."""
    stems = [kernel.layer.rpartition("/")[2] for kernel, _ in _layers(folder)]
    return [(f"{stem}.weight", f"{stem}.bias") for stem in stems]


def _read_csv(path: Path) -> pa.Table:
    _check_exists(path)
    try:
        return pyarrow.csv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ZooError(f"{short_name(path)} is damaged: it is not a comma-separated table.") from error


def _check_columns(table: pa.Table, expected: tuple[str, ...], path: Path) -> None:
    missing = [name for name in expected if name not in table.column_names]
    if missing:
        raise ZooError(f"{short_name(path)} has no column {', '.join(missing)}.")
    empty = [name for name in expected if table[name].null_count and name != "test_accuracy"]
    if empty:
        raise ZooError(f"{short_name(path)} has empty values in the column {', '.join(empty)}.")


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise ZooError(
            f"{short_name(path)} is missing: a folder of the Small CNN Zoo has weights.npy, metrics.csv.gz and "
            f"layout.csv."
        )
