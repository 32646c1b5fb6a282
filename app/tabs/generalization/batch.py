"""Predictions for many classifiers: one file per network, or stacks of networks. No gradio."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from app.networks.source import UPLOAD_EXPIRED
from app.runtime.errors import RequestError
from app.tabs.generalization.actions import readers
from zoo.small_cnns import Answer, predict_file

MAX_FILES = 200
MAX_NETWORKS = 1_000
"""No further file is read after this many networks in all files."""
TOO_MANY = f"There are more than {MAX_NETWORKS:,} networks in this batch: send this file on its own."
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet treats a cell that starts with one of these as a formula."""


@dataclass(frozen=True)
class BatchRow:
    """One network of a batch: its prediction (accuracies from 0 to 1), or an error message."""

    name: str
    predicted: float | None = None
    low: float | None = None
    high: float | None = None
    typical: bool | None = None
    images: str = ""
    activation: str = ""
    error: str = ""


def predict_files(paths: Sequence[str]) -> list[BatchRow]:
    """One row per file, or per network of a stack; a bad file gets an error message and does not stop the others."""
    *_, rows = predict_in_steps(paths)
    return rows


def predict_in_steps(paths: Sequence[str]) -> Iterator[list[BatchRow]]:
    """As `predict_files`, but yield the rows so far after each file."""
    if not paths:
        raise RequestError("Upload at least one file.")
    if len(paths) > MAX_FILES:
        raise RequestError(
            f"Got {len(paths)} files; at most {MAX_FILES} are read at once. Stack them into one."
        )
    rows: list[BatchRow] = []
    for path in paths:
        rows = rows + [_row(answer) for answer in _answers(path, room=len(rows) < MAX_NETWORKS)]
        yield rows


def _answers(path: str, room: bool) -> list[Answer]:
    if not room:
        return [Answer(Path(path).name, error=TOO_MANY)]
    try:
        return predict_file(readers(), path)
    except FileNotFoundError:
        return [Answer(Path(path).name, error=UPLOAD_EXPIRED)]


def _row(answer: Answer) -> BatchRow:
    result = answer.result
    if result is None:
        return BatchRow(answer.name, error=answer.error)
    return BatchRow(
        name=answer.name,
        predicted=result.test_accuracy,
        low=result.low,
        high=result.high,
        typical=result.typical,
        images=result.images,
        activation=result.activation,
    )


def to_csv(rows: Sequence[BatchRow]) -> str:
    """The rows as CSV with a header; cells that look like formulas are quoted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(BatchRow)])
    writer.writerows([_cell(value) for value in astuple(row)] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
