"""Parse protobuf messages, as far as ONNX files need it.

Weights stay where they are in the file, and what nobody looks at (comments, subgraphs, shapes of inner values) is
skipped unread, so that a file takes no more memory than it has bytes; protobuf's own parser would copy it all, and
make a hundred bytes of an empty message's two. The format is https://protobuf.dev/programming-guides/encoding,
the fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (a test compares them).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from nfn.onnx_reader.errors import invalid
from nfn.reader import limits

Kind = Literal["text", "bytes", "integer", "float", "double"]


@dataclass(frozen=True)
class Field:
    """One field of a message; `inside` is the schema of a message in it."""

    name: str
    kind: Kind = "bytes"
    repeated: bool = False
    inside: "Mapping[int, Field] | None" = None


Schema = Mapping[int, Field]


def _one(name: str, kind: Kind | Schema) -> Field:
    return Field(name, kind) if isinstance(kind, str) else Field(name, inside=kind)


def _many(name: str, kind: Kind | Schema) -> Field:
    return Field(name, kind, True) if isinstance(kind, str) else Field(name, repeated=True, inside=kind)


ENTRY = {1: _one("key", "text"), 2: _one("value", "text")}
TENSOR = {
    1: _many("dims", "integer"), 2: _one("data_type", "integer"), 3: _one("segment", "bytes"),
    4: _many("float_data", "float"), 5: _many("int32_data", "integer"), 6: _many("string_data", "bytes"),
    7: _many("int64_data", "integer"), 8: _one("name", "text"), 9: _one("raw_data", "bytes"),
    10: _many("double_data", "double"), 11: _many("uint64_data", "integer"), 13: _many("external_data", "bytes"),
    14: _one("data_location", "integer"),
}  # fmt: skip
ATTRIBUTE = {
    1: _one("name", "text"), 2: _one("f", "float"), 3: _one("i", "integer"), 4: _one("s", "bytes"),
    5: _one("t", TENSOR), 6: _one("g", "bytes"), 7: _many("floats", "float"), 8: _many("ints", "integer"),
    11: _many("graphs", "bytes"), 20: _one("type", "integer"), 21: _one("ref_attr_name", "text"),
}  # fmt: skip
NODE = {
    1: _many("input", "text"), 2: _many("output", "text"), 3: _one("name", "text"), 4: _one("op_type", "text"),
    5: _many("attribute", ATTRIBUTE), 7: _one("domain", "text"),
}  # fmt: skip
DIMENSION = {1: _one("dim_value", "integer"), 2: _one("dim_param", "text")}
TENSOR_TYPE = {1: _one("elem_type", "integer"), 2: _one("shape", {1: _many("dim", DIMENSION)})}
PORT = {1: _one("name", "text"), 2: _one("type", {1: _one("tensor_type", TENSOR_TYPE)})}
GRAPH = {
    1: _many("node", NODE), 5: _many("initializer", TENSOR), 11: _many("input", PORT), 12: _many("output", PORT),
    15: _many("sparse_initializer", {1: _one("values", {8: _one("name", "text")})}),
}  # fmt: skip
MODEL = {
    7: _one("graph", GRAPH), 8: _many("opset_import", {1: _one("domain", "text"), 2: _one("version", "integer")}),
    14: _many("metadata_props", ENTRY), 25: _many("functions", {1: _one("name", "text")}),
}  # fmt: skip
"""The parsed fields, by number; all others are skipped."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRES = {"text": _BYTES, "bytes": _BYTES, "integer": _VARINT, "float": _FIXED32, "double": _FIXED64}


@dataclass(frozen=True, eq=False)
class Message:
    """The fields that were there, by name; each is got as what its schema says it is."""

    values: dict[str, Any] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        return self.values.get(name, "")

    def texts(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def raw(self, name: str) -> memoryview:
        return self.values.get(name, memoryview(b""))

    def integer(self, name: str) -> int:
        return self.values.get(name, 0)

    def real(self, name: str) -> float:
        return self.values.get(name, 0.0)

    def message(self, name: str) -> "Message":
        return self.values.get(name) or Message()

    def messages(self, name: str) -> list["Message"]:
        return self.values.get(name, [])

    def numbers(self, name: str) -> np.ndarray:
        """A list of numbers, as int64, float32 or float64."""
        parts = self.values.get(name, [])
        return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.int64)


def decode(data: bytes | memoryview) -> Message:
    """The `ModelProto` in a file; OnnxError if it is not valid, or has more fields than a network needs."""
    return _Decoder(memoryview(data)).message(MODEL, 0, len(data))


