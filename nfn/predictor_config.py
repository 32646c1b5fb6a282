"""Make a predictor's config from JSON, which may be untrusted: its fields have the types that its class declares."""

from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
REPEATED = ("layers", "depth", "members", "rounds")
"""Fields that count layers and the like; any other whole number is a size."""
MAX_REPEATED, MAX_SIZE, MAX_ITEMS, MAX_TEXTS = 16, 2**31, 128, 10_000
"""The most repetitions, the largest size, the most items of a list or an object, and the most texts of a list."""


def make_config(config_class: type[T], content: dict[str, Any]) -> T:
    """A config with these fields.

    Raises:
        ValueError: a field is missing, unknown, of another type, or a number or list is too large.
    """
    try:
        config = config_class(**content)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise ValueError(f"it is no {config_class.__name__}: {str(error)[:200]}") from error
    _check_fields(config)
    return config


def _check_fields(config: Any) -> None:
    hints = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        if not _fits(value, hints[field.name]) or (field.name in REPEATED and value > MAX_REPEATED):
            raise ValueError(f"{field.name} of {type(config).__name__} cannot be {str(value)[:60]!r}")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, and not too large."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin is dict:
        few = isinstance(value, dict) and len(value) <= MAX_ITEMS
        return few and all(_fits(item, arguments[1]) for item in value.values())
    if origin in (tuple, list):
        limit = MAX_TEXTS if arguments[0] is str else MAX_ITEMS
        return (
            isinstance(value, origin)
            and len(value) <= limit
            and all(_fits(item, arguments[0]) for item in value)
        )
    if is_dataclass(kind):
        _check_fields(value)
        return True
    if kind is int:
        return type(value) is int and 0 <= value <= MAX_SIZE
    return type(value) in {float: (float, int)}.get(kind, (kind,))
