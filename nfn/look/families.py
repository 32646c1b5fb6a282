"""Shared helpers of the fingerprints: the part of a file that is one network, and its repeated blocks."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Architecture:
    """An architecture by name, with facts about this one (`layers`, `width`) and what was compared to be sure.

    `inputs` are in words, as far as tensors fix them; `classes` is the number of its classifier's outputs.
    """

    name: str
    evidence: str
    facts: tuple[tuple[str, str], ...] = ()
    inputs: str = ""
    classes: int | None = None


@dataclass(frozen=True)
class Part:
    """The tensors with a common prefix, by the rest of their names; `beside` are all others, by full name."""

    prefix: str
    shapes: Shapes
    beside: Shapes

    @property
    def share(self) -> float:
        """The fraction of the file's values that are in it."""
        inside = sum(map(math.prod, self.shapes.values()))
        return inside / max(1, inside + sum(map(math.prod, self.beside.values())))


HELD = 0.5
"""The least fraction of a file's values in a part for the part's name to apply to the file."""


def parts(shapes: Shapes, anchor: str) -> Iterator[Part]:
    """The parts of a file that have a tensor called `anchor`, such as "h.0.attn.c_attn.weight"."""
    for name in [n for n in shapes if n == anchor or n.endswith(f".{anchor}")][:8]:
        prefix = name[: len(name) - len(anchor)]
        inside = {n[len(prefix) :]: shape for n, shape in shapes.items() if n.startswith(prefix)}
        beside = {n: shape for n, shape in shapes.items() if not n.startswith(prefix)}
        part = Part(prefix, inside, beside)
        if part.share >= HELD:
            yield part


@dataclass(frozen=True)
class Blocks:
    """Repeated blocks, such as a transformer's layers: one block's tensors, the number of blocks, other tensors."""

    count: int
    block: Shapes
    rest: Shapes


def blocks(shapes: Shapes, pattern: str) -> Blocks | None:
    """The blocks whose names match `pattern` (number, name inside), if they are equal and numbered from 0."""
    layers: dict[int, dict[str, Shape]] = {}
    rest: dict[str, Shape] = {}
    for name, shape in shapes.items():
        match = re.fullmatch(pattern, name)
        if match:
            layers.setdefault(int(match[1][:6]), {})[match[2]] = shape
        else:
            rest[name] = shape
    if (
        not layers
        or sorted(layers) != list(range(len(layers)))
        or any(b != layers[0] for b in layers.values())
    ):
        return None
    return Blocks(len(layers), layers[0], rest)


def compare(shapes: Shapes, expected: Shapes, optional: frozenset[str] = frozenset()) -> bool:
    """Whether `shapes` has all tensors of `expected` with their shapes, and no others except `optional` ones."""
    return all(shapes.get(name) == shape for name, shape in expected.items()) and set(shapes) <= {
        *expected,
        *optional,
    }


def compared(count: int, whose: str) -> str:
    """The evidence for an architecture all of whose names and shapes match."""
    return f"All {count:,} names and shapes are those of {whose}."


def norm(name: str, width: int) -> dict[str, Shape]:
    """The tensors of a batch norm, without its counter."""
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}


def without_counters(shapes: Shapes) -> dict[str, Shape]:
    """The names without `num_batches_tracked`, which old files do not have."""
    return {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
