"""Assemble the app. A new tab is one file in `app/tabs/` and one line in `TABS`."""

import gradio as gr

from app import actions
from app.api import add_endpoints
from app.footer import footer, header
from app.tabs.inr import build_inr_tab

TABS = (("INR", build_inr_tab),)
"""Tab name and the function that builds its content inside the tab and returns nothing."""

KEEP_UPLOADS_SECONDS = 3600
QUEUE_SIZE = 64


def build_app() -> gr.Blocks:
    """The whole page with its API; `launch_options` of `app.serving` says how to serve it."""
    actions.prepare()
    with gr.Blocks(
        title="Weightscope", delete_cache=(600, KEEP_UPLOADS_SECONDS), analytics_enabled=False
    ) as demo:
        gr.HTML(header())
        with gr.Tabs():
            for name, build_tab in TABS:
                with gr.Tab(name, id=name):
                    build_tab(demo)
        gr.HTML(footer(KEEP_UPLOADS_SECONDS))
        add_endpoints()
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=2)
    return demo
