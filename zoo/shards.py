"""The shards of a collection under construction: which networks each holds, and its files, written atomically."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from nfn.features import WeightSpaceFeatures
from zoo.files import write_json, write_whole

ROW_GROUP = 8192
"""Rows of a table that are read and written together."""


class Build(Protocol):
    """What `zoo.build.run_build` builds: a frozen dataclass of settings that can make each of its shards."""

    @property
    def total(self) -> int:
        """The total number of networks to train."""
        ...

    @property
    def shard_size(self) -> int:
        """The number of networks in a shard."""
        ...

    def check(self) -> None:
        """Raise ZooError if the settings are invalid."""
        ...

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> "Writable":
        """Make one shard, a pure function of (settings, shard number); `on_fit` gets each step's number of networks."""
        ...

    def describe(self) -> dict:
        """The content of `spec.json`."""
        ...


class Writable(Protocol):
    """A finished shard."""

    def write(self, folder: Path, number: int) -> None:
        """Write its two files atomically."""
        ...


class Shard:
    """The networks `(n, 1, ...)` of a shard, a table row for each (with its split), and their tensor names."""

    def __init__(self, features: WeightSpaceFeatures, rows: list[dict], names: Sequence[tuple[str, str]]):
        self.features, self.rows, self.names = features, rows, names

    def half(self) -> "Shard":
        """The same with weights in half precision."""
        return Shard(self.features.map(lambda x: x.half()), self.rows, self.names)

    def write(self, folder: Path, number: int) -> None:
        """Write one stacked tensor `(n, ...)` per parameter, then the rows."""
        tensors: dict[str, torch.Tensor] = {}
        for (weight_name, bias_name), (weight, bias) in zip(self.names, self.features, strict=True):
            tensors[weight_name], tensors[bias_name] = weight[:, 0].contiguous(), bias[:, 0].contiguous()
        write_whole(shard_paths(folder, number)[0], lambda part: save_file(tensors, part))
        write_rows(folder, number, self.rows)


def write_rows(folder: Path, number: int, rows: list[dict]) -> None:
    """Write the table rows of a shard after its tensors, so that a shard with rows is complete."""
    places = [{"shard": number, "row": row} for row in range(len(rows))]
    table = pa.Table.from_pylist([{**row, **at} for row, at in zip(rows, places, strict=True)])
    write_whole(shard_paths(folder, number)[1], lambda part: pq.write_table(table, part))


def shard_count(build: Build) -> int:
    """The number of shards of a build."""
    return math.ceil(build.total / build.shard_size)


def shard_numbers(build: Build, shard: int) -> range:
    """The numbers of the networks in a shard."""
    return range(shard * build.shard_size, min((shard + 1) * build.shard_size, build.total))


def shard_paths(folder: Path, shard: int) -> tuple[Path, Path]:
    """The paths of a shard's stacked tensors and of its table rows."""
    return folder / f"weights-{shard:05d}.safetensors", folder / f"networks-{shard:05d}.parquet"


def is_built(folder: Path, shard: int) -> bool:
    """Whether a shard exists; its files are written atomically."""
    return all(path.exists() for path in shard_paths(folder, shard))


def finish(build: Build, folder: Path) -> None:
    """Join the rows of all shards and write `spec.json` last, which marks the collection as complete."""
    complete(folder, shard_count(build), build.describe())


def complete(folder: Path, shards: int, spec: dict) -> None:
    """Turn a folder of written shards into a collection with `spec` as its `spec.json`."""
    parts = [shard_paths(folder, shard)[1] for shard in range(shards)]
    join_tables(_with_ids(parts), folder / "networks.parquet")
    write_json(folder / "spec.json", spec)
    for part in parts:
        part.unlink()


def join_tables(tables: Iterable[pa.Table], out: Path) -> None:
    """Write tables of one schema as one parquet file, in row groups of `ROW_GROUP`, holding one of these in memory."""
    write_whole(out, lambda part: _write_row_groups(tables, part))


def _write_row_groups(tables: Iterable[pa.Table], path: str) -> None:
    tables = iter(tables)
    waiting = [next(tables)]
    with pq.ParquetWriter(path, waiting[0].schema) as writer:
        for table in tables:
            waiting.append(table)
            if sum(map(len, waiting)) >= ROW_GROUP:
                joined = pa.concat_tables(waiting)
                writer.write_table(joined.slice(0, ROW_GROUP))
                waiting = [joined.slice(ROW_GROUP)]
        writer.write_table(pa.concat_tables(waiting), ROW_GROUP)


def _with_ids(parts: Iterable[Path]) -> Iterator[pa.Table]:
    """The tables of these files, with ids `split/number` that count within each split."""
    seen: dict[str, int] = {}
    for part in parts:
        table, ids = pq.read_table(part), []
        for split in table["split"].to_pylist():
            ids.append(f"{split}/{seen.get(split, 0)}")
            seen[split] = seen.get(split, 0) + 1
        yield table.add_column(0, "id", pa.array(ids))


def split_rows(folder: Path) -> None:
    """Undo the joining of `complete`: write a file of rows for every shard again. `spec.json` is unchanged."""
    table = pq.read_table(folder / "networks.parquet").drop_columns(["id"])
    shards = table["shard"].to_numpy()
    starts = np.flatnonzero(np.diff(shards, prepend=-1))
    for start, stop in itertools.pairwise([*starts.tolist(), len(table)]):
        rows = table.slice(start, stop - start)
        path = shard_paths(folder, int(shards[start]))[1]
        write_whole(path, lambda part, rows=rows: pq.write_table(rows, part))
