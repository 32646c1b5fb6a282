"""Widgets that several tabs use."""

import base64
import html
import io
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
import numpy as np
from gradio.processing_utils import hash_file
from gradio.utils import get_upload_folder
from PIL import Image

from nfn.reader.limits import FILE_BYTES

MAX_MB = FILE_BYTES >> 20
"""The largest upload."""
COPY_LINK = "Copy a link to this"
PICKER_JS = Path(__file__).with_name("picker.js").read_text(encoding="utf-8")
NETWORKS_JS = Path(__file__).with_name("networks.js").read_text(encoding="utf-8")


def heading(title: str, text: str) -> gr.HTML:
    """A card's title and the sentence under it (trusted text, not escaped)."""
    return gr.HTML(f"<h2>{title}</h2><p>{text}</p>", elem_classes="heading")


def segmented(
    choices: Sequence[tuple[str, str]] | Sequence[tuple[str, int]], value: str | int, label: str, **kwargs
) -> gr.Radio:
    """A radio group drawn as a row of joined buttons."""
    return gr.Radio(list(choices), value=value, label=label, elem_classes="segmented", **kwargs)


def slider(minimum: float, maximum: float, value: float, **kwargs) -> gr.Slider:
    """A slider whose number box clamps typed values to the range; an empty box means `value`."""
    built = gr.Slider(minimum, maximum, value, **kwargs)
    preprocess = built.preprocess  # raises an error for both

    def clamp(payload: float | None) -> float:
        return preprocess(min(max(value if payload is None else payload, minimum), maximum))

    built.preprocess = clamp
    return built


def part_box(elem_id: str) -> gr.Textbox:
    """A box for the name of one of several networks in a file."""
    return gr.Textbox(
        "", label="Network in the file, if it has several", placeholder="the usual one", max_lines=1, max_length=200,
        elem_id=elem_id,
    )  # fmt: skip


def upload_box(elem_id: str) -> gr.File:
    """A box for a visitor's own network."""
    return gr.File(label=f"Or upload your own: safetensors, PyTorch, ONNX or npz, up to {MAX_MB} MB", elem_id=elem_id,
                   elem_classes="upload", height=64)  # fmt: skip


def copy_link_button(tab: str) -> gr.Button:
    """A button that copies a link to what a tab shows; `app.page.deep_links` adds its event."""
    return gr.Button(
        COPY_LINK, size="sm", elem_id=f"copy-link-{tab}", elem_classes="copy-link", min_width=120
    )


def picture(label: str, **kwargs) -> gr.Image:
    """A picture with few pixels, drawn with hard edges."""
    return gr.Image(
        label=label,
        alt_text=label,
        interactive=False,
        format="png",
        elem_classes=["picture", "pixels"],
        **kwargs,
    )


def network_list(value: str = "", **kwargs) -> gr.HTML:
    """HTML in which networks are picked: its `select` event has the zoo id as value.

    Its value is made by `with_selection`, and `selection_update` changes the selection.
    """
    return gr.HTML(value, js_on_load=NETWORKS_JS, chosen=None, apply_default_css=False, **kwargs)


def picker(**kwargs) -> gr.HTML:
    """HTML of items to pick: its `select` event has the `data-pick` of the clicked item; see `with_selection`."""
    return gr.HTML(js_on_load=PICKER_JS, chosen=None, apply_default_css=False, **kwargs)


def with_selection(value: str, chosen: str | None) -> str:
    """The value of a `network_list` or a `picker`: its HTML, and which item is selected.

    The selection is part of the HTML, because Gradio may lose an update of several properties while a tab is not shown
    yet. The value is unique, so that it always counts as a change.
    """
    return f'<i hidden data-chosen="{html.escape(chosen or "")}" data-at="{time.time_ns()}"></i>{value}'


def selection_update(chosen: str | None) -> gr.HTML:
    """An update that selects another item, or none; unique, so that it always counts as a change."""
    return gr.HTML(chosen=f"{time.time_ns()} {chosen or ''}")


def inline_image(pixels: np.ndarray, alt: str) -> str:
    """A small picture as an `img` element; `alt` must be escaped already."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="pixels" alt="{alt}" src="data:image/png;base64,{data}">'


def store_files(write: Callable[[Path], Iterable[Path]]) -> list[str]:
    """Let `write` fill a temporary folder, and move its files to the upload folder, where they stay for an hour."""
    os.makedirs(get_upload_folder(), exist_ok=True)
    with TemporaryDirectory(dir=get_upload_folder()) as folder:
        stored = []
        for path in write(Path(folder)):
            target = Path(
                get_upload_folder(), hash_file(path), path.name
            )  # as Gradio does; it may exist already
            target.parent.mkdir(exist_ok=True)
            os.replace(path, target)
            stored.append(str(target))
    return stored


def store_picture(pixels: np.ndarray) -> str:
    """Store `(H, W, 3)` uint8 as a PNG for an hour.

    Gradio would write the file again for every visitor, while others are downloading the same one.
    """

    def write(folder: Path) -> list[Path]:
        path = folder / "picture.png"
        Image.fromarray(pixels).save(path)
        return [path]

    return store_files(write)[0]
