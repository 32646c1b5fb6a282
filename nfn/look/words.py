"""A look in words, for a terminal or a page, and as plain data for programs. Nothing here is escaped."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nfn.checkpoint.listing import Port
from nfn.look.look import Look
from nfn.look.tree import Node

KINDS = {4: "kernel of a convolution", 2: "matrix", 1: "vector", 0: "scalar"}
"""What tensors mostly are, by their number of axes."""
SHOWN = 40
"""Kinds of operations that are named."""


def facts(seen: Look) -> Iterator[tuple[str, str]]:
    """What is known of a checkpoint, as pairs of a name and a text, the most telling first."""
    found = seen.architecture
    yield "architecture", found.name if found else "unknown"
    if found:
        yield "how that is known", found.evidence
    yield from _ends(seen)
    yield from found.facts if found else _holds(seen)
    if seen.told:
        yield "calls itself", seen.told
    yield "format", seen.format
    if seen.tensors:
        yield "tensors", f"{seen.tensors:,}, {seen.parameters:,} parameters, {size(seen.nbytes)}"
        yield "types", ", ".join(f"{name} ({count:,} values)" for name, count in seen.dtypes.items())
    if seen.operators:
        yield (
            "operations",
            ", ".join(f"{name} ×{count}" for name, count in list(seen.operators.items())[:SHOWN]),
        )
    yield from (("broken", text) for text in seen.broken)
    yield from (("note", text) for text in seen.notes)


def _holds(seen: Look) -> Iterator[tuple[str, str]]:
    """What kinds of tensors there are, where that is all that is known."""
    words = [f"{count:,} × {KINDS.get(rank, f'tensor of {rank} axes')}" for rank, count in seen.ranks.items()]
    if words:
        yield "holds", ", ".join(words)


def _ends(seen: Look) -> Iterator[tuple[str, str]]:
    found = seen.architecture
    inputs = ", ".join(map(port, seen.inputs)) or (found.inputs if found else "")
    if inputs:
        yield "inputs", inputs
    if seen.outputs:
        yield "outputs", ", ".join(map(port, seen.outputs))
    if found and found.classes:
        yield "classes", f"{found.classes:,}"


def port(one: Port) -> str:
    """An input or output: its name, type and shape, with "any" for a size that is left open."""
    shape = "of any shape" if one.shape is None else shape_text(one.shape)
    return f"{one.name}: {one.dtype} {shape}".replace(":  ", ": ")


def size(nbytes: int) -> str:
    """Bytes in the unit that leaves three digits at most."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{nbytes} bytes"


def shape_text(shape: Sequence[int | None]) -> str:
    """Sizes with crosses between them."""
    return " × ".join("any" if size is None else f"{size:,}" for size in shape) or "scalar"


def as_dict(seen: Look) -> dict[str, Any]:
    """A look as plain data: the tree as nested tables, with shapes."""
    return {**asdict(seen), "tree": _plain(seen.tree)}


def _plain(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "alike": node.alike,
        "values": node.values,
        "tensors": [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in node.tensors],
        "children": [_plain(child) for child in node.children],
    }
