"""Inboxes: hidden text boxes through which a link, or another tab, opens something in a tab.

They are outside the tabs, because the widgets of a tab send no events before the tab is first shown.
"""

import time
from typing import Any

import gradio as gr


def build_inbox(key: str) -> None:
    """Build the inbox of the tab with this key."""
    gr.Textbox("", visible="hidden", label=f"To be opened in {key}", elem_id=_inbox_id(key))


def inbox(demo: gr.Blocks, key: str) -> Any:
    """The inbox of a tab; its `change` event opens something there."""
    return by_id(demo, _inbox_id(key))


def to_inbox(text: str) -> str:
    """The inbox value that opens `text`; unique, so that it always counts as a change."""
    return f"{time.time_ns()} {text}"


def from_inbox(text: str) -> str:
    """The text of an inbox value."""
    return text.partition(" ")[2]


def by_id(demo: gr.Blocks, elem_id: str) -> Any:
    """A widget of the page by its elem_id."""
    return next(block for block in demo.blocks.values() if getattr(block, "elem_id", None) == elem_id)


def _inbox_id(key: str) -> str:
    return f"inbox-{key}"
