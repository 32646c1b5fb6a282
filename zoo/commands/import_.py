"""`python -m zoo import`: convert published folders of networks into collections."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zoo.families.building import Out, run
from zoo.import_cnns import CnnImport
from zoo.import_sirens import Layout, SirenImport

console = Console()
Folder = Annotated[Path, typer.Argument(help="the published folder, unpacked")]
Images = Annotated[str, typer.Option(help="images of the SIRENs: mnist, fashion_mnist or cifar10")]
Limit = Annotated[int | None, typer.Option(help="import at most this many networks")]


def import_small_cnn_zoo(
    folder: Folder,
    out: Out,
    step: Annotated[
        list[int] | None, typer.Option(help="epoch to import (default 86, the last); repeatable")
    ] = None,
    limit: Limit = None,
) -> None:
    """Import a folder of the Small CNN Zoo: weights.npy, metrics.csv.gz, layout.csv."""
    source = CnnImport(str(folder), tuple(step or [86]), limit)
    run(source, out, "cpu")
    console.print(
        f"{source.total} networks in {out}; {source.left_out} left out (NaN, or another activation)."
    )


def import_nfn_sirens(folder: Folder, images: Images, out: Out, limit: Limit = None) -> None:
    """Import SIRENs of NFN: randinit_smaller_7s/net123.pth and similar."""
    _import_sirens(folder, "nfn", images, out, limit)


def import_dws_sirens(folder: Folder, images: Images, out: Out, limit: Limit = None) -> None:
    """Import SIRENs of DWS: mnist_png_training_7_123/checkpoints/*.pth, or train/model_123.pth."""
    _import_sirens(folder, "dws", images, out, limit)


def _import_sirens(folder: Path, layout: Layout, images: str, out: Path, limit: int | None) -> None:
    source = SirenImport(str(folder), layout, images, limit)
    run(source, out, "cpu")
    console.print(f"{source.total} SIRENs in {out}, in the convention of {layout.upper()} (see spec.json).")
