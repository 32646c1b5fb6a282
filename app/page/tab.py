"""The record of a tab: how it is built, and which networks it opens."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app.page.inbox import by_id, inbox, to_inbox
from nfn.network import Network
from zoo.catalog import Zoo
from zoo.collection_spec import CollectionSpec


def _none(_: Any) -> bool:
    return False


@dataclass(frozen=True)
class Tab:
    """All that the rest of the app knows about a tab; `app.ui.TABS` lists them.

    `key` is its name in links (`?tab=key`) and elem_ids (`tab-key`), `title` its name on the page. `build` adds its
    widgets to the page. `lists` tells which collections' networks it opens, `reads` which uploaded networks
    (`reads_any_file`: every checkpoint), `content` says what such a file is, `next_step` is the label of buttons that
    open one in it. `first` returns the zoo id of the network shown at first. A tab that shows a zoo has `view` instead,
    which takes a zoo, its id and the id of a network in it (both may be "").

    `address` are the elem_ids of the widgets whose values are part of the page's address, the chosen network's first;
    None if the tab writes the address itself. `warm_up` is called once at startup.
    """

    key: str
    title: str
    build: Callable[["Page"], None]
    lists: Callable[[CollectionSpec], bool] = _none
    reads: Callable[[Network], bool] = _none
    content: str = "a checkpoint"
    next_step: str = ""
    reads_any_file: bool = False
    first: Callable[[], str] | None = None
    view: Callable[[Zoo, str, str], str] | None = None
    address: tuple[str, ...] | None = ()
    stylesheet: Path | None = None
    script: Path | None = None
    warm_up: Callable[[], None] | None = None

    @property
    def has_inbox(self) -> bool:
        """Whether links and other tabs can open something in it."""
        return bool(self.next_step) or self.view is not None


@dataclass(frozen=True)
class Page:
    """The page under construction, and all its tabs."""

    demo: gr.Blocks
    tabs: tuple[Tab, ...]

    def widget(self, elem_id: str) -> Any:
        """A widget that is already built, by elem_id."""
        return by_id(self.demo, elem_id)

    def inbox(self, key: str) -> Any:
        """The inbox of a tab (see `app.page.inbox`)."""
        return inbox(self.demo, key)

    def opener_outputs(self) -> list[Any]:
        """The outputs of an event that calls `open_in`."""
        return [self.widget("tabs"), *(self.inbox(tab.key) for tab in self._openers())]

    def show_tabs(self, opening: Dependency) -> None:
        """Scroll to the tabs after an event that opens something in another tab."""
        opening.success(None, js="() => weightscope.toTabs()", api_visibility="private")

    def open_in(self, key: str, source: str) -> list[Any]:
        """Show the tab with this key and a source (as text, see `app.page.source_text`) in it."""
        return [
            gr.Tabs(selected=key),
            *(to_inbox(source) if tab.key == key else gr.skip() for tab in self._openers()),
        ]

    def _openers(self) -> list[Tab]:
        return [tab for tab in self.tabs if tab.next_step]


def tab_for_network(tabs: tuple[Tab, ...], zoo: Zoo, network: str) -> Tab | None:
    """The tab that opens a zoo network, by its id; None if no tab takes networks of its collection."""
    spec = zoo.collection(zoo.parse(network).collection).spec
    return next((tab for tab in tabs if tab.lists(spec)), None)
