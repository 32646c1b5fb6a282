"""What a page shows when it is opened: what its link asks for, else the first networks of the app's own zoo.

The address follows what is chosen, so that it can be sent on.
"""

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from app import actions, generalization, zoo_browser
from app.actions import Source
from app.alerts import alerting_steps
from app.links import TABS, Link, read_link
from app.sources import to_text
from app.tabs.doors import by_id, door, knock
from app.zoos import open_typed, own_zoo
from zoo.catalog import Zoo
from zoo.errors import ZooError

FOLLOW = """(text, style) => {
  %s
  if (!window.linkWasRead || window.tabShown !== "%s") return;
  const source = JSON.parse(text), url = new URL(location);
  const set = (key, value) => value ? url.searchParams.set(key, value) : url.searchParams.delete(key);
  set("zoo", source.zoo); set("network", source.zoo_id); set("tab", window.tabShown); set("style", style);
  history.replaceState(0, "", url.href.replaceAll("%%2F", "/").replaceAll("%%40", "@"));
}"""
"""Write the network of a tab, and the style if it has one, into the address; only when it is on screen and
the link that the page was opened by was read. `window.tabShown` and `linkWasRead` are ours."""


def follow_links(demo: gr.Blocks) -> None:
    """Open every tab's door when the page loads, and keep the address at what is shown."""
    doors = [door(demo, name) for name in TABS.values()]
    style, tabs = by_id(demo, "style"), by_id(demo, "tabs")
    read = demo.load(
        alerting_steps(_open), None, [tabs, *doors, style], api_visibility="private", show_progress="hidden"
    )
    read.then(None, js="() => { window.linkWasRead = true; }", api_visibility="private")
    _follow(demo, "inr", by_id(demo, "source"), style)
    _follow(demo, "generalization", by_id(demo, "cnn-source"))


def _follow(demo: gr.Blocks, tab: str, source: Any, style: Any = None) -> None:
    inputs, selected = [source, style] if style else [source], f'window.tabShown = "{tab}";'
    by_id(demo, f"tab-{tab}").select(
        None, inputs, None, js=FOLLOW % (selected, tab), api_visibility="private"
    )
    changes = [widget.change for widget in inputs]
    gr.on(changes, None, inputs, None, js=FOLLOW % ("", tab), api_visibility="private")


def _open(request: gr.Request) -> Iterator[list[Any]]:
    """First what needs no Hub; then, if the link names a zoo there, its part."""
    link, remarks = read_link(dict(request.query_params))
    if link.zoo:
        yield _shown(own_zoo().zoo, "", Link(tab=link.tab, style=link.style))
    zoo, where = own_zoo().zoo, ""
    try:
        if link.zoo:
            zoo = open_typed(link.zoo)
            where = zoo.source.where
        if link.network:
            zoo_browser.place_of(zoo, link.network)
    except ZooError as error:
        remarks.append(str(error))
        link = replace(link, network="")
    for remark in remarks:
        gr.Warning(escape(remark, quote=False))
    yield _shown(zoo, where, link)


def _shown(zoo: Zoo, where: str, link: Link) -> list[Any]:
    """The tab to select, what to put into the doors, and the style; the first networks where the link names none."""
    tab = zoo_browser.tab_for(zoo, link.network) if link.network else None
    firsts = {"inr": actions.first_network, "generalization": generalization.first_classifier}
    chosen = Source(zoo_id=link.network, zoo=where) if tab else None
    doors = [
        to_text(chosen if chosen and key == tab else Source(zoo_id=first())) for key, first in firsts.items()
    ]
    view = (
        zoo_browser.view_of_network(zoo, where, link.network)
        if link.network
        else zoo_browser.first_view(zoo, where)
    )
    selected = link.tab or tab or ("zoo" if where else "")
    return [
        gr.Tabs(selected=TABS[selected]) if selected else gr.skip(),
        *(knock(text) for text in (*doors, view.text())),
        link.style or gr.skip(),
    ]
