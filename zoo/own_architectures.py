"""Collections whose networks each have an architecture of their own: how one network is read, and a shard of them.

A row of the table has the `Architecture` as JSON, and the pixel normalization as text such as "0.1307", or
"0.49, 0.48, 0.45" for three channels. The shard's tensors are named `<row>/<name>`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn.architecture.declared import KEY, parse_declared
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import ArchitectureError, Conv, Linear
from nfn.network import ClassifierConvention, Graph, Network, PixelNumber
from nfn.reader.classifier_convention import check_classifier_convention
from nfn.wiring.pictures import Pixels
from zoo.errors import ZooError, shorten
from zoo.files import short_name, write_whole
from zoo.limits import ZooLimits
from zoo.shards import shard_paths, write_rows
from zoo.stacked import Stacked

ARCHITECTURE = {KEY: pa.string(), "pixel_mean": pa.string(), "pixel_std": pa.string()}
"""The columns that say what a network computes."""


@dataclass(frozen=True)
class StoredNetwork:
    """One network of a shard: what the table says of it, and where its tensors are."""

    file: Stacked
    path: Path
    row: Mapping[str, Any]
    limits: ZooLimits

    @property
    def architecture(self) -> Architecture:
        """The architecture; ZooError if it is not valid, too large, or does not match the shard's tensors."""
        architecture = read_architecture(self.row)
        if architecture.parameters > self.limits.values:
            raise self._damaged(
                f"{architecture.parameters:,} weights, of which at most {self.limits.values:,} are read"
            )
        for name, shape in architecture.shapes.items():
            if self.file.shape(self._stored_name(name)) != shape:
                raise self._damaged(f"a tensor {shorten(name)} that is not of the shape {shape}")
        return architecture

    def network(self) -> Network:
        """The network, as if it had been read from a file that declares its graph."""
        architecture = self.architecture
        try:
            convention = ClassifierConvention(
                None, _numbers(self.row["pixel_mean"]), _numbers(self.row["pixel_std"])
            )
            check_classifier_convention(convention)
        except ValueError as error:
            raise self._damaged(f"no pixel normalization ({shorten(str(error))})") from error
        tensors = dict(zip(architecture.shapes, self._read(list(architecture.shapes)), strict=True))
        return Network(None, convention, graph=Graph(architecture, tensors))

    def first_weight(self) -> Tensor:
        """The weight `(out, in[, kh, kw])` of the first layer."""
        architecture = self.architecture
        name = next((op.weight for op in architecture.ops if isinstance(op, Conv | Linear)), None)
        if name is None:
            raise self._damaged("no convolution and no linear layer")
        return self._read([name])[0]

    def _read(self, names: Sequence[str]) -> list[Tensor]:
        tensors = self.file.tensors([self._stored_name(name) for name in names])
        for name, tensor in zip(names, tensors, strict=True):
            if tensor.dtype not in (torch.float16, torch.float32) or not torch.isfinite(tensor).all():
                raise self._damaged(f"a tensor {shorten(name)} that does not hold finite numbers")
        return [tensor.float() for tensor in tensors]

    def _stored_name(self, name: str) -> str:
        return f"{self.row['row']}/{name}"

    def _damaged(self, what: str) -> ZooError:
        return ZooError(f"{short_name(self.path)} is damaged: network {shorten(self.row['id'])} has {what}.")


def read_architecture(row: Mapping[str, Any]) -> Architecture:
    """The architecture in a row of the table; ZooError if it is not valid, or too large."""
    try:
        return parse_declared(row[KEY])
    except ArchitectureError as error:
        raise ZooError(f"The architecture of network {shorten(row['id'])} is damaged: {error}") from error


def write_pixels(pixels: Pixels) -> dict[str, str]:
    """The columns of a row that have the pixel normalization."""
    mean, std = (", ".join(map(str, numbers)) for numbers in (pixels.mean, pixels.std))
    return {"pixel_mean": mean, "pixel_std": std}


def _numbers(text: str) -> PixelNumber:
    """One number, or one for each channel."""
    numbers = tuple(float(number) for number in text.split(","))
    return numbers[0] if len(numbers) == 1 else numbers


@dataclass(frozen=True)
class GraphShard:
    """Networks with their own architectures, and a table row for each. Weights are written in half precision."""

    graphs: Sequence[Graph]
    rows: Sequence[dict]

    def write(self, folder: Path, number: int) -> None:
        """Write the tensors, then the rows, each atomically."""
        tensors = {
            f"{row}/{name}": tensor.half().contiguous()
            for row, graph in enumerate(self.graphs)
            for name, tensor in graph.tensors.items()
        }
        write_whole(shard_paths(folder, number)[0], lambda part: save_file(tensors, part))
        write_rows(folder, number, list(self.rows))
