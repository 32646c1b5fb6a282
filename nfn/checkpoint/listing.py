"""What stands in a checkpoint: its tensors by name, without their values, and what the file says of itself."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

BITS = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16, "int64": 64, "int32": 32, "int16": 16, "int8": 8,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "bool": 8, "complex64": 64, "complex128": 128,
}  # fmt: skip
"""Bits per value of the types that every format has; those of a format's own stand with the format."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: its name and type as the file has them, its shape, and its bytes in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    is_buffer: bool = False
    """Whether the file says that it is no parameter (a batch norm's statistics)."""

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Port:
    """An input or output of a graph; None for a size that the file leaves open."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str = ""


Blocks = Callable[[str], Iterator[np.ndarray]]
"""From a tensor's name to its values: float32 or float64 arrays of whole rows along the first axis, in order."""


def _nothing() -> None:
    """There is nothing to let go of where a file was read whole."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. `tensors` are in the file's order.

    `blocks` reads values piece by piece, so that memory stays flat; None where the format's values are not read.
    `operators` counts the operations of a graph, `told` is the architecture that the file itself names. `broken` are
    sentences on what is wrong with the file itself (cut short, padded), `missing` the tensors whose bytes are not all
    there; `notes` are sentences on what is not usual about it.
    """

    format: str
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)
    blocks: Blocks | None = None
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    operators: Mapping[str, int] = field(default_factory=dict)
    told: str = ""
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    """The names of the shards; empty for a single file."""
    release: Callable[[], object] = _nothing
    """Lets go of the parts of the file that were read: they count as the process's memory until then."""
    verify: Callable[[Callable[[], object]], object] | None = None
    """Reads the whole file to compare checksums, where the format has them, and calls its argument now and then, which
    should be `release`; NetworkFileError where one is wrong."""

    @property
    def parameters(self) -> int:
        """Values in all tensors but counters and what the file calls buffers."""
        return sum(t.numel for t in self.tensors.values() if not t.is_buffer and not is_statistic(t.name))

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def is_statistic(name: str) -> bool:
    """Whether a tensor's name is one of the buffers of batch norm, which torch does not count among parameters."""
    return name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
