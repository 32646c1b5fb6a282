"""`python -m zoo list`, `show` and `index`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from zoo.catalog import EMBEDDED, Zoo, write_catalog
from zoo.remote import open_zoo

console = Console()
ZooOption = Annotated[
    str | None,
    typer.Option(
        "--zoo",
        envvar="WEIGHTSCOPE_ZOO",
        help="a folder, or owner/name[@revision] on the Hub; embedded if not given",
    ),
]


def list_zoo(zoo: ZooOption = None) -> None:
    """List the collections and predictors of a zoo."""
    opened = open_zoo(zoo)
    table = Table(Column("Name", no_wrap=True), "What it is", "Networks", "Splits", "Size", "Images' licence")
    for info in opened.collections():
        splits = ", ".join(f"{split} {count}" for split, count in info.splits.items())
        table.add_row(info.name, plain(info.title), f"{info.count:,}", plain(splits), _megabytes(info.size),
                      plain(info.licence))  # fmt: skip
    for info in opened.predictors():
        table.add_row(info.name, plain(f"{info.title} ({info.task})"), "", "", _megabytes(info.size), "")
    console.print(f"{opened.source}:", highlight=False)
    console.print(table)


def show(
    name: Annotated[str, typer.Argument(help="a collection, a predictor or a zoo id")],
    zoo: ZooOption = None,
) -> None:
    """Show the facts of a collection, a predictor or one network."""
    opened = open_zoo(zoo)
    if "/" in name:
        return _print_facts(opened.row(name))
    infos = {info.name: info for info in opened.predictors()}
    if name in infos:
        info = infos[name]
        files = {file.name: f"{file.size:,} bytes, sha256 {file.sha256}" for file in info.files}
        return _print_facts({"name": name, "title": info.title, "task": info.task, **files})
    _print_facts(_collection_facts(opened, name))


def index(folder: Annotated[Path, typer.Argument(help="folder of the zoo")] = EMBEDDED) -> None:
    """Write the catalog of a zoo anew, from what lies in its folders."""
    write_catalog(folder)
    list_zoo(str(folder.resolve()))


def _collection_facts(opened: Zoo, name: str) -> dict[str, object]:
    collection = opened.collection(name)
    spec = collection.spec
    measured = {
        "siren": ("psnr", "PSNR in dB"),
        "classifier": ("test_accuracy", "test accuracy"),
        "init": ("ticket_accuracy", "accuracy of the ticket"),
    }
    column, title = measured[spec.kind]
    values = collection.rows[column].to_numpy()
    return {
        "name": name,
        "title": spec.title,
        "networks": ", ".join(f"{split} {count:,}" for split, count in collection.splits.items()),
        "weights": ", ".join(str(weight.shape) for weight in spec.network.weight_spec),
        "tensor names": ", ".join(f"{names.weight}, {names.bias}" for names in spec.names),
        **({"convention": _joined(asdict(spec.siren))} if spec.kind == "siren" else {}),
        "labels": ", ".join(spec.label_names),
        "images": _joined(spec.images),
        "build": _joined(spec.build),
        title: f"{values.mean():.3g} on average, {values.min():.3g} to {values.max():.3g}",
    }


def _joined(facts: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _print_facts(facts: dict[str, object]) -> None:
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        table.add_row(f"[bold]{plain(key)}", plain(str(value)))
    console.print(table)


def plain(text: str) -> str:
    """A stranger's text for a terminal: no markup, no control characters."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
