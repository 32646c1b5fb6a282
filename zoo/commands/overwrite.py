"""The `--overwrite` option of commands that write a file."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import ZooError

OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="replace an existing file")]


def check_new(out: Path, overwrite: bool) -> None:
    """Raise ZooError, before anything is computed, if an existing file would be replaced without --overwrite."""
    if out.exists() and not overwrite:
        raise ZooError(f"{out} already exists: name another file with --out, or add --overwrite.")
