"""Format a `Look` as text, not escaped, and as plain data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nfn.checkpoint.listing import Port
from nfn.look.look import Look
from nfn.look.tree import Node

KINDS = {4: "kernel of a convolution", 2: "matrix", 1: "vector", 0: "scalar"}
"""Typical kinds of tensors, by their number of axes."""
SHOWN = 40
"""The most operators that are named."""


def facts(seen: Look) -> Iterator[tuple[str, str]]:
    """The facts about a checkpoint as pairs of name and text, the most informative first."""
    architecture = seen.architecture
    yield "architecture", architecture.name if architecture else "unknown"
    if architecture:
        yield "how that is known", architecture.evidence
    yield from _ends(seen)
    yield from architecture.facts if architecture else _holds(seen)
    if seen.declared_name:
        yield "calls itself", seen.declared_name
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
    """The kinds of tensors, for a checkpoint without a known architecture."""
    words = [f"{count:,} × {KINDS.get(rank, f'tensor of {rank} axes')}" for rank, count in seen.ranks.items()]
    if words:
        yield "holds", ", ".join(words)


def _ends(seen: Look) -> Iterator[tuple[str, str]]:
    architecture = seen.architecture
    inputs = ", ".join(map(port, seen.inputs)) or (architecture.inputs if architecture else "")
    if inputs:
        yield "inputs", inputs
    if seen.outputs:
        yield "outputs", ", ".join(map(port, seen.outputs))
    if architecture and architecture.classes:
        yield "classes", f"{architecture.classes:,}"


def port(one: Port) -> str:
    """The name, dtype and shape of an input or output, with "any" for unknown sizes."""
    shape = "of any shape" if one.shape is None else shape_text(one.shape)
    return f"{one.name}: {one.dtype} {shape}".replace(":  ", ": ")


def size(nbytes: int) -> str:
    """A number of bytes with a unit, in at most three digits."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{nbytes} bytes"


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as sizes separated by ×."""
    return " × ".join("any" if size is None else f"{size:,}" for size in shape) or "scalar"


def as_dict(seen: Look) -> dict[str, Any]:
    """A look as plain data, with the tree as nested dicts."""
    return {**asdict(seen), "tree": _plain(seen.tree)}


def _plain(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "alike": node.alike,
        "values": node.values,
        "tensors": [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in node.tensors],
        "children": [_plain(child) for child in node.children],
    }
