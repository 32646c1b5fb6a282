"""Write the API reference from docstrings into `docs/api`: `python -m docs.reference`; warnings are errors."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pdoc
from pdoc import render

FOLDER = Path(__file__).parent / "api"
MODULES = (
    "nfn", "nfn.space", "nfn.layers", "nfn.layers.messages", "nfn.permutation", "nfn.checks", "nfn.convert",
    "nfn.models", "nfn.augment", "nfn.weight_reader", "nfn.predictor", "nfn.generalization", "nfn.accuracy",
    "nfn.tickets", "nfn.picture_fit", "nfn.architecture", "nfn.checkpoint", "nfn.look", "nfn.health", "nfn.compare",
    "zoo",
)  # fmt: skip
"""The modules for users; of a package with `__all__`, its names."""


def write_reference(folder: Path, modules: Sequence[str] = MODULES) -> None:
    """Write a page for each module, and a search page."""
    render.configure(docformat="google", show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(*modules, output_directory=folder)


if __name__ == "__main__":
    write_reference(FOLDER)
    print(FOLDER / "index.html")
