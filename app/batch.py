"""Predictions for many classifiers at once: a file per network, or files of stacked networks. No gradio."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from app.actions import GONE, RequestError
from app.generalization import readers
from zoo.small_cnns import Answer, predict_file

MAX_FILES = 200
MAX_NETWORKS = 1_000
"""Networks of all files together after which no further file is read."""
TOO_MANY = f"More than {MAX_NETWORKS:,} networks came at once: send this file on its own."
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell's text for a formula."""


@dataclass(frozen=True)
class BatchRow:
    """One network of a batch: its prediction (accuracies from 0 to 1), or the sentence that says why there is none."""

    name: str
    predicted: float | None = None
    low: float | None = None
    high: float | None = None
    typical: bool | None = None
    images: str = ""
    activation: str = ""
    error: str = ""


def predict_files(paths: Sequence[str]) -> list[BatchRow]:
    """A row per file, or per network of a file that is a stack; a bad file gets its sentence and stops no other."""
    *_, rows = predict_in_turn(paths)
    return rows


def predict_in_turn(paths: Sequence[str]) -> Iterator[list[BatchRow]]:
    """As `predict_files`, with the rows so far after each file."""
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
        return [Answer(Path(path).name, error=GONE)]


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
    """The rows as CSV with a header; no cell starts a formula in a spreadsheet."""
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
