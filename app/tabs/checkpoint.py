"""The Checkpoint tab: what any file is, or any model on the Hub, and what can be done with it next."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app import health_panels as healthy
from app import look_panels as said
from app import looking, panels, walk_panels, walking
from app.actions import RequestError, Source
from app.alerts import SENTENCES, alerting, alerting_steps, warn
from app.links import TABS
from app.looking import Looked
from app.routing import tabs_for
from app.sources import from_text, to_text
from app.tabs.doors import by_id, door, knock
from app.widgets import MAX_MB, heading, keep_files

INTRO = (
    "Somebody sent you a checkpoint, or you found one in a folder. What is it? Safetensors, PyTorch, ONNX, GGUF, npz, "
    "Keras and .pt2 say so in their headers; nothing in them is run."
)
HUB = "Or a model on the Hugging Face Hub"
HEALTH = "Every value is read: what is broken, dead, copied, out of range, or as it was before training?"
COMPARE = "Is it the same network, or cast, pruned, quantised, permuted, rescaled, fine-tuned, with a LoRA merged in?"
WALK = "Walk from one to the other"
YET = '<div class="not-yet low">Nothing is chosen yet.</div>'
LAYERS = "Every tensor under its name, with its shape. Layers that are alike are one line."
NEXT = {
    "generalization": "Predict its test accuracy",
    "tickets": "Find its winning ticket",
    "inr": "See its picture",
}
"""By tab, what the button says that opens a file there."""


def build_checkpoint_tab(demo: gr.Blocks) -> None:
    """The chosen upload, as text (`app.sources`; "" for a model on the Hub), a card to choose, others to show it."""
    source = gr.Textbox("", visible="hidden", label="The chosen file", elem_id="checkpoint-source")
    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            heading("What is this file?", INTRO)
            file, repo, go, refused = _build_chooser()
        with gr.Column(scale=7, min_width=320, elem_classes="card"):
            shown = gr.HTML(said.NOTHING, elem_id="look")
            buttons = _build_next(demo, source)
    with gr.Row(elem_classes="cards"):
        with gr.Column(scale=6, min_width=320, elem_classes="stacked"):
            with gr.Column(elem_classes="card"):
                heading("Health", HEALTH)
                health = gr.HTML(YET, elem_id="health")
            with gr.Column(elem_classes="card"):
                heading("Layers", LAYERS)
                layers = gr.HTML(YET, elem_id="look-tree")
        with gr.Column(scale=6, min_width=320, elem_classes="card"):
            compared = _build_compare(source)[:-1]
    outputs = [source, shown, layers, health, *compared, *buttons, refused]
    _listen([file.upload], _upload, [file], outputs, shown)
    _listen([go.click, repo.submit], _on_hub, [repo], outputs, shown)


def _build_compare(source: gr.Textbox) -> list[Any]:
    """A second file, what it is of the first, and the way from one to the other."""
    heading("Compare with another file", COMPARE)
    other = gr.File(label="The other file", elem_id="compare-upload", elem_classes="upload", height=104)
    refused = gr.HTML(elem_id="compare-refused", elem_classes="refused")
    compared, path = gr.HTML(elem_id="compared"), gr.HTML(elem_id="walked")
    go = gr.Button(WALK, size="md", visible=False, elem_id="walk")
    with gr.Row():
        files = [gr.DownloadButton(f"Download the {end} network", size="md", visible=False, elem_id=f"download-{end}")
                 for end in ("aligned", "averaged")]  # fmt: skip
    shown = [compared, path, go, *files, refused]
    _on(other.upload, _compare, [other, source], shown, compared)
    _on(go.click, _walk, [other, source], [path, *files, refused], path)
    return shown


def _on(trigger: Any, handler: Any, inputs: list, outputs: list, busy: gr.HTML) -> None:
    trigger(alerting(handler), inputs, outputs, api_visibility="private", show_progress="minimal",
            show_progress_on=[busy])  # fmt: skip


def _build_chooser() -> tuple[gr.File, gr.Textbox, gr.Button, gr.HTML]:
    file = gr.File(
        label=f"Your file, up to {MAX_MB} MB", elem_id="look-upload", elem_classes="upload", height=132
    )
    with gr.Row(elem_classes="zoo-address"):
        repo = gr.Textbox(
            label=HUB, placeholder="owner/name", max_lines=1, max_length=200, elem_id="look-repo", scale=4
        )
        go = gr.Button("Look", variant="primary", size="md", elem_id="look-go", scale=1, min_width=90)
    return file, repo, go, gr.HTML(elem_id="look-refused", elem_classes="refused")


def _build_next(demo: gr.Blocks, source: gr.Textbox) -> list[gr.Button]:
    """A button for each tab that may take the file."""
    buttons = []
    with gr.Row(elem_classes="look-next"):
        for tab, words in NEXT.items():
            button = gr.Button(words, size="md", visible=False, elem_id=f"look-to-{tab}", min_width=160)
            outputs = [by_id(demo, "tabs"), door(demo, TABS[tab])]
            button.click(
                alerting(_opener(tab)), source, outputs, api_visibility="private", show_progress="hidden"
            )
            buttons.append(button)
    return buttons


def _opener(tab: str) -> Any:
    def open_in(text: str) -> list[Any]:
        return [gr.Tabs(selected=TABS[tab]), knock(to_text(from_text(text)))]

    return open_in


def _listen(triggers: list, handler: Any, inputs: list, outputs: list, busy: gr.HTML) -> None:
    """Show what `handler` yields one after the other; the last output says why a file was refused."""

    def guarded(value: str | None) -> Iterator[list[Any]]:
        try:
            yield from handler(value)
        except SENTENCES as error:
            warn(error)
            name = None if handler is _on_hub else value
            yield [*[gr.skip()] * (len(outputs) - 1), panels.refused(name, error)]

    gr.on(triggers, alerting_steps(guarded), inputs, outputs, api_visibility="private", show_progress="minimal",
          show_progress_on=[busy], trigger_mode="always_last")  # fmt: skip


def _upload(path: str | None) -> Iterator[list[Any]]:
    """First what the file is, then how it is."""
    source = Source(path=path or "")
    looked = looking.look_at(source)
    shown = _shown(to_text(source), looked)
    yield shown
    found, described = looking.check(source)
    known = healthy.health(found) + healthy.spectra(described)
    shown[3] = known if found.read or found.findings else _line(healthy.NOT_READ)
    yield [gr.skip() if i != 3 else value for i, value in enumerate(shown)]


def _on_hub(repo_id: str | None) -> Iterator[list[Any]]:
    shown = _shown("", looking.look_on_hub(repo_id or ""))
    shown[3] = _line(healthy.ONLY_HEADERS)
    yield shown


def _compare(path: str | None, text: str) -> list[Any]:
    try:
        found = looking.compare_with(_first(text), path or "")
    except SENTENCES as error:
        warn(error)
        return [*NO_COMPARISON, panels.refused(path, error)]
    alike = bool(found.rows) and not found.reshaped
    return [healthy.comparison(found), "", gr.Button(visible=alike), *_no_files(), ""]


def _walk(path: str | None, text: str) -> list[Any]:
    try:
        found = walking.walk(_first(text), Source(path=path or ""))
    except SENTENCES as error:
        warn(error)
        return ["", *_no_files(), panels.refused(None, error)]
    files = keep_files(lambda folder: walking.save_walk(found, Path(path or "").name, folder))
    return [walk_panels.walked(found), *(gr.DownloadButton(value=file, visible=True) for file in files), ""]


def _first(text: str) -> Source:
    if not text:
        raise RequestError("Choose the first file above; this is the one to compare it with.")
    return from_text(text)


def _no_files() -> list[gr.DownloadButton]:
    return [gr.DownloadButton(value=None, visible=False) for _ in range(2)]


NO_COMPARISON = ["", "", gr.Button(visible=False), *_no_files()]
"""What the card of comparisons shows before there is one."""


def _shown(source: str, looked: Looked) -> list[Any]:
    tabs = tabs_for(looked.steps.network) if looked.steps.network else []
    buttons = [gr.Button(visible=TABS[tab] in tabs) for tab in NEXT]
    head = said.headline(looked) + said.why_not(looked)
    return [source, head, said.tree(looked.look), _line("Reading its values…"), *NO_COMPARISON, *buttons, ""]


def _line(text: str) -> str:
    return f'<p class="line">{text}</p>'
