"""The bytes of an HDF5 file, read piece by piece within a number of steps."""

import struct
from collections.abc import Iterator
from typing import Any

from nfn.checkpoint.hdf5_messages import Damaged
from nfn.reader.errors import NetworkFileError
from nfn.reader.limits import NAME_CHARACTERS


class HdfBytes:
    """The bytes of a file, and how many steps may still be taken in them."""

    def __init__(self, data: memoryview, steps: int):
        self.data, self.steps, self._most = data, steps, steps

    def take(self, start: int, size: int) -> memoryview:
        """A piece of the file; Damaged if it is not inside, NetworkFileError if too much was read."""
        self.spend(1 + size // 64)
        if size > len(self.data) - start:
            raise Damaged(f"it has {len(self.data):,} bytes and refers to byte {start:,}")
        return self.data[start : start + size]

    def spend(self, steps: int) -> None:
        """Count steps; NetworkFileError if there are too many."""
        self.steps -= steps
        if self.steps < 0:
            raise NetworkFileError(f"This HDF5 file has more than {self._most:,} parts, and is not read.")

    def numbers(self, code: str, start: int) -> tuple[Any, ...]:
        """Little-endian numbers of the types in `code` (`struct`)."""
        return struct.unpack("<" + code, self.take(start, struct.calcsize("<" + code)))

    def number(self, code: str, start: int) -> Any:
        """One number."""
        return self.numbers(code, start)[0]

    def expect(self, magic: bytes, start: int) -> None:
        """Damaged unless a structure begins here."""
        if bytes(self.take(start, 4)) != magic:
            raise Damaged(f"there is no {magic.decode()} at byte {start:,}")

    def text(self, start: int) -> str:
        """A text up to a zero, of at most `NAME_CHARACTERS`."""
        for size in (64, NAME_CHARACTERS):
            held, zero, _ = bytes(self.take(start, min(size, max(0, len(self.data) - start)))).partition(
                b"\0"
            )
            if zero:
                return held.decode("utf-8", "replace")
        raise Damaged(f"the name at byte {start:,} has no end")

    def leaves(self, root: int, kind: int, key_bytes: int) -> Iterator[tuple[memoryview, int]]:
        """B-tree of version 1: the keys and addresses that its leaves hold; `kind` 0 is of a group, 1 of chunks."""
        waiting, seen, step = [root], {root}, key_bytes + 8
        while waiting:
            node = waiting.pop()
            self.expect(b"TREE", node)
            found, level, count = self.numbers("BBH", node + 4)
            held = self.take(node + 24, count * step)
            children = [
                int.from_bytes(held[i * step + key_bytes : (i + 1) * step], "little") for i in range(count)
            ]
            if found != kind or seen & set(children):
                owner = "dataset" if kind else "group"
                raise Damaged(f"the tree at byte {node:,} is not one of a {owner}, or contains itself")
            if level == 0:
                yield from ((held[i * step :][:key_bytes], child) for i, child in enumerate(children))
            else:
                seen |= set(children)
                waiting += reversed(children)
