"""What a page shows when it is opened: what its link asks for, else the first networks of the app's own zoo.

The address follows what is chosen, so that it can be sent on.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app import actions, generalization, tickets, zoo_browser
from app.actions import Source
from app.alerts import alerting_steps
from app.links import DOORS, TABS, Link, read_link
from app.sources import to_text
from app.tabs.cards import WAIT
from app.tabs.doors import by_id, door, knock
from app.widgets import COPY_LINK
from app.zoos import open_typed, own_zoo
from zoo.catalog import Zoo
from zoo.errors import ZooError

FOLLOWED = {
    "inr": ("source", "style"),
    "generalization": ("cnn-source",),
    "tickets": ("init-source",),
}
"""By tab, the widgets whose values its address holds: the chosen network's box, and the style's."""

FOLLOW = """(text, style) => {
  %s
  if (!window.linkWasRead || window.tabShown !== "%s") return;
  const source = text ? JSON.parse(text) : {}, url = new URL(location);
  const set = (key, value) => value ? url.searchParams.set(key, value) : url.searchParams.delete(key);
  set("zoo", source.zoo); set("network", source.zoo_id); set("tab", window.tabShown); set("style", style);
  history.replaceState(0, "", url.href.replaceAll("%%2F", "/").replaceAll("%%40", "@"));
}"""
"""Write the network of a tab, and the style if it has one, into the address; only when it is on screen and
the link that the page was opened by was read. `window.tabShown` and `linkWasRead` are ours."""

LINK = """(text, style) => {
  const source = JSON.parse(text), url = new URL(location.origin + location.pathname);
  if (!source.zoo_id) return "Uploads have no link: they are yours";
  const link = { zoo: source.zoo, network: source.zoo_id, tab: "%s", style };
  for (const [key, value] of Object.entries(link)) if (value) url.searchParams.set(key, value);
  const done = () => "Link copied", failed = () => "Not allowed here: the address bar has it";
  return navigator.clipboard?.writeText(url.href.replaceAll("%%2F", "/").replaceAll("%%40", "@")).then(done, failed)
    ?? failed();
}"""
"""Copy the link of what a tab shows; what came of it, for the button to say."""

WAS_SAID = "() => new Promise((done) => setTimeout(() => done(%s), 2500))"

SHOW_TAB = """(name) => {
  const shown = document.querySelector("[role=tab][aria-selected=true]")?.dataset.tabId;
  const stay = !name || shown !== "%s";
  return { __type__: "update", ...(stay ? {} : { selected: name }) };
}"""
"""Show the tab that the link asks for, unless the visitor has left the first one meanwhile: a click is never undone."""

GO = """() => document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-tab]");
  const tab = document.querySelector(`[role=tab][data-tab-id="${link?.dataset.tab}"]`);
  if (!tab || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  tab.click();
  tab.focus();
})"""
"""Links to tabs lead there without loading the page again."""


def follow_links(demo: gr.Blocks) -> None:
    """Open every tab's door when the page loads, and keep the address at what is shown."""
    doors = [door(demo, TABS[key]) for key in DOORS]
    style, tabs = by_id(demo, "style"), by_id(demo, "tabs")
    wanted = gr.Textbox("", visible="hidden", label="The tab that the link asks for")
    for script in (WAIT, GO):
        demo.load(None, js=script, api_visibility="private")
    read = demo.load(
        alerting_steps(_open), None, [wanted, *doors, style], api_visibility="private", show_progress="hidden"
    )
    first = next(iter(TABS.values()))
    wanted.change(None, wanted, tabs, js=SHOW_TAB % first, api_visibility="private")
    read.then(None, js="() => { window.linkWasRead = true; }", api_visibility="private")
    for tab in TABS:
        if tab != "zoo":  # it has its own link, which follows what is browsed
            _follow(demo, tab, [by_id(demo, elem_id) for elem_id in FOLLOWED.get(tab, ())], read)


def _follow(demo: gr.Blocks, tab: str, widgets: list[Any], read: Dependency) -> None:
    """Follow what is chosen in a tab, and coming to it; also if that was while the link was still being read."""
    selected = f'window.tabShown = "{tab}";'
    by_id(demo, f"tab-{tab}").select(
        None, widgets, None, js=FOLLOW % (selected, tab), api_visibility="private"
    )
    for widget in widgets:
        widget.change(None, widgets, None, js=FOLLOW % ("", tab), api_visibility="private")
    if widgets:
        _copy_link(demo, tab, widgets)
    if TABS[tab] != next(iter(TABS.values())):
        read.then(None, widgets, js=FOLLOW % ("window.linkWasRead = true;", tab), api_visibility="private")


def _copy_link(demo: gr.Blocks, tab: str, widgets: list[Any]) -> None:
    copy = by_id(demo, f"copy-link-{tab}")
    copied = copy.click(None, widgets, copy, js=LINK % tab, api_visibility="private")
    copied.then(None, None, copy, js=WAS_SAID % json.dumps(COPY_LINK), api_visibility="private")


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
    """The tab to show, what to put into the doors, and the style; the first networks where the link names none."""
    tab = zoo_browser.tab_for(zoo, link.network) if link.network else None
    firsts = {
        "inr": actions.first_network,
        "generalization": generalization.first_classifier,
        "tickets": tickets.first_init,
    }
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
        TABS[selected] if selected else "",
        *(knock(text) for text in (*doors, view.text())),
        link.style or gr.skip(),
    ]
