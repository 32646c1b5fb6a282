"""Orders of execution of layers whose order a file does not keep: a search by names and shapes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nfn.wiring.names import template_of

T = TypeVar("T")
MAX_LOOKED_AT = 300_000
"""Layers looked at in a search, each time anew."""


class TooManyOrders(Exception):
    """The search has looked at `MAX_LOOKED_AT` layers."""


@dataclass(frozen=True)
class _Named(Generic[T]):
    layer: T
    template: str
    modules: tuple[str, ...]
    """From the outermost to the innermost: "blocks", "blocks.1" of "blocks.1.conv"."""


def orders(
    layers: Sequence[T], path: Callable[[T], str], fits: Callable[[T | None, T], bool]
) -> Iterator[list[T]]:
    """All orders in which each layer `fits` the one before (None before the first), by depth-first search.

    Layers whose paths differ only in numbers stay in the given order, which also decides what is tried first. Those
    of one module, like "block1.conv1" and "block1.conv2", have no other layers between them.

    Raises TooManyOrders once it has looked at `MAX_LOOKED_AT` layers.
    """
    rest = [_named(layer, path(layer)) for layer in layers]
    chain: list[_Named[T]] = []
    branches = [(rest, _following(None, rest, fits))]
    looked_at = 0
    while branches:
        rest, following = branches[-1]
        named = next(following, None)
        if named is None:
            branches.pop()
            del chain[-1:]
            continue
        looked_at += len(rest)
        if looked_at > MAX_LOOKED_AT:
            raise TooManyOrders
        chain.append(named)
        rest = [other for other in rest if other is not named]
        branches.append((rest, _following(named, rest, fits)))
        if not rest:
            yield [named.layer for named in chain]


def _following(
    last: _Named[T] | None, rest: list[_Named[T]], fits: Callable[[T | None, T], bool]
) -> Iterator[_Named[T]]:
    templates = set()
    for named in _next_to(last, rest):
        if named.template not in templates and fits(last.layer if last else None, named.layer):
            yield named
        templates.add(named.template)


def _named(layer: T, path: str) -> _Named[T]:
    parts = path.split(".")
    return _Named(layer, template_of(path), tuple(".".join(parts[:i]) for i in range(1, len(parts))))


def _next_to(last: _Named[T] | None, rest: list[_Named[T]]) -> list[_Named[T]]:
    """Those of `rest` in the innermost module of `last` of which any are left; all if there is none."""
    for module in reversed(last.modules if last else ()):
        inside = [named for named in rest if module in named.modules]
        if inside:
            return inside
    return rest
