"""Shards of a collection under construction: which networks each holds, and its files, whole or not there."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from nfn.features import WeightSpaceFeatures
from zoo.files import write_json, write_whole


class Build(Protocol):
    """What `zoo.build.run_build` makes: a frozen dataclass of settings that can make each of its shards."""

    @property
    def total(self) -> int:
        """How many networks are trained in all."""
        ...

    @property
    def shard_size(self) -> int:
        """How many of them a shard holds."""
        ...

    def check(self) -> None:
        """Raise ZooError where the settings cannot be."""
        ...

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> "Writable":
        """One shard, a pure function of (settings, shard number); `on_fit` hears how many networks each step adds."""
        ...

    def describe(self) -> dict:
        """The content of `spec.json`."""
        ...


class Writable(Protocol):
    """A finished shard."""

    def write(self, folder: Path, number: int) -> None:
        """Write its two files, whole or not at all."""
        ...


class Shard:
    """The networks `(n, 1, ...)` of a shard, a row of facts for each (its split among them), their tensor names."""

    def __init__(self, features: WeightSpaceFeatures, rows: list[dict], names: Sequence[tuple[str, str]]):
        self.features, self.rows, self.names = features, rows, names

    def write(self, folder: Path, number: int) -> None:
        """Write one stacked tensor `(n, ...)` per parameter, then the rows."""
        tensors: dict[str, torch.Tensor] = {}
        for (weight_name, bias_name), (weight, bias) in zip(self.names, self.features, strict=True):
            tensors[weight_name], tensors[bias_name] = weight[:, 0].contiguous(), bias[:, 0].contiguous()
        write_whole(shard_paths(folder, number)[0], lambda part: save_file(tensors, part))
        write_rows(folder, number, self.rows)


def write_rows(folder: Path, number: int, rows: list[dict]) -> None:
    """Write the facts of a shard's networks, after its tensors: where these are, the shard is whole."""
    places = [{"shard": number, "row": row} for row in range(len(rows))]
    table = pa.Table.from_pylist([{**row, **at} for row, at in zip(rows, places, strict=True)])
    write_whole(shard_paths(folder, number)[1], lambda part: pq.write_table(table, part))


def shard_count(build: Build) -> int:
    """How many shards a build has."""
    return math.ceil(build.total / build.shard_size)


def shard_numbers(build: Build, shard: int) -> range:
    """Which networks of the build a shard holds."""
    return range(shard * build.shard_size, min((shard + 1) * build.shard_size, build.total))


def shard_paths(folder: Path, shard: int) -> tuple[Path, Path]:
    """Where a shard's stacked tensors and its rows of facts go."""
    return folder / f"weights-{shard:05d}.safetensors", folder / f"networks-{shard:05d}.parquet"


def is_built(folder: Path, shard: int) -> bool:
    """Whether a shard is there; its files are written whole or not at all."""
    return all(path.exists() for path in shard_paths(folder, shard))


def finish(build: Build, folder: Path) -> None:
    """Join the rows of all shards and write `spec.json` last: where it is, the collection is complete."""
    complete(folder, shard_count(build), build.describe())


def complete(folder: Path, shards: int, spec: dict) -> None:
    """Make a collection of a folder of written shards, whose `spec.json` gets the content `spec`."""
    parts = [shard_paths(folder, shard)[1] for shard in range(shards)]
    table = pa.concat_tables([pq.read_table(part) for part in parts])
    table = table.add_column(0, "id", pa.array(_number_by_split(table["split"].to_pylist())))
    write_whole(folder / "networks.parquet", lambda part: pq.write_table(table, part))
    write_json(folder / "spec.json", spec)
    for part in parts:
        part.unlink()


def split_rows(folder: Path) -> None:
    """Undo the joining of `complete`: a file of rows for every shard again. `spec.json` stays as it is."""
    table = pq.read_table(folder / "networks.parquet")
    shards = table["shard"].to_numpy()
    for shard in set(shards.tolist()):
        rows = table.filter(pa.array(shards == shard)).drop_columns(["id"])
        write_whole(shard_paths(folder, shard)[1], lambda part, rows=rows: pq.write_table(rows, part))


def _number_by_split(splits: list[str]) -> list[str]:
    """`split/number`, counted within each split."""
    seen: dict[str, int] = {}
    ids = []
    for split in splits:
        ids.append(f"{split}/{seen.get(split, 0)}")
        seen[split] = seen.get(split, 0) + 1
    return ids
