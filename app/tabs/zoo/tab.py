"""The Zoo tab: browse the collections and predictors of a local zoo or one on the Hub, and open networks in tabs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app.page.alerts import with_alerts
from app.page.inbox import from_inbox
from app.page.tab import Page, Tab
from app.page.widgets import heading, picker, segmented
from app.tabs.zoo import browse, views
from app.tabs.zoo.browse import View, parse_view

INTRO = (
    "Networks, and the predictors that read them, each with its origin. Pick a network to open it in its tab."
)
ADDRESS = "Another zoo on the Hugging Face Hub"
ORDERS = [("As stored", "stored"), ("Best first", "best"), ("Worst first", "worst")]

SCROLL = """() => {
  document.querySelector("#zoo-networks [aria-pressed=true]") &&
    document.querySelector("#zoo-chosen")?.scrollIntoView({ behavior: "smooth", block: "nearest" });
}"""
"""Scroll the chosen network's card into view."""


def build_zoo_tab(page: Page) -> None:
    """Build the view as text (see `browse.View`), and cards for the zoo, its entries, one entry and one network."""
    view = gr.Textbox(View().text(), visible="hidden", label="The view of the zoo", elem_id="zoo-view")
    query = gr.Textbox(visible="hidden", label="The query of the link", elem_id="zoo-query")
    with gr.Row(elem_classes="card"):
        origin, failure, address, go, home = _build_origin()
    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=3, min_width=260, elem_classes="card"):
            entries = picker(elem_id="zoo-entries")
        with gr.Column(scale=9, min_width=320, elem_classes="card"):
            about = gr.HTML(elem_id="zoo-about")
            with gr.Column(elem_id="zoo-browse") as networks:
                with gr.Row(elem_id="zoo-filters"):
                    group = gr.Dropdown([], label="Show", elem_id="zoo-group", min_width=180)
                    order = segmented(ORDERS, "stored", "Order", elem_id="zoo-order")
                histogram = gr.HTML(elem_id="zoo-histogram")
                gallery = picker(elem_id="zoo-networks")
                pager = picker(elem_id="zoo-pager")
    with gr.Column(elem_classes="card", elem_id="zoo-chosen") as chosen:
        network, zoo_id, button = _build_network(page, view, query)
    frame, entry = [origin, home, entries], [about, networks, group, order, histogram, gallery, pager]
    outputs = [view, *frame, *entry, chosen, network, query, zoo_id, button]
    _wire(page, outputs, failure, [address, go, home], [entries, group, order, gallery, pager])


def _build_origin() -> tuple[Any, ...]:
    with gr.Column(scale=6, min_width=300):
        heading("The zoo", INTRO)
        origin = gr.HTML(elem_id="zoo-origin")
    with gr.Column(scale=5, min_width=300):
        with gr.Row(elem_classes="zoo-address"):
            address = gr.Textbox(
                label=ADDRESS,
                placeholder="owner/name",
                max_lines=1,
                max_length=300,
                elem_id="zoo-address",
                scale=4,
            )
            go = gr.Button("Open", variant="primary", size="md", elem_id="zoo-open", scale=1, min_width=90)
        failure = gr.HTML(elem_id="zoo-failure")
        home = gr.Button("Back to this app's own zoo", size="sm", elem_id="zoo-home", visible=False)
    return origin, failure, address, go, home


def _build_network(page: Page, view: gr.Textbox, query: gr.Textbox) -> tuple[Any, ...]:
    network = gr.HTML(elem_id="zoo-network")
    with gr.Row():
        zoo_id = _copyable("Its id, for the API and the command line", "zoo-id")
        link = _copyable("A link to it", "zoo-link")
    button = gr.Button("Open it", variant="primary", elem_id="zoo-open-network")
    follow = '(query) => weightscope.followQuery("zoo", query)'
    select = '(query) => { weightscope.onTab("zoo"); return weightscope.followQuery("zoo", query); }'
    query.change(None, query, link, js=follow, api_visibility="private")
    page.widget("tab-zoo").select(None, query, link, js=select, api_visibility="private")

    def open_network(text: str) -> list[Any]:
        return views.open_network(page, parse_view(text))

    opening = _event([button.click], open_network, [view], page.opener_outputs(), network)
    page.show_tabs(opening)
    return network, zoo_id, button


def _copyable(label: str, elem_id: str) -> gr.Textbox:
    return gr.Textbox(
        label=label, interactive=False, max_lines=1, buttons=["copy"], elem_id=elem_id, min_width=260
    )


def _event(
    triggers: list,
    handler: Callable,
    inputs: list,
    outputs: list,
    busy: gr.HTML,
    cancels: Sequence[Dependency] = (),
) -> Dependency:
    return gr.on(triggers, with_alerts(handler), inputs, outputs, api_visibility="private", show_progress="minimal",
                 show_progress_on=[busy], trigger_mode="always_last", cancels=list(cancels) or None)  # fmt: skip


def _wire(page: Page, outputs: list, failure: gr.HTML, places: list, picks: list) -> None:
    """Let every control change the view; if a zoo fails, the page stays as it is."""
    view, all_outputs = outputs[0], [*outputs, failure]
    address, go, home = places
    entries, group, order, gallery, pager = picks
    opener = page.inbox("zoo")

    def open_from_inbox(text: str):
        return views.show(page.tabs, lambda: parse_view(from_inbox(text)), len(outputs))

    link = _event([opener.change], open_from_inbox, [opener], all_outputs, failure)
    events = partial(_event, busy=failure, cancels=[link])  # a slow link does not undo a later click

    def on(triggers: list, change: Callable[..., View], inputs: list) -> None:
        def handler(text: str, *values: Any):
            return views.show(page.tabs, lambda: change(parse_view(text), *values), len(outputs))

        events(triggers, handler, [view, *inputs], all_outputs)

    def on_pick(widget: gr.HTML, change: Callable[[View, str], View]) -> None:
        def handler(text: str, event: gr.SelectData):
            return views.show(page.tabs, lambda: change(parse_view(text), str(event.value)), len(outputs))

        events([widget.select], handler, [view], all_outputs).then(None, js=SCROLL, api_visibility="private")

    on([go.click, address.submit], lambda _, text: views.typed(text), [address])
    on([home.click], lambda _: views.home(), [])
    on([group.input], lambda view, value: replace(view, group=value or "", page=0, network=""), [group])
    on([order.input], lambda view, value: replace(view, order=value, page=0, network=""), [order])
    on_pick(entries, lambda view, name: View(view.where, name))
    on_pick(gallery, lambda view, zoo_id: replace(view, network=zoo_id))
    on_pick(pager, lambda now, pages: browse.turn(now, pages))


TAB = Tab(
    key="zoo",
    title="Zoo",
    build=build_zoo_tab,
    view=views.view_of_link,
    address=None,
    stylesheet=Path(__file__).with_name("zoo.css"),
)
