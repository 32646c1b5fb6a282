"""`python -m zoo compare`: how one checkpoint was derived from another."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from nfn.checkpoint import Checkpoint, open_checkpoint
from nfn.compare import Comparison, Row, compare
from zoo.commands.look import is_file
from zoo.hub_checkpoint import download_hub_checkpoint

console = Console()
MAX_DOWNLOAD = 2**30
"""Bytes of a model on the Hub, which is held in memory."""


def show_comparison(
    one: Annotated[str, typer.Argument(help="a file, the index of its shards, or owner/name on the Hub")],
    other: Annotated[str, typer.Argument(help="a checkpoint that may be derived from it")],
    as_json: Annotated[bool, typer.Option("--json", help="print the full comparison as JSON")] = False,
) -> None:
    """Compare two checkpoints: the same, cast, pruned, permuted, fine-tuned, a merged LoRA, ..."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        comparison = compare(_open(one), _open(other),
                        lambda done, of: bar.update(task, completed=done, total=of))  # fmt: skip
    if as_json:
        print(json.dumps({**asdict(comparison), "means": comparison.means}, indent=2))
        return
    console.print(f"[bold]{comparison.verdict}[/]: {comparison.means}", highlight=False)
    console.print(_table(comparison))
    for words, names in (("only in the first", comparison.only_a), ("only in the second", comparison.only_b),
                         ("with another shape", comparison.reshaped)):  # fmt: skip
        if names:
            console.print(f"{len(names):,} tensors {words}: {escape(', '.join(names[:5]))}", highlight=False)


def _open(what: str) -> Checkpoint:
    return open_checkpoint(what) if is_file(what) else download_hub_checkpoint(what, MAX_DOWNLOAD)


def _table(comparison: Comparison) -> Table:
    table = Table("tensor", "shape", "is", "distance", "cosine", "changed", "rank of the difference")
    for row in comparison.rows:
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
