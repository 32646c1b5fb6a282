"""Collections on disk: many networks of one spec, read one at a time or in bulk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import torch
from safetensors import SafetensorError

from nfn.features import WeightSpaceFeatures
from nfn.network import ClassifierConvention, Convention, LayerNames, Network
from nfn.siren_convention.convention import SirenConvention, convention_from_json
from nfn.spec import ArraySpec, NetworkSpec
from zoo.errors import ZooError, shorten
from zoo.files import read_json, short_name
from zoo.ids import SPLITS
from zoo.limits import OWN, ZooLimits
from zoo.stacked import LocalStacked, Stacked
from zoo.table import read_table
from zoo.tickets import packed_size, regenerate, unpack

FORMAT = 1
MAX_LAYERS, MAX_PARAMETERS = 128, 2**27
"""Of the networks that a `spec.json` may describe."""
CollectionKind = Literal["siren", "classifier", "init"]
"""What is asked of a collection's networks: what they show, how accurate they are, or which weights to train."""
COLUMNS = {"id": pa.string(), "split": pa.string(), "shard": pa.int64(), "row": pa.int64()}
COLUMNS_OF_KIND = {
    "siren": {"label": pa.int64(), "psnr": pa.float64()},
    "classifier": {"activation": pa.string(), "test_accuracy": pa.float64(), "final": pa.bool_()},
    "init": {
        "init_seed": pa.int64(), "init_sha256": pa.string(), "dense_accuracy": pa.float64(),
        "ticket_accuracy": pa.float64(),
    },
}  # fmt: skip
"""The columns that `networks.parquet` must have for each kind of network."""


@dataclass(frozen=True)
class CollectionSpec:
    """What all networks of a collection share: `spec.json`, with the folder's name where it has no title."""

    title: str
    kind: CollectionKind
    network: NetworkSpec
    siren: SirenConvention
    names: tuple[LayerNames, ...]
    label_names: tuple[str, ...]
    images: dict[str, Any]
    build: dict[str, Any]


