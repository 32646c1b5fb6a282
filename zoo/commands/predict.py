"""`python -m zoo predict`: run a predictor on a network in a file or in the zoo."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nfn.classifier import InrClassification, InrClassifier
from nfn.editor import InrEditor
from nfn.network import Network
from nfn.reader import NetworkFileError, read_network, write_network
from nfn.reader.stack import read_networks
from zoo.catalog import Zoo, parse_zoo_id
from zoo.classifiers import accuracy_predictors, classifier_at
from zoo.commands.browse import ZooOption
from zoo.commands.overwrite import OverwriteOption, check_new
from zoo.commands.rows import CsvOption, JsonOption, narrow_table, print_rows
from zoo.errors import ZooError
from zoo.remote import open_zoo
from zoo.siren_conventions import AUTO
from zoo.siren_conventions import override_convention as override_siren_convention
from zoo.small_cnns import Answer, override_convention, predict_alike, predict_classifier, predict_file

console = Console()
NetworksArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|ZOO_ID...",
        help="checkpoints, stacked networks, or networks of a zoo, as `list` and `show` name them",
    ),
]
NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE|ZOO_ID", help="a checkpoint, or a network of a zoo, as `list` and `show` name it"
    ),
]
PartOption = Annotated[
    str | None, typer.Option(help="name of the network to use, such as actor, if the file has several")
]
OmegaOption = Annotated[
    str, typer.Option(help="such as 30, or 30,1 for the first and the other layers; auto: detect")
]
OrderOption = Annotated[str, typer.Option(help="row,col or x,y; auto: detect")]
RangeOption = Annotated[str, typer.Option(help="such as -1,1 or 0,1 or -0.5,0.5 or -pi,pi; auto: detect")]
LevelsOption = Annotated[
    str, typer.Option(help="outputs for black and white, e.g. 0,1 or mnist (mean and std); auto: detect")
]
OutputOption = Annotated[str, typer.Option(help="linear, sigmoid, tanh or sine; auto: detect")]


def predict_inr(
    networks: NetworksArgument,
    domain: Annotated[str, typer.Option(help="auto, mnist, fashion_mnist or cifar10")] = "auto",
    omega: OmegaOption = AUTO,
    coordinates: OrderOption = AUTO,
    coordinate_range: RangeOption = AUTO,
    pixels: LevelsOption = AUTO,
    output: OutputOption = AUTO,
    part: PartOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    zoo: ZooOption = None,
) -> None:
    """Classify what image networks show."""
    opened = open_zoo(zoo)
    classifier = opened.predictor("inr-classifier", InrClassifier)

    def answer(network: Network) -> InrClassification:
        siren = override_siren_convention(network, omega, coordinates, coordinate_range, pixels, output)
        return classifier.predict(siren, domain)

    named = [pair for text in networks for pair in named_networks(opened, text, part)]
    answers = [
        (name, network if isinstance(network, Exception) else answer(network)) for name, network in named
    ]
    rows = [
        {"network": name, **({"error": str(a)} if isinstance(a, Exception) else asdict(a))}
        for name, a in answers
    ]
    if not print_rows(rows, as_json, as_csv):
        print_pictures(answers)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def print_pictures(answers: list[tuple[str, InrClassification | NetworkFileError]]) -> None:
    """Print the details of one network, or a table of several."""
    (name, result), *others = answers
    if not others and not isinstance(result, Exception):
        return _print_picture(result)
    table = narrow_table("Network", "Shows", "Probability", "Images", "")
    for name, result in answers:
        if isinstance(result, Exception):
            console.print(f"[bold red]{escape(name)}:[/] {escape(str(result))}", highlight=False)
            continue
        doubt = "" if result.typical else "none of these" if result.none_of_these else "doubtful"
        probability = f"{result.probabilities[result.label]:.1%}"
        table.add_row(escape(name), result.label, probability, result.domain, doubt)
    console.print(table)


def _print_picture(result: InrClassification) -> None:
    doubt = f"\nNot reliable. {result.reason}" if result.reason else ""
    console.print(f"[bold]{result.label}[/] ({result.domain}){doubt}", highlight=False)
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
    out: Annotated[Path, typer.Option(help="file to write the edited network to (safetensors)")],
    strength: Annotated[float, typer.Option(help="0 is no change, 1 the style, more exaggerates it")] = 1.0,
    omega: OmegaOption = AUTO,
    coordinates: OrderOption = AUTO,
    coordinate_range: RangeOption = AUTO,
    pixels: LevelsOption = AUTO,
    output: OutputOption = AUTO,
    part: PartOption = None,
    overwrite: OverwriteOption = False,
    zoo: ZooOption = None,
) -> None:
    """Edit an image network, and save it with its original tensor names."""
    check_new(out, overwrite)
    opened = open_zoo(zoo)
    siren = override_siren_convention(
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
        str, typer.Option(help="relu, tanh, gelu, ...; auto: from the file, or detect")
    ] = "auto",
    pixels: Annotated[
        str,
        typer.Option(help="inputs for black and white, e.g. 0,1 or imagenet; auto: from the file, or detect"),
    ] = "auto",
    part: PartOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    zoo: ZooOption = None,
) -> None:
    """Predict the test accuracy of image classifiers."""
    opened = open_zoo(zoo)
    answers = [a for text in networks for a in answer_for(opened, text, activation, pixels, part)]
    if not print_rows([facts_of(answer) for answer in answers], as_json, as_csv):
        print_generalization(answers)
    if any(answer.error for answer in answers):
        raise typer.Exit(1)


def answer_for(zoo: Zoo, text: str, activation: str, pixels: str, part: str | None = None) -> list[Answer]:
    """Predict each network of a file, or the one of a zoo id."""
    if is_file(zoo, text):
        return predict_file(accuracy_predictors(zoo), text, activation, pixels, part)
    predictors, network = accuracy_predictors(zoo), zoo.network(text)
    if network.graph is None:
        return predict_alike(predictors.small, [text], [override_convention(network, activation, pixels)])
    if not activation == pixels == AUTO:
        raise ZooError(f"What {text} computes is known: leave activation and pixels at auto.")
    return [predict_classifier(predictors, text, classifier_at(zoo, text, predictors))]


def facts_of(answer: Answer) -> dict[str, Any]:
    """An answer as plain data."""
    facts = {"error": answer.error} if answer.result is None else asdict(answer.result)
    return {"network": answer.name, **facts, **({"assumed": list(answer.assumed)} if answer.assumed else {})}


def print_generalization(answers: list[Answer]) -> None:
    """Print a table of predictions, and a line for each network that has none or is unlike the zoo."""
    table = narrow_table("Network", "Test accuracy", "Interval", "Images", "Activation")
    notes = []
    for answer in answers:
        result = answer.result
        if result is None:
            notes.append(f"[bold red]{escape(answer.name)}:[/] {escape(answer.error)}")
            continue
        interval = f"{result.low:.1%} to {result.high:.1%}"
        table.add_row(
            escape(answer.name), f"{result.test_accuracy:.1%}", interval, result.images, result.activation
        )
        if not result.typical:
            notes.append(f"[bold yellow]{escape(answer.name)}[/] is unlike the zoo: no interval is known.")
        if result.note:
            notes.append(f"[bold]{escape(answer.name)}[/]: {escape(result.note)}")
    if table.rows:
        console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def open_network(zoo: Zoo, text: str, part: str | None = None) -> Network:
    """Open the network in a file, its `part`, or a zoo id; ZooError if the text is both or neither."""
    if not is_file(zoo, text):
        return zoo.network(text)
    return read_network(text, part=part)


def named_networks(zoo: Zoo, text: str, part: str | None) -> list[tuple[str, Network | NetworkFileError]]:
    """The networks of a stack as `name[i]`, or the single one of a file or zoo id."""
    if not is_file(zoo, text):
        return [(text, zoo.network(text))]
    networks = read_networks(text, part=part)
    if len(networks) == 1:
        return [(text, networks[0])]
    return [(f"{Path(text).name}[{i}]", network) for i, network in enumerate(networks)]


def is_file(zoo: Zoo, text: str) -> bool:
    """Whether the text is a file rather than a zoo id; ZooError if it looks like both, or neither."""
    if not Path(text).is_file():
        _check_id(text)
        return False
    if text.split("/")[0] in {info.name for info in zoo.collections()}:
        raise ZooError(f"{text!r} is a file and looks like a zoo id: write ./{text} for the file.")
    return True


def _check_id(text: str) -> None:
    try:
        parse_zoo_id(text)
    except ZooError as error:
        raise ZooError(f"There is no such file, and {error}") from None
