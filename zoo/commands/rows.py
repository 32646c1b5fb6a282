"""Print results of many networks: JSON lines or CSV for programs, tables for terminals of 80 columns."""

import csv
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from zoo.errors import ZooError

JsonOption = Annotated[bool, typer.Option("--json", help="print JSON, one object per line")]
CsvOption = Annotated[bool, typer.Option("--csv", help="print CSV with a header")]


def print_rows(rows: Sequence[dict[str, Any]], as_json: bool, as_csv: bool) -> bool:
    """Print rows in the requested format; False if no format was requested."""
    if as_json and as_csv:
        raise ZooError("Choose --json or --csv, not both.")
    if as_json:
        for row in rows:
            print(json.dumps(row))
    elif as_csv:
        _print_csv(rows)
    return as_json or as_csv


def _print_csv(rows: Sequence[dict[str, Any]]) -> None:
    """Print a column for each key that any row has; lists as JSON."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(sys.stdout, header, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: json.dumps(v) if isinstance(v, list | dict | tuple) else v for k, v in row.items()}
        )


def narrow_table(name: str, *columns: str) -> Table:
    """A table without lines, whose first column wraps instead of being truncated."""
    return Table(Column(name, overflow="fold"), *columns, box=None, padding=(0, 2, 0, 0))
