"""What a link to the app shows elsewhere: title, description and picture of the page's head (Open Graph)."""

import os
from typing import Any

import gradio as gr

DESCRIPTION = (
    "Networks that read networks: drop in a network and see which picture it holds, how accurate it will be, or "
    "which of its weights are worth training."
)
PICTURE = "https://huggingface.co/spaces/{space}/resolve/main/docs/inr.webp"
"""The picture of a Space, which lies in its repository; other servers have no address that is known from outside."""


def add_share_card(demo: gr.Blocks) -> None:
    """Gradio's page has a place for both in its head, and fills it for `gr.Interface` only."""
    original, card = demo.get_config_file, {"simple_description": DESCRIPTION, "thumbnail": thumbnail()}

    def with_share_card() -> Any:
        return {**original(), **card}

    demo.get_config_file = with_share_card
    demo.config = {**demo.config, **card}  # pyright: ignore[reportAttributeAccessIssue]


def thumbnail() -> str | None:
    """The address of the picture on a Space; None elsewhere."""
    space = os.environ.get("SPACE_ID")
    return PICTURE.format(space=space) if space else None
