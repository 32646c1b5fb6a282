"""The header of a GGUF file: its metadata, and its tensors with their quantisation; only floats are read.

Format: ggml's docs/gguf.md; block sizes: `ggml_type` and `GGML_QUANT_SIZES` of gguf-py.
"""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from nfn.checkpoint import limits
from nfn.checkpoint.listing import Blocks, Checkpoint, TensorInfo
from nfn.checkpoint.safetensors_header import truncate_metadata
from nfn.checkpoint.values import blocks, is_readable, view
from nfn.reader.errors import NetworkFileError, quote
from nfn.reader.limits import MIB, NAME_CHARACTERS

MAGIC = b"GGUF"
_HEADER = 64 * MIB
"""The largest header; most of it is the vocabulary, which is skipped."""
_ITEMS = 4_000_000
"""The most strings in all lists of the metadata (Llama 3's vocabulary and merges: 408,000)."""
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_TEXT, _LIST = 8, 9
_TYPES = {  # number: (name, values in a block, bytes of a block)
    0: ("float32", 1, 4), 1: ("float16", 1, 2), 2: ("q4_0", 32, 18), 3: ("q4_1", 32, 20), 6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24), 8: ("q8_0", 32, 34), 9: ("q8_1", 32, 40), 10: ("q2_k", 256, 84), 11: ("q3_k", 256, 110),
    12: ("q4_k", 256, 144), 13: ("q5_k", 256, 176), 14: ("q6_k", 256, 210), 15: ("q8_k", 256, 292),
    16: ("iq2_xxs", 256, 66), 17: ("iq2_xs", 256, 74), 18: ("iq3_xxs", 256, 98), 19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18), 21: ("iq3_s", 256, 110), 22: ("iq2_s", 256, 82), 23: ("iq4_xs", 256, 136),
    24: ("int8", 1, 1), 25: ("int16", 1, 2), 26: ("int32", 1, 4), 27: ("int64", 1, 8), 28: ("float64", 1, 8),
    29: ("iq1_m", 256, 56), 30: ("bfloat16", 1, 2), 34: ("tq1_0", 256, 54), 35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
}  # fmt: skip


def open_gguf(data: memoryview, size: int | None = None) -> Checkpoint:
    """The metadata and tensors of a GGUF file of version 2 or 3; NetworkFileError if it is damaged.

    `size` is that of the whole file where `data` is only its beginning.
    """
    cursor = _Cursor(data)
    version = cursor.number("<I", 4)
    if version not in (2, 3):
        raise NetworkFileError(
            f"This GGUF file is of version {version}; 2 and 3 are read. Convert it with llama.cpp."
        )
    tensors, entries = cursor.number("<Q"), cursor.number("<Q")
    if tensors > limits.TENSORS or entries > limits.TENSORS:
        raise _damaged(f"it claims {tensors:,} tensors and {entries:,} entries of metadata")
    metadata: dict[str, Any] = {}
    for _ in range(entries):
        key = cursor.text()
        metadata[key] = cursor.value(cursor.number("<I"))
    listed = [cursor.tensor() for _ in range(tensors)]
    return _checkpoint(data, len(data) if size is None else size, cursor.position, metadata, listed)


def _checkpoint(
    data: memoryview, size: int, end: int, metadata: dict[str, Any], listed: list[tuple[TensorInfo, int]]
) -> Checkpoint:
    infos = {info.name: info for info, _ in listed}
    alignment = metadata.get("general.alignment", 32)
    if len(infos) != len(listed) or type(alignment) is not int or not 0 < alignment <= MIB:
        raise _damaged("a tensor stands there twice, or its alignment is impossible")
    start = -(-end // alignment) * alignment
    spans = {info.name: (start + offset, start + offset + info.nbytes) for info, offset in listed}
    missing = frozenset(name for name, (_, stop) in spans.items() if stop > size)
    if sum(info.nbytes for info in infos.values() if info.name not in missing) > size:
        raise _damaged("tensors share their bytes")
    broken = (f"The file is cut short: {len(missing):,} of {len(infos):,} tensors reach beyond its {size:,} "
              "bytes. Download it again.",) if missing else ()  # fmt: skip
    texts = {key: str(value) for key, value in metadata.items() if value is not None}
    declared_name = texts.get("general.architecture", "")[:60]
    return Checkpoint(
        "GGUF",
        infos,
        truncate_metadata(texts),
        _reader(data, infos, spans),
        declared_name=declared_name,
        broken=broken,
        missing=missing,
    )


class _Cursor:
    """A cursor over the header; every length is checked before it is used."""

    def __init__(self, data: memoryview):
        self.data, self.position, self.items = data, 0, 0
        self.end = min(len(data), _HEADER)

    def take(self, count: int) -> memoryview:
        if count > self.end - self.position:
            raise _damaged(f"its header ends at byte {self.end:,}, within an entry")
        held = self.data[self.position : self.position + count]
        self.position += count
        return held

    def number(self, code: str, at: int | None = None) -> Any:
        self.position = self.position if at is None else at
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        return bytes(self.take(self.number("<Q"))[:NAME_CHARACTERS]).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """A number or a string; None for a list, which is skipped."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            raise _damaged(f"an entry is of the unknown type {kind}")
        return self.skip_list(self.number("<I"), self.number("<Q"))

    def skip_list(self, kind: int, count: int) -> None:
        if kind in _SCALARS:
            self.take(count * struct.calcsize(_SCALARS[kind]))
            return
        self.items += count
        if kind != _TEXT or self.items > _ITEMS:
            raise _damaged(f"it has lists of {self.items:,} entries, or lists of lists")
        for _ in range(count):
            self.take(self.number("<Q"))

    def tensor(self) -> tuple[TensorInfo, int]:
        name, rank = self.text(), self.number("<I")
        if rank > 8 or not name:
            raise _damaged(f"tensor {quote(name)} has {rank:,} dimensions, or no name")
        shape = tuple(self.number("<Q") for _ in range(rank))[::-1]
        kind, block, size = _TYPES.get(self.number("<I"), ("unknown type", 1, 0))
        offset = self.number("<Q")
        if any(n >= 2**40 for n in shape) or offset >= 2**60:
            raise _damaged(f"tensor {quote(name)} has an impossible shape or place")
        return TensorInfo(
            name, kind, shape, -(-TensorInfo(name, kind, shape, 0).numel // block) * size
        ), offset


def _reader(data: memoryview, infos: dict[str, TensorInfo], spans: dict[str, tuple[int, int]]) -> Blocks:
    def read(name: str) -> Iterator[np.ndarray]:
        info, held = infos[name], data[slice(*spans[name])]
        if not is_readable(info.dtype) or len(held) != info.nbytes:
            raise NetworkFileError(f"The values of tensor {quote(name)} ({info.dtype}) are not read here.")
        yield from blocks(view(held, info.dtype, info.shape), info.dtype)

    return read


def _damaged(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This GGUF file is damaged: {fault}. Download it again.")
