"""The zoo as pictures: thumbnails rendered once per collection and kept as files that the browser can cache."""

from functools import cache, partial
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from app import actions
from app.figures import to_pixels
from zoo.files import sha256, write_whole


@cache
def _folder() -> Path:
    """Where the thumbnails of this zoo are, also for the next process; Gradio serves them as they are."""
    catalog = sha256(actions.zoo().root / "catalog.json")[:12]
    folder = Path(f"{get_upload_folder()}-gallery", catalog)
    folder.mkdir(parents=True, exist_ok=True)
    gr.set_static_paths([folder])
    return folder


@cache
def thumbnail_files(collection: str) -> list[tuple[str, str]]:
    """(file, caption) of each network of a collection, in the order of its rows."""
    items = []
    for number, (_, label, picture) in enumerate(actions.thumbnails(collection)):
        path = _folder() / f"{collection}-{number}.png"
        write_whole(path, partial(Image.fromarray(to_pixels(picture)).save, format="png"))
        items.append((str(path), label))
    return items
