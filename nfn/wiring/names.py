"""Tensor names as hints of order."""

import re

_NUMBER = re.compile(r"[0-9]+")


def natural_key(name: str) -> tuple:
    """Sort key in which `net.2` comes before `net.10`."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((int(part[:18]) if i % 2 else 0, part) for i, part in enumerate(parts))


def template_of(name: str) -> str:
    """The name without its numbers: layers that share it are counted by them."""
    return _NUMBER.sub("#", name)


def numbers_of(name: str) -> list[str]:
    """The numbers in a name."""
    return _NUMBER.findall(name)
