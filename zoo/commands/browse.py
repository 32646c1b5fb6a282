"""`python -m zoo list`, `show` and `index`."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nfn.spec import NetworkSpec
from zoo.catalog import Zoo, write_catalog
from zoo.errors import ZooError
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
    console.print(f"{opened.source}:", highlight=False)
    collections = Table("Collection", "Networks", "Size", "Licence", "What it is", box=SIMPLE_HEAD)
    for info in opened.collections():
        splits = "\n".join(f"{split} {count:,}" for split, count in info.splits.items())
        size = _megabytes(info.size)
        collections.add_row(info.name, plain(splits), size, plain(info.licence), plain(info.title))
    predictors = Table("Predictor", "Size", "Task", "What it is", box=SIMPLE_HEAD)
    for info in opened.predictors():
        predictors.add_row(info.name, _megabytes(info.size), plain(info.task), plain(info.title))
    console.print(collections, predictors)


def show(
    name: Annotated[str, typer.Argument(help="a collection, a predictor or a zoo id")],
    zoo: ZooOption = None,
) -> None:
    """Show the facts of a collection, a predictor or one network."""
    opened = open_zoo(zoo)
    if "/" in name:
        return print_facts(opened.row(name))
    infos = {info.name: info for info in opened.predictors()}
    if name in infos:
        info = infos[name]
        files = {file.name: f"{file.size:,} bytes, sha256 {file.sha256}" for file in info.files}
        return print_facts({"name": name, "title": info.title, "task": info.task, **files})
    print_facts(_collection_facts(opened, name))


def index(folder: Annotated[Path, typer.Argument(help="folder of the zoo")]) -> None:
    """Write the catalog of a zoo from the contents of its folders."""
    if not folder.is_dir():
        raise ZooError(f"{folder} is not a folder: name one that contains collections/ or predictors/.")
    write_catalog(folder)
    list_zoo(str(folder.resolve()))


def _collection_facts(opened: Zoo, name: str) -> dict[str, object]:
    collection = opened.collection(name)
    spec = collection.spec
    measure = spec.family.measure
    values = collection.rows[measure.column].to_numpy()
    return {
        "name": name,
        "title": spec.title,
        "networks": ", ".join(f"{split} {count:,}" for split, count in collection.splits.items()),
        "weights": _layers(spec.layers),
        **(
            {"tensor names": ", ".join(f"{names.weight}, {names.bias}" for names in spec.names)}
            if spec.names
            else {}
        ),
        **({"convention": _joined(asdict(spec.siren))} if spec.family.network == "siren" else {}),
        "labels": ", ".join(spec.label_names),
        "images": _joined(spec.images),
        "build": _joined(spec.build),
        measure.title: f"{measure.text(values.mean())} on average, {measure.text(values.min())} to "
        f"{measure.text(values.max())}",
    }


def _layers(layers: NetworkSpec | None) -> str:
    if layers is None:
        return "an architecture of its own for each network"
    return ", ".join(str(weight.shape) for weight in layers.weight_spec)


def _joined(facts: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def print_facts(facts: Mapping[str, object]) -> None:
    """Print a line for each fact."""
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        table.add_row(f"[bold]{plain(key)}", plain(str(value)))
    console.print(table)


def plain(text: str) -> str:
    """Untrusted text for a terminal, without markup and control characters."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
