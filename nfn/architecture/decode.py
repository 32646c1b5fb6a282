"""Decode ops from untrusted JSON, with type checks of every field."""

import types
import typing
from typing import Any, Literal

from nfn.architecture.ops import OPS, ArchitectureError, Op, Shape

LARGEST = 2**31
LONGEST = 4_096
"""The most numbers in one field of an op."""


def decode_shape(value: Any, what: str) -> Shape:
    """A list of sizes as a tuple; ArchitectureError, naming `what`, otherwise."""
    if (
        not isinstance(value, list)
        or len(value) > 8
        or not all(_is_int(n) and 0 <= n < LARGEST for n in value)
    ):
        raise ArchitectureError(f"The shape of {what} is not a list of sizes.")
    return tuple(value)


def decode_op(value: Any) -> Op:
    """One op from a dict of its kind and fields; missing fields have their defaults."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in OPS:
        raise ArchitectureError(f"Unknown operation {str(kind)[:40]!r}; known: {', '.join(OPS)}.")
    cls = OPS[kind]
    hints = typing.get_type_hints(cls)
    fields = {name: field for name, field in value.items() if name != "kind"}
    unknown = [name for name in fields if name not in cls.__dataclass_fields__]
    if unknown:
        raise ArchitectureError(f"Operation {kind} has no field {unknown[0][:40]!r}.")
    decoded = {name: _decode(field, hints[name], f"{kind}.{name}") for name, field in fields.items()}
    try:
        return cls(**decoded)
    except TypeError as error:  # a field without default is missing
        raise ArchitectureError(f"Operation {kind} lacks a field: {error}.") from error


def _decode(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        hint = next(arg for arg in args if arg is not type(None))
        return _decode(value, hint, where)
    if origin is Literal and isinstance(value, str) and value in args:
        return value
    if origin is tuple and isinstance(value, list) and len(value) <= LONGEST:
        hints = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(hints) == len(value):
            return tuple(_decode(v, h, where) for v, h in zip(value, hints, strict=True))
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and -LARGEST < value < LARGEST:
        return value
    if hint is float and isinstance(value, int | float) and -1e30 < value < 1e30:
        return float(value)
    if hint is str and isinstance(value, str) and len(value) <= 1_000:
        return value
    return _refuse(value, where)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse(value: Any, where: str) -> Any:
    raise ArchitectureError(f"The field {where} cannot be {str(value)[:40]!r}.")
