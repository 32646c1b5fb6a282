"""The Zoo tab: browse the collections and predictors of a zoo, here or on the Hub, and open networks in other tabs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app import zoo_browser
from app.alerts import alerting
from app.tabs import zoo_views as views
from app.tabs.doors import by_id, door, opened
from app.widgets import heading, picker, segmented
from app.zoo_browser import View, parse_view

INTRO = (
    "Networks, and the predictors that read them, each with where it comes from. Pick a network, and open it in its "
    "tab."
)
ADDRESS = "Another zoo on the Hugging Face Hub"
ORDERS = [("As stored", "stored"), ("Best first", "best"), ("Worst first", "worst")]

SHOW_LINK = """(query) => {
  %s
  const url = new URL(location.origin + location.pathname + query);
  if (window.linkWasRead && window.tabShown === "zoo") history.replaceState(0, "", url);
  return url.href;
}"""
"""The address of what is shown for the link's box, and for the browser's own while this tab is (see `app.opening`)."""

SCROLL = """() => {
  document.querySelector("#zoo-networks [aria-pressed=true]") &&
    document.querySelector("#zoo-chosen")?.scrollIntoView({ behavior: "smooth", block: "nearest" });
}"""
"""Bring the chosen network's card into sight."""


def build_zoo_tab(demo: gr.Blocks) -> None:
    """The view, as text (see `app.zoo_browser.View`); cards for the zoo, its entries, one entry and one network."""
    view = gr.Textbox(View().text(), visible="hidden", label="The view of the zoo", elem_id="zoo-view")
    query = gr.Textbox(visible="hidden", label="The query of the link", elem_id="zoo-query")
    with gr.Row(elem_classes="card"):
        origin, failure, address, go, home = _build_origin()
    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=3, min_width=260, elem_classes="card"):
            entries = picker(elem_id="zoo-entries")
        with gr.Column(scale=9, min_width=320, elem_classes="card"):
            about = gr.HTML(elem_id="zoo-about")
            with gr.Column(elem_id="zoo-browse") as browse:
                with gr.Row(elem_id="zoo-filters"):
                    group = gr.Dropdown([], label="Show", elem_id="zoo-group", min_width=180)
                    order = segmented(ORDERS, "stored", "Order", elem_id="zoo-order")
                histogram = gr.HTML(elem_id="zoo-histogram")
                gallery = picker(elem_id="zoo-networks")
                pager = picker(elem_id="zoo-pager")
    with gr.Column(elem_classes="card", elem_id="zoo-chosen") as chosen:
        network, zoo_id, button = _build_network(demo, view, query)
    frame, page = [origin, home, entries], [about, browse, group, order, histogram, gallery, pager]
    outputs = [view, *frame, *page, chosen, network, query, zoo_id, button]
    _wire(demo, outputs, failure, [address, go, home], [entries, group, order, gallery, pager])


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


def _build_network(demo: gr.Blocks, view: gr.Textbox, query: gr.Textbox) -> tuple[Any, ...]:
    network = gr.HTML(elem_id="zoo-network")
    with gr.Row():
        zoo_id = _copyable("Its id, for the API and the command line", "zoo-id")
        link = _copyable("A link to it", "zoo-link")
    button = gr.Button("Open it", variant="primary", elem_id="zoo-open-network")
    query.change(None, query, link, js=SHOW_LINK % "", api_visibility="private")
    selected = SHOW_LINK % 'window.tabShown = "zoo";'
    by_id(demo, "tab-zoo").select(None, query, link, js=selected, api_visibility="private")
    tabs = by_id(demo, "tabs")
    doors = [door(demo, tab) for tab in views.OPENERS.values()]
    _event([button.click], lambda text: views.open_network(parse_view(text)), [view], [tabs, *doors], network)
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
    return gr.on(triggers, alerting(handler), inputs, outputs, api_visibility="private", show_progress="minimal",
                 show_progress_on=[busy], trigger_mode="always_last", cancels=list(cancels) or None)  # fmt: skip


def _wire(demo: gr.Blocks, outputs: list, failure: gr.HTML, places: list, picks: list) -> None:
    """Let every control make a new view of the one at hand, and show it; where a zoo fails, all stays as it is."""
    view, shown = outputs[0], [*outputs, failure]
    address, go, home = places
    entries, group, order, gallery, pager = picks
    opener = door(demo, "Zoo")

    def come_in(text: str):
        return views.show(lambda: parse_view(opened(text)), len(outputs))

    link = _event([opener.change], come_in, [opener], shown, failure)
    events = partial(
        _event, busy=failure, cancels=[link]
    )  # what a click shows is not undone by a link read late

    def on(triggers: list, change: Callable[..., View], inputs: list) -> None:
        def handler(text: str, *values: Any):
            return views.show(lambda: change(parse_view(text), *values), len(outputs))

        events(triggers, handler, [view, *inputs], shown)

    def on_pick(widget: gr.HTML, change: Callable[[View, str], View]) -> None:
        def handler(text: str, event: gr.SelectData):
            return views.show(lambda: change(parse_view(text), str(event.value)), len(outputs))

        events([widget.select], handler, [view], shown).then(None, js=SCROLL, api_visibility="private")

    on([go.click, address.submit], lambda _, text: views.typed(text), [address])
    on([home.click], lambda _: views.home(), [])
    on([group.input], lambda now, value: replace(now, group=value or "", page=0, network=""), [group])
    on([order.input], lambda now, value: replace(now, order=value, page=0, network=""), [order])
    on_pick(entries, lambda now, name: View(now.where, name))
    on_pick(gallery, lambda now, zoo_id: replace(now, network=zoo_id))
    on_pick(pager, lambda now, pages: zoo_browser.turn(now, pages))
