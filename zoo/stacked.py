"""Stacked tensors `(n, ...)` in a safetensors file, read row by row: from disk, or remotely by byte ranges."""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open

from zoo.errors import ZooError

MAX_HEADER = 1_000_000
MAX_READ = 2**26
"""The largest number of bytes of rows to read remotely at once."""
LENGTH_BYTES, FIRST_BYTES = 8, 4096
REQUESTS_AT_ONCE = 8
DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


class Stacked(Protocol):
    """A file of stacked tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape `(n, ...)` of a tensor; ZooError if there is none of that name."""
        ...

    def rows(self, names: Sequence[str], indices: Sequence[int]) -> list[torch.Tensor]:
        """For each name, the rows `(len(indices), ...)` at these indices, in that order."""
        ...

    def tensors(self, names: Sequence[str]) -> list[torch.Tensor]:
        """Whole tensors; float32 or float16."""
        ...


class LocalStacked:
    """A file on the local disk; SafetensorError if it is not a safetensors file."""

    def __init__(self, path):
        self._file = safe_open(path, "pt")

    def shape(self, name: str) -> tuple[int, ...]:
        """As in `Stacked`; SafetensorError if there is no such tensor."""
        return tuple(self._file.get_slice(name).get_shape())

    def rows(self, names: Sequence[str], indices: Sequence[int]) -> list[torch.Tensor]:
        """As in `Stacked`; a single index is read directly."""
        if len(indices) == 1:
            return [self._file.get_slice(name)[indices[0] : indices[0] + 1] for name in names]
        return [self._file.get_tensor(name)[list(indices)] for name in names]

    def tensors(self, names: Sequence[str]) -> list[torch.Tensor]:
        """As in `Stacked`; SafetensorError if there is no such tensor."""
        return [self._file.get_tensor(name) for name in names]


class RemoteStacked:
    """A file of `size` bytes, read through `read(start, stop) -> bytes`. Tensors of `DTYPES`; ZooError if invalid."""

    def __init__(self, name: str, size: int, read: Callable[[int, int], bytes]):
        self._name, self._read = name, read
        head = read(0, min(size, FIRST_BYTES))
        length = int.from_bytes(head[:LENGTH_BYTES], "little")
        if not 0 < length <= min(MAX_HEADER, size - LENGTH_BYTES):
            raise ZooError(f"{name} is damaged: its header says that it has {length} bytes.")
        self._start = LENGTH_BYTES + length
        if self._start > len(head):
            head += read(len(head), self._start)
        self._tensors = self._parse(head[LENGTH_BYTES : self._start], size - self._start)

    def shape(self, name: str) -> tuple[int, ...]:
        """As in `Stacked`."""
        return self._find(name).shape

    def rows(self, names: Sequence[str], indices: Sequence[int]) -> list[torch.Tensor]:
        """As in `Stacked`: one request for each tensor and each run of adjacent indices."""
        ordered, runs = sorted(set(indices)), runs_of(indices)
        pieces = self._read_runs([(name, run) for name in names for run in runs])
        tensors = [torch.cat(pieces[i : i + len(runs)]) for i in range(0, len(pieces), len(runs))]
        order = [ordered.index(index) for index in indices]
        return [tensor[order] for tensor in tensors]

    def tensors(self, names: Sequence[str]) -> list[torch.Tensor]:
        """As in `Stacked`: one request for each tensor."""
        return self._read_runs([(name, range(self.shape(name)[0])) for name in names])

    def _read_runs(self, jobs: Sequence[tuple[str, range]]) -> list[torch.Tensor]:
        """Read runs of rows of tensors; ZooError if they are too large together."""
        size = sum(len(run) * self._find(name).row_bytes for name, run in jobs)
        if size > MAX_READ:
            raise ZooError(f"{self._name}: these networks have {size:,} bytes; ask for fewer at once.")
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            return list(pool.map(lambda job: self._read_run(*job), jobs))

    def _read_run(self, name: str, run: range) -> torch.Tensor:
        stored = self._find(name)
        start = self._start + stored.begin + stored.row_bytes * run.start
        raw = self._read(start, start + stored.row_bytes * len(run))
        return torch.from_numpy(np.frombuffer(bytearray(raw), stored.dtype)).reshape(
            len(run), *stored.shape[1:]
        )

    def _find(self, name: str) -> "_Entry":
        if name not in self._tensors:
            raise ZooError(f"{self._name} has no float32 or float16 tensor {name}.")
        return self._tensors[name]

    def _parse(self, header: bytes, room: int) -> "dict[str, _Entry]":
        """The tensors of `DTYPES` that have an axis."""
        try:
            tensors = {
                name: _entry(entry)
                for name, entry in json.loads(header).items()
                if name != "__metadata__" and entry["dtype"] in DTYPES and entry["shape"]
            }
            fits = all(entry.fits(room) for entry in tensors.values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ZooError(f"{self._name} is damaged: it is not a safetensors file.") from error
        if not fits:
            raise ZooError(f"{self._name} is damaged: its tensors do not fit into the file.")
        return tensors


def _entry(entry: dict[str, Any]) -> "_Entry":
    begin, end = entry["data_offsets"]
    return _Entry(tuple(entry["shape"]), begin, end, DTYPES[entry["dtype"]])


@dataclass(frozen=True)
class _Entry:
    """A tensor in a safetensors file: its shape, its first and last byte, and its type."""

    shape: tuple[int, ...]
    begin: int
    end: int
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        """The bytes of one entry along the first axis."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def fits(self, room: int) -> bool:
        """Whether the tensor lies in a file of `room` bytes of tensors, and has the bytes that its shape says."""
        numbers = (*self.shape, self.begin, self.end)
        return (
            all(type(n) is int and n >= 0 for n in numbers)
            and self.end <= room
            and self.end - self.begin == self.dtype.itemsize * math.prod(self.shape)
        )


def runs_of(indices: Sequence[int]) -> list[range]:
    """The indices, sorted, as runs of adjacent ones.

    >>> runs_of([5, 1, 2, 6])
    [range(1, 3), range(5, 7)]
    """
    runs: list[range] = []
    for index in sorted(set(indices)):
        if runs and runs[-1].stop == index:
            runs[-1] = range(runs[-1].start, index + 1)
        else:
            runs.append(range(index, index + 1))
    return runs