class Collection:
    """A folder with `spec.json`, `networks.parquet` and `weights-*.safetensors`.

    Row numbers count through the table; an id is `split/index`, such as `test/17`.
    Everything that is missing or does not fit raises ZooError. `open_shard(path, places)` gives the file whose rows
    at these places will be read; `limits` say how much is read of it at most.
    """

    def __init__(
        self,
        folder: Path,
        open_shard: Callable[[Path, Sequence[int]], Stacked] | None = None,
        limits: ZooLimits = OWN,
    ):
        self.folder, self.limits = Path(folder), limits
        self._open_shard = open_shard or (lambda path, places: open_stacked(path))
        self.spec = read_spec(self.folder)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> pa.Table:
        """One row of facts per network: id, split, what is known of it, recipe, and where its weights are."""
        path = self.folder / "networks.parquet"
        _check_exists(path)
        table = read_table(path, self.limits)
        for name, kind in {**COLUMNS, **COLUMNS_OF_KIND[self.spec.kind]}.items():
            if (
                name not in table.schema.names
                or table.schema.field(name).type != kind
                or table[name].null_count
            ):
                raise ZooError(f"{short_name(path)} is damaged: wanted a full column {name!r} of {kind}.")
        return table

    @property
    def images(self) -> str:
        """The name of the image set that the networks show."""
        return self.spec.images["name"]

    @cached_property
    def labels(self) -> torch.Tensor:
        """The class numbers `(n,)` of all rows of SIRENs; `spec.label_names` says what they mean."""
        return torch.tensor(self.rows["label"].to_numpy())

    def row(self, network_id: str) -> dict[str, Any]:
        """The facts of the network `split/index`."""
        return self.rows.slice(self._row_number(network_id), 1).to_pylist()[0]

    def network(self, network_id: str) -> Network:
        """One network, read without loading the rest of its shard."""
        number, row = self._row_number(network_id), self.row(network_id)
        return Network(self.features([number]), self._convention(row), self.spec.names)

    def _convention(self, row: dict[str, Any]) -> Convention:
        if self.spec.kind == "siren":
            return self.spec.siren
        return ClassifierConvention(row.get("activation"))

    def features(self, rows: Sequence[int] | slice = slice(None)) -> WeightSpaceFeatures:
        """The weights `(n, 1, ...)` of many rows, in the order asked for."""
        chosen = self._chosen(rows)
        if self.spec.kind == "init":
            return self._regenerate(chosen)
        shards = torch.tensor(self.rows["shard"].to_numpy())[chosen]
        places = torch.tensor(self.rows["row"].to_numpy())[chosen]
        out = self._empty(len(chosen))
        for shard in shards.unique().tolist():
            mask = shards == shard
            part = self._read_shard(shard, places[mask].tolist())
            for target, source in zip(_flat(out), _flat(part), strict=True):
                target[mask] = source
        return out

    def _chosen(self, rows: Sequence[int] | slice) -> torch.Tensor:
        """Row numbers; ZooError where the networks together have more weights than are read at once."""
        numbers = rows if isinstance(rows, slice) else torch.as_tensor(rows, dtype=torch.int64)
        chosen = torch.arange(len(self))[numbers]
        weights = self.spec.network.get_num_params()
        if len(chosen) * weights > self.limits.values:
            raise ZooError(
                f"{len(chosen):,} networks of {weights:,} weights are too much to read of {self.folder.name} at once: "
                f"at most {self.limits.values:,} weights."
            )
        return chosen

    def _regenerate(self, chosen: torch.Tensor) -> WeightSpaceFeatures:
        rows = self.rows.take(chosen.numpy())
        return regenerate(self.spec.network, rows["init_seed"].to_pylist(), rows["init_sha256"].to_pylist())

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

    def _read_masks(self, shard: int, place: int) -> list[torch.Tensor]:
        path = self.folder / f"weights-{shard:05d}.safetensors"
        names = [layer.weight for layer in self.spec.names]
        shapes = [array.shape for array in self.spec.network.weight_spec]
        try:
            file = self._open_shard(path, [place])
            for name, shape in zip(names, shapes, strict=True):
                _check_shape(file.shape(name), name, (packed_size(shape),), [place], path)
            packed = file.rows(names, [place])
        except SafetensorError as error:
            raise ZooError(f"{short_name(path)} is damaged ({error}): build or download it again.") from error
        return [unpack(tensor, shape) for tensor, shape in zip(packed, shapes, strict=True)]

    def normalized(self, rows: Sequence[int] | slice = slice(None)) -> WeightSpaceFeatures:
        """The same in our convention: SIRENs at omega 30, (row, col), outputs in [-1, 1]."""
        features = self.features(rows)
        return self.spec.siren.normalize(features) if self.spec.kind == "siren" else features

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
        """How many networks each split has."""
        counts = self.rows["split"].value_counts().to_pylist()
        return {count["values"]: count["counts"] for count in counts}

    def _read_shard(self, shard: int, places: list[int]) -> WeightSpaceFeatures:
        path = self.folder / f"weights-{shard:05d}.safetensors"
        try:
            return self._read_places(self._open_shard(path, places), places, path)
        except SafetensorError as error:
            raise ZooError(f"{short_name(path)} is damaged ({error}): build or download it again.") from error

    def _read_places(self, file: Stacked, places: list[int], path: Path) -> WeightSpaceFeatures:
        names, shapes = [], []
        layers = zip(self.spec.names, self.spec.network.weight_spec, self.spec.network.bias_spec, strict=True)
        for layer, weight, bias in layers:
            assert layer.bias is not None, "read_spec gives every layer a bias name."
            names += [layer.weight, layer.bias]
            shapes += [weight.shape, bias.shape]
        for name, shape in zip(names, shapes, strict=True):
            _check_shape(file.shape(name), name, shape, places, path)
        tensors = file.rows(names, places)
        for name, tensor in zip(names, tensors, strict=True):
            if tensor.dtype != torch.float32 or not torch.isfinite(tensor).all():
                raise ZooError(f"{short_name(path)} is damaged: {name} must hold finite float32 numbers.")
        stacked = [tensor[:, None] for tensor in tensors]
        return WeightSpaceFeatures.from_zipped(list(zip(stacked[::2], stacked[1::2], strict=True)))

    def _empty(self, count: int) -> WeightSpaceFeatures:
        spec = self.spec.network
        return WeightSpaceFeatures(
            [torch.empty(count, 1, *weight.shape) for weight in spec.weight_spec],
            [torch.empty(count, 1, *bias.shape) for bias in spec.bias_spec],
        )


