"""What the Zoo tab's widgets show: a view in, values for the widgets out."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from app import zoo_browser, zoo_panels
from app.actions import RequestError, Source
from app.links import TABS, Link
from app.sources import to_text
from app.tabs.doors import knock
from app.widgets import marked
from app.zoo_browser import ABOUT, Shown, View
from app.zoos import open_typed, own_zoo, zoo_at
from zoo.catalog import CollectionInfo, Zoo
from zoo.errors import ZooError, shorten

OPENERS = {key: TABS[key] for key in ("inr", "generalization", "tickets")}
"""The tabs that a network can be opened in."""


def home() -> View:
    """The app's own zoo."""
    return zoo_browser.first_view(own_zoo().zoo, "")


def typed(text: str) -> View:
    """The zoo under a Hub id that a visitor typed, pinned to its commit of now."""
    if not text.strip():
        raise RequestError("Type the id of a zoo on the Hub first: owner/name.")
    zoo = open_typed(text.strip())
    return zoo_browser.first_view(zoo, zoo.source.where)


def show(make: Callable[[], View], outputs: int) -> list[Any]:
    """The view that `make` gives, as one value per output, and a failure's sentence; the rest stays if it fails."""
    try:
        return [*_show(make()), ""]
    except (ZooError, RequestError) as error:
        return [*[gr.skip()] * outputs, zoo_panels.failure(error)]


def _show(view: View) -> list[Any]:
    zoo = zoo_at(view.where)
    info = zoo_browser.find_entry(zoo, view.entry)
    if info is None and view.entry != ABOUT:
        raise ZooError(f"There is no {shorten(view.entry)} in this zoo.")
    if isinstance(info, CollectionInfo):
        shown = zoo_browser.choose(zoo, view)
        page, network = _collection(zoo, view, info, shown), _network(zoo, view)
        view = View(**{**vars(view), "page": shown.page})
    else:
        text = (
            zoo_panels.about_predictor(info, zoo.card(info.name))
            if info
            else zoo_panels.about_zoo(zoo.card())
        )
        page, network = [gr.HTML(value=text), gr.Column(visible=False), *[gr.skip()] * 5], _no_network(view)
    return [view.text(), *_frame(zoo, view), *page, *network]


def _frame(zoo: Zoo, view: View) -> list[Any]:
    notice = own_zoo().notice if view.where == "" else ""
    entries = zoo_panels.entries(zoo, has_card=bool(zoo.card().strip()))
    return [
        zoo_panels.origin(zoo, notice),
        gr.Button(visible=view.where != ""),
        marked(entries, view.entry),
    ]


def _collection(zoo: Zoo, view: View, info: CollectionInfo, shown: Shown) -> list[Any]:
    opened = zoo.collection(info.name)
    ids = zoo_browser.ids_of(zoo, info.name, shown.places)
    images = zoo_browser.pictures(view.where, info.name, shown.places)
    chosen = zoo.row(view.network)[zoo_browser.MEASURES[info.kind]] if view.network else None
    groups = [("All", ""), *((name, name) for name in shown.groups)]
    return [
        zoo_panels.about_collection(info, opened),
        gr.Column(visible=True),
        gr.Dropdown(groups, value=view.group, label=f"Show {zoo_browser.GROUPS[info.kind]}"),
        view.order,
        zoo_panels.histogram(info.kind, shown, chosen),
        marked(zoo_panels.gallery(ids, images, [zoo.row(i) for i in ids]), view.network),
        zoo_panels.pager(shown),
    ]


def _network(zoo: Zoo, view: View) -> list[Any]:
    if not view.network:
        return _no_network(view)
    place = zoo_browser.place_of(zoo, view.network)
    image = zoo_browser.pictures(view.where, view.entry, (place,))[0]
    tab = zoo_browser.tab_for(zoo, view.network)
    label = f"Open in {TABS[tab]}" if tab else "No tab here takes networks of this kind"
    return [
        gr.Column(visible=True),
        zoo_panels.network(image, zoo.row(view.network), zoo.source),
        Link(view.where, view.network, "zoo").query(),
        view.network,
        gr.Button(label, interactive=tab is not None),
    ]


def _no_network(view: View) -> list[Any]:
    return [gr.Column(visible=False), "", Link(view.where, "", "zoo").query(), "", gr.skip()]


def open_network(view: View) -> list[Any]:
    """The tab that takes the chosen network, and what to put into the door of each."""
    tab = zoo_browser.tab_for(zoo_at(view.where), view.network)
    if tab is None:
        raise RequestError("No tab here takes networks of this kind.")
    text = knock(to_text(Source(zoo_id=view.network, zoo=view.where)))
    return [gr.Tabs(selected=TABS[tab]), *(text if key == tab else gr.skip() for key in OPENERS)]
