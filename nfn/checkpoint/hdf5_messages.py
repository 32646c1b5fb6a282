"""Messages of an HDF5 object header: shape, dtype, place of the values, attributes."""

import struct

from nfn.checkpoint import limits
from nfn.reader.errors import NetworkFileError
from nfn.reader.limits import NAME_CHARACTERS, RANK

FIXED_TEXT, HEAP_TEXT, OTHER = "fixed text", "text in the heap", "other"
_FLOATS = {(2, 5, 10): "float16", (2, 8, 7): "bfloat16", (4, 8, 23): "float32", (8, 11, 52): "float64"}
"""By bytes, and bits of exponent and mantissa."""
_CLASSES = {3: "text", 5: "opaque", 6: "compound", 7: "reference", 8: "enumeration", 9: "variable length",
            10: "array"}  # fmt: skip
_ATTRIBUTE_HEAD = {1: 8, 2: 8, 3: 9}
"""Bytes before an attribute's name, by version."""


NEWER = (
    "This HDF5 file has a structure of libver='latest' that is not read: a group with a thousand members or more, or "
    "an unknown superblock. Copy it to a file of h5py.File(path, 'w'), or save the model again."
)
NOWHERE = 2**64 - 1
"""The address of what is not in the file."""


class Damaged(NetworkFileError):
    """An HDF5 file with a structure that HDF5 never writes."""

    def __init__(self, fault: str):
        super().__init__(f"This HDF5 file is damaged: {fault}. Download or save it again.")


def read_space(content: memoryview) -> tuple[int, ...]:
    """Dataspace: the shape; of an empty (null) one `(0,)`."""
    try:
        version, rank = content[0], content[1]
        if version not in (1, 2) or rank > RANK:
            raise Damaged(f"a dataspace is of version {version} and {rank} dimensions")
        if version == 2 and content[3] == 2:
            return (0,)
        shape = struct.unpack_from(f"<{rank}Q", content, 8 if version == 1 else 4)
    except (struct.error, IndexError) as error:
        raise Damaged("a dataspace is cut short") from error
    if any(size >= 2**40 for size in shape):
        raise Damaged(f"a dataset has the impossible shape {shape}")
    return shape


def read_type(content: memoryview, declared: str) -> tuple[str, int]:
    """Datatype: its name and bits per value; `declared` is Keras's own attribute, which says what opaque bytes are."""
    try:
        kind, flags, size = content[0] & 15, content[1], struct.unpack_from("<I", content, 4)[0]
        properties = bytes(content[8:])
        name = _numeric(kind, flags, size, properties) or _CLASSES.get(kind, "unknown")
    except (struct.error, IndexError) as error:
        raise Damaged("a datatype is cut short") from error
    if kind == 5 and size == 2 and declared == "bfloat16":
        name = declared
    elif kind == 8 and size == 1 and b"FALSE\0" in properties and b"TRUE\0" in properties:
        name = "bool"
    return name, 8 * min(size, limits.HEADER_BYTES)


def _numeric(kind: int, flags: int, size: int, properties: bytes) -> str:
    """The name of an integer or a float, "" for anything else."""
    order = "big-endian " if flags & 1 and size > 1 else ""
    if kind == 0 and size in (1, 2, 4, 8):
        return f"{order}{'' if flags & 8 else 'u'}int{8 * size}"
    if kind == 1:
        return order + _FLOATS.get(
            (size, properties[5], properties[7]), f"unknown {8 * min(size, 64)}-bit float"
        )
    return ""


def read_layout(content: memoryview, start: int) -> int | None:
    """Data Layout: where the values begin in the file, if they are in one piece; `start` is that of the message."""
    if len(content) < 18 and not (len(content) >= 4 and content[1] == 0):
        raise Damaged("the place of a dataset is cut short")
    version, kind = content[0], content[1]
    if version not in (3, 4):
        return None
    if kind == 0:
        return start + 4
    return struct.unpack_from("<Q", content, 2)[0] if kind == 1 else None


def read_link(content: memoryview) -> list[tuple[str, int]]:
    """Link: its name and address; nothing for a soft link or one to another file."""
    try:
        flags = content[1]
        start = 2 + bool(flags & 8) + 8 * bool(flags & 4) + bool(flags & 16)
        width = 1 << (flags & 3)
        size = int.from_bytes(content[start : start + width], "little")
        if flags & 8 and content[2]:
            return []
        name = content[start + width : start + width + min(size, NAME_CHARACTERS)]
        return [(decode(name), struct.unpack_from("<Q", content, start + width + size)[0])]
    except (struct.error, IndexError) as error:
        raise Damaged("a link is cut short") from error


def read_attribute(content: memoryview) -> tuple[str, str, memoryview]:
    """Attribute: its name, whether it is one text and which kind of, and its bytes."""
    try:
        version = content[0]
        sizes = struct.unpack_from("<3H", content, 2)
        start = _ATTRIBUTE_HEAD[version]
    except (struct.error, IndexError, KeyError) as error:
        raise Damaged("an attribute is cut short, or of an unknown version") from error
    pieces = []
    for size in sizes:
        pieces.append(content[start : start + size])
        start += -(-size // 8) * 8 if version == 1 else size
    name = decode(pieces[0][:NAME_CHARACTERS])
    return name, _text_kind(pieces[1], pieces[2]), content[start:]


def _text_kind(dtype: memoryview, space: memoryview) -> str:
    if len(dtype) < 8 or len(space) < 2 or space[1]:
        return OTHER
    if dtype[0] & 15 == 3:
        return FIXED_TEXT
    return HEAP_TEXT if dtype[0] & 15 == 9 and dtype[1] & 15 == 1 else OTHER


def decode(held: memoryview) -> str:
    """A text of at most `limits.JSON_BYTES`, without the zeros behind it."""
    return bytes(held[: limits.JSON_BYTES]).partition(b"\0")[0].decode("utf-8", "replace")
