"""Facts that a file tells of its network, as texts under names that differ from code to code."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from nfn.reader import limits
from nfn.reader.errors import NetworkFileError, quote

Facts = Mapping[str, tuple[str, str]]
"""Normalised key to the key and the text as they stand in the file."""

KEY_CHARACTERS = 100


def normalized(metadata: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The facts by their keys in one spelling; keys that are too long for any name of ours are left out."""
    return {normal(key): (key, value) for key, value in metadata.items() if len(key) <= KEY_CHARACTERS}


def normal(key: str) -> str:
    """`Omega-0` and `omega_0` are one key."""
    return key.strip().lower().replace("-", "_").replace(" ", "_")


def first(facts: Facts, names: tuple[str, ...], parse: Callable[[str, str], Any]) -> Any:
    """The first fact of these names, parsed, or None."""
    return next((parse(*facts[name]) for name in names if name in facts), None)


def parse_number(key: str, text: str, above: float, most: float) -> float:
    """One number above a bound and not beyond another."""
    found = numbers(text)
    if len(found) != 1 or not above < found[0] <= most:
        raise unreadable(key, text, f"a number above {above:,.0f}, at most {most:,.0f}")
    return found[0]


def parse_range(key: str, text: str) -> tuple[float, float]:
    """The lowest and the highest pixel."""
    found = numbers(text)
    if len(found) != 2 or not -limits.PIXEL <= found[0] < found[1] <= limits.PIXEL:
        raise unreadable(key, text, "two numbers such as [-1, 1]")
    return found[0], found[1]


def numbers(text: str) -> list[float]:
    """The numbers of `text`, or none if it is anything but numbers in brackets."""
    try:
        found = [float(part) for part in text[:200].strip(" []()").rstrip(",").split(",")]
    except ValueError:
        return []
    return found if all(math.isfinite(number) for number in found) else []


def unreadable(key: str, text: str, wanted: str) -> NetworkFileError:
    """A fact that is there, but makes no sense."""
    return NetworkFileError(
        f"The metadata {quote(key)} is {quote(text)}; wanted {wanted}. Correct or remove it."
    )