def _flat(features: WeightSpaceFeatures) -> list[torch.Tensor]:
    return [*features.weights, *features.biases]


def open_stacked(path: Path) -> LocalStacked:
    """A shard on this disk."""
    _check_exists(path)
    return LocalStacked(path)


def _check_shape(
    found: tuple[int, ...], name: str, shape: tuple[int, ...], places: list[int], path: Path
) -> None:
    """A stacked tensor must be `(n, *shape)` and have all places."""
    if not found or found[1:] != shape:
        raise ZooError(
            f"{short_name(path)}: {name} holds tensors of shape {found[1:]}, spec.json says {shape}."
        )
    if not 0 <= min(places) <= max(places) < found[0]:
        raise ZooError(
            f"{short_name(path)} holds {found[0]} networks; networks.parquet asks for rows up to {max(places)}."
        )


def read_spec(folder: Path) -> CollectionSpec:
    """Read and check `spec.json`."""
    path = folder / "spec.json"
    if not path.is_file():
        raise ZooError(
            f"{folder.name} has no spec.json: it is not a collection, or its build is not finished."
        )
    content = read_json(path)
    if content.get("format") != FORMAT or content.get("kind") not in list(COLUMNS_OF_KIND):
        got = f"format {content.get('format')!r} of kind {content.get('kind')!r}"
        kinds = " or ".join(map(repr, COLUMNS_OF_KIND))
        raise ZooError(f"{short_name(path)} has {got}; this version reads format {FORMAT} of kind {kinds}.")
    try:
        return _parse_spec(content, folder.name)
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(f"{short_name(path)} is damaged: {error!r}. Build or download it again.") from error


def _parse_spec(content: dict[str, Any], folder_name: str) -> CollectionSpec:
    network, names = _parse_network(content), content["tensor_names"]
    if len(network) > MAX_LAYERS or network.get_num_params() > MAX_PARAMETERS:
        raise ValueError(
            f"{len(network)} layers of {network.get_num_params():,} weights: at most {MAX_LAYERS} of {MAX_PARAMETERS:,}"
        )
    if len(network) != len(names):
        wanted = content.get("layers", content.get("shapes"))
        raise ValueError(f"layers {wanted} and {len(names)} pairs of tensor names do not fit")
    siren, images = convention_from_json(content.get("siren", {})), dict(content["images"])
    siren.check(network.get_io()[1] if content["kind"] == "siren" else None)
    if not all(isinstance(images.get(key, ""), str) for key in ("name", "repo", "licence")):
        raise ValueError(f"the name, repo or licence of images is no text in {images}")
    return CollectionSpec(
        title=str(content.get("title", folder_name)),
        kind=content["kind"],
        network=network,
        siren=siren,
        names=tuple(LayerNames(_tensor_name(weight), _tensor_name(bias)) for weight, bias in names),
        label_names=tuple(str(label) for label in content["labels"]),
        images={"name": "", **images},
        build=dict(content["build"]),
    )


def _tensor_name(name: object) -> str:
    """Text that a file can have as a name: half a character is none, and raises ValueError."""
    return str(name).encode().decode()


def _parse_network(content: dict[str, Any]) -> NetworkSpec:
    """`layers`, the widths of a SIREN, or `shapes`, the weight shapes of a classifier."""
    siren = content["kind"] == "siren"
    numbers = content["layers"] if siren else [size for shape in content["shapes"] for size in shape]
    if not all(isinstance(n, int) and 0 < n <= 4096 for n in numbers):
        raise ValueError(f"sizes {numbers} are not whole numbers from 1 to 4096")
    if siren:
        return NetworkSpec.mlp(*numbers)
    shapes = content["shapes"]
    return NetworkSpec(
        tuple(ArraySpec(tuple(shape)) for shape in shapes), tuple(ArraySpec((shape[0],)) for shape in shapes)
    )


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise ZooError(
            f"{short_name(path)} is missing: the collection is not whole. Build or download it again."
        )
