"""Assemble the app. A new tab is one file in `app/tabs/` and one line in `TABS`."""

import gradio as gr

from app import actions
from app.api import add_endpoints
from app.footer import footer, header
from app.opening import follow_links
from app.tabs.doors import build_doors
from app.tabs.generalization import build_generalization_tab
from app.tabs.inr import build_inr_tab
from app.tabs.zoo import build_zoo_tab

TABS = (("INR", build_inr_tab), ("Generalization", build_generalization_tab), ("Zoo", build_zoo_tab))
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
        build_doors(name for name, _ in TABS)
        with gr.Tabs(elem_id="tabs"):
            for name, build_tab in TABS:
                with gr.Tab(name, id=name, elem_id=f"tab-{name.lower()}"):
                    build_tab(demo)
        follow_links(demo)
        gr.HTML(footer(KEEP_UPLOADS_SECONDS))
        add_endpoints()
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=2)
    return demo
