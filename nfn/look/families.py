"""What the fingerprints share: the part of a file that is one network, and the blocks that repeat in it."""

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
    """The tensors below one prefix, by the rest of their names; `beside` are all others, by full name."""

    prefix: str
    shapes: Shapes
    beside: Shapes

    @property
    def share(self) -> float:
        """The share of the file's values that are in it."""
        inside = sum(map(math.prod, self.shapes.values()))
        return inside / max(1, inside + sum(map(math.prod, self.beside.values())))


HELD = 0.5
"""A file is called by the name of a part that holds at least this share of its values."""


def parts(shapes: Shapes, anchor: str) -> Iterator[Part]:
    """The parts of a file in which a tensor called `anchor` stands, such as "h.0.attn.c_attn.weight"."""
    for name in [n for n in shapes if n == anchor or n.endswith(f".{anchor}")][:8]:
        prefix = name[: len(name) - len(anchor)]
        inside = {n[len(prefix) :]: shape for n, shape in shapes.items() if n.startswith(prefix)}
        beside = {n: shape for n, shape in shapes.items() if not n.startswith(prefix)}
        part = Part(prefix, inside, beside)
        if part.share >= HELD:
            yield part


@dataclass(frozen=True)
class Blocks:
    """Blocks that repeat, such as a transformer's layers: one's tensors, how many there are, and all other tensors."""

    count: int
    block: Shapes
    rest: Shapes


def blocks(shapes: Shapes, pattern: str) -> Blocks | None:
    """The blocks whose names match `pattern` (number, name inside), if they are alike and numbered from 0."""
    found: dict[int, dict[str, Shape]] = {}
    rest: dict[str, Shape] = {}
    for name, shape in shapes.items():
        match = re.fullmatch(pattern, name)
        if match:
            found.setdefault(int(match[1][:6]), {})[match[2]] = shape
        else:
            rest[name] = shape
    if not found or sorted(found) != list(range(len(found))) or any(b != found[0] for b in found.values()):
        return None
    return Blocks(len(found), found[0], rest)


def compare(shapes: Shapes, wanted: Shapes, optional: frozenset[str] = frozenset()) -> bool:
    """Whether all tensors of `wanted` are there, in their shapes, and no others but `optional` ones."""
    return all(shapes.get(name) == shape for name, shape in wanted.items()) and set(shapes) <= {
        *wanted,
        *optional,
    }


def compared(count: int, whose: str) -> str:
    """The evidence of names and shapes that are all as some code writes them."""
    return f"All {count:,} names and shapes are those of {whose}."


def norm(name: str, width: int) -> dict[str, Shape]:
    """A batch norm's tensors but for its counter."""
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}


def without_counters(shapes: Shapes) -> dict[str, Shape]:
    """No `num_batches_tracked`, which old files lack."""
    return {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
