"""The message about a refused file: why, what the file is, and which tab opens it."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.networks.checkpoint import open_upload
from app.networks.source import Source
from app.page.alerts import with_alerts
from app.page.html import code_block, escape
from app.page.look import fact_list, tree
from app.page.source_text import from_text, to_text
from app.page.tab import Page, Tab
from app.page.widgets import picker
from app.runtime.errors import RequestError, UnsuitableNetwork
from nfn.look import Look, look
from nfn.reader.errors import ONNX_EXPORT, STATE_DICT_EXPORT

CODE = (ONNX_EXPORT, STATE_DICT_EXPORT)
"""Lines of code in error messages, shown with a Copy button."""
SHAPE = "Put the shape of your network’s input in this line."


def build_refusal_card(page: Page, elem_id: str) -> gr.HTML:
    """Build the card that replaces a tab's answer when a file is refused; its buttons open the file in other tabs."""
    with gr.Column(scale=7, min_width=320, elem_classes="card refused-card"):
        card = picker(elem_id=elem_id, elem_classes="refused")

    def open_in(event: gr.SelectData) -> list[Any]:
        key, source = _parse(page, str(event.value))
        return page.open_in(key, source)

    opening = card.select(with_alerts(open_in), None, page.opener_outputs(), api_visibility="private",
                          show_progress="hidden")  # fmt: skip
    page.show_tabs(opening)
    return card


def _parse(page: Page, text: str) -> tuple[str, str]:
    """The tab and the source that a button names; RequestError if the text is invalid."""
    key, _, source = text.partition(" ")
    if key not in {tab.key for tab in page.tabs}:
        raise RequestError("The page has lost track of your file. Please upload it again.")
    return key, to_text(from_text(source))


def refusal_html(tabs: tuple[Tab, ...], here: str, path: str | None, error: Exception) -> str:
    """Why the tab with the key `here` refused a file, what the file is, and buttons for the tabs that open it."""
    seen = _look(path) if path else None
    takers = [tab for tab in tabs if tab.key != here and _takes(tab, error, seen)]
    title = "Not for this tab" if isinstance(error, UnsuitableNetwork) else "Not read"
    name = f'<p class="caption">{escape(Path(path).name, 60)}</p>' if path else ""
    return (
        f'<div class="refusal" role="alert">{name}<p class="title">{title}</p>{_with_code(str(error))}</div>'
        f"{_summary(seen) if seen else ''}{_buttons(takers, path)}"
    )


def _takes(tab: Tab, error: Exception, seen: Look | None) -> bool:
    """Whether a tab opens the file: it reads such networks, or any file."""
    if tab.reads_any_file:
        return seen is not None
    return isinstance(error, UnsuitableNetwork) and tab.reads(error.network)


def _buttons(tabs: list[Tab], path: str | None) -> str:
    if path is None:
        return ""
    source = escape(to_text(Source(path=path)), 2_000)
    rows = (
        f'<button type="button" class="next-step" data-step data-pick="{tab.key} {source}">{tab.next_step}</button>'
        for tab in tabs
    )
    return f'<p class="next-steps">{"".join(rows)}</p>'


def _with_code(text: str) -> str:
    """An error message, with its line of code in a block of its own."""
    for code in CODE:
        before, found, after = text.partition(code)
        if found:
            rest = after.removeprefix(".").strip() or SHAPE * (code == ONNX_EXPORT)
            return f"<p>{escape(before.strip(), 600)}</p>{code_block(code)}" + (
                f"<p>{escape(rest, 300)}</p>" if rest else ""
            )
    return f"<p>{escape(text, 600)}</p>"


def _look(path: str) -> Look | None:
    """What a file is; None if it is not a checkpoint, as the error says already."""
    try:
        return look(open_upload(path))
    except ValueError:
        return None


def _summary(seen: Look) -> str:
    architecture = seen.architecture
    name = f"<b>{escape(architecture.name, 120)}</b>, " if architecture else ""
    size = (
        f"{seen.parameters:,} parameters in {seen.tensors:,} tensors" if seen.tensors else "no listed tensors"
    )
    broken = "".join(f'<p class="line">{escape(text, 400)}</p>' for text in seen.broken)
    return (
        f'<div class="look glance"><p class="line">It contains {name}{size} ({escape(seen.format)}).</p>'
        f"{broken}"
        f"<details><summary>What is in it</summary>{fact_list(seen)}{tree(seen)}</details></div>"
    )
