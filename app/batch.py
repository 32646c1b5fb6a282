"""Predictions for many classifiers at once: a file per network, or one safetensors of stacked networks. No gradio."""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from nfn.reader.stack import is_stack, read_stack

from app.actions import RequestError, Source, device, predictor
from app.generalization import only_small_cnns, open_classifier, predict_network
from nfn.features import WeightSpaceFeatures
from nfn.network import Network
from nfn.reader import NetworkFileError

if TYPE_CHECKING:
    from nfn.generalization import Generalization

MAX_FILES = 200
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell's text for a formula."""


@dataclass(frozen=True)
class BatchRow:
    """One network of a batch: its prediction, or the sentence that says why there is none."""

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
    if not paths:
        raise RequestError("Upload at least one file.")
    if len(paths) > MAX_FILES:
        raise RequestError(
            f"Got {len(paths)} files; at most {MAX_FILES} are read at once. Stack them into one."
        )
    return [row for path in paths for row in _rows(path)]


def _rows(path: str) -> list[BatchRow]:
    name = Path(path).name
    try:
        if is_stack(path):
            return predict_stack(path)
        return [_row(name, predict_network(open_classifier(Source(path=path))))]
    except (RequestError, NetworkFileError) as error:
        return [BatchRow(name, error=str(error))]


def predict_stack(path: str) -> list[BatchRow]:
    """A row per network of one safetensors file of stacked tensors `(n, ...)`, named `<file>[i]`."""
    name, rows, good = Path(path).name, {}, {}
    for i, network in enumerate(read_stack(path)):
        try:
            good[i] = only_small_cnns(network)
        except RequestError as error:
            rows[i] = BatchRow(f"{name}[{i}]", error=str(error))
    for i, result in zip(good, _predict_together(list(good.values())), strict=True):
        rows[i] = _row(f"{name}[{i}]", result)
    return [rows[i] for i in sorted(rows)]


@torch.no_grad()
def _predict_together(networks: list[Network]) -> "list[Generalization]":
    if not networks:
        return []
    features = WeightSpaceFeatures.cat([network.normalized for network in networks])
    activations = [network.classifier.activation for network in networks]
    try:
        return predictor("generalization").predict_batch(features.to(device()), activations)
    except ValueError as error:
        raise RequestError(str(error)) from error


def _row(name: str, result: "Generalization") -> BatchRow:
    return BatchRow(
        name, result.test_accuracy, result.low, result.high, result.typical, result.images, result.activation
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
