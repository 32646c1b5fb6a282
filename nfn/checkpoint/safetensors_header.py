"""The header of a safetensors file, which says all but the values. Format: huggingface/safetensors, README, "Format".

The header comes from a file's start or from a byte range of the Hub; `nfn.reader.safetensors_file` reads whole files
under caps for one network, and refuses what is only listed here (a header of 4 MB, 6-bit floats, tensors of no values).
"""

import json
import math
import struct
from dataclasses import dataclass

from nfn.checkpoint import limits
from nfn.checkpoint.listing import TensorInfo
from nfn.reader.errors import NetworkFileError, quote
from nfn.reader.limits import NAME_CHARACTERS
from nfn.reader.safetensors_file import DTYPES

RANK = 16


@dataclass(frozen=True)
class Header:
    """What a header says; `spans` are where each tensor's bytes lie behind it, and `start` is where that is."""

    tensors: dict[str, TensorInfo]
    spans: dict[str, tuple[int, int]]
    metadata: dict[str, str]
    start: int

    @property
    def end(self) -> int:
        """The bytes that the whole file has, if it is complete."""
        return self.start + max((stop for _, stop in self.spans.values()), default=0)


def header_bytes(first: bytes) -> int:
    """How many bytes the header has, from the file's first eight; NetworkFileError if more than are read."""
    if len(first) < 8:
        raise _malformed(f"it has {len(first)} bytes")
    (size,) = struct.unpack_from("<Q", first)
    if size > limits.HEADER_BYTES:
        raise _malformed(f"its header claims {size:,} bytes; at most {limits.HEADER_BYTES:,} are read")
    return size


def parse_header(text: bytes) -> Header:
    """The header in the JSON behind the first eight bytes.

    Raises:
        NetworkFileError: it is no header, or says what cannot be: shapes that do not fit bytes, overlaps, holes.
    """
    entries = _load(text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _malformed("its metadata is not a table of texts")
    tensors, spans = {}, {}
    for name, entry in entries.items():
        tensors[name], spans[name] = _tensor(name, entry)
    _check_tiling(spans)
    return Header(tensors, spans, cut(metadata), 8 + len(text))


def cut(metadata: dict[str, str]) -> dict[str, str]:
    """The first entries of metadata, each cut to some length."""
    most = limits.METADATA_CHARACTERS
    return {key[:100]: text[:most] for key, text in list(metadata.items())[: limits.METADATA]}


def _load(text: bytes) -> dict:
    """The JSON object; braces are counted first, because Python makes 30 bytes of one."""
    if (
        not text.startswith(b"{")
        or text.count(b"{") > limits.TENSORS + 2
        or text.count(b"[") > 3 * limits.TENSORS
    ):
        raise _malformed(f"its header is no JSON object of at most {limits.TENSORS:,} tensors")
    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _malformed("its header is not valid UTF-8 JSON that names everything once") from error
    if len(entries) > limits.TENSORS + 1:
        raise _malformed(f"it lists {len(entries):,} tensors; at most {limits.TENSORS:,} are read")
    return entries


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _tensor(name: str, entry: object) -> tuple[TensorInfo, tuple[int, int]]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _malformed(f"the entry of tensor {quote(name)} is not one of dtype, shape and data_offsets")
    shape, span, dtype = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not _are_counts(shape) or not _are_counts(span) or len(span) != 2 or span[0] > span[1]:
        raise _malformed(f"tensor {quote(name)} has an impossible shape or offsets")
    if len(shape) > RANK or len(name) > NAME_CHARACTERS:
        raise _malformed(
            f"tensor {quote(name)} has {len(shape)} dimensions and a name of {len(name):,} characters"
        )
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _malformed(f"tensor {quote(name)} has the unknown type {quote(dtype)}")
    known, bits = DTYPES[dtype]
    if math.prod(shape) * bits != 8 * (span[1] - span[0]):
        raise _malformed(f"tensor {quote(name)} has a shape that does not fit its bytes")
    return TensorInfo(name, known, tuple(shape), span[1] - span[0]), (span[0], span[1])


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_tiling(spans: dict[str, tuple[int, int]]) -> None:
    end = 0
    for name, (start, stop) in sorted(spans.items(), key=lambda item: item[1]):
        if start != end:
            raise _malformed(
                f"tensor {quote(name)} begins at byte {start:,}; wanted {end:,} (an overlap or a hole)"
            )
        end = stop


def _malformed(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This is not a valid safetensors file: {fault}. Download or save it again.")
