"""Split a pickle into opcodes, as `pickletools.genops` does, but without copying long arguments.

Bytes are views of the file, and so are strings of more than 64 KiB (old pickles write arrays as strings), which could
take four times their size in memory. Opcodes that no checkpoint needs are yielded without their argument.
"""

import codecs
import io
import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

TEXT_BYTES = 1 << 16
"""The longest string that is decoded."""
LINE_BYTES = 1 << 22
"""The longest line of a protocol 0 pickle, which writes arrays as lines."""
_SHORT, _CHUNK = 1 << 6, 1 << 12

_ESCAPE = re.compile(rb"\\(?:[\\'\"abfnrtv]|x[0-9a-fA-F]{2}|[0-7]{1,3})")

Reader = Callable[[memoryview, int], tuple[Any, int]]
"""From data and a position to the argument there, and the position after it."""


@dataclass(frozen=True, eq=False)
class LongText:
    """A string too long to be decoded, unless it has the values of an array."""

    data: memoryview


def split_steps(data: memoryview) -> Iterator[tuple[str, Any, int]]:
    """Yield each opcode's name in `pickletools`, its argument, and the position after it; ends after STOP.

    Raises:
        ValueError, IndexError, struct.error: the pickle is malformed or cut short.
    """
    position = 0
    while True:
        name, read = _STEPS[data[position]]
        argument, position = (None, position + 1) if read is None else read(data, position + 1)
        yield name, argument, position
        if name == "STOP":
            return


def _fixed(layout: str) -> Reader:
    packed = struct.Struct(layout)
    return lambda data, at: (packed.unpack_from(data, at)[0], at + packed.size)


def _counted(layout: str, convert: Callable[[memoryview], Any]) -> Reader:
    packed = struct.Struct(layout)

    def read(data: memoryview, at: int) -> tuple[Any, int]:
        start = at + packed.size
        end = start + packed.unpack_from(data, at)[0]
        if end > len(data):
            raise ValueError("an argument reaches beyond the end")
        return convert(data[start:end]), end

    return read


def _line(data: memoryview, at: int) -> tuple[bytes, int]:
    """The bytes up to the end of a line, and the position after it."""
    line, newline, _ = bytes(data[at : at + _SHORT]).partition(b"\n")
    if newline:
        return line, at + len(line) + 1
    for start in range(at, min(len(data), at + LINE_BYTES), _CHUNK):
        offset = bytes(data[start : start + _CHUNK]).find(b"\n")
        if offset >= 0:
            return bytes(data[at : start + offset]), start + offset + 1
    raise ValueError("a line without an end")


def _read_line(kind: str) -> Reader:
    """The reader of a one-line argument, by its name in `pickletools`."""
    descriptor: Any = getattr(pickletools, kind)

    def read(data: memoryview, at: int) -> tuple[Any, int]:
        line, end = _line(data, at)
        return descriptor.reader(io.BytesIO(line + b"\n")), end

    return read


def _two_lines(data: memoryview, at: int) -> tuple[str, int]:
    """A module and a name in it, separated by a space."""
    lines = bytes(data[at : at + 2 * _SHORT]).split(b"\n", 2)
    if len(lines) == 3:
        return f"{lines[0].decode()} {lines[1].decode()}", at + len(lines[0]) + len(lines[1]) + 2
    module, middle = _line(data, at)
    name, end = _line(data, middle)
    return f"{module.decode()} {name.decode()}", end


def _quoted(data: memoryview, at: int) -> tuple[str, int]:
    """A quoted Python 2 string, whose characters are bytes."""
    line, at = _line(data, at)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a text without its quotes")
    if b"\\" in _ESCAPE.sub(b"", line):
        raise ValueError("an escape that no pickle writes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1"), at


def _text(data: memoryview) -> str | LongText:
    return str(data, "utf-8", "surrogatepass") if len(data) <= TEXT_BYTES else LongText(data)


def _old_text(data: memoryview) -> str | memoryview:
    """A Python 2 string, which may have the values of an array."""
    return str(data, "latin-1") if len(data) <= TEXT_BYTES else data


def _integer(data: memoryview) -> int:
    return int.from_bytes(data, "little", signed=True)


_ARGUMENTS: dict[str, Reader] = {
    "uint1": _fixed("<B"),
    "uint2": _fixed("<H"),
    "int4": _fixed("<i"),
    "uint4": _fixed("<I"),
    "uint8": _fixed("<Q"),
    "float8": _fixed(">d"),
    "long1": _counted("<B", _integer),
    "bytes1": _counted("<B", memoryview),
    "bytes4": _counted("<I", memoryview),
    "bytes8": _counted("<Q", memoryview),
    "bytearray8": _counted("<Q", memoryview),
    "string1": _counted("<B", _old_text),
    "string4": _counted("<I", _old_text),
    "unicodestring1": _counted("<B", _text),
    "unicodestring4": _counted("<I", _text),
    "unicodestring8": _counted("<Q", _text),
    "unicodestringnl": _read_line("unicodestringnl"),
    "stringnl": _quoted,
    "stringnl_noescape_pair": _two_lines,
    "decimalnl_short": _read_line("decimalnl_short"),
    "decimalnl_long": _read_line("decimalnl_long"),
    "floatnl": _read_line("floatnl"),
}

_UNREAD = ("LONG4", "PERSID", "EXT1", "EXT2", "EXT4")
"""Opcodes that are always rejected. LONG4 has integers of more than 255 bytes, whose products could take minutes."""


def _reader(opcode: pickletools.OpcodeInfo) -> Reader | None:
    if opcode.arg is None or opcode.name in _UNREAD:
        return None
    return _ARGUMENTS[opcode.arg.name]


class _Steps(dict):
    def __missing__(self, code: int) -> tuple[str, Reader | None]:
        raise ValueError(f"an unknown step {code:#x}")


_STEPS: dict[int, tuple[str, Reader | None]] = _Steps(
    {ord(opcode.code): (opcode.name, _reader(opcode)) for opcode in pickletools.opcodes}
)
