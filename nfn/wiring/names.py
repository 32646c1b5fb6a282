"""Numbers in tensor names, which hint at the order of layers."""

import re

_NUMBER = re.compile(r"[0-9]+")
_COUNT = re.compile(r"[0-9]+|(?<=[_0-9])[A-Za-z]$")


def natural_key(name: str) -> tuple:
    """Sort key in which `net.2` comes before `net.10`."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((int(part[:18]) if i % 2 else 0, part) for i, part in enumerate(parts))


def template_of(name: str) -> str:
    """The name with its numbers replaced by `#`, which is the same for layers that differ in numbers only."""
    return _NUMBER.sub("#", name)


def numbers_of(name: str) -> list[str]:
    """The numbers in a name."""
    return _NUMBER.findall(name)


def differ_in_count(name: str, other: str) -> bool:
    """Whether two names differ in numbers only, or in a last letter: "conv_a" and "conv_b"."""
    return _COUNT.search(name) is not None and _COUNT.sub("#", name) == _COUNT.sub("#", other)
