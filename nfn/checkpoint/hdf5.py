"""HDF5 files as h5py and Keras write them: datasets and attributes, found in Python with bounds on every step.

Read are the structures of `libver="earliest"`, h5py's default: superblock 0 and 1, object headers of version 1, groups
with symbol tables or compact links. Format: HDF5 File Format Specification 3.0, by the names of its sections.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nfn.checkpoint import hdf5_messages as messages
from nfn.checkpoint import limits
from nfn.checkpoint.hdf5_messages import Damaged
from nfn.checkpoint.listing import TensorInfo
from nfn.reader.errors import NetworkFileError
from nfn.reader.limits import NAME_CHARACTERS

MAGIC = b"\x89HDF\r\n\x1a\n"
STEPS = 2_000_000
"""Structures that are read, each of a few numbers or 64 bytes: 25 to 50 for a dataset of Keras."""
_SPACE, _LINK_INFO, _TYPE, _LINK, _LAYOUT, _ATTRIBUTE, _CONTINUATION, _SYMBOLS = 1, 2, 3, 6, 8, 12, 16, 17
_SOFT_LINK = 2
_NOWHERE = 2**64 - 1


@dataclass(frozen=True)
class Dataset:
    """A dataset; `start` is where its values begin in the file, None if they are not in one piece."""

    info: TensorInfo
    start: int | None

    @property
    def end(self) -> int:
        """Where its values end in the file; 0 if they are not in one piece."""
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
    return Contents(datasets, texts, file.faults(lost))


@dataclass(frozen=True)
class _Object:
    """An object: a dataset or the links of a group, by name and address; and the texts among its attributes."""

    dataset: Dataset | None
    links: list[tuple[str, int]]
    texts: dict[str, str]


class _File:
    """The bytes of a file, and how many steps may still be taken in them."""

    def __init__(self, data: memoryview):
        self.data, self.steps = data, STEPS
        version, sizes = self.number("B", 8), self.take(13, 2)
        if version > 1:
            raise NetworkFileError(messages.NEWER)
        base, _, self.end, _, _, self.root = self.numbers("6Q", 24 if version == 0 else 28)
        if bytes(sizes) != b"\x08\x08" or base:
            raise Damaged("its addresses are not of 8 bytes from its start")
        self.cut = len(data) < self.end

    def take(self, start: int, size: int) -> memoryview:
        """A piece of the file; Damaged if it is not inside, NetworkFileError if too much was read."""
        self.steps -= 1 + size // 64
        if self.steps < 0:
            raise NetworkFileError(f"This HDF5 file has more than {STEPS:,} parts, and is not read.")
        if size > len(self.data) - start:
            raise Damaged(f"it has {len(self.data):,} bytes and refers to byte {start:,}")
        return self.data[start : start + size]

    def numbers(self, code: str, start: int) -> tuple[Any, ...]:
        return struct.unpack("<" + code, self.take(start, struct.calcsize("<" + code)))

    def number(self, code: str, start: int) -> Any:
        return self.numbers(code, start)[0]

    def expect(self, magic: bytes, start: int) -> None:
        if bytes(self.take(start, 4)) != magic:
            raise Damaged(f"there is no {magic.decode()} at byte {start:,}")

    def faults(self, lost: int) -> tuple[str, ...]:
        if not self.cut:
            return ()
        return (f"The file is cut short: {len(self.data):,} of {self.end:,} bytes are there, and {lost:,} "
                "groups or datasets cannot be listed. Download it again.",)  # fmt: skip

    def messages(self, address: int) -> Iterator[tuple[int, int, memoryview]]:
        """Data Object Header: the kind, place and content of every message; that of a shared one is empty."""
        version, _, _, _, size = self.numbers("BBHII", address)
        if version == ord("O"):  # of "OHDR"
            raise NetworkFileError(messages.NEWER)
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
                messages.check_links(content)
            elif kind == _ATTRIBUTE and content:
                texts |= self.attribute(content)
            else:
                found.setdefault(kind, (start, content))
        return _Object(_dataset(path, found, texts.get("dtype", "")), links, texts)

    def members(self, start: int) -> Iterator[tuple[str, int]]:
        """Symbol Table: the members of a group; soft links are left out."""
        tree, heap = self.numbers("2Q", start)
        self.expect(b"HEAP", heap)
        _, _, names = self.numbers("3Q", heap + 8)
        for node in self.leaves(tree):
            self.expect(b"SNOD", node)
            for index in range(self.number("H", node + 6)):
                name, address, cache = self.numbers("2QI", node + 8 + 40 * index)
                if cache != _SOFT_LINK:
                    yield self.text(names + name), address

    def leaves(self, root: int) -> Iterator[int]:
        """B-tree of version 1: the addresses of all symbol table nodes."""
        waiting, seen = [root], {root}
        while waiting:
            node = waiting.pop()
            self.expect(b"TREE", node)
            kind, level, count = self.numbers("BBH", node + 4)
            children = self.numbers(f"{2 * count}Q", node + 24)[1::2]
            if kind or seen & set(children):
                raise Damaged(f"the tree at byte {node:,} is not one of a group, or contains itself")
            seen |= set(children)
            if level == 0:
                yield from children
            else:
                waiting += reversed(children)

    def text(self, start: int) -> str:
        """A text up to a zero, of at most `NAME_CHARACTERS`."""
        for size in (64, NAME_CHARACTERS):
            held, zero, _ = bytes(self.take(start, min(size, max(0, len(self.data) - start)))).partition(
                b"\0"
            )
            if zero:
                return held.decode("utf-8", "replace")
        raise Damaged(f"the name at byte {start:,} has no end")

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


def _dataset(path: str, found: dict[int, tuple[int, memoryview]], declared: str) -> Dataset | None:
    """The dataset of these messages; None for a group."""
    if not found.keys() >= {_SPACE, _TYPE, _LAYOUT}:
        return None
    shape = messages.read_space(found[_SPACE][1])
    dtype, bits = messages.read_type(found[_TYPE][1], declared)
    start = messages.read_layout(found[_LAYOUT][1], found[_LAYOUT][0])
    if start is None:
        dtype = f"chunked {dtype}"
    elif start == _NOWHERE:
        dtype, start = (f"unwritten {dtype}", None) if math.prod(shape) else (dtype, 0)
    info = TensorInfo(path, dtype, shape, math.prod(shape) * bits // 8)
    return Dataset(info, start)
