"""Read zip archives: members are views of the file's bytes, or are decompressed if small enough.

The directory is parsed here rather than by `zipfile`, because the checks account for every byte of the archive.
Format: PKWARE APPNOTE 4.3.
"""

import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_FIELDS = (3, 4, 7, 8, 9, 15, 16)  # flags, method, crc, sizes, attributes, offset
_LOCAL = struct.Struct("<4s5H3L2H")
_END64_BYTES = 56 + 20
_DESCRIPTOR_BYTES = (16, 24)
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True)
class _Entry:
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    attributes: int
    offset: int


class ArchiveError(NetworkFileError):
    """An archive that is damaged, or that no writer of checkpoints produces; `fault` is the reason alone."""

    def __init__(self, text: str, fault: str):
        super().__init__(text)
        self.fault = fault


class Archive:
    """The directory of a zip archive of at most `max_members`; `names` in its order.

    Raises:
        ArchiveError: the directory is truncated, damaged, above a limit, or misplaced.
    """

    def __init__(self, data: bytes | memoryview, max_members: int = limits.ZIP_MEMBERS):
        self._data = memoryview(data)
        self._entries, self._directory_start = _read_directory(self._data, max_members)
        self.names = [entry.name for entry in self._entries]

    def members(self, unpack: bool = False, checked: bool = True) -> dict[str, memoryview]:
        """The members by name; compressed members are decompressed if `unpack`, else rejected.

        With `checked` the checksums of stored members are verified, which reads the whole file.

        Raises:
            ArchiveError: a member is encrypted, listed twice, misplaced or damaged, or too large.
        """
        for entry in self._entries:
            _check_entry(entry, unpack)
        if len(set(self.names)) != len(self.names):
            raise hostile(f"it holds {quote(_first_duplicate(self.names))} twice")
        total = sum(entry.size for entry in self._entries if entry.method == _DEFLATED)
        if total > limits.FILE_BYTES:
            raise hostile(f"it unpacks to {total:,} bytes; at most {limits.FILE_BYTES:,} are read")
        return {
            entry.name: _content(entry, packed, checked)
            for entry, packed in _locate(self._data, self._entries, self._directory_start)
        }

    def verify(self, after_each: Callable[[], object]) -> None:
        """Verify all checksums, calling `after_each` after each member; ArchiveError if one is wrong."""
        for entry, packed in _locate(self._data, self._entries, self._directory_start):
            _content(entry, packed, True)
            after_each()


