"""The pictures of a collection's SIRENs to choose from, all in one file that the browser can cache."""

from functools import cache, partial
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from gradio.utils import get_upload_folder
from PIL import Image

from app.networks.zoos import zoo_at
from app.page.figures import to_pixels
from app.page.html import escape
from zoo.families.sirens import siren_pictures
from zoo.files import sha256, write_whole

COLUMNS = 12
"""Pictures side by side in the file."""


@cache
def _folder() -> Path:
    """The folder of this zoo's pictures, shared with later processes; Gradio serves it as static files."""
    catalog = sha256(zoo_at().root / "catalog.json")[:12]
    folder = Path(f"{get_upload_folder()}-gallery", catalog)
    folder.mkdir(parents=True, exist_ok=True)
    gr.set_static_paths([folder])
    return folder


@cache
def gallery_html(collection: str) -> str:
    """A button per network of a collection, in table order, for `app.page.widgets.picker`.

    Each shows its part of one picture: a file per network would be more than a hundred requests.
    """
    items = thumbnails(collection)
    path = _folder() / f"{collection}.webp"
    sheet = Image.fromarray(_sheet([to_pixels(picture) for *_, picture in items]))
    write_whole(path, partial(sheet.save, format="webp", quality=80))
    rows = -(-len(items) // COLUMNS)
    buttons = "".join(_button(zoo_id, label, i, rows) for i, (zoo_id, label, _) in enumerate(items))
    sizes = f"--columns: {COLUMNS}; --across: {-(-len(items) // 2)}"
    style = escape(f"--sheet: url('gradio_api/file={path}'); {sizes}", 1_000)
    group = f'role="group" aria-label="Networks" data-one-stop style="{style}"'
    return f'<div class="thumbnails" {group}>{buttons}</div>'


def _button(zoo_id: str, label: str, i: int, rows: int) -> str:
    row, column = divmod(i, COLUMNS)
    place = f"{100 * column / (COLUMNS - 1):.3f}% {100 * row / max(rows - 1, 1):.3f}%"
    name = f"{escape(label)}, No. {escape(zoo_id.rpartition('/')[2])}"
    return (
        f'<button type="button" data-pick="{escape(zoo_id)}" aria-label="{name}" '
        f'style="background-position: {place}"></button>'
    )


def _sheet(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures `(H, W, 3)` in rows of `COLUMNS`, black where there are no more."""
    rows = -(-len(pictures) // COLUMNS)
    height, width, channels = pictures[0].shape
    sheet = np.zeros((rows * COLUMNS, height, width, channels), np.uint8)
    sheet[: len(pictures)] = pictures
    grid = sheet.reshape(rows, COLUMNS, height, width, channels)
    return grid.swapaxes(1, 2).reshape(rows * height, COLUMNS * width, channels)


def thumbnails(collection: str) -> list[tuple[str, str, torch.Tensor]]:
    """(zoo id, label, picture at twice the native resolution) of each network of a collection, in one batch."""
    rows, opened = zoo_at().rows(collection), zoo_at().collection(collection)
    pictures = siren_pictures(opened, zoom=2)
    return [(row["id"], row["label"], picture) for row, picture in zip(rows, pictures, strict=True)]
