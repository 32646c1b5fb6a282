"""What a page shows when it is opened: the networks named in its link, else the first networks of the app's own zoo.

The address follows the chosen network, so that it can be shared, and the browser's Back returns to the previous one.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from gradio.events import Dependency

from app.networks.source import Source
from app.networks.zoos import open_zoo_by_id, own_zoo
from app.page.alerts import with_alerts, with_alerts_in_steps
from app.page.inbox import to_inbox
from app.page.links import MAX_VALUE, Link, read_link
from app.page.source_text import to_text
from app.page.tab import Page, Tab, tab_for_network
from app.page.widgets import COPY_LINK
from zoo.catalog import Zoo
from zoo.errors import ZooError

HISTORY_JS = Path(__file__).with_name("history.js").read_text(encoding="utf-8")


def connect_links(page: Page) -> None:
    """Open what the link names on page load and on the browser's Back; keep the address up to date."""
    tab_box = gr.Textbox("", visible="hidden", label="The tab that the link names")
    history = gr.HTML(js_on_load=HISTORY_JS, visible="hidden")
    inboxes = [page.inbox(tab.key) for tab in page.tabs if tab.has_inbox]
    styles = [page.widget(elem_id) for tab in page.tabs for elem_id in (tab.address or ())[1:]]
    outputs, first = [tab_box, *inboxes, *styles], page.tabs[0].key

    def open_link(request: gr.Request) -> Iterator[list[Any]]:
        yield from _open(page.tabs, dict(request.query_params))

    def open_again(event: gr.SelectData) -> list[Any]:
        return _restore(page.tabs, str(event.value))

    read = page.demo.load(with_alerts_in_steps(open_link), None, outputs, api_visibility="private",
                          show_progress="hidden")  # fmt: skip
    history.select(with_alerts(open_again), None, outputs, api_visibility="private", show_progress="hidden")
    show_tab = f"(key) => weightscope.tabToShow(key, {json.dumps(first)})"
    tab_box.change(None, tab_box, page.widget("tabs"), js=show_tab, api_visibility="private")
    link_read = "(named) => weightscope.linkRead(named)"
    was_read = read.then(None, tab_box, js=link_read, api_visibility="private")
    for tab in page.tabs:
        if tab.has_inbox and _first(tab):
            _open_first(page, tab, was_read, tab_box)
        if tab.address is not None:
            _follow(page, tab, [page.widget(elem_id) for elem_id in tab.address], was_read)


def _open_first(page: Page, tab: Tab, was_read: Dependency, named: gr.Textbox) -> None:
    """Open a tab's first network when the tab is first shown: to answer for all tabs at once makes the first wait."""
    inbox = page.inbox(tab.key)
    js = f"(...texts) => weightscope.openFirst({json.dumps(tab.key)}, {json.dumps(_first(tab))}, ...texts)"
    page.widget(f"tab-{tab.key}").select(None, inbox, inbox, js=js, api_visibility="private")
    was_read.then(None, [inbox, named], inbox, js=js, api_visibility="private")


def _follow(page: Page, tab: Tab, widgets: list[Any], was_read: Dependency) -> None:
    """Update the address when a network or the tab is chosen, also while the link is still being read."""
    key = json.dumps(tab.key)
    follow = f"(...values) => weightscope.follow({key}, ...values)"
    select = f"(...values) => {{ weightscope.onTab({key}); weightscope.follow({key}, ...values); }}"
    page.widget(f"tab-{tab.key}").select(None, widgets, None, js=select, api_visibility="private")
    for widget in widgets:
        widget.change(None, widgets, None, js=follow, api_visibility="private")
    if widgets:
        _copy_link(page, tab, widgets)
    was_read.then(None, widgets, js=follow, api_visibility="private")


def _copy_link(page: Page, tab: Tab, widgets: list[Any]) -> None:
    copy = page.widget(f"copy-link-{tab.key}")
    js = f"(...values) => weightscope.copyLink({json.dumps(tab.key)}, ...values)"
    copied = copy.click(None, widgets, copy, js=js, api_visibility="private")
    reset_label = f"() => weightscope.after(2500, {json.dumps(COPY_LINK)})"
    copied.then(None, None, copy, js=reset_label, api_visibility="private")


def _open(tabs: tuple[Tab, ...], params: dict[str, str]) -> Iterator[list[Any]]:
    """Yield what needs no Hub first, then, if the link names a zoo on the Hub, what it names there."""
    link, remarks = read_link(params, [tab.key for tab in tabs])
    if link.zoo:
        yield _outputs(tabs, own_zoo().zoo, "", Link(tab=link.tab, style=link.style))
    yield _outputs(tabs, *_find(link, remarks))


def _restore(tabs: tuple[Tab, ...], query: str) -> list[Any]:
    """The outputs for a step of the browser's history; other tabs stay as they are."""
    params = dict(parse_qsl(query.removeprefix("?")[: 8 * MAX_VALUE]))
    link, remarks = read_link(params, [tab.key for tab in tabs])
    zoo, where, link = _find(link, remarks)
    selected, *texts = _outputs(tabs, zoo, where, link)
    boxes = [tab for tab in tabs if tab.has_inbox]
    named = link.network or link.zoo
    updates = [
        text if named and tab.key == link.tab else gr.skip() for tab, text in zip(boxes, texts, strict=False)
    ]
    return [selected, *updates, *texts[len(boxes) :]]


def _find(link: Link, remarks: list[str]) -> tuple[Zoo, str, Link]:
    """The zoo of a link, its name in a source, and the link without a missing network; toasts show the remarks."""
    zoo, where = own_zoo().zoo, ""
    try:
        if link.zoo:
            zoo = open_zoo_by_id(link.zoo)
            where = zoo.source.where
        if link.network:
            zoo.row(link.network)
    except ZooError as error:
        remarks.append(str(error))
        link = replace(link, network="")
    for remark in remarks:
        gr.Warning(escape(remark, quote=False))
    return zoo, where, link


def _first(tab: Tab) -> str:
    """What a tab shows at first, as text for its inbox; "" if nothing."""
    if tab.view is not None:
        return tab.view(own_zoo().zoo, "", "")
    return to_text(Source(zoo_id=tab.first())) if tab.first else ""


def _outputs(tabs: tuple[Tab, ...], zoo: Zoo, where: str, link: Link) -> list[Any]:
    """The tab to select, the texts for the inboxes, and the style.

    Other tabs than the one that is shown stay empty until they are (`_open_first`), unless the link is about them.
    """
    named = tab_for_network(tabs, zoo, link.network) if link.network else None
    chosen = named and to_text(Source(zoo_id=link.network, zoo=where))
    zoo_tab = next((tab.key for tab in tabs if tab.view is not None), "")
    selected = link.tab or (named.key if named else "") or (zoo_tab if where else "")
    shown, texts = selected or tabs[0].key, []
    for tab in tabs:
        if tab.view is not None:
            texts.append(
                tab.view(zoo, where, link.network) if link.network or where or tab.key == shown else ""
            )
        elif tab.has_inbox:
            texts.append(chosen if tab is named and chosen else _first(tab) if tab.key == shown else "")
    styles = [link.style or gr.skip() for tab in tabs for _ in (tab.address or ())[1:]]
    return [
        selected and to_inbox(selected),
        *(to_inbox(text) if text else gr.skip() for text in texts),
        *styles,
    ]
