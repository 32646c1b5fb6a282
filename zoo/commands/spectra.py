"""`python -m zoo spectra`: measure the spectra of the zoo's layers, which others are compared with."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zoo.spectra import write_spectra

console = Console()


def spectra(out: Annotated[Path, typer.Option(help="file to write the percentiles to (JSON)")]) -> None:
    """Measure stable ranks and tail exponents of the embedded zoo's trained layers, and write their percentiles."""
    for name, group in write_spectra(out).items():
        middle = group["quantiles"][50]
        console.print(f"{name}: {group['layers']:,} layers, median {middle:.3g}", highlight=False)
    console.print(f"{out}: {out.stat().st_size / 1e3:.1f} kB", highlight=False)
