"""A checkpoint's tensors as a tree of modules, with equal numbered modules merged."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nfn.checkpoint.listing import TensorInfo

DEPTH = 12
"""The deepest level of the tree; longer names are not split further."""


@dataclass(frozen=True)
class Node:
    """A module: `name` is its own part of the path ("0", or "0 … 11" of twelve that are `alike`).

    `values` counts those of all of them. `tensors` stand in it directly, under the last part of their names.
    """

    name: str
    values: int
    tensors: tuple[TensorInfo, ...]
    children: tuple["Node", ...]
    alike: int = 1


def tree_of(tensors: Iterable[TensorInfo]) -> Node:
    """The tree of dotted names (or names with slashes); the root's name is ""."""
    root: dict = {}
    for tensor in tensors:
        keys = tensor.name.replace("/", ".").split(".")
        *path, last = [*keys[:DEPTH], ".".join(keys[DEPTH:])] if len(keys) > DEPTH else keys
        here = root
        for key in path:
            here = here.setdefault((key,), {})
        if last in here:  # "a/b" beside "a.b"
            here, last = root, tensor.name
        here[last] = tensor
    return _node("", root)


def _node(name: str, table: dict) -> Node:
    children = [_node(key[0], inside) for key, inside in table.items() if isinstance(inside, dict)]
    tensors = [
        TensorInfo(key, tensor.dtype, tensor.shape, tensor.nbytes, tensor.is_buffer)
        for key, tensor in table.items()
        if isinstance(tensor, TensorInfo)
    ]
    merged = tuple(_merge(children))
    count = sum(t.numel for t in tensors) + sum(child.values for child in merged)
    return Node(name, count, tuple(tensors), merged)


def _merge(children: list[Node]) -> list[Node]:
    """Merge equal, consecutively numbered modules."""
    merged: list[Node] = []
    first = ""
    for child in children:
        last = merged[-1] if merged else None
        if last is not None and _follows(last, child):
            first = first if last.alike > 1 else last.name
            total = last.values + child.values
            merged[-1] = Node(f"{first} … {child.name}", total, last.tensors, last.children, last.alike + 1)
        else:
            merged.append(child)
    return merged


def _follows(last: Node, child: Node) -> bool:
    number = last.name.rpartition(" ")[2]
    if not (number.isascii() and number.isdecimal() and child.name.isascii() and child.name.isdecimal()):
        return False
    return child.name == str(int(number) + 1) and (last.tensors, last.children) == (
        child.tensors,
        child.children,
    )


def tensors_of(node: Node, prefix: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors; for merged modules those of the first, under the branch's name."""
    for tensor in node.tensors:
        yield f"{prefix}{tensor.name}", tensor.shape
    for child in node.children:
        yield from tensors_of(child, f"{prefix}{child.name}.")


def pruned(node: Node, most: int) -> Node:
    """The tree truncated to the depth with at most `most` modules and tensors."""
    counts: Counter[int] = Counter()
    _count(node, 1, counts)
    depth = total = 0
    while depth < len(counts) and total + counts[depth + 1] <= most:
        depth += 1
        total += counts[depth]
    return _cut(node, depth)


def _count(node: Node, level: int, counts: Counter[int]) -> None:
    """The number of modules and tensors on each level below a node."""
    counts[level] += len(node.tensors) + len(node.children)
    for child in node.children:
        _count(child, level + 1, counts)


def _cut(node: Node, depth: int) -> Node:
    children = tuple(_cut(child, depth - 1) for child in node.children) if depth else ()
    return Node(node.name, node.values, node.tensors if depth else (), children, node.alike)
