"""`Checkpoint`: the tensors of a file by name, without their values, and the file's metadata."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

BITS = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16, "int64": 64, "int32": 32, "int16": 16, "int8": 8,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "bool": 8, "complex64": 64, "complex128": 128,
}  # fmt: skip
"""Bits per value of common dtypes; format-specific ones are in the module of the format."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: its name and dtype in the file, its shape, and its size in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    is_buffer: bool = False
    """Whether the file marks it as a buffer (such as a batch norm's statistics)."""

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Port:
    """An input or output of a graph; None for an unknown size."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str = ""


Blocks = Callable[[str], Iterator[np.ndarray]]
"""Maps a tensor's name to its values: float32 or float64 blocks of whole rows along the first axis, in order."""


def _nothing() -> None:
    """The `release` of a checkpoint that was read as a whole."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. `tensors` are in the file's order.

    `blocks` reads values in blocks, with bounded memory; None if values of the format are not supported.
    `operators` counts the operations of a graph, `declared_name` is the architecture name in the file. `broken` has
    sentences on damage of the file (truncated, padded), `missing` the tensors whose bytes are incomplete; `notes` has
    sentences on other peculiarities.
    """

    format: str
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)
    blocks: Blocks | None = None
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    operators: Mapping[str, int] = field(default_factory=dict)
    declared_name: str = ""
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    """The names of the shards; empty for a single file."""
    release: Callable[[], object] = _nothing
    """Releases the parts of the file that were read, which count as the process's memory until then."""
    verify: Callable[[Callable[[], object]], object] | None = None
    """Reads the whole file to compare checksums, where the format has them, and calls its argument now and then, which
    should be `release`; NetworkFileError where one is wrong."""

    @property
    def parameters(self) -> int:
        """The number of values in all tensors except counters and buffers."""
        return sum(t.numel for t in self.tensors.values() if not t.is_buffer and not is_statistic(t.name))

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def is_statistic(name: str) -> bool:
    """Whether a tensor's name is that of a batch norm buffer, which torch does not count as a parameter."""
    return name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
