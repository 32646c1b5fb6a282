"""The widget values of the Zoo tab for a view."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.networks.source import Source
from app.networks.zoos import open_zoo_by_id, own_zoo, zoo_at
from app.page.html import failure
from app.page.links import Link
from app.page.source_text import to_text
from app.page.tab import Page, Tab, tab_for_network
from app.page.widgets import with_selection
from app.runtime.errors import RequestError
from app.tabs.zoo import browse, html
from app.tabs.zoo.browse import ABOUT, NetworkPage, View
from zoo.catalog import CollectionInfo, Zoo
from zoo.errors import ZooError, shorten


def home() -> View:
    """The first view of the app's own zoo."""
    return browse.first_view(own_zoo().zoo, "")


def view_of_link(zoo: Zoo, where: str, network: str) -> str:
    """The view, as text, for a link to a zoo or to a network in it."""
    view = browse.view_of_network(zoo, where, network) if network else browse.first_view(zoo, where)
    return view.text()


def typed(text: str) -> View:
    """The first view of the zoo with a Hub id that a visitor typed, pinned to its current commit."""
    if not text.strip():
        raise RequestError("Type the id of a zoo on the Hub first: owner/name.")
    zoo = open_zoo_by_id(text.strip())
    return browse.first_view(zoo, zoo.source.where)


def show(tabs: tuple[Tab, ...], make: Callable[[], View], outputs: int) -> list[Any]:
    """One value per output for the view that `make` returns, and ""; or no change and an error message."""
    try:
        return [*_show(tabs, make()), ""]
    except (ZooError, RequestError) as error:
        return [*[gr.skip()] * outputs, failure(error)]


def _show(tabs: tuple[Tab, ...], view: View) -> list[Any]:
    zoo = zoo_at(view.where)
    info = browse.find_entry(zoo, view.entry)
    if info is None and view.entry != ABOUT:
        raise ZooError(f"There is no {shorten(view.entry)} in this zoo.")
    if isinstance(info, CollectionInfo):
        networks = browse.choose(zoo, view)
        page, network = _collection(zoo, view, info, networks), _network(tabs, zoo, view)
        view = View(**{**vars(view), "page": networks.page})
    else:
        text = html.about_predictor(info, zoo.card(info.name)) if info else html.about_zoo(zoo.card())
        page, network = [gr.HTML(value=text), gr.Column(visible=False), *[gr.skip()] * 5], _no_network(view)
    return [view.text(), *_frame(zoo, view), *page, *network]


def _frame(zoo: Zoo, view: View) -> list[Any]:
    notice = own_zoo().notice if view.where == "" else ""
    entries = html.entries(zoo, has_card=bool(zoo.card().strip()))
    return [
        html.origin(zoo, notice),
        gr.Button(visible=view.where != ""),
        with_selection(entries, view.entry),
    ]


def _collection(zoo: Zoo, view: View, info: CollectionInfo, page: NetworkPage) -> list[Any]:
    opened = zoo.collection(info.name)
    ids = browse.ids_of(zoo, info.name, page.places)
    images = browse.pictures(view.where, info.name, page.places)
    family = opened.spec.family
    chosen = zoo.row(view.network)[family.measure.column] if view.network else None
    names = dict.fromkeys(
        [*page.groups, view.group] if view.group else page.groups
    )  # no network may pass a filter
    groups = [("All", ""), *((name, name) for name in names)]
    return [
        html.about_collection(info, opened),
        gr.Column(visible=True),
        gr.Dropdown(groups, value=view.group, label=f"Show {family.group}"),
        view.order,
        html.histogram(family.measure, page, chosen),
        with_selection(html.gallery(ids, images, [zoo.row(i) for i in ids], family.measure), view.network),
        html.pager(page),
    ]


def _network(tabs: tuple[Tab, ...], zoo: Zoo, view: View) -> list[Any]:
    if not view.network:
        return _no_network(view)
    place = browse.place_of(zoo, view.network)
    image = browse.pictures(view.where, view.entry, (place,))[0]
    tab = tab_for_network(tabs, zoo, view.network)
    label = f"Open in {tab.title}" if tab else "No tab here takes networks of this kind"
    return [
        gr.Column(visible=True),
        html.network(image, zoo.row(view.network), zoo.source),
        Link(view.where, view.network, "zoo").query(),
        view.network,
        gr.Button(label, interactive=tab is not None),
    ]


def _no_network(view: View) -> list[Any]:
    return [gr.Column(visible=False), "", Link(view.where, "", "zoo").query(), "", gr.skip()]


def open_network(page: Page, view: View) -> list[Any]:
    """Open the chosen network in the tab that takes it."""
    tab = tab_for_network(page.tabs, zoo_at(view.where), view.network)
    if tab is None:
        raise RequestError("No tab here takes networks of this kind.")
    return page.open_in(tab.key, to_text(Source(zoo_id=view.network, zoo=view.where)))
