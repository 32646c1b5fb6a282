"""The messages and numbers in an ONNX file, counted before protobuf makes objects of them.

An empty message takes two bytes of a file and a hundred of memory: a file may not hold more of them than networks
need. The format is https://protobuf.dev/programming-guides/encoding; which fields are messages, onnx says.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nfn.onnx_reader.errors import invalid
from nfn.reader import limits

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_TYPES = {3: 8, 4: 8, 5: 4, 8: 1, 13: 4, 14: 4, 17: 4, 18: 8}
"""Bytes in memory by the type's number in `FieldDescriptor`, of those that are written as varints."""


@dataclass
class _Message:
    """Which fields of a message are messages, and which are lists of small integers."""

    messages: dict[int, "_Message"] = field(default_factory=dict)
    packed: dict[int, int] = field(default_factory=dict)


def check_wire(data: bytes) -> None:
    """Raise OnnxError for bytes that are no protobuf message, or hold more than a network needs."""
    import onnx

    root = _schema(onnx.ModelProto.DESCRIPTOR, {})
    open_messages = [(len(data), root)]
    position = fields = numbers = 0
    while open_messages:
        end, message = open_messages[-1]
        if position == end:
            open_messages.pop()
            continue
        fields += 1
        if fields > limits.ONNX_FIELDS:
            raise invalid(f"it has more than {limits.ONNX_FIELDS:,} entries, more than a network needs")
        key, position = _varint(data, position, end)
        number, start = key >> 3, position
        length, position = _skip(data, position, end, key & 7)
        if number in message.messages and key & 7 == _BYTES:
            if len(open_messages) > limits.ONNX_DEPTH:
                raise invalid(f"its messages stand more than {limits.ONNX_DEPTH} deep inside each other")
            open_messages.append((position, message.messages[number]))
            position -= length
        elif number in message.packed and key & 7 == _BYTES:
            numbers += message.packed[number] * _count_varints(data, position - length, length)
            if numbers > 4 * limits.ELEMENTS:
                raise invalid(f"it has more than {limits.ELEMENTS:,} integers, more than a network needs")
        assert position > start or length == 0, "each field takes bytes"


def _skip(data: bytes, position: int, end: int, kind: int) -> tuple[int, int]:
    """The length of what a field holds, and where it ends."""
    if kind == _VARINT:
        _, after = _varint(data, position, end)
        return after - position, after
    length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
    if kind == _BYTES:
        length, position = _varint(data, position, end)
    if length is None:
        raise invalid(f"at byte {position:,} it is no protobuf message")
    if position + length > end:
        raise invalid(f"at byte {position:,} it claims {length:,} bytes where {end - position:,} are left")
    return length, position + length


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first."""
    if position < end and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for i in range(min(10, end - position)):
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise invalid(f"at byte {position:,} it is no protobuf message")


def _count_varints(data: bytes, start: int, length: int) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8, length, start) < 0x80))


def _schema(descriptor: Any, known: dict[str, _Message]) -> _Message:
    """The schema of a message, from protobuf's description of it."""
    name = descriptor.full_name
    if name not in known:
        message = known[name] = _Message()
        for entry in descriptor.fields:
            if entry.message_type is not None:
                message.messages[entry.number] = _schema(entry.message_type, known)
            elif entry.type in _VARINT_TYPES:
                message.packed[entry.number] = _VARINT_TYPES[entry.type]
    return known[name]
