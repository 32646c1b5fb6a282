"""Assemble the app. To add a tab: a folder in `app/tabs/` whose `tab.py` defines `TAB`, and one line in `TABS`."""

import gradio as gr

from app.api.endpoints import add_endpoints
from app.page.cards import build_queue_status
from app.page.deep_links import connect_links
from app.page.drop_zone import build_drop_zone, connect_drop_zone
from app.page.frame import footer, header
from app.page.inbox import build_inbox
from app.page.tab import Page, Tab
from app.server.serving import cache_signatures, configure_process, without_server_apps
from app.server.share_card import add_share_card
from app.server.uploads import CLEANUP_SECONDS, KEEP_SECONDS
from app.tabs.checkpoint.tab import TAB as CHECKPOINT
from app.tabs.generalization.tab import TAB as GENERALIZATION
from app.tabs.how.tab import TAB as HOW
from app.tabs.inr.tab import TAB as INR
from app.tabs.tickets.tab import TAB as TICKETS
from app.tabs.zoo.tab import TAB as ZOO

TABS = (INR, GENERALIZATION, TICKETS, CHECKPOINT, ZOO, HOW)
"""The tabs of the page, in order; the first is shown first."""

QUEUE_SIZE = 256
"""Calls that wait in all; a hundred visitors at once fit."""


def build_app(tabs: tuple[Tab, ...] = TABS) -> gr.Blocks:
    """Build the whole page and its API; serve it with `app.server.serving.launch_options`."""
    configure_process()
    with (
        without_server_apps(),
        gr.Blocks(
            title="Weightscope", delete_cache=(CLEANUP_SECONDS, KEEP_SECONDS), analytics_enabled=False
        ) as demo,
    ):
        _build_page(Page(demo, tabs))
        add_endpoints()
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=2)
    cache_signatures(demo)
    add_share_card(demo)
    return demo


def _build_page(page: Page) -> None:
    gr.HTML(header())
    build_drop_zone()
    build_queue_status()
    for tab in page.tabs:
        if tab.has_inbox:
            build_inbox(tab.key)
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
        for tab in page.tabs:
            with gr.Tab(tab.title, id=tab.key, elem_id=f"tab-{tab.key}"):
                tab.build(page)
    connect_drop_zone(page)
    connect_links(page)
    gr.HTML(footer(KEEP_SECONDS))
