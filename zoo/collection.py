"""Collections on disk: many networks, read one at a time or, if all have the same layers, in bulk."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import torch
from safetensors import SafetensorError

from nfn.features import WeightSpaceFeatures
from nfn.network import ClassifierConvention, Convention, Network
from zoo.collection_spec import read_spec
from zoo.errors import ZooError, shorten
from zoo.files import short_name
from zoo.ids import SPLITS
from zoo.limits import TRUSTED, ZooLimits
from zoo.own_architectures import StoredNetwork, read_architecture
from zoo.shards import shard_paths
from zoo.stacked import LocalStacked, Stacked
from zoo.table import read_rows, read_table
from zoo.tickets import packed_size, unpack

T = TypeVar("T")
COLUMNS = {"id": pa.string(), "split": pa.string(), "shard": pa.int64(), "row": pa.int64()}
"""The columns of every `networks.parquet`, besides those of its family."""


class Collection:
    """A folder with `spec.json`, `networks.parquet` and `weights-*.safetensors`.

    Row numbers are those of the table; an id is `split/index`, such as `test/17`. Raises ZooError for anything missing
    or invalid. `open_shard(path, indices)` opens the file whose rows at these indices will be read; `limits`
    caps how much of it is read.
    """

    def __init__(
        self,
        folder: Path,
        open_shard: Callable[[Path, Sequence[int]], Stacked] | None = None,
        limits: ZooLimits = TRUSTED,
        part: range | None = None,
    ):
        self.folder, self.limits, self._part = Path(folder), limits, part
        self._open_shard = open_shard or (lambda path, indices: open_stacked(path))
        self.spec = read_spec(self.folder)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> pa.Table:
        """One row per network: id, split, accuracy or PSNR, recipe, and the location of its weights."""
        path = self.folder / "networks.parquet"
        _check_exists(path)
        table = (
            read_table(path, self.limits) if self._part is None else read_rows(path, self._part, self.limits)
        )
        for name, kind in {**COLUMNS, **self.spec.family.columns}.items():
            if (
                name not in table.schema.names
                or table.schema.field(name).type != kind
                or table[name].null_count
            ):
                raise ZooError(f"{short_name(path)} is damaged: expected a full column {name!r} of {kind}.")
        return table

    @property
    def images(self) -> str:
        """The name of the image set that the networks were trained on or fitted to."""
        return self.spec.images["name"]

    @cached_property
    def labels(self) -> torch.Tensor:
        """The class indices `(n,)` of all SIRENs; `spec.label_names` has their names."""
        return torch.tensor(self.rows["label"].to_numpy())

    def row(self, network_id: str) -> dict[str, Any]:
        """The facts of the network `split/index`."""
        return self.rows.slice(self._row_number(network_id), 1).to_pylist()[0]

    def network(self, network_id: str) -> Network:
        """One network, read without loading the rest of its shard."""
        number, row = self._row_number(network_id), self.row(network_id)
        if self.spec.family.own_architectures:
            return self._stored(row, StoredNetwork.network)
        return Network(self.features([number]), self._convention(row), self.spec.names)

    def _stored(self, row: dict[str, Any], read: Callable[[StoredNetwork], T]) -> T:
        """Read something of a network that has an architecture of its own."""
        path = self._shard_path(row["shard"])
        try:
            return read(StoredNetwork(self._open_shard(path, [row["row"]]), path, row, self.limits))
        except SafetensorError as error:
            raise _damaged(path, error) from error

    def first_weights(self, rows: Sequence[int] | range) -> Iterator[torch.Tensor]:
        """The first layer's weights `(out, in[, kh, kw])` of classifiers; see `StoredNetwork.first_weight`."""
        if not self.spec.family.own_architectures:
            return iter(self.features(list(rows)).weights[0][:, 0])
        facts = self.rows.take(list(rows)).to_pylist()
        return (self._stored(row, StoredNetwork.first_weight) for row in facts)

    def read_all(self) -> None:
        """Read every network once; ZooError if one cannot be read."""
        if not self.spec.family.own_architectures:
            self.features()
            return
        for network_id in self.rows["id"].to_pylist():
            self.network(network_id)

    def parameters(self, row: dict[str, Any]) -> int:
        """The number of weights and biases of the network of a row."""
        if self.spec.family.own_architectures:
            return read_architecture(row).parameters
        return self.spec.network.get_num_params()

    def _convention(self, row: dict[str, Any]) -> Convention:
        if self.spec.family.network == "siren":
            return self.spec.siren
        return ClassifierConvention(row.get("activation"))

    def features(self, rows: Sequence[int] | slice = slice(None)) -> WeightSpaceFeatures:
        """The weights `(n, 1, ...)` of many rows, in the requested order."""
        chosen = self._chosen(rows)
        if self.spec.family.regenerate is not None:
            return self.spec.family.regenerate(self.spec.network, self.rows.take(chosen.numpy()))
        shards = torch.tensor(self.rows["shard"].to_numpy())[chosen]
        indices = torch.tensor(self.rows["row"].to_numpy())[chosen]
        out = self._empty(len(chosen))
        for shard in shards.unique().tolist():
            mask = shards == shard
            part = self._read_shard(shard, indices[mask].tolist())
            for target, source in zip(_flat(out), _flat(part), strict=True):
                target[mask] = source
        return out

    def _chosen(self, rows: Sequence[int] | slice) -> torch.Tensor:
        """Row numbers; ZooError if the networks together have more weights than may be read at once."""
        numbers = rows if isinstance(rows, slice) else torch.as_tensor(rows, dtype=torch.int64)
        chosen = torch.arange(len(self))[numbers]
        weights = self.spec.network.get_num_params()
        if len(chosen) * weights > self.limits.values:
            raise ZooError(
                f"{len(chosen):,} networks of {weights:,} weights are too much to read of {self.folder.name} at once: "
                f"at most {self.limits.values:,} weights."
            )
        return chosen

    def masks(self, rows: Sequence[int] | slice = slice(None)) -> list[torch.Tensor]:
        """The winning tickets of initializations: a bool tensor `(n, 1, out, in[, kh, kw])` per layer."""
        chosen = self._chosen(rows)
        table = self.rows.take(chosen.numpy())
        parts = [
            self._read_masks(row["shard"], row["row"]) for row in table.select(["shard", "row"]).to_pylist()
        ]
        return [torch.cat(layer) for layer in zip(*parts, strict=True)]

    def masks_of(self, network_id: str) -> list[torch.Tensor]:
        """The winning ticket of one initialization."""
        return self.masks([self._row_number(network_id)])

    def _read_masks(self, shard: int, index: int) -> list[torch.Tensor]:
        path = self._shard_path(shard)
        names = [layer.weight for layer in self.spec.names]
        shapes = [array.shape for array in self.spec.network.weight_spec]
        try:
            file = self._open_shard(path, [index])
            for name, shape in zip(names, shapes, strict=True):
                _check_shape(file.shape(name), name, (packed_size(shape),), [index], path)
            packed = file.rows(names, [index])
        except SafetensorError as error:
            raise _damaged(path, error) from error
        return [unpack(tensor, shape) for tensor, shape in zip(packed, shapes, strict=True)]

    def normalized(self, rows: Sequence[int] | slice = slice(None)) -> WeightSpaceFeatures:
        """As `features`, in our convention: SIRENs at omega 30, (row, col), outputs in [-1, 1]."""
        features = self.features(rows)
        return self.spec.siren.normalize(features) if self.spec.family.network == "siren" else features

    def describe(self) -> dict[str, Any]:
        """The facts of the collection for a model card."""
        return self.spec.family.describe(self)

    def part(self, rows: range) -> "Collection":
        """A collection of consecutive rows of this one, which reads the parts of the table that hold them."""
        return Collection(self.folder, self._open_shard, self.limits, rows)

    def _row_number(self, network_id: str) -> int:
        if network_id not in self._numbers:
            sizes = ", ".join(
                f"{split}/0 to {split}/{size - 1}" for split, size in islice(self.splits.items(), len(SPLITS))
            )
            raise ZooError(f"{self.folder.name} has no network {shorten(network_id)}: choose one of {sizes}.")
        return self._numbers[network_id]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {network_id: number for number, network_id in enumerate(self.rows["id"].to_pylist())}

    @cached_property
    def splits(self) -> dict[str, int]:
        """The number of networks in each split."""
        counts = self.rows["split"].value_counts().to_pylist()
        return {count["values"]: count["counts"] for count in counts}

    def _read_shard(self, shard: int, indices: list[int]) -> WeightSpaceFeatures:
        path = self._shard_path(shard)
        try:
            return self._read_rows(self._open_shard(path, indices), indices, path)
        except SafetensorError as error:
            raise _damaged(path, error) from error

    def _shard_path(self, shard: int) -> Path:
        return shard_paths(self.folder, shard)[0]

    def _read_rows(self, file: Stacked, indices: list[int], path: Path) -> WeightSpaceFeatures:
        names, shapes = [], []
        layers = zip(self.spec.names, self.spec.network.weight_spec, self.spec.network.bias_spec, strict=True)
        for layer, weight, bias in layers:
            assert layer.bias is not None, "read_spec gives every layer a bias name."
            names += [layer.weight, layer.bias]
            shapes += [weight.shape, bias.shape]
        for name, shape in zip(names, shapes, strict=True):
            _check_shape(file.shape(name), name, shape, indices, path)
        tensors = file.rows(names, indices)
        for name, tensor in zip(names, tensors, strict=True):
            if tensor.dtype not in (torch.float16, torch.float32) or not torch.isfinite(tensor).all():
                raise ZooError(
                    f"{short_name(path)} is damaged: {name} must hold finite float32 or float16 numbers."
                )
        stacked = [tensor[:, None].float() for tensor in tensors]
        return WeightSpaceFeatures.from_zipped(list(zip(stacked[::2], stacked[1::2], strict=True)))

    def _empty(self, count: int) -> WeightSpaceFeatures:
        spec = self.spec.network
        return WeightSpaceFeatures(
            [torch.empty(count, 1, *weight.shape) for weight in spec.weight_spec],
            [torch.empty(count, 1, *bias.shape) for bias in spec.bias_spec],
        )


def _damaged(path: Path, error: SafetensorError) -> ZooError:
    return ZooError(f"{short_name(path)} is damaged ({error}): build or download it again.")


def _flat(features: WeightSpaceFeatures) -> list[torch.Tensor]:
    return [*features.weights, *features.biases]


def open_stacked(path: Path) -> LocalStacked:
    """Open a shard on the local disk."""
    _check_exists(path)
    return LocalStacked(path)


def _check_shape(
    stacked_shape: tuple[int, ...], name: str, shape: tuple[int, ...], indices: list[int], path: Path
) -> None:
    """Check that a stacked tensor is `(n, *shape)` and has all the requested rows."""
    if not stacked_shape or stacked_shape[1:] != shape:
        raise ZooError(
            f"{short_name(path)}: {name} holds tensors of shape {stacked_shape[1:]}, spec.json says {shape}."
        )
    if not 0 <= min(indices) <= max(indices) < stacked_shape[0]:
        raise ZooError(
            f"{short_name(path)} holds {stacked_shape[0]} networks; "
            f"networks.parquet refers to rows up to {max(indices)}."
        )


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise ZooError(
            f"{short_name(path)} is missing: the collection is not whole. Build or download it again."
        )
