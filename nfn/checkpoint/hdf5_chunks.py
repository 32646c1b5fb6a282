"""Values of HDF5 datasets that are stored in chunks, as they are or by gzip and shuffle (the filters of h5py).

Read is the index of layout 3, a B-tree of version 1, which h5py writes by default. Format: as in `hdf5`.
"""

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from nfn.checkpoint.hdf5_bytes import HdfBytes
from nfn.checkpoint.hdf5_messages import NOWHERE, Damaged
from nfn.reader.limits import MIB

TENSOR_BYTES = 64 * MIB
"""Bytes of a dataset in chunks, and of one chunk: it is put together in memory."""
STEPS = 20
"""Steps of the file that a chunk counts for: to unpack a small one takes 10 µs."""
_GZIP, _SHUFFLE = 1, 2
_PIPELINES = ((), (_GZIP,), (_SHUFFLE,), (_SHUFFLE, _GZIP))


@dataclass(frozen=True, eq=False)
class Chunks:
    """Chunks of `shape` values of `itemsize` bytes. `places` `(chunks of the grid, 3)` are the start and the number of
    bytes of each, the last axis first, and which of the `filters`, numbered in bits, were left out."""

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    itemsize: int
    filters: tuple[int, ...]
    places: np.ndarray

    @property
    def nbytes(self) -> int:
        """The bytes of one chunk in memory."""
        return math.prod(self.shape) * self.itemsize

    @property
    def unpacked(self) -> int:
        """The bytes of all chunks in memory."""
        return len(self.places) * self.nbytes

    @property
    def end(self) -> int:
        """Where the last chunk ends in the file."""
        return int((self.places[:, 0] + self.places[:, 1]).max(initial=0))


def find_chunks(
    file: HdfBytes, layout: memoryview, pipeline: memoryview, shape: tuple[int, ...], itemsize: int
) -> Chunks | None:
    """Where the chunks of a dataset are, from its messages; None if they are not read here, or not all were written."""
    filters = read_filters(pipeline, itemsize)
    if layout[0] != 3 or layout[1] != 2 or filters not in _PIPELINES:
        return None
    rank = len(shape)
    try:
        tree, *sizes, size = struct.unpack_from(f"<Q{rank + 1}I", layout, 3)
    except struct.error as error:
        raise Damaged("the place of a dataset is cut short") from error
    if layout[2] != rank + 1 or size != itemsize or 0 in sizes:
        raise Damaged(f"a dataset of {rank} dimensions has chunks of another shape")
    grid = tuple(-(-all_of // part) for all_of, part in zip(shape, sizes, strict=True))
    chunks = Chunks(tuple(sizes), grid, itemsize, filters, np.zeros((0, 3), np.int64))
    if tree == NOWHERE or max(chunks.nbytes, math.prod(shape) * itemsize) > TENSOR_BYTES:
        return None
    places = _places(file, tree, chunks)
    return Chunks(chunks.shape, grid, itemsize, filters, places) if places[:, 0].all() else None


def _places(file: HdfBytes, tree: int, chunks: Chunks) -> np.ndarray:
    file.spend(STEPS * math.prod(chunks.grid))
    places = np.zeros((math.prod(chunks.grid), 3), np.int64)
    rank = len(chunks.grid)
    for key, start in file.leaves(tree, 1, 8 + 8 * (rank + 1)):
        size, left_out, *corner, _ = struct.unpack(f"<2I{rank + 1}Q", key)
        at = 0
        for place, part, count in zip(corner, chunks.shape, chunks.grid, strict=True):
            if place % part or place // part >= count:
                raise Damaged(f"a chunk begins at {tuple(corner)}, where none can be")
            at = at * count + place // part
        if start >= NOWHERE // 4:
            raise Damaged(f"it has {len(file.data):,} bytes and refers to byte {start:,}")
        places[at] = start, size, left_out
    return places


def read_filters(pipeline: memoryview, itemsize: int) -> tuple[int, ...]:
    """Filter Pipeline: the numbers of its filters in the order of writing; 0 for a shuffle of other values."""
    if not pipeline:
        return ()
    try:
        version, count = pipeline[0], pipeline[1]
        start, filters = (8 if version == 1 else 2), []
        for _ in range(count):
            number = struct.unpack_from("<H", pipeline, start)[0]
            has_name = version == 1 or number >= 256
            length = struct.unpack_from("<H", pipeline, start + 2)[0] if has_name else 0
            start += 4 if has_name else 2
            _, values = struct.unpack_from("<2H", pipeline, start)
            start += 4 + length
            width = (
                struct.unpack_from("<I", pipeline, start)[0] if number == _SHUFFLE and values else itemsize
            )
            filters.append(number if width == itemsize else 0)
            start += 4 * (values + (values % 2 if version == 1 else 0))
    except (struct.error, IndexError) as error:
        raise Damaged("the filters of a dataset are cut short") from error
    return tuple(filters)


def join_chunks(data: memoryview, chunks: Chunks, shape: tuple[int, ...]) -> memoryview:
    """The bytes of a dataset of at most `TENSOR_BYTES`; Damaged if a chunk is not as long as it should be."""
    joined = np.empty((*shape, chunks.itemsize), np.uint8)
    for index, (start, size, left_out) in zip(np.ndindex(chunks.grid), chunks.places.tolist(), strict=True):
        corner = [i * part for i, part in zip(index, chunks.shape, strict=True)]
        part = joined[tuple(slice(at, at + size) for at, size in zip(corner, chunks.shape, strict=True))]
        content = _unpack(data[start : start + size], chunks, left_out)
        values = np.frombuffer(content, np.uint8).reshape(*chunks.shape, chunks.itemsize)
        part[...] = values[tuple(slice(0, length) for length in part.shape)]
    return joined.reshape(-1).data


def _unpack(packed: memoryview, chunks: Chunks, left_out: int) -> bytes | memoryview:
    """Undo the filters; no more than the bytes of one chunk are ever unpacked."""
    content: bytes | memoryview = packed
    for i in reversed(range(len(chunks.filters))):
        if left_out >> i & 1:
            continue
        if chunks.filters[i] == _GZIP:
            try:
                content = zlib.decompressobj().decompress(content, chunks.nbytes + 1)
            except zlib.error as error:
                raise Damaged("a chunk cannot be unpacked") from error
        elif len(content) == chunks.nbytes:
            content = np.frombuffer(content, np.uint8).reshape(chunks.itemsize, -1).T.tobytes()
    if len(content) != chunks.nbytes:
        raise Damaged(f"a chunk does not have its {chunks.nbytes:,} bytes")
    return content
