"""List a safetensors file, complete or truncated, with its values by range."""

from collections.abc import Iterator

import numpy as np

from nfn.checkpoint.listing import Blocks, Checkpoint
from nfn.checkpoint.safetensors_header import Header, header_bytes, parse_header
from nfn.checkpoint.values import blocks, is_readable, view
from nfn.reader.errors import NetworkFileError, quote


def open_safetensors(data: memoryview) -> Checkpoint:
    """The tensors of a file; if it is truncated after its header, or has extra bytes, `broken` says so."""
    size = header_bytes(bytes(data[:8]))
    if size > len(data) - 8:
        raise NetworkFileError(
            f"This safetensors file is cut short within its header: {len(data):,} bytes of at least {8 + size:,}. "
            "Download it again."
        )
    header = parse_header(bytes(data[8 : 8 + size]))
    broken, missing = _faults(header, len(data))
    return Checkpoint(
        "safetensors", header.tensors, header.metadata, _reader(header, data), broken=broken, missing=missing
    )


def _faults(header: Header, size: int) -> tuple[tuple[str, ...], frozenset[str]]:
    missing = frozenset(name for name, (_, stop) in header.spans.items() if header.start + stop > size)
    if size < header.end:
        return (
            f"The file is cut short: {size:,} bytes are there and its header asks for {header.end:,}, so that "
            f"{len(missing):,} of {len(header.tensors):,} tensors are incomplete. Download it again.",
        ), missing
    if size > header.end:
        extra = size - header.end
        return (
            f"{extra:,} bytes follow the last tensor and belong to none: the file was padded or written twice over, "
            "and safetensors itself refuses it. Save it again.",
        ), missing
    return (), missing


def _reader(header: Header, data: memoryview) -> Blocks:
    def read(name: str) -> Iterator[np.ndarray]:
        info, (start, stop) = header.tensors[name], header.spans[name]
        held = data[header.start + start : header.start + stop]
        if not is_readable(info.dtype) or len(held) != info.nbytes:
            raise NetworkFileError(f"The values of tensor {quote(name)} ({info.dtype}) cannot be read.")
        yield from blocks(view(held, info.dtype, info.shape), info.dtype)

    return read
