"""The drop zone above the tabs: it opens any file in the tab that reads it."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.networks.checkpoint import open_upload
from app.networks.source import Source
from app.page.alerts import USER_ERRORS, with_alerts
from app.page.html import escape
from app.page.refusal import refusal_html
from app.page.source_text import to_text
from app.page.tab import Page, Tab
from nfn.look import Look, look
from nfn.network import Network
from zoo.next_steps import next_steps

LABEL = "Drop any network file here. It opens in the tab that reads it"
STILL_SHOWN = "(line, source) => weightscope.stillShown(line, source)"


def build_drop_zone() -> None:
    """Build a file box, and a line that says what the dropped file is; `connect_drop_zone` adds the events."""
    gr.File(label=LABEL, elem_id="drop-zone", elem_classes="upload", height=64)
    gr.HTML(elem_id="drop-line")


def connect_drop_zone(page: Page) -> None:
    """Open dropped files; call this once all tabs are built."""
    file, line = page.widget("drop-zone"), page.widget("drop-line")
    outputs = [file, line, *page.opener_outputs()]

    def drop(path: str | None) -> list[Any]:
        return _opened(page, path or "")

    dropped = gr.on([file.upload], with_alerts(drop), [file], outputs, api_visibility="private",
                    show_progress="minimal", show_progress_on=[line], trigger_mode="always_last")  # fmt: skip
    dropped.failure(lambda: None, None, file, api_visibility="private")
    for tab in page.tabs:
        for elem_id in (tab.address or ())[:1]:
            chosen = page.widget(elem_id)
            chosen.change(None, [line, chosen], line, js=STILL_SHOWN, api_visibility="private")
    uploads = [
        block for block in page.demo.blocks.values() if isinstance(block, gr.File) and block is not file
    ]
    gr.on([box.upload for box in uploads], None, None, line, js="() => ''", api_visibility="private")


def _opened(page: Page, path: str) -> list[Any]:
    """Open the file in its tab and say what it is, or why it is not a checkpoint."""
    source, stay = Source(path=path), [gr.skip() for _ in page.opener_outputs()]
    try:
        seen, network = look(open_upload(path)), next_steps(Path(path)).network
    except USER_ERRORS as error:
        return [None, refusal_html(page.tabs, "", path, error), *stay]
    tab = tab_for_upload(page.tabs, network)
    line = _line(path, seen, tab)
    return [None, line, *(page.open_in(tab.key, to_text(source)) if tab else stay)]


def tab_for_upload(tabs: tuple[Tab, ...], network: Network | None) -> Tab | None:
    """The tab that opens an upload: the first that reads its network, else the one for any file."""
    suitable = [tab for tab in tabs if network is not None and tab.reads(network)]
    return next(iter([*suitable, *(tab for tab in tabs if tab.reads_any_file)]), None)


def _line(path: str, seen: Look, tab: Tab | None) -> str:
    known = seen.architecture.name if seen.architecture else tab.content if tab else "a checkpoint"
    what = f"{escape(known, 120)}, {seen.parameters:,} parameters" if seen.tensors else escape(known, 120)
    where = f"Opened in <b>{tab.title}</b>." if tab else "No tab here opens it."
    # `data-file` is the folder of this upload, by which page.js knows that it is still the one that is shown
    shown = f'data-file="{escape(Path(path).parent.name)}"'
    return (
        f'<p class="line" role="status" {shown}><b>{escape(Path(path).name, 60)}</b> is {what}. {where}</p>'
    )
