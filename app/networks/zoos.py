"""Zoos: the app's own (environment variable WEIGHTSCOPE_ZOO), and zoos on the Hub that visitors open. No gradio."""

import os
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar

from app.runtime.device import device
from app.runtime.errors import RequestError
from nfn.predictor import Predictor
from zoo.catalog import EMBEDDED, Zoo
from zoo.errors import ZooError
from zoo.families import FAMILIES
from zoo.remote import open_hub_zoo, open_zoo

P = TypeVar("P", bound=Predictor)
OPTIONAL = {kind for kind, family in FAMILIES.items() if family.own_architectures}
"""Kinds of collections that a zoo may lack."""


@dataclass(frozen=True)
class OwnZoo:
    """The zoo that every tab starts with; `notice` says why the configured zoo is not used, or is ""."""

    zoo: Zoo
    notice: str = ""


@cache
def own_zoo() -> OwnZoo:
    """The zoo of WEIGHTSCOPE_ZOO (a Hub id or a folder), or the embedded zoo with a notice if that one fails."""
    configured = os.environ.get("WEIGHTSCOPE_ZOO", "")
    try:
        return OwnZoo(_check_zoo(open_zoo(configured)))
    except ZooError as error:
        if not configured:
            raise
        return OwnZoo(Zoo(EMBEDDED), f"This app's own zoo, {configured}, is not shown. {error}")


def _check_zoo(zoo: Zoo) -> Zoo:
    """Return the zoo after checking, and downloading, what the tabs need.

    That is all that the embedded zoo has, except readers and collections of the kinds `OPTIONAL`.
    """
    embedded = Zoo(EMBEDDED)
    needed = {info.name for info in embedded.predictors()}.difference(embedded.readers())
    for name in sorted(needed.union(zoo.readers())):
        zoo.predictor(name)
    for kind in sorted({info.kind for info in embedded.collections()}.difference(OPTIONAL)):
        infos = [info for info in zoo.collections() if info.kind == kind]
        if not infos:
            raise ZooError(f"It has no collection of kind {kind!r}, which the app needs.")
        for info in infos:
            zoo.rows(info.name, limit=1)
    return zoo


def zoo_at(where: str = "") -> Zoo:
    """The zoo that a source or a view names: "" for the app's own, else a Hub id, usually pinned to a commit sha."""
    own = own_zoo().zoo
    return own if not where or where == own.source.where else _pinned(where)


def open_zoo_by_id(text: str) -> Zoo:
    """Open the zoo of a Hub id that a visitor typed, pinned to its current commit; HubError if that fails."""
    zoo = open_hub_zoo(text)
    return _pinned(zoo.source.where)


@cache
def predictor(name: str, predictor_type: type[P]) -> P:
    """A predictor of the app's own zoo, on `device()`."""
    return own_zoo().zoo.predictor(name, predictor_type).to(device())


@lru_cache(maxsize=8)
def _pinned(where: str) -> Zoo:
    return open_hub_zoo(where)


def list_networks(collection: str, limit: int) -> list[dict[str, Any]]:
    """The first `limit` rows of facts of a collection."""
    if limit < 1:
        raise RequestError(f"Got a limit of {limit}; ask for at least 1 network.")
    return zoo_at().rows(collection, limit)
