"""Import Gradio without the `.pyi` files that it writes beside its components, for editors, in each process.

Each component's source is parsed twice for them, which takes a fifth of the app's start-up. Gradio has no setting for
it, but writes none for a class that has no file.
"""

import inspect
from unittest.mock import patch

_find_file = inspect.getfile


def _file_of(item: object) -> str:
    if isinstance(item, type) and item.__module__.startswith("gradio."):
        raise OSError(f"{item.__module__} needs no .pyi file here.")
    return _find_file(item)  # pyright: ignore[reportArgumentType]


with patch.object(inspect, "getfile", _file_of):
    import gradio as gr

__all__ = ["gr"]