class _Decoder:
    """Goes through the bytes once; messages stand as deep inside each other as the schema says, and no deeper."""

    def __init__(self, data: memoryview):
        self.data = data
        self.fields = self.integers = 0

    def message(self, schema: Schema, position: int, end: int) -> Message:
        values: dict[str, Any] = {}
        while position < end:
            self.fields += 1
            if self.fields > limits.ONNX_FIELDS:
                raise invalid(f"it has more than {limits.ONNX_FIELDS:,} entries, more than a network needs")
            key, position = self.varint(position, end)
            start, stop = self.extent(position, end, key & 7)
            field = schema.get(key >> 3)
            if field is not None:
                self.put(values, field, key & 7, start, stop)
            position = stop
        return Message(values)

    def put(self, values: dict[str, Any], field: Field, wire: int, start: int, stop: int) -> None:
        """Add what a field holds."""
        packed = field.repeated and wire == _BYTES and _WIRES[field.kind] != _BYTES
        if not packed and wire != _WIRES[field.kind]:
            raise invalid(f"at byte {start:,} its {field.name!r} is not written as ONNX writes it")
        value = self.packed(field.kind, start, stop) if packed else self.value(field, start, stop)
        if field.repeated:
            values.setdefault(field.name, []).append(value)
        elif field.name in values:
            raise invalid(f"at byte {start:,} its {field.name!r} stands there a second time")
        else:
            values[field.name] = value

    def value(self, field: Field, start: int, stop: int) -> Any:
        if field.inside is not None:
            return self.message(field.inside, start, stop)
        held = self.data[start:stop]
        if field.kind == "bytes":
            return held
        if field.kind == "text":
            return self.text(held, start)
        if field.kind == "integer":
            number, _ = self.varint(start, stop)
            number -= (number >> 63) << 64  # two's complement
            return np.array([number]) if field.repeated else number
        array = np.frombuffer(held, "<f4" if field.kind == "float" else "<f8")
        return array if field.repeated else float(array[0])

    def text(self, held: memoryview, start: int) -> str:
        try:
            return str(held, "utf-8")
        except UnicodeDecodeError as error:
            raise invalid(f"at byte {start:,} a name is no text") from error

    def packed(self, kind: Kind, start: int, stop: int) -> np.ndarray:
        """Fixed-size numbers in sequence."""
        if kind == "integer":
            return self.varints(np.frombuffer(self.data[start:stop], np.uint8), start)
        size = 4 if kind == "float" else 8
        if (stop - start) % size:
            raise invalid(f"at byte {start:,} a list of numbers is cut")
        return np.frombuffer(self.data[start:stop], "<f4" if kind == "float" else "<f8")

    def varints(self, held: np.ndarray, start: int) -> np.ndarray:
        """Varints: groups of seven bits, lowest first; a byte below 128 ends a number."""
        self.integers += int(np.count_nonzero(held < 0x80))
        if self.integers > limits.ONNX_VARINTS:
            raise invalid(
                f"it has more than {limits.ONNX_VARINTS:,} numbers one by one, more than a network needs"
            )
        ends = np.flatnonzero(held < 0x80)
        starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
        lengths = ends - starts + 1
        if len(held) and (held[-1] >= 0x80 or lengths.max() > 10):
            raise invalid(f"at byte {start:,} it is no protobuf message")
        out = np.zeros(len(ends), np.uint64)
        for i in range(int(lengths.max(initial=0))):
            longer = lengths > i
            out[longer] |= (held[starts[longer] + i] & 0x7F).astype(np.uint64) << np.uint64(7 * i)
        return out.view(np.int64)

    def extent(self, position: int, end: int, wire: int) -> tuple[int, int]:
        """Where what a field holds begins and ends."""
        if wire == _VARINT:
            return position, self.varint(position, end)[1]
        length = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            length, position = self.varint(position, end)
        if length is None:
            raise invalid(f"at byte {position:,} it is no protobuf message")
        if position + length > end:
            raise invalid(
                f"at byte {position:,} it claims {length:,} bytes where {end - position:,} are left"
            )
        return position, position + length

    def varint(self, position: int, end: int) -> tuple[int, int]:
        if position < end and self.data[position] < 0x80:
            return self.data[position], position + 1
        value = 0
        for i in range(min(10, end - position)):
            byte = self.data[position + i]
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + i + 1
        raise invalid(f"at byte {position:,} it is no protobuf message")
