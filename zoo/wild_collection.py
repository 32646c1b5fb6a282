"""Wild networks on disk: each with its own architecture, read one at a time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.wiring.pictures import Pixels
from zoo.shards import shard_paths
from zoo.table import read_table


@dataclass(frozen=True, eq=False)
class WildNetwork:
    """One network: its architecture, its tensors, its input normalisation, and the facts of its row."""

    architecture: Architecture
    tensors: dict[str, Tensor]
    pixels: Pixels
    facts: dict[str, Any]

    def scores(self, x: Tensor) -> Tensor:
        """Class scores `(N, 10)` of pictures `(N, c, h, w)` with pixels in [0, 1]."""
        return self.architecture.run(self.tensors, self.pixels(x))


def wild_rows(folder: Path) -> list[dict[str, Any]]:
    """The facts of all networks of a finished build."""
    return read_table(folder / "networks.parquet").to_pylist()


def read_wild(folder: Path, row: dict[str, Any]) -> WildNetwork:
    """The network of a row."""
    architecture = Architecture.from_json(row["architecture"])
    path, prefix = shard_paths(folder, row["shard"])[0], f"{row['row']}/"
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(prefix + name) for name in architecture.shapes}
    fields = json.loads(row["training"])["pixels"]
    pixels = Pixels(fields["name"], tuple(fields["mean"]), tuple(fields["std"]))
    return WildNetwork(architecture, tensors, pixels, row)


def wild_networks(folder: Path) -> Iterator[WildNetwork]:
    """All networks of a finished build, in table order."""
    return (read_wild(folder, row) for row in wild_rows(folder))
