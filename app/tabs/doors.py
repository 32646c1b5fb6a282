"""Doors: hidden boxes outside the tabs, through which a link or the Zoo tab opens something in any tab.

They stand outside because the widgets of a tab that was not shown yet send no events.
"""

import time
from collections.abc import Iterable
from typing import Any

import gradio as gr


def build_doors(tabs: Iterable[str]) -> None:
    """A door for each tab, by its name; `door` finds it again."""
    for tab in tabs:
        gr.Textbox("", visible="hidden", label=f"To be opened in {tab}", elem_id=_door_id(tab))


def door(demo: gr.Blocks, tab: str) -> Any:
    """The door of a tab; its `change` event says that something is to be opened there."""
    return by_id(demo, _door_id(tab))


def knock(text: str) -> str:
    """What to put into a door for `text` to be opened; never twice the same, so that it is always a change."""
    return f"{time.time_ns()} {text}"


def opened(text: str) -> str:
    """What was to be opened."""
    return text.partition(" ")[2]


def by_id(demo: gr.Blocks, elem_id: str) -> Any:
    """A widget of the page by its elem_id, which is how tests and stylesheet know it too."""
    return next(block for block in demo.blocks.values() if getattr(block, "elem_id", None) == elem_id)


def _door_id(tab: str) -> str:
    return f"door-{tab.lower()}"
