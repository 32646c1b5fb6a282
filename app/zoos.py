"""The zoos at hand: the app's own, named by WEIGHTSCOPE_ZOO, and those of the Hub that visitors type. No gradio."""

import os
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeVar

from app.gpu import device
from nfn.predictor import Predictor
from zoo.catalog import EMBEDDED, PREDICTORS, Zoo
from zoo.errors import ZooError
from zoo.predictors import READERS
from zoo.remote import open_hub_zoo, open_zoo

P = TypeVar("P", bound=Predictor)
KINDS = ("siren", "classifier", "init")
"""The kinds of networks that the tabs need one collection of."""


@dataclass(frozen=True)
class OwnZoo:
    """The zoo that every tab starts with; `notice` says why it is not the one that the operator asked for, or ""."""

    zoo: Zoo
    notice: str = ""


@cache
def own_zoo() -> OwnZoo:
    """The zoo of WEIGHTSCOPE_ZOO (a Hub id or a folder), or the embedded one where that cannot be used now."""
    asked = os.environ.get("WEIGHTSCOPE_ZOO", "")
    try:
        return OwnZoo(_usable(open_zoo(asked)))
    except ZooError as error:
        if not asked:
            raise
        return OwnZoo(Zoo(EMBEDDED), f"This app's own zoo, {asked}, is not shown. {error}")


def _usable(zoo: Zoo) -> Zoo:
    """The zoo, after everything that the tabs need was found in it (and fetched, if it is on the Hub)."""
    listed = {info.name for info in zoo.predictors()}
    for name in PREDICTORS:
        if name in listed or name not in READERS:
            zoo.predictor(name)
    for kind in KINDS:
        infos = [info for info in zoo.collections() if info.kind == kind]
        if not infos:
            raise ZooError(f"It has no collection of kind {kind!r}, which the app needs.")
        for info in infos:
            zoo.rows(info.name, limit=1)
    return zoo


def zoo_at(where: str) -> Zoo:
    """The zoo that a source or a view names: "" is the app's own, else a Hub id, best with the sha it was pinned to."""
    return own_zoo().zoo if where == "" else _pinned(where)


def open_typed(text: str) -> Zoo:
    """The zoo under a Hub id that a visitor typed, its branch resolved to the sha of now; HubError otherwise."""
    zoo = open_hub_zoo(text)
    return _pinned(zoo.source.where)


@cache
def predictor(name: str, wanted: type[P]) -> P:
    """A predictor of the app's own zoo, on `device()`."""
    return own_zoo().zoo.predictor(name, wanted).to(device())


@lru_cache(maxsize=8)
def _pinned(where: str) -> Zoo:
    return open_hub_zoo(where)
