"""Read a safetensors file: the header first, under our own caps (the library's are 100 times larger)."""

import json
import math
import struct

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.tensors import StoredTensor, contiguous_strides, show_count

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


def read_safetensors(data: bytes) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Every tensor of the file by name, in the order of the header, and its metadata.

    Raises:
        NetworkFileError: the header is malformed or above a cap, or does not fit the bytes that follow.
    """
    start, header = _read_header(data)
    metadata = _check_metadata(header.pop("__metadata__", {}))
    if not header:
        raise NetworkFileError(f"No tensors found: this safetensors file holds none. {EXPORT_ADVICE}")
    if len(header) > limits.TENSORS:
        raise NetworkFileError(
            f"The file holds {len(header):,} tensors; at most {limits.TENSORS:,} are read. {EXPORT_ADVICE}"
        )
    body = memoryview(data)[start:]
    spans = {name: _check_entry(name, entry) for name, entry in header.items()}
    _check_tiling(spans, len(body))
    return {name: _describe(header[name], body[slice(*span)]) for name, span in spans.items()}, metadata


def _read_header(data: bytes) -> tuple[int, dict]:
    (size,) = struct.unpack_from("<Q", data)
    if size > limits.SAFETENSORS_HEADER_BYTES:
        raise _malformed(
            f"its header claims {show_count(size)} bytes; "
            f"at most {limits.SAFETENSORS_HEADER_BYTES:,} are read"
        )
    if size > len(data) - 8:
        raise _incomplete(f"its header of {size:,} bytes ends after the file's {len(data):,}")
    return 8 + size, _parse_json(data[8 : 8 + size])


def _parse_json(text: bytes) -> dict:
    if not text.startswith(b"{"):
        raise _malformed("its header is not a JSON object")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except NetworkFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise _malformed("its header is not valid UTF-8 JSON") from error
    return header


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise _malformed("its header names something twice")
    return names


def _no_constant(text: str):
    raise _malformed(f"its header holds {text}, which is not JSON")


def _check_metadata(metadata: object) -> dict[str, str]:
    if isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values()):
        return metadata
    raise _malformed("its metadata is not a table of texts")


def _check_entry(name: str, entry: object) -> tuple[int, int]:
    """The span of one tensor's bytes; its shape and type must ask for exactly as many."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _malformed(f"the entry of tensor {quote(name)} is not one of dtype, shape and data_offsets")
    shape, span = entry["shape"], entry["data_offsets"]
    if not _are_counts(shape) or not _are_counts(span) or len(span) != 2 or span[0] > span[1]:
        raise _malformed(f"tensor {quote(name)} has an impossible shape or offsets")
    if len(shape) > limits.RANK:
        raise _malformed(f"tensor {quote(name)} has {len(shape)} dimensions; at most {limits.RANK} are read")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise _malformed(f"tensor {quote(name)} has an unknown type")
    if math.prod(shape) * DTYPES[entry["dtype"]][1] != 8 * (span[1] - span[0]):
        raise _malformed(f"tensor {quote(name)} has a shape that does not fit its bytes")
    return span[0], span[1]


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_tiling(spans: dict[str, tuple[int, int]], size: int) -> None:
    """The tensors must cover the bytes after the header exactly: no overlap, no hole, nothing left over."""
    end = 0
    for name, (start, stop) in sorted(spans.items(), key=lambda item: item[1]):
        if start != end:
            raise _malformed(
                f"tensor {quote(name)} begins at byte {start:,}; wanted {end:,} (an overlap or a hole)"
            )
        end = stop
    if end > size:
        raise _incomplete(f"its tensors need {show_count(end)} bytes and {size:,} are there")
    if end < size:
        raise _malformed(f"{size - end:,} bytes follow its last tensor")


def _describe(entry: dict, data: memoryview) -> StoredTensor:
    shape = tuple(entry["shape"])
    return StoredTensor(DTYPES[entry["dtype"]][0], shape, contiguous_strides(shape), 0, data)


def _malformed(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This is not a valid safetensors file: {fault}. {EXPORT_ADVICE}")


def _incomplete(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This safetensors file is incomplete: {fault}. Download it again.")
