"""Orders of execution of layers whose order a file does not keep: a search by names and shapes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import TypeVar

from nfn.wiring.names import differ_in_count

T = TypeVar("T")
MAX_LOOKED_AT = 300_000
"""Layers looked at in a search, each time anew."""
ORDER_ADVICE = (
    "Number the layers in their names, or save the state_dict with torch.save, which keeps the order."
)


class TooManyOrders(Exception):
    """The search has looked at `MAX_LOOKED_AT` layers."""


def orders(
    layers: Sequence[T],
    path: Callable[[T], str],
    fits: Callable[[T | None, T], bool],
    modules: bool = False,
) -> Iterator[list[T]]:
    """All orders in which each layer `fits` the one before (None before the first), the given one first.

    Layers whose paths first differ in a number ("blocks.0.out", "blocks.1.conv") or a last letter stay in the given
    order and, with `modules`, no others come between those of one module. If no order is like that, modules do not
    count, and then numbers do not.

    Raises TooManyOrders once it has looked at `MAX_LOOKED_AT` layers.
    """
    paths = [path(layer).split(".") for layer in layers]
    shared = [[_shared(one[:-1], other[:-1]) for other in paths] for one in paths]
    numbered = [{i for i in range(j) if _numbered(paths[i], other)} for j, other in enumerate(paths)]
    free: list[set[int]] = [set() for _ in paths]

    def following(last: int | None, rest: list[int], whole: bool, before: list[set[int]]) -> Iterator[int]:
        left, near = set(rest), _nearest(shared[last], rest) if whole and last is not None else rest
        previous = None if last is None else layers[last]
        return (i for i in near if not before[i] & left and fits(previous, layers[i]))

    for whole, before in ((True, numbered), (False, numbered), (False, free))[not modules :]:
        found = False
        for order in _search(len(paths), partial(following, whole=whole, before=before)):
            found = True
            yield [layers[i] for i in order]
        if found:
            return


def _search(count: int, following: Callable[[int | None, list[int]], Iterator[int]]) -> Iterator[list[int]]:
    """All orders of so many items, by depth-first search: `following(last, rest)` are those that may come next."""
    order: list[int] = []
    branches = [(list(range(count)), following(None, list(range(count))))]
    looked_at = 0
    while branches:
        rest, candidates = branches[-1]
        item = next(candidates, None)
        if item is None:
            branches.pop()
            del order[-1:]
            continue
        looked_at += len(rest)
        if looked_at > MAX_LOOKED_AT:
            raise TooManyOrders
        order.append(item)
        rest = [other for other in rest if other != item]
        branches.append((rest, following(item, rest)))
        if not rest:
            yield list(order)


def _nearest(shared: list[int], rest: list[int]) -> list[int]:
    """Those of `rest` in the innermost module of which any are left."""
    deepest = max((shared[i] for i in rest), default=0)
    return [i for i in rest if shared[i] >= deepest]


def _shared(one: list[str], other: list[str]) -> int:
    """How many parts two paths share at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _numbered(one: list[str], other: list[str]) -> bool:
    """Whether two paths first differ in a number or, as "conv_a" and "conv_b", in a last letter."""
    at = _shared(one, other)
    return at < min(len(one), len(other)) and differ_in_count(one[at], other[at])
