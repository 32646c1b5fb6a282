"""`python -m zoo compare`: what one checkpoint is of another."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from nfn.checkpoint import open_checkpoint
from nfn.compare import Comparison, Row, compare

console = Console()


def show_comparison(
    one: Annotated[Path, typer.Argument(help="a file, or the index of shards beside it", exists=True)],
    other: Annotated[Path, typer.Argument(help="what may have been made of it", exists=True)],
    as_json: Annotated[bool, typer.Option("--json", help="all of it, for programs")] = False,
) -> None:
    """Say what one checkpoint is of another: the same, cast, pruned, permuted, fine-tuned, a LoRA's merge, ..."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        found = compare(open_checkpoint(one), open_checkpoint(other),
                        lambda done, of: bar.update(task, completed=done, total=of))  # fmt: skip
    if as_json:
        print(json.dumps({**asdict(found), "means": found.means}, indent=2))
        return
    console.print(f"[bold]{found.verdict}[/]: {found.means}", highlight=False)
    console.print(_table(found))
    for words, names in (("only in the first", found.only_a), ("only in the second", found.only_b),
                         ("of another shape", found.reshaped)):  # fmt: skip
        if names:
            console.print(f"{len(names):,} tensors {words}: {escape(', '.join(names[:5]))}", highlight=False)


def _table(found: Comparison) -> Table:
    table = Table("tensor", "shape", "is", "distance", "cosine", "changed", "rank of the difference")
    for row in found.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    rank = "" if row.rank is None else f"{row.rank} of {row.side}"
    shape = " × ".join(map(str, row.shape))
    return [
        escape(row.name),
        shape,
        row.kind,
        f"{row.distance:.3g}",
        f"{row.cosine:.4f}",
        f"{row.changed:.1%}",
        rank,
    ]
