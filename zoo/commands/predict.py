"""`python -m zoo predict`: ask a predictor about a network in a file or in the zoo."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nfn.classifier import InrClassifier
from nfn.editor import InrEditor
from nfn.generalization import GeneralizationPredictor
from nfn.network import Network
from zoo.catalog import Zoo
from zoo.classifiers import readers_of
from zoo.commands.browse import ZooOption
from zoo.errors import ZooError
from zoo.remote import open_zoo
from zoo.siren_conventions import AUTO
from zoo.siren_conventions import tell as tell_siren
from zoo.small_cnns import Answer, predict_alike, predict_file, tell

console = Console()
NetworksArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|ZOO_ID...", help="checkpoints, stacks of them, or e.g. cifar10-cnns/test/17"
    ),
]
NetworkArgument = Annotated[
    str, typer.Argument(metavar="FILE|ZOO_ID", help="a checkpoint, or e.g. mnist-sirens/test/17")
]
PartOption = Annotated[
    str | None, typer.Option(help="the network that is meant, such as actor, where the file holds several")
]
OmegaOption = Annotated[
    str, typer.Option(help="such as 30, or 30,1 for the first and the other layers; auto: found")
]
OrderOption = Annotated[str, typer.Option(help="row,col or x,y; auto: found")]
RangeOption = Annotated[str, typer.Option(help="such as -1,1 or 0,1 or -0.5,0.5 or -pi,pi; auto: found")]
LevelsOption = Annotated[
    str, typer.Option(help="the outputs of black and white, e.g. 0,1 or mnist (mean and std); auto: found")
]
OutputOption = Annotated[str, typer.Option(help="linear, sigmoid, tanh or sine; auto: found")]


def predict_inr(
    network: NetworkArgument,
    domain: Annotated[str, typer.Option(help="auto, mnist, fashion_mnist or cifar10")] = "auto",
    omega: OmegaOption = AUTO,
    coordinates: OrderOption = AUTO,
    coordinate_range: RangeOption = AUTO,
    pixels: LevelsOption = AUTO,
    output: OutputOption = AUTO,
    part: PartOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    zoo: ZooOption = None,
) -> None:
    """Say what the image network shows."""
    opened = open_zoo(zoo)
    siren = tell_siren(
        open_network(opened, network, part), omega, coordinates, coordinate_range, pixels, output
    )
    result = opened.predictor("inr-classifier", InrClassifier).predict(siren, domain)
    if as_json:
        return print(json.dumps({"network": network, **asdict(result)}))
    console.print(
        f"[bold]{result.label}[/] ({result.domain})" + ("" if result.typical else ", unlike the zoo")
    )
    table = Table(box=None, show_header=False)
    for name, probability in sorted(result.probabilities.items(), key=lambda item: -item[1])[:5]:
        table.add_row(name, f"{probability:.1%}")
    console.print(table)
    for sentence in (
        *result.assumed,
        *(f"Or {other.label}: {other.sentence}" for other in result.alternatives),
    ):
        console.print(sentence, highlight=False)


def predict_edit(
    network: NetworkArgument,
    style: Annotated[str, typer.Option(help="dilate, erode, contrast, sharpen or neon")],
    out: Annotated[Path, typer.Option(help="where the edited network goes (safetensors)")],
    strength: Annotated[float, typer.Option(help="0 changes nothing, 1 is the style, more is more")] = 1.0,
    omega: OmegaOption = AUTO,
    coordinates: OrderOption = AUTO,
    coordinate_range: RangeOption = AUTO,
    pixels: LevelsOption = AUTO,
    output: OutputOption = AUTO,
    part: PartOption = None,
    zoo: ZooOption = None,
) -> None:
    """Edit the image network, and save it under the tensor names that it came with."""
    from nfn.reader import write_network

    opened = open_zoo(zoo)
    siren = tell_siren(
        open_network(opened, network, part), omega, coordinates, coordinate_range, pixels, output
    )
    siren = opened.predictor("inr-classifier", InrClassifier).settle(siren)
    result = opened.predictor("inr-editor", InrEditor).edit(siren, style, strength)
    write_network(result.network, out)
    console.print(f"{out}: {style} at {strength:g}, PSNR {result.psnr:.1f} dB against the edited picture.")
    for sentence in siren.assumed:
        console.print(sentence, highlight=False)


def predict_generalization(
    networks: NetworksArgument,
    activation: Annotated[
        str, typer.Option(help="relu, tanh, gelu, ...; auto: the file's word, or found out")
    ] = "auto",
    pixels: Annotated[
        str,
        typer.Option(
            help="what black and white become, e.g. 0,1 or imagenet; auto: the file's word, or found"
        ),
    ] = "auto",
    part: PartOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print an object a line, one per network")] = False,
    zoo: ZooOption = None,
) -> None:
    """Predict the test accuracy of image classifiers."""
    opened = open_zoo(zoo)
    answers = [a for text in networks for a in answer_for(opened, text, activation, pixels, part)]
    if as_json:
        for answer in answers:
            facts = {"error": answer.error} if answer.result is None else asdict(answer.result)
            facts |= {"assumed": list(answer.assumed)} if answer.assumed else {}
            print(json.dumps({"network": answer.name, **facts}))
    else:
        print_generalization(answers)
    if any(answer.error for answer in answers):
        raise typer.Exit(1)


def answer_for(zoo: Zoo, text: str, activation: str, pixels: str, part: str | None = None) -> list[Answer]:
    """An answer per network of a file, or for the one of a zoo id."""
    if is_file(zoo, text):
        return predict_file(readers_of(zoo), text, activation, pixels, part)
    small = zoo.predictor("generalization", GeneralizationPredictor)
    return predict_alike(small, [text], [tell(zoo.network(text), activation, pixels)])


def print_generalization(answers: list[Answer]) -> None:
    """A table of what could be predicted, and a line for each network that could not."""
    table = Table("Network", "Test accuracy", "Interval", "Images", "Activation", "")
    for answer in answers:
        result = answer.result
        if result is not None:
            interval = f"{result.low:.1%} to {result.high:.1%} ({result.coverage:.0%})"
            doubt = "" if result.typical else "unlike the zoo"
            table.add_row(
                escape(answer.name),
                f"{result.test_accuracy:.1%}",
                interval,
                result.images,
                result.activation,
                doubt,
            )
    if table.rows:
        console.print(table)
    for answer in answers:
        if answer.error:
            console.print(f"[bold red]{escape(answer.name)}:[/] {escape(answer.error)}", highlight=False)


def open_network(zoo: Zoo, text: str, part: str | None = None) -> Network:
    """The network in a file, or `part` of it, or under a zoo id; ZooError where the text is both or neither."""
    if not is_file(zoo, text):
        return zoo.network(text)
    from nfn.reader import read_network

    return read_network(text, part=part)


def is_file(zoo: Zoo, text: str) -> bool:
    """Whether the text names a file and not a network of the zoo; ZooError where it looks like both."""
    if not Path(text).is_file():
        return False
    if text.split("/")[0] in {info.name for info in zoo.collections()}:
        raise ZooError(f"{text!r} is a file and looks like a zoo id: write ./{text} for the file.")
    return True
