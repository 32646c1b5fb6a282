"""The zip archive that `torch.save` writes: its members as views of the file's bytes, nothing unpacked.

The directory is read here and not by `zipfile`, because the checks need what that hides: where every
byte of the archive belongs. Layout of a zip file: PKWARE APPNOTE 4.3.
"""

import stat
import struct
import zlib
from dataclasses import dataclass

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote, quote_some

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_FIELDS = (3, 4, 7, 8, 9, 15, 16)  # flags, method, crc, sizes, attributes, offset
_LOCAL = struct.Struct("<4s5H3L2H")
_END64_BYTES = 56 + 20
_DESCRIPTOR_BYTES = (16, 24)
_PLAIN_MEMBERS = ("data.pkl", "version", "byteorder", ".format_version", ".storage_alignment")
_MEMBER_FOLDERS = ("data/", ".data/")


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


def read_members(data: bytes) -> dict[str, memoryview]:
    """The members of a `torch.save` archive by their names below the top folder.

    Raises:
        NetworkFileError: cut short, compressed, encrypted, padded with other data, or not by `torch.save`.
    """
    entries, directory_start = _read_directory(data)
    names = [entry.name for entry in entries]
    _refuse_foreign_archive(names)
    for entry in entries:
        _check_entry(entry)
    if len(set(names)) != len(names):
        raise _hostile(f"it holds {quote(_first_duplicate(names))} twice")
    _check_layout(names)
    members = _locate(data, entries, directory_start)
    return {name.partition("/")[2]: view for name, view in members.items()}


def _read_directory(data: bytes) -> tuple[list[_Entry], int]:
    if len(data) < _END.size or b"PK\x05\x06" not in data[-65_557:]:
        raise _incomplete("its directory at the end is missing")
    signature, _, _, _, count, size, start, comment = _END.unpack(data[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise _hostile("it has data appended after its end")
    if count > limits.ZIP_MEMBERS or size > limits.ZIP_DIRECTORY_BYTES:
        raise _hostile(f"its directory lists {count:,} members in {size:,} bytes")
    tail = len(data) - _END.size - start - size
    if tail not in (0, _END64_BYTES) or (tail and data[start + size :][:4] != b"PK\x06\x06"):
        raise _hostile("its directory is not where it should be (data before or after the archive)")
    return _parse_entries(data[start : start + size], count), start


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
        raise _hostile(f"a member's name is not UTF-8 ({quote(name)})") from error


def _check_entry(entry: _Entry) -> None:
    name = entry.name
    absolute = name.startswith("/") or name[1:3] == ":/"
    if absolute or "\\" in name or ".." in name.split("/") or not name.isprintable():
        raise _hostile(f"the member name {quote(name)} points outside the archive")
    if entry.flags & 0x2041:
        raise _hostile(f"its member {quote(name)} is encrypted")
    if stat.S_ISLNK(entry.attributes >> 16):
        raise _hostile(f"its member {quote(name)} is a symbolic link")
    if entry.method != 0 or entry.packed != entry.size:
        raise NetworkFileError(
            f"The zip member {quote(name)} is compressed, which torch.save never does: "
            f"unpack an archive of files first. {EXPORT_ADVICE}"
        )


def _first_duplicate(names: list[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))


def _refuse_foreign_archive(names: list[str]) -> None:
    foreign = _foreign_archive(names, [name.partition("/")[2] for name in names])
    if foreign:
        raise NetworkFileError(f"This is {foreign}, not a saved state_dict. {EXPORT_ADVICE}")


def _check_layout(names: list[str]) -> None:
    """One top folder with `data.pkl`, and nothing in it that `torch.save` does not write."""
    inner = [name.partition("/")[2] for name in names]
    tops = sorted({name.partition("/")[0] for name in names})
    if len(tops) > 1:
        raise _hostile(f"it has several top folders ({quote_some(tops)})")
    strange = [name for name in inner if name not in _PLAIN_MEMBERS and not name.startswith(_MEMBER_FOLDERS)]
    if strange:
        raise _hostile(f"it holds {quote_some(strange)}, which torch.save never writes")


def _foreign_archive(names: list[str], inner: list[str]) -> str | None:
    if any(name == "constants.pkl" or name.startswith("code/") for name in inner):
        return "a TorchScript model, which holds code"
    if any(
        n.endswith(("archive_format", "serialized_exported_program.json")) or n.startswith("models/")
        for n in inner
    ):
        return "an exported PyTorch program (.pt2)"
    if "data.pkl" in inner:
        return None
    if any(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz)"
    if any(name.endswith((".weights.h5", "keras_metadata.pb")) for name in names):
        return "a Keras model"
    return f"a zip archive of other files ({quote_some(names)})" if names else "an empty zip archive"


def _locate(data: bytes, entries: list[_Entry], directory_start: int) -> dict[str, memoryview]:
    """Each member's bytes; together with their headers they must cover the file up to the directory."""
    view, members, end = memoryview(data), {}, 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if not _is_gap(data, end, entry.offset):
            raise _hostile(f"bytes before its member {quote(entry.name)} belong to nothing")
        start = _check_local_header(data, entry)
        end = start + entry.size
        if end > directory_start:
            raise _incomplete(f"its member {quote(entry.name)} reaches into the directory")
        members[entry.name] = view[start:end]
        if zlib.crc32(members[entry.name]) != entry.crc:
            raise NetworkFileError(
                f"The file is corrupt: the checksum of {quote(entry.name)} is wrong. Download it again."
            )
    if not _is_gap(data, end, directory_start):
        raise _hostile("bytes between its members and its directory belong to nothing")
    return members


def _is_gap(data: bytes, end: int, start: int) -> bool:
    """Members touch, or have a data descriptor between them."""
    return start == end or (
        start - end in _DESCRIPTOR_BYTES and (end > 0) and data[end : end + 4] == b"PK\x07\x08"
    )


def _check_local_header(data: bytes, entry: _Entry) -> int:
    if len(data) - entry.offset < _LOCAL.size:
        raise _incomplete(f"the header of {quote(entry.name)} is missing")
    signature, _, flags, method, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(data, entry.offset)
    name_start = entry.offset + _LOCAL.size
    name = data[name_start : name_start + name_bytes]
    if signature != b"PK\x03\x04" or method != 0 or flags & 0x2041 or name != entry.name.encode():
        raise _hostile(f"the header of {quote(entry.name)} does not match the directory")
    return name_start + name_bytes + extra_bytes


def _hostile(fault: str) -> NetworkFileError:
    return NetworkFileError(
        f"This zip archive was refused: {fault}, as torch.save never does. {EXPORT_ADVICE}"
    )


def _incomplete(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This checkpoint is incomplete: {fault}. Download or save it again.")
