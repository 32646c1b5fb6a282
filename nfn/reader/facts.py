"""Parse metadata entries, whose keys and spelling differ between codebases."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from nfn.reader import limits
from nfn.reader.errors import NetworkFileError, quote

Facts = Mapping[str, tuple[str, str]]
"""Normalized key to the file's key and value."""

KEY_CHARACTERS = 100


def normalized(metadata: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Metadata by normalized key; keys longer than `KEY_CHARACTERS` are dropped."""
    return {normal(key): (key, value) for key, value in metadata.items() if len(key) <= KEY_CHARACTERS}


def normal(key: str) -> str:
    """Normalize a key: `Omega-0` becomes `omega_0`."""
    return key.strip().lower().replace("-", "_").replace(" ", "_")


def first(facts: Facts, names: tuple[str, ...], parse: Callable[[str, str], Any]) -> Any:
    """The first entry with one of these names, parsed; None if there is none."""
    return next((parse(*facts[name]) for name in names if name in facts), None)


def parse_number(key: str, text: str, above: float, most: float) -> float:
    """Parse one number in `(above, most]`; NetworkFileError otherwise."""
    values = numbers(text)
    if len(values) != 1 or not above < values[0] <= most:
        raise unreadable(key, text, f"a number above {above:,.0f}, at most {most:,.0f}")
    return values[0]


def parse_range(key: str, text: str) -> tuple[float, float]:
    """Parse the lowest and the highest pixel value; NetworkFileError unless they are in order."""
    values = numbers(text)
    if len(values) != 2 or not -limits.PIXEL <= values[0] < values[1] <= limits.PIXEL:
        raise unreadable(key, text, "two numbers such as [-1, 1]")
    return values[0], values[1]


def numbers(text: str) -> list[float]:
    """The numbers in `text`, or [] if it is not a number or a bracketed list of finite numbers."""
    try:
        values = [float(part) for part in text[:200].strip(" []()").rstrip(",").split(",")]
    except ValueError:
        return []
    return values if all(math.isfinite(number) for number in values) else []


def unreadable(key: str, text: str, expected: str) -> NetworkFileError:
    """The error for a metadata entry that cannot be parsed."""
    return NetworkFileError(
        f"The metadata {quote(key)} is {quote(text)}; expected {expected}. Correct or remove it."
    )
