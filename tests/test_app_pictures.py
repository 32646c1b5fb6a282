"""Pictures that several visitors are sent at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.data_classes import ImageData

from app.page.widgets import store_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)


def shown() -> Path:
    data = gr.Image(format="png").postprocess(store_picture(PIXELS))
    assert isinstance(data, ImageData) and data.path
    return Path(data.path)


def test_a_picture_is_whole_while_others_are_shown_the_same():
    """Gradio alone writes the file anew for each of them, while it is on its way to somebody."""
    file = shown()
    whole = file.read_bytes()
    assert whole.startswith(b"\x89PNG")
    with ThreadPoolExecutor(2) as others:
        asked = [others.submit(shown) for _ in range(100)]
        while not all(one.done() for one in asked):
            assert file.read_bytes() == whole
    assert {one.result() for one in asked} == {file}
