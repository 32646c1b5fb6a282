"""`python -m zoo import`: turn the field's published folders into collections."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zoo.commands.build import Out, run
from zoo.import_cnns import CnnImport
from zoo.import_sirens import Layout, SirenImport

console = Console()
Folder = Annotated[Path, typer.Argument(help="the folder as published, unpacked")]
Images = Annotated[str, typer.Option(help="what the SIRENs show: mnist, fashion_mnist or cifar10")]
Limit = Annotated[int | None, typer.Option(help="take only the first so many networks")]


def import_small_cnn_zoo(
    folder: Folder,
    out: Out,
    step: Annotated[
        list[int] | None, typer.Option(help="epochs to take (default 86, the last); repeat")
    ] = None,
    limit: Limit = None,
) -> None:
    """Import a folder of the Small CNN Zoo: weights.npy, metrics.csv.gz, layout.csv."""
    wanted = CnnImport(str(folder), tuple(step or [86]), limit)
    run(wanted, out, "cpu")
    console.print(
        f"{wanted.total} networks in {out}; {wanted.left_out} left out (NaN, or another activation)."
    )


def import_nfn_sirens(folder: Folder, images: Images, out: Out, limit: Limit = None) -> None:
    """Import SIRENs of NFN: randinit_smaller_7s/net123.pth and the like."""
    _import_sirens(folder, "nfn", images, out, limit)


def import_dws_sirens(folder: Folder, images: Images, out: Out, limit: Limit = None) -> None:
    """Import SIRENs of DWS: mnist_png_training_7_123/checkpoints/*.pth, or train/model_123.pth."""
    _import_sirens(folder, "dws", images, out, limit)


def _import_sirens(folder: Path, layout: Layout, images: str, out: Path, limit: int | None) -> None:
    wanted = SirenImport(str(folder), layout, images, limit)
    run(wanted, out, "cpu")
    console.print(
        f"{wanted.total} SIRENs in {out}, in the convention of {layout.upper()} (spec.json tells it)."
    )
