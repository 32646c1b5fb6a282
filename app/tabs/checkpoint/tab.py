"""The Any file tab: what a file or a model on the Hub is, and what can be done with it next."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app.networks.source import Source
from app.page.alerts import USER_ERRORS, with_alerts, with_alerts_in_steps
from app.page.html import failure
from app.page.inbox import from_inbox
from app.page.look import tree
from app.page.refusal import refusal_html
from app.page.source_text import from_text, to_text
from app.page.tab import Page, Tab
from app.page.widgets import MAX_MB, heading, store_files
from app.runtime.errors import RequestError
from app.tabs.checkpoint import actions, health_html, html, interpolation, interpolation_html
from app.tabs.checkpoint.actions import Looked

INTRO = (
    "See what is in any checkpoint: safetensors, PyTorch, ONNX, GGUF, npz, Keras or .pt2. Files are only read; no code "
    "in them is run."
)
HUB = "Or a model on the Hugging Face Hub"
OTHER_HUB = f"Or a Hub model, up to {MAX_MB} MB"
HEALTH = "Every value is read, to find what is broken, dead, duplicated, out of range or untrained."
COMPARE = "Is it the same network, or cast, pruned, quantised, permuted, rescaled, fine-tuned, with a LoRA merged in?"
INTERPOLATE = "Interpolate between the two"
NOT_ON_HUB = (
    "Only two files, or networks of the zoo, can be interpolated. Download the model and open its file."
)
NOTHING_CHOSEN = '<div class="not-yet low">Nothing is chosen yet.</div>'
STEP_SECONDS = 0.3
"""Seconds between two updates of the progress."""
LAYERS = "Every tensor with its name and shape. Identical layers share one line."


def build_checkpoint_tab(page: Page) -> None:
    """Build the chosen upload as text (`app.page.source_text`), or the id of a model on the Hub, and the cards."""
    source = gr.Textbox("", visible="hidden", label="The chosen file", elem_id="checkpoint-source")
    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            heading("What is this file?", INTRO)
            file, repo, go = _build_chooser()
        with gr.Column(scale=7, min_width=320, elem_classes="card"):
            shown = gr.HTML(html.NOTHING, elem_id="look")
            buttons = _build_next(page, source)
    with gr.Row(elem_classes=["cards", "tops"]):
        with gr.Column(scale=6, min_width=320, elem_classes="stacked"):
            with gr.Column(elem_classes="card"):
                heading("Health", HEALTH)
                health = gr.HTML(NOTHING_CHOSEN, elem_id="health")
            with gr.Column(elem_classes="card"):
                heading("Layers", LAYERS)
                layers = gr.HTML(NOTHING_CHOSEN, elem_id="look-tree")
        with gr.Column(scale=6, min_width=320, elem_classes="card"):
            compared = _build_compare(source)[:-1]
    outputs = [source, shown, layers, health, *compared, *buttons]
    inbox = page.inbox("checkpoint")
    opened = _listen([inbox.change], partial(_come_in, page.tabs), [inbox], outputs, shown)
    _listen([file.upload], partial(_upload, page.tabs), [file], outputs, shown, [opened])
    _listen([go.click, repo.submit], partial(_on_hub, page.tabs), [repo], outputs, shown, [opened])


def _build_compare(source: gr.Textbox) -> list[Any]:
    """A second file or model, its comparison with the first, and the interpolation between them."""
    heading("Compare with another", COMPARE)
    other = gr.File(label=f"The other file, up to {MAX_MB} MB", elem_id="compare-upload", elem_classes="upload",
                    height=64)  # fmt: skip
    repo, hub = _build_repo(OTHER_HUB, "Compare", "compare")
    refused = gr.HTML(elem_id="compare-refused", elem_classes="refused")
    compared = gr.HTML(elem_id="compared")
    go = gr.Button(INTERPOLATE, size="md", visible=False, elem_id="walk")
    curves = gr.Plot(visible=False, show_label=False, container=False, elem_id="path-plot")
    path = gr.HTML(elem_id="walked")
    with gr.Row():
        files = [gr.DownloadButton(f"Download the {end} network", size="md", visible=False, elem_id=f"download-{end}")
                 for end in ("aligned", "averaged")]  # fmt: skip
    shown = [compared, curves, path, go, *files, refused]
    _on([other.upload], _compare, [other, source], shown, compared)
    _on([hub.click, repo.submit], _compare_hub, [repo, source], shown, compared)
    _on([go.click], _interpolate, [other, source], [curves, path, *files, refused], path)
    return shown


def _on(triggers: list, handler: Any, inputs: list, outputs: list, busy: gr.HTML) -> None:
    gr.on(triggers, with_alerts(handler), inputs, outputs, api_visibility="private", show_progress="minimal",
          show_progress_on=[busy])  # fmt: skip


def _build_chooser() -> tuple[gr.File, gr.Textbox, gr.Button]:
    file = gr.File(
        label=f"Your file, up to {MAX_MB} MB", elem_id="look-upload", elem_classes="upload", height=96
    )
    return file, *_build_repo(HUB, "Look", "look")


def _build_repo(label: str, action: str, prefix: str) -> tuple[gr.Textbox, gr.Button]:
    """A box for the id of a model on the Hub, and the button that does something with it."""
    with gr.Row(elem_classes="zoo-address"):
        repo = gr.Textbox(
            label=label,
            placeholder="owner/name",
            max_lines=1,
            max_length=200,
            elem_id=f"{prefix}-repo",
            scale=4,
        )
        go = gr.Button(action, variant="primary", size="md", elem_id=f"{prefix}-go", scale=1, min_width=90)
    return repo, go


def _build_next(page: Page, source: gr.Textbox) -> list[gr.Button]:
    """A button for each tab that may open the file."""
    buttons = []
    with gr.Row(elem_classes="look-next"):
        for tab in _takers(page.tabs):
            button = gr.Button(
                tab.next_step, size="md", visible=False, elem_id=f"look-to-{tab.key}", min_width=160
            )
            opening = button.click(with_alerts(_opener(page, tab)), source, page.opener_outputs(),
                                   api_visibility="private", show_progress="hidden")  # fmt: skip
            page.show_tabs(opening)
            buttons.append(button)
    return buttons


def _takers(tabs: tuple[Tab, ...]) -> list[Tab]:
    return [tab for tab in tabs if tab.first is not None and not tab.reads_any_file]


def _opener(page: Page, tab: Tab) -> Any:
    def open_in(text: str) -> list[Any]:
        return page.open_in(tab.key, to_text(from_text(text)))

    return open_in


def _listen(
    triggers: list,
    handler: Any,
    inputs: list,
    outputs: list,
    busy: gr.HTML,
    cancels: Sequence[Dependency] = (),
) -> Dependency:
    """Add an event whose `handler` yields updates step by step; it stops the events `cancels`."""
    return gr.on(triggers, with_alerts_in_steps(handler), inputs, outputs, api_visibility="private",
                 show_progress="minimal", show_progress_on=[busy], trigger_mode="always_last",
                 cancels=list(cancels) or None)  # fmt: skip


def _come_in(tabs: tuple[Tab, ...], text: str) -> Iterator[list[Any]]:
    """Open the first network, or a file that another tab refused."""
    yield from _open(tabs, from_text(from_inbox(text)))


def _upload(tabs: tuple[Tab, ...], path: str | None) -> Iterator[list[Any]]:
    if path is None:
        raise RequestError("Upload a file first.")
    yield from _open(tabs, Source(path=path))


def _open(tabs: tuple[Tab, ...], source: Source) -> Iterator[list[Any]]:
    """Yield what the file is, then its health; or why it is not a checkpoint."""
    try:
        looked = actions.look_at(source)
    except USER_ERRORS as error:
        yield _nothing(tabs, refusal_html(tabs, "checkpoint", source.path, error))
        return
    shown = _shown(tabs, to_text(source), looked)
    yield shown
    for health in _health_in_steps(source):
        yield [gr.skip() if i != 3 else health for i in range(len(shown))]


def _health_in_steps(source: Source) -> Iterator[str]:
    """The progress of the check, a few times a second, then the report, which stays while spectra are computed."""
    shown_at = time.monotonic()
    for state in actions.check_in_steps(source):
        report, spectra = state.health, state.spectra
        if report is not None and spectra is not None:
            found = health_html.health(report) + health_html.spectra(spectra)
            yield found if report.read or report.findings else _line(health_html.NOT_READ)
        elif time.monotonic() - shown_at > STEP_SECONDS:
            shown_at = time.monotonic()
            yield health_html.progress(state)


def _on_hub(tabs: tuple[Tab, ...], repo_id: str | None) -> Iterator[list[Any]]:
    try:
        looked = actions.look_on_hub(repo_id)
    except USER_ERRORS as error:
        yield _nothing(tabs, refusal_html(tabs, "checkpoint", None, error))
        return
    shown = _shown(tabs, looked.name, looked)
    shown[3] = _line(health_html.ONLY_HEADERS)
    yield shown


def _compare(path: str | None, text: str) -> list[Any]:
    return _compared(text, lambda: Source(path=path or ""))


def _compare_hub(repo_id: str | None, text: str) -> list[Any]:
    return _compared(text, lambda: actions.typed_id(repo_id))


def _compared(text: str, choose: Callable[[], Source | str]) -> list[Any]:
    """The comparison of the first network with the other one; interpolated are only those whose files are here."""
    try:
        first, other = _first(text), choose()
        comparison = actions.compare_sources(first, other)
    except USER_ERRORS as error:
        return [*NO_COMPARISON, failure(error)]
    here = isinstance(first, Source) and isinstance(other, Source)
    alike = here and bool(comparison.rows) and not comparison.reshaped
    shown = health_html.comparison(comparison, actions.name_of(first), actions.name_of(other))
    return [shown, NO_PLOT, "", gr.Button(visible=alike), *_no_files(), ""]


def _interpolate(path: str | None, text: str) -> list[Any]:
    try:
        first = _first(text)
        if isinstance(first, str):
            raise RequestError(NOT_ON_HUB)
        result = interpolation.interpolate(first, Source(path=path or ""))
    except USER_ERRORS as error:
        return [NO_PLOT, "", *_no_files(), failure(error)]
    files = store_files(lambda folder: interpolation.save_networks(result, Path(path or "").name, folder))
    buttons = [gr.DownloadButton(value=file, visible=True) for file in files]
    curves = interpolation_html.curves_along_path(result)
    plot = gr.Plot(value=curves, visible=curves is not None)
    return [plot, interpolation_html.results_along_path(result), *buttons, ""]


def _first(text: str) -> Source | str:
    """The chosen file, or the id of a model on the Hub; untrusted, as the page sends it."""
    if not text:
        raise RequestError("Choose the first file above; this is the one to compare it with.")
    return from_text(text) if text.startswith("{") else text


def _no_files() -> list[gr.DownloadButton]:
    return [gr.DownloadButton(value=None, visible=False) for _ in range(2)]


NO_PLOT = gr.Plot(value=None, visible=False)
NO_COMPARISON = ["", NO_PLOT, "", gr.Button(visible=False), *_no_files()]
"""The outputs of the comparison card before there is a comparison."""


def _shown(tabs: tuple[Tab, ...], source: str, looked: Looked) -> list[Any]:
    network = looked.steps.network
    buttons = [gr.Button(visible=network is not None and tab.reads(network)) for tab in _takers(tabs)]
    head = html.headline(looked) + html.why_not(looked)
    return [source, head, tree(looked.look), _line("Reading its values…"), *NO_COMPARISON, *buttons]


def _nothing(tabs: tuple[Tab, ...], why: str) -> list[Any]:
    """The reason why there is nothing to show, in place of the old answer."""
    return [
        "",
        why,
        NOTHING_CHOSEN,
        NOTHING_CHOSEN,
        *NO_COMPARISON,
        *(gr.Button(visible=False) for _ in _takers(tabs)),
    ]


def _line(text: str) -> str:
    return f'<p class="line">{text}</p>'


TAB = Tab(
    key="checkpoint",
    title="Any file",
    build=build_checkpoint_tab,
    reads_any_file=True,
    next_step="See what is in it",
    first=actions.example,
    stylesheet=Path(__file__).with_name("look.css"),
)