def _read_directory(data: memoryview, max_members: int) -> tuple[list[_Entry], int]:
    if len(data) < _END.size or b"PK\x05\x06" not in bytes(data[-65_557:]):
        raise _incomplete("its directory at the end is missing")
    signature, _, _, _, count, size, start, comment = _END.unpack(data[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise hostile("it has data appended after its end")
    if count > max_members or size > max_members * limits.ZIP_ENTRY_BYTES:
        raise hostile(f"its directory lists {count:,} members in {size:,} bytes")
    tail = len(data) - _END.size - start - size
    if tail not in (0, _END64_BYTES) or (tail and data[start + size :][:4] != b"PK\x06\x06"):
        raise hostile("its directory is not where it should be (data before or after the archive)")
    return _parse_entries(bytes(data[start : start + size]), count), start


def _parse_entries(directory: bytes, count: int) -> list[_Entry]:
    entries, position = [], 0
    while position < len(directory):
        if len(directory) - position < _ENTRY.size:
            raise _incomplete("its directory is cut short")
        fields = _ENTRY.unpack_from(directory, position)
        name_start = position + _ENTRY.size
        if fields[0] != b"PK\x01\x02":
            raise _incomplete("its directory is damaged")
        name = directory[name_start : name_start + fields[10]]
        entries.append(_Entry(_decode(name), *(fields[i] for i in _ENTRY_FIELDS)))
        position = name_start + sum(fields[10:13])
    if len(entries) != count or position != len(directory):
        raise _incomplete("its directory does not list what it claims")
    return entries


def _decode(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise hostile(f"a member's name is not UTF-8 ({quote(name)})") from error


def _check_entry(entry: _Entry, unpack: bool) -> None:
    name = entry.name
    absolute = name.startswith("/") or name[1:3] == ":/"
    if absolute or "\\" in name or ".." in name.split("/") or not name.isprintable():
        raise hostile(f"the member name {quote(name)} points outside the archive")
    if entry.flags & 0x2041:
        raise hostile(f"its member {quote(name)} is encrypted")
    if stat.S_ISLNK(entry.attributes >> 16):
        raise hostile(f"its member {quote(name)} is a symbolic link")
    if (entry.method == _STORED and entry.packed == entry.size) or (entry.method == _DEFLATED and unpack):
        return
    raise ArchiveError(
        f"The zip member {quote(name)} is compressed, which torch.save never does: "
        f"unpack an archive of files first. {EXPORT_ADVICE}",
        f"its member {quote(name)} is not stored or deflated",
    )


def _first_duplicate(names: list[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))


def _locate(
    data: memoryview, entries: list[_Entry], directory_start: int
) -> Iterator[tuple[_Entry, memoryview]]:
    """Yield each member's bytes; with their headers they must cover the file up to the directory."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if not _is_gap(data, end, entry.offset):
            raise hostile(f"bytes before its member {quote(entry.name)} belong to nothing")
        start = _check_local_header(data, entry)
        end = start + entry.packed
        if end > directory_start:
            raise _incomplete(f"its member {quote(entry.name)} reaches into the directory")
        yield entry, data[start:end]
    if not _is_gap(data, end, directory_start):
        raise hostile("bytes between its members and its directory belong to nothing")


def _content(entry: _Entry, packed: memoryview, checked: bool) -> memoryview:
    if entry.method == _DEFLATED:
        return _unpack(entry, packed)
    return _check(entry, packed) if checked else packed


def _check(entry: _Entry, content: memoryview) -> memoryview:
    if zlib.crc32(content) != entry.crc:
        fault = f"the checksum of {quote(entry.name)} is wrong"
        raise ArchiveError(f"The file is corrupt: {fault}. Download it again.", fault)
    return content


def _unpack(entry: _Entry, packed: memoryview) -> memoryview:
    """Decompress a member, up to the size in its directory entry."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = decompressor.decompress(packed, entry.size + 1)
    except zlib.error as error:
        raise _incomplete(f"its member {quote(entry.name)} cannot be unpacked") from error
    if len(content) != entry.size or not decompressor.eof or decompressor.unused_data:
        raise hostile(f"its member {quote(entry.name)} is not as long as it claims")
    return _check(entry, memoryview(content))


def _is_gap(data: memoryview, end: int, start: int) -> bool:
    """Whether nothing, or only a data descriptor, is between two members."""
    return start == end or (
        start - end in _DESCRIPTOR_BYTES and (end > 0) and data[end : end + 4] == b"PK\x07\x08"
    )


def _check_local_header(data: memoryview, entry: _Entry) -> int:
    if len(data) - entry.offset < _LOCAL.size:
        raise _incomplete(f"the header of {quote(entry.name)} is missing")
    signature, _, flags, method, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(data, entry.offset)
    name_start = entry.offset + _LOCAL.size
    name = data[name_start : name_start + name_bytes]
    if signature != b"PK\x03\x04" or method != entry.method or flags & 0x2041 or name != entry.name.encode():
        raise hostile(f"the header of {quote(entry.name)} does not match the directory")
    return name_start + name_bytes + extra_bytes


def hostile(fault: str) -> ArchiveError:
    """The error for an archive that no checkpoint writer would produce."""
    return ArchiveError(
        f"This zip archive was refused: {fault}, as neither torch.save nor numpy.savez writes. {EXPORT_ADVICE}",
        fault,
    )


def _incomplete(fault: str) -> ArchiveError:
    return ArchiveError(f"This checkpoint is incomplete: {fault}. Download or save it again.", fault)
