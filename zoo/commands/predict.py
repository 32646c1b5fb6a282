"""`python -m zoo predict`: ask a predictor about a network in a file or in the zoo."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nfn.network import Network
from zoo.catalog import EMBEDDED, Zoo
from zoo.commands.browse import ZooOption
from zoo.errors import ZooError

console = Console()
NetworkArgument = Annotated[
    str, typer.Argument(metavar="FILE|ZOO_ID", help="a checkpoint, or e.g. mnist-sirens/test/17")
]


def predict_inr(
    network: NetworkArgument,
    domain: Annotated[str, typer.Option(help="auto, mnist, fashion_mnist or cifar10")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    zoo: ZooOption = EMBEDDED,
) -> None:
    """Say what the image network shows."""
    opened = Zoo(zoo)
    result = opened.predictor("inr-classifier").predict(open_network(opened, network), domain)
    if as_json:
        return print(json.dumps({"network": network, **asdict(result)}))
    console.print(
        f"[bold]{result.label}[/] ({result.domain})" + ("" if result.typical else ", unlike the zoo")
    )
    table = Table(box=None, show_header=False)
    for name, probability in sorted(result.probabilities.items(), key=lambda item: -item[1])[:5]:
        table.add_row(name, f"{probability:.1%}")
    console.print(table)


def predict_edit(
    network: NetworkArgument,
    style: Annotated[str, typer.Option(help="dilate, erode, contrast, sharpen or neon")],
    out: Annotated[Path, typer.Option(help="where the edited network goes (safetensors)")],
    strength: Annotated[float, typer.Option(help="0 changes nothing, 1 is the style, more is more")] = 1.0,
    zoo: ZooOption = EMBEDDED,
) -> None:
    """Edit the image network, and save it under the tensor names that it came with."""
    from nfn.reader import write_network

    opened = Zoo(zoo)
    result = opened.predictor("inr-editor").edit(open_network(opened, network), style, strength)
    write_network(result.network, out)
    console.print(f"{out}: {style} at {strength:g}, PSNR {result.psnr:.1f} dB against the edited picture.")


def open_network(zoo: Zoo, text: str) -> Network:
    """The network in a file or under a zoo id; ZooError where the text is both or neither."""
    path = Path(text)
    if not path.is_file():
        return zoo.network(text)
    if text.split("/")[0] in {info.name for info in zoo.collections()}:
        raise ZooError(f"{text!r} is a file and looks like a zoo id: write ./{text} for the file.")
    from nfn.reader import read_network

    return read_network(path)
