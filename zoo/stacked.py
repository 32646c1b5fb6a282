"""Stacked tensors `(n, ...)` in a safetensors file, read row by row: from this disk, or from afar by byte ranges."""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from safetensors import safe_open

from zoo.errors import ZooError

MAX_HEADER = 1_000_000
MAX_READ = 2**26
"""Bytes of rows that are read from afar for one question."""
LENGTH_BYTES, FIRST_BYTES = 8, 4096
REQUESTS_AT_ONCE = 8


class Stacked(Protocol):
    """A file of stacked tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape `(n, ...)` of a tensor; ZooError where there is none of that name."""
        ...

    def rows(self, names: Sequence[str], places: Sequence[int]) -> list[torch.Tensor]:
        """For each name, the rows `(len(places), ...)` at these places, in that order."""
        ...


class LocalStacked:
    """A file on this disk; SafetensorError where it is none."""

    def __init__(self, path):
        self._file = safe_open(path, "pt")

    def shape(self, name: str) -> tuple[int, ...]:
        """As in `Stacked`; SafetensorError where there is no such tensor."""
        return tuple(self._file.get_slice(name).get_shape())

    def rows(self, names: Sequence[str], places: Sequence[int]) -> list[torch.Tensor]:
        """As in `Stacked`; one place is read on its own."""
        if len(places) == 1:
            return [self._file.get_slice(name)[places[0] : places[0] + 1] for name in names]
        return [self._file.get_tensor(name)[list(places)] for name in names]


class RemoteStacked:
    """A file of `size` bytes behind `read(start, stop) -> bytes`. Only float32 tensors; a ZooError says what is odd."""

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
        return self._find(name)[0]

    def rows(self, names: Sequence[str], places: Sequence[int]) -> list[torch.Tensor]:
        """As in `Stacked`: a request for each tensor and each run of neighbouring places."""
        ordered, runs = sorted(set(places)), runs_of(places)
        size = len(ordered) * sum(4 * math.prod(self.shape(name)[1:]) for name in names)
        if size > MAX_READ:
            raise ZooError(
                f"{self._name}: {len(ordered)} networks have {size:,} bytes; ask for fewer at once."
            )
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            pieces = list(
                pool.map(lambda job: self._read_run(*job), [(n, run) for n in names for run in runs])
            )
        found = [torch.cat(pieces[i : i + len(runs)]) for i in range(0, len(pieces), len(runs))]
        order = [ordered.index(place) for place in places]
        return [tensor[order] for tensor in found]

    def _read_run(self, name: str, run: range) -> torch.Tensor:
        shape, begin = self._find(name)
        row = 4 * math.prod(shape[1:])
        start = self._start + begin + row * run.start
        raw = self._read(start, start + row * len(run))
        return torch.from_numpy(np.frombuffer(bytearray(raw), "<f4")).reshape(len(run), *shape[1:])

    def _find(self, name: str) -> tuple[tuple[int, ...], int]:
        if name not in self._tensors:
            raise ZooError(f"{self._name} has no float32 tensor {name}.")
        return self._tensors[name]

    def _parse(self, header: bytes, room: int) -> dict[str, tuple[tuple[int, ...], int]]:
        """Shape and first byte of each float32 tensor."""
        try:
            entries = json.loads(header)
            tensors = {
                name: (tuple(entry["shape"]), *entry["data_offsets"])
                for name, entry in entries.items()
                if name != "__metadata__" and entry["dtype"] == "F32"
            }
            whole = all(type(n) is int and n >= 0 for s, a, b in tensors.values() for n in (*s, a, b))
            fits = whole and all(b <= room and b - a == 4 * math.prod(s) for s, a, b in tensors.values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ZooError(f"{self._name} is damaged: it is no safetensors file.") from error
        if not fits:
            raise ZooError(f"{self._name} is damaged: its tensors do not fit into it.")
        return {name: (shape, begin) for name, (shape, begin, _) in tensors.items()}


def runs_of(places: Sequence[int]) -> list[range]:
    """The places, sorted, as runs of neighbours.

    >>> runs_of([5, 1, 2, 6])
    [range(1, 3), range(5, 7)]
    """
    runs: list[range] = []
    for place in sorted(set(places)):
        if runs and runs[-1].stop == place:
            runs[-1] = range(runs[-1].start, place + 1)
        else:
            runs.append(range(place, place + 1))
    return runs
