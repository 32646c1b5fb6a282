"""Groups of HDF5 files with more than 8 members, as `libver="latest"` writes them: links in a fractal heap.

Read are heaps of up to 512 KiB of links, and their index by name, a B-tree of version 2 with one or two levels, which
is enough for about 1,000 members; larger ones are refused. Format: as in `hdf5`.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from nfn.checkpoint.hdf5_bytes import HdfBytes
from nfn.checkpoint.hdf5_messages import NEWER, NOWHERE, Damaged
from nfn.reader.errors import NetworkFileError

_RECORD = 11
"""Bytes of a record of the index: a hash, and the object in the heap (a byte, its offset in 4, its length in 2)."""


def heap_links(file: HdfBytes, info: memoryview) -> Iterator[memoryview]:
    """The link messages that a Link Info message says are in a heap; none if the group has no heap."""
    start = 2 + 8 * (len(info) > 1 and info[1] & 1)
    if len(info) < start + 16:
        raise Damaged("the links of a group are cut short")
    heap, index = (int.from_bytes(info[at : at + 8], "little") for at in (start, start + 8))
    if heap != NOWHERE:
        blocks = _open_heap(file, heap)
        for record in _records(file, index):
            yield blocks.take(
                file, int.from_bytes(record[5:9], "little"), int.from_bytes(record[9:11], "little")
            )


@dataclass(frozen=True)
class _Blocks:
    """The direct blocks of a heap: the offset of each within the heap, its size in bytes, and its place in the file."""

    places: list[tuple[int, int, int]]

    def take(self, file: HdfBytes, offset: int, length: int) -> memoryview:
        start, size, address = self.places[bisect_right(self.places, offset, key=lambda place: place[0]) - 1]
        if offset + length > start + size or address == NOWHERE:
            raise Damaged(f"its heap has no link at {offset:,}")
        return file.take(address + offset - start, length)


def _open_heap(file: HdfBytes, address: int) -> _Blocks:
    """Fractal Heap: its direct blocks, from the root block."""
    file.expect(b"FRHP", address)
    id_bytes, filter_bytes = file.numbers("2H", address + 5)
    width, size, most, bits, _, root, rows = file.numbers("H2Q2HQH", address + 110)
    if (id_bytes, filter_bytes, bits, width) != (7, 0, 32, 4) or rows > 64:
        raise NetworkFileError(NEWER)
    if not rows:
        return _Blocks([(0, size, root)])
    file.expect(b"FHIB", root)
    places, start = [], 0
    addresses = iter(file.numbers(f"{rows * width}Q", root + 17))
    for row in range(rows):
        block = size << max(0, row - 1)
        if block > most:
            raise NetworkFileError(NEWER)
        for _ in range(width):
            places.append((start, block, next(addresses)))
            start += block
    return _Blocks(places)


def _records(file: HdfBytes, address: int) -> Iterator[memoryview]:
    """B-tree of version 2: its records, of which those of the root stand between the leaves."""
    file.expect(b"BTHD", address)
    kind, _, record, depth = file.numbers("BIHH", address + 5)
    root, count = file.numbers("QH", address + 16)
    if (kind, record) != (5, _RECORD) or depth > 1:
        raise NetworkFileError(NEWER)
    yield from _node(file, b"BTIN" if depth else b"BTLF", root, count)
    pointers = root + 6 + count * _RECORD
    for i in range(count + 1 if depth else 0):
        leaf, held = file.numbers("QB", pointers + 9 * i)
        yield from _node(file, b"BTLF", leaf, held)


def _node(file: HdfBytes, magic: bytes, address: int, count: int) -> Iterator[memoryview]:
    file.expect(magic, address)
    held = file.take(address + 6, count * _RECORD)
    yield from (held[i * _RECORD : (i + 1) * _RECORD] for i in range(count))
