"""Assemble the app. A new tab is one file in `app/tabs/`, one line in `app.links.TABS`, and one in `BUILDERS`."""

import gradio as gr

from app import actions
from app.api import add_endpoints
from app.footer import footer, header
from app.links import DOORS, TABS
from app.opening import follow_links
from app.serving import remember_signatures, settle
from app.tabs.cards import build_queue
from app.tabs.checkpoint import build_checkpoint_tab
from app.tabs.doors import build_doors
from app.tabs.generalization import build_generalization_tab
from app.tabs.how import build_how_tab
from app.tabs.inr import build_inr_tab
from app.tabs.tickets import build_tickets_tab
from app.tabs.zoo import build_zoo_tab
from app.uploads import KEEP_SECONDS, SWEEP_SECONDS

BUILDERS = {
    "inr": build_inr_tab,
    "generalization": build_generalization_tab,
    "tickets": build_tickets_tab,
    "checkpoint": build_checkpoint_tab,
    "zoo": build_zoo_tab,
    "how": build_how_tab,
}
"""By key of `app.links.TABS`, the function that builds a tab's content inside the tab and returns nothing."""

QUEUE_SIZE = 64


def build_app() -> gr.Blocks:
    """The whole page with its API; `launch_options` of `app.serving` says how to serve it."""
    settle()
    actions.prepare()
    with gr.Blocks(
        title="Weightscope", delete_cache=(SWEEP_SECONDS, KEEP_SECONDS), analytics_enabled=False
    ) as demo:
        gr.HTML(header())
        build_queue()
        build_doors(TABS[key] for key in DOORS)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for key, name in TABS.items():
                with gr.Tab(name, id=name, elem_id=f"tab-{key}"):
                    BUILDERS[key](demo)
        follow_links(demo)
        gr.HTML(footer(KEEP_SECONDS))
        add_endpoints()
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=2)
    remember_signatures(demo)
    return demo
