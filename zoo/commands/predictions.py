"""The commands of `python -m zoo predict`: those for one task, and `with`, which runs any predictor of a zoo."""

from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer

from nfn.network import Kind, Network
from zoo.commands.browse import ZooOption, print_facts
from zoo.commands.predict import (
    NetworksArgument,
    PartOption,
    named_networks,
    predict_edit,
    predict_generalization,
    predict_inr,
)
from zoo.commands.predict_ticket import predict_ticket
from zoo.commands.rows import CsvOption, JsonOption, print_rows
from zoo.remote import open_zoo

COMMANDS: dict[Kind, dict[str, Callable[..., None]]] = {
    "siren": {"inr": predict_inr, "edit": predict_edit},
    "classifier": {"generalization": predict_generalization, "ticket": predict_ticket},
}
"""By the kind of network that they take, which `look` suggests."""


def predict_with(
    predictor: Annotated[str, typer.Argument(metavar="PREDICTOR", help="its name, as `list` shows it")],
    networks: NetworksArgument,
    part: PartOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    zoo: ZooOption = None,
) -> None:
    """Run any predictor of a zoo; numbers and texts of its results are printed."""
    opened = open_zoo(zoo)
    model = opened.predictor(predictor)
    named = [pair for text in networks for pair in named_networks(opened, text, part)]
    faults = [str(x) if isinstance(x, Exception) else model.fault(x) for _, x in named]
    readable = [
        x for (_, x), fault in zip(named, faults, strict=True) if isinstance(x, Network) and not fault
    ]
    results = iter(model.predict_batch(readable))
    rows = [
        {"network": name, **(_facts(next(results)) if fault is None else {"error": fault})}
        for (name, _), fault in zip(named, faults, strict=True)
    ]
    if not print_rows(rows, as_json, as_csv):
        for row in rows:
            print_facts(row)
    if any(faults):
        raise typer.Exit(1)


def _facts(result: Any) -> dict[str, Any]:
    """The fields of a result that JSON can express."""
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    return {name: value for name, value in values.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)
