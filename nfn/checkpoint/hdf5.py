"""HDF5 files as h5py and Keras write them: datasets and attributes, found in Python with bounds on every step.

Read are the structures of `libver="earliest"`, h5py's default, and most of `libver="latest"`: superblocks 0 to 3,
object headers of version 1 and 2, groups with symbol tables, compact links or a heap of links. Format: HDF5 File
Format Specification 3.0, by the names of its sections.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from nfn.checkpoint import hdf5_messages as messages
from nfn.checkpoint import limits
from nfn.checkpoint.hdf5_bytes import HdfBytes
from nfn.checkpoint.hdf5_chunks import Chunks, find_chunks
from nfn.checkpoint.hdf5_heap import heap_links
from nfn.checkpoint.hdf5_messages import NOWHERE, Damaged
from nfn.checkpoint.listing import TensorInfo
from nfn.reader.errors import NetworkFileError
from nfn.reader.limits import FILE_BYTES, NAME_CHARACTERS

MAGIC = b"\x89HDF\r\n\x1a\n"
STEPS = 2_000_000
"""Structures that are read, each of a few numbers or 64 bytes: 25 to 50 for a dataset of Keras."""
_SPACE, _LINK_INFO, _TYPE, _LINK, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION, _SYMBOLS = (
    1,
    2,
    3,
    6,
    8,
    11,
    12,
    16,
    17,
)
_SOFT_LINK = 2
UNPACKED = 10
"""The most bytes that chunks unpack to, over those of the file; up to `FILE_BYTES` more are always read."""


@dataclass(frozen=True)
class Dataset:
    """A dataset; `start` is where its values begin in the file, None if they are not in one piece but in `chunks`."""

    info: TensorInfo
    start: int | None
    chunks: Chunks | None = None

    @property
    def end(self) -> int:
        """Where its values end in the file; 0 if they are not read."""
        if self.chunks is not None:
            return self.chunks.end
        return 0 if self.start is None else self.start + self.info.nbytes


@dataclass(frozen=True)
class Contents:
    """All datasets by path, the texts among the attributes by `path@name` (`name` alone for the root's), and damage."""

    datasets: dict[str, Dataset]
    texts: dict[str, str]
    broken: tuple[str, ...]


def read_hdf5(data: memoryview) -> Contents:
    """Walk through all groups.

    Raises:
        NetworkFileError: the file is damaged, above a limit, or of the newer layout; a truncated one is listed as
            far as it can be.
    """
    file = _File(data)
    datasets: dict[str, Dataset] = {}
    texts: dict[str, str] = {}
    waiting, seen, lost = [("", file.root)], {file.root}, 0
    while waiting:
        path, address = waiting.pop()
        try:
            found = file.describe(path, address)
        except Damaged:
            if not file.cut:
                raise
            lost += 1
            continue
        if len(texts) < limits.METADATA:
            texts |= {f"{path}@{name}" if path else name: text for name, text in found.texts.items()}
        if found.dataset is not None:
            datasets[path] = found.dataset
        links = [(name, place) for name, place in found.links if place not in seen]
        seen |= {place for _, place in links}
        waiting += [(f"{path}/{name}" if path else name, place) for name, place in reversed(links)]
        if len(datasets) > limits.TENSORS or len(path) > NAME_CHARACTERS:
            raise Damaged(
                f"it has more than {limits.TENSORS:,} datasets, or a path of {len(path):,} characters"
            )
    inside = sum(
        found.info.nbytes for found in datasets.values() if found.start is not None and found.end <= len(data)
    )
    if inside > len(data):
        raise Damaged("datasets share their bytes")
    unpacked = sum(found.chunks.unpacked for found in datasets.values() if found.chunks is not None)
    if unpacked > FILE_BYTES + UNPACKED * len(data):
        raise NetworkFileError(
            f"The chunks of this HDF5 file of {len(data):,} bytes unpack to {unpacked:,}, which is not read. Copy it "
            "without compression."
        )
    return Contents(datasets, texts, file.faults(lost))


@dataclass(frozen=True)
class _Object:
    """An object: a dataset or the links of a group, by name and address; and the texts among its attributes."""

    dataset: Dataset | None
    links: list[tuple[str, int]]
    texts: dict[str, str]


class _File(HdfBytes):
    """A file, and the address of its root group."""

    def __init__(self, data: memoryview):
        super().__init__(data, STEPS)
        version, sizes = self.number("B", 8), self.take(13 if self.number("B", 8) < 2 else 9, 2)
        if version > 3:
            raise NetworkFileError(messages.NEWER)
        if version < 2:
            base, _, self.end, _, _, self.root = self.numbers("6Q", 24 if version == 0 else 28)
        else:
            base, _, self.end, self.root = self.numbers("4Q", 12)
        if bytes(sizes) != b"\x08\x08" or base:
            raise Damaged("its addresses are not of 8 bytes from its start")
        self.cut = len(data) < self.end

    def faults(self, lost: int) -> tuple[str, ...]:
        if not self.cut:
            return ()
        return (f"The file is cut short: {len(self.data):,} of {self.end:,} bytes are there, and {lost:,} "
                "groups or datasets cannot be listed. Download it again.",)  # fmt: skip

    def messages(self, address: int) -> Iterator[tuple[int, int, memoryview]]:
        """Data Object Header: the kind, place and content of every message; that of a shared one is empty."""
        if bytes(self.take(address, 4)) == b"OHDR":
            return self._newer_messages(address)
        return self._older_messages(address)

    def _older_messages(self, address: int) -> Iterator[tuple[int, int, memoryview]]:
        version, _, _, _, size = self.numbers("BBHII", address)
        if version != 1:
            raise Damaged(f"the object at byte {address:,} has a header of version {version}")
        blocks = [(address + 16, size)]
        for start, size in blocks:
            end = start + size
            while start + 8 <= end:
                kind, length, flags = self.numbers("HHB", start)
                if kind == _CONTINUATION:
                    blocks.append(self.numbers("2Q", start + 8))
                yield kind, start + 8, self.take(start + 8, 0 if flags & 2 else length)
                start += 8 + length

    def _newer_messages(self, address: int) -> Iterator[tuple[int, int, memoryview]]:
        """Version 2: no gaps between messages, and four bytes of a checksum at the end of each further block."""
        version, flags = self.numbers("BB", address + 4)
        if version != 2:
            raise Damaged(f"the object at byte {address:,} has a header of version {version}")
        start, width = address + 6 + 16 * bool(flags & 32) + 4 * bool(flags & 16), 1 << (flags & 3)
        size, head = int.from_bytes(self.take(start, width), "little"), 6 if flags & 4 else 4
        blocks = [(start + width, size)]
        for start, size in blocks:
            end = start + size
            while start + head <= end:
                kind, length, shared = self.numbers("BHB", start)
                if kind == _CONTINUATION:
                    block, size = self.numbers("2Q", start + head)
                    self.expect(b"OCHK", block)
                    blocks.append((block + 4, size - 8))
                yield kind, start + head, self.take(start + head, 0 if shared & 2 else length)
                start += head + length

    def describe(self, path: str, address: int) -> _Object:
        """What is at an address: a dataset or a group."""
        found: dict[int, tuple[int, memoryview]] = {}
        links: list[tuple[str, int]] = []
        texts: dict[str, str] = {}
        for kind, start, content in self.messages(address):
            if kind == _SYMBOLS:
                links += self.members(start)
            elif kind == _LINK:
                links += messages.read_link(content)
            elif kind == _LINK_INFO:
                links += [link for one in heap_links(self, content) for link in messages.read_link(one)]
            elif kind == _ATTRIBUTE and content:
                texts |= self.attribute(content)
            else:
                found.setdefault(kind, (start, content))
        return _Object(self.dataset(path, found, texts.get("dtype", "")), links, texts)

    def members(self, start: int) -> Iterator[tuple[str, int]]:
        """Symbol Table: the members of a group; soft links are left out."""
        tree, heap = self.numbers("2Q", start)
        self.expect(b"HEAP", heap)
        _, _, names = self.numbers("3Q", heap + 8)
        for _, node in self.leaves(tree, 0, 8):
            self.expect(b"SNOD", node)
            for index in range(self.number("H", node + 6)):
                name, address, cache = self.numbers("2QI", node + 8 + 40 * index)
                if cache != _SOFT_LINK:
                    yield self.text(names + name), address

    def attribute(self, content: memoryview) -> dict[str, str]:
        """An attribute that is one text, by its name; nothing for any other."""
        name, kind, held = messages.read_attribute(content)
        if kind == messages.FIXED_TEXT:
            return {name: messages.decode(held)}
        if kind == messages.HEAP_TEXT and len(held) >= 16:
            size, collection, index = struct.unpack("<IQI", held[:16])
            return {name: messages.decode(self.heap_object(collection, index)[:size])}
        return {}

    def heap_object(self, collection: int, index: int) -> memoryview:
        """Global Heap: an object of a collection by its number."""
        self.expect(b"GCOL", collection)
        start, end = collection + 16, collection + self.number("Q", collection + 8)
        while start + 16 <= end:
            number, _, _, size = self.numbers("HHIQ", start)
            if number == index:
                return self.take(start + 16, size)
            start += 16 + -(-size // 8) * 8
        raise Damaged(f"a text is missing in the heap at byte {collection:,}")

    def dataset(self, path: str, found: dict[int, tuple[int, memoryview]], declared: str) -> Dataset | None:
        """The dataset of these messages; None for a group."""
        if not found.keys() >= {_SPACE, _TYPE, _LAYOUT}:
            return None
        shape = messages.read_space(found[_SPACE][1])
        dtype, bits = messages.read_type(found[_TYPE][1], declared)
        place, layout = found[_LAYOUT]
        start, chunks = messages.read_layout(layout, place), None
        if start is None:
            pipeline = found[_FILTERS][1] if _FILTERS in found else memoryview(b"")
            chunks = find_chunks(self, layout, pipeline, shape, bits // 8)
            dtype = f"chunked {dtype}" if chunks is None else dtype
        elif start == NOWHERE:
            dtype, start = (f"unwritten {dtype}", None) if math.prod(shape) else (dtype, 0)
        info = TensorInfo(path, dtype, shape, math.prod(shape) * bits // 8)
        return Dataset(info, start, chunks)
