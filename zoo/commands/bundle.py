"""`python -m zoo bundle`: write the real test images that ship with the zoo."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zoo.bundled import write_bundle, write_colour_bundle, write_notice
from zoo.images import IMAGE_SETS

console = Console()


def bundle(out: Annotated[Path, typer.Option(help="folder for the files")]) -> None:
    """Write the first test images of each set in grayscale, some in colour, with a note on their sources."""
    for path in (*(write_bundle(name, out) for name in IMAGE_SETS), write_colour_bundle(out)):
        console.print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    write_notice(out)
