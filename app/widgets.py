"""Widgets that more than one tab uses, each in our look."""

import base64
import html
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
import numpy as np
import plotly.graph_objects as go
from gradio.components.plot import PlotData
from gradio.processing_utils import hash_file
from gradio.utils import get_upload_folder
from PIL import Image

from nfn.reader.limits import FILE_BYTES

MAX_MB = FILE_BYTES >> 20
"""The largest file that may be uploaded."""
COPY_LINK = "Copy a link to this"
PICKER_JS = Path(__file__).with_name("picker.js").read_text(encoding="utf-8")
NETWORKS_JS = Path(__file__).with_name("networks.js").read_text(encoding="utf-8")


def heading(title: str, text: str) -> gr.HTML:
    """The title of a card and the sentence under it (both ours: not escaped)."""
    return gr.HTML(f"<h2>{title}</h2><p>{text}</p>", elem_classes="heading")


def segmented(
    choices: Sequence[tuple[str, str]] | Sequence[tuple[str, int]], value: str | int, label: str, **kwargs
) -> gr.Radio:
    """A radio group drawn as a row of joined buttons."""
    return gr.Radio(list(choices), value=value, label=label, elem_classes="segmented", **kwargs)


def part_box(elem_id: str) -> gr.Textbox:
    """Where a visitor names the network that is meant of several in a file."""
    return gr.Textbox(
        "", label="Network in the file, if it holds several", placeholder="the usual one", max_lines=1, max_length=200,
        elem_id=elem_id,
    )  # fmt: skip


def upload_box(elem_id: str) -> tuple[gr.File, gr.HTML]:
    """A box for a visitor's own network, and the line under it that says why a file was refused."""
    file = gr.File(label=f"Or upload your own: safetensors, PyTorch, ONNX or npz, up to {MAX_MB} MB", elem_id=elem_id,
                   elem_classes="upload", height=104)  # fmt: skip
    return file, gr.HTML(elem_id=f"{elem_id}-refused", elem_classes="refused")


def copy_link(tab: str) -> gr.Button:
    """A button that copies a link to what a tab shows; `app.opening` wires it, who knows what a link holds."""
    return gr.Button(
        COPY_LINK, size="sm", elem_id=f"copy-link-{tab}", elem_classes="copy-link", min_width=120
    )


def picture(label: str, **kwargs) -> gr.Image:
    """A picture of few pixels, drawn with hard edges."""
    return gr.Image(
        label=label,
        alt_text=label,
        interactive=False,
        format="png",
        elem_classes=["picture", "pixels"],
        **kwargs,
    )


def network_list(value: str = "", **kwargs) -> gr.HTML:
    """HTML in which networks are chosen: its `select` event has the zoo id as value; see `marked` and `mark`."""
    return gr.HTML(value, js_on_load=NETWORKS_JS, chosen=None, apply_default_css=False, **kwargs)


def picker(**kwargs) -> gr.HTML:
    """HTML of things to pick: its `select` event has the `data-pick` of what was clicked; see `marked`."""
    return gr.HTML(js_on_load=PICKER_JS, apply_default_css=False, **kwargs)


def marked(value: str, chosen: str | None) -> str:
    """What a `network_list` or a `picker` shows, and which of it is chosen.

    It is plain HTML that says so: of an update of several properties Gradio loses some, or all, while a tab is not
    shown yet or is just coming up. Never twice the same, so that it is always a change.
    """
    return f'<i hidden data-chosen="{html.escape(chosen or "")}" data-at="{time.time_ns()}"></i>{value}'


def mark(chosen: str | None) -> gr.HTML:
    """Another one is chosen in what is shown, or none; never twice the same, so that it is always a change."""
    return gr.HTML(chosen=f"{time.time_ns()} {chosen or ''}")


def plot_data(figure: go.Figure) -> PlotData:
    """A figure for `gr.Plot` without plotly's toolbar."""
    content = json.loads(str(figure.to_json()))
    content["config"] = {"displayModeBar": False}
    return PlotData(type="plotly", plot=json.dumps(content))


def inline_image(pixels: np.ndarray, alt: str) -> str:
    """A small picture inside HTML; `alt` must be escaped already."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="pixels" alt="{alt}" src="data:image/png;base64,{data}">'


def keep_files(write: Callable[[Path], Iterable[Path]]) -> list[str]:
    """Let `write` fill a temporary folder, and move its files to where they are kept for an hour from now."""
    os.makedirs(get_upload_folder(), exist_ok=True)
    with TemporaryDirectory(dir=get_upload_folder()) as folder:
        return [_keep(path) for path in write(Path(folder))]


def _keep(path: Path) -> str:
    """Move a whole file to where Gradio would keep it; it may have been made before."""
    target = Path(get_upload_folder(), hash_file(path), path.name)
    target.parent.mkdir(exist_ok=True)
    os.replace(path, target)
    return str(target)


def keep_picture(pixels: np.ndarray) -> str:
    """A PNG of `(H, W, 3)` uint8, kept for an hour.

    Gradio itself would write the file of a picture anew for everyone who sees the same one, while others are sent it.
    """

    def write(folder: Path) -> list[Path]:
        path = folder / "picture.png"
        Image.fromarray(pixels).save(path)
        return [path]

    return keep_files(write)[0]
