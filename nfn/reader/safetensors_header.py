"""Parse the header of a safetensors file. Format: huggingface/safetensors, README, "Format"."""

import json
import math
import struct
from dataclasses import dataclass

from nfn.reader.errors import quote

DTYPES = {
    "F64": ("float64", 64),
    "F32": ("float32", 32),
    "F16": ("float16", 16),
    "BF16": ("bfloat16", 16),
    "I64": ("int64", 64),
    "I32": ("int32", 32),
    "I16": ("int16", 16),
    "I8": ("int8", 8),
    "U64": ("uint64", 64),
    "U32": ("uint32", 32),
    "U16": ("uint16", 16),
    "U8": ("uint8", 8),
    "BOOL": ("bool", 8),
    "C64": ("complex64", 64),
    "F8_E4M3": ("float8 (e4m3)", 8),
    "F8_E5M2": ("float8 (e5m2)", 8),
    "F8_E8M0": ("float8 (e8m0)", 8),
    "F6_E2M3": ("float6 (e2m3)", 6),
    "F6_E3M2": ("float6 (e3m2)", 6),
    "F4": ("float4", 4),
}
"""Names of the dtypes in a file, and their bits per value."""
MAX_OBJECTS = 50_000
"""The most JSON objects in a header, and a third of the most lists: Python takes 30 bytes for one of two characters."""


class HeaderError(ValueError):
    """A malformed header; the message says what is wrong, without advice."""


@dataclass(frozen=True)
class Caps:
    """The largest header that is parsed."""

    header_bytes: int
    tensors: int
    rank: int


@dataclass(frozen=True)
class Entry:
    """One tensor: its dtype and shape, and the span of its bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """The tensors by name, in the order of the header, and the metadata."""

    entries: dict[str, Entry]
    metadata: dict[str, str]

    @property
    def body_bytes(self) -> int:
        """The size of a complete file after its header."""
        return max((entry.stop for entry in self.entries.values()), default=0)


def header_size(first: bytes, caps: Caps) -> int:
    """The size of the header, from a file's first eight bytes; HeaderError if it is too large."""
    if len(first) < 8:
        raise HeaderError(f"it has {len(first)} bytes")
    (size,) = struct.unpack_from("<Q", first)
    if size > caps.header_bytes:
        raise HeaderError(f"its header claims {size:,} bytes; at most {caps.header_bytes:,} are read")
    return size


def parse_header(text: bytes, caps: Caps) -> Header:
    """Parse the JSON after the first eight bytes.

    Raises:
        HeaderError: it is malformed: shapes that do not fit their bytes, overlaps, holes.
    """
    entries = _parse_json(text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise HeaderError("its metadata is not a table of texts")
    if len(entries) > caps.tensors:
        raise HeaderError(f"it lists {len(entries):,} tensors; at most {caps.tensors:,} are read")
    header = Header({name: _entry(name, entry, caps) for name, entry in entries.items()}, metadata)
    _check_tiling(header.entries)
    return header


def _parse_json(text: bytes) -> dict:
    objects, lists = text.count(b"{"), text.count(b"[")
    if not text.startswith(b"{") or objects > MAX_OBJECTS + 2 or lists > 3 * MAX_OBJECTS:
        raise HeaderError(f"its header is not a JSON object of at most {MAX_OBJECTS:,} tensors")
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except HeaderError:
        raise
    except (ValueError, RecursionError) as error:
        raise HeaderError("its header is not valid UTF-8 JSON") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise HeaderError("its header names something twice")
    return names


def _no_constant(text: str):
    raise HeaderError(f"its header holds {text}, which is not JSON")


def _entry(name: str, entry: object, caps: Caps) -> Entry:
    """One checked entry; its shape and dtype must need exactly the bytes of its span."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError(f"the entry of tensor {quote(name)} is not one of dtype, shape and data_offsets")
    shape, span, dtype = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not _are_counts(shape) or not _are_counts(span) or len(span) != 2 or span[0] > span[1]:
        raise HeaderError(f"tensor {quote(name)} has an impossible shape or offsets")
    if len(shape) > caps.rank:
        raise HeaderError(f"tensor {quote(name)} has {len(shape)} dimensions; at most {caps.rank} are read")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise HeaderError(f"tensor {quote(name)} has the unknown type {quote(dtype)}")
    dtype_name, bits = DTYPES[dtype]
    if math.prod(shape) * bits != 8 * (span[1] - span[0]):
        raise HeaderError(f"tensor {quote(name)} has a shape that does not fit its bytes")
    return Entry(dtype_name, tuple(shape), *span)


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_tiling(entries: dict[str, Entry]) -> None:
    """Raise HeaderError unless the spans follow each other without overlap or hole."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            raise HeaderError(
                f"tensor {quote(name)} begins at byte {entry.start:,}; expected {end:,} (an overlap or a hole)"
            )
        end = entry.stop
