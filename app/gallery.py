"""The zoo as pictures: thumbnails rendered once per collection and kept as files that the browser can cache."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
from PIL import Image

from app import actions
from app.figures import to_pixels


@cache
def _folder() -> TemporaryDirectory:
    """Where the thumbnails are, until the process ends; Gradio serves them as they are."""
    folder = TemporaryDirectory(prefix="weightscope-gallery-")
    gr.set_static_paths([folder.name])
    return folder


@cache
def thumbnail_files(collection: str) -> list[tuple[str, str]]:
    """(file, caption) of each network of a collection, in the order of its rows."""
    items = []
    for number, (_, label, picture) in enumerate(actions.thumbnails(collection)):
        path = Path(_folder().name) / f"{collection}-{number}.png"
        Image.fromarray(to_pixels(picture)).save(path)
        items.append((str(path), label))
    return items
