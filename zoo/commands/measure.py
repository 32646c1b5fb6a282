"""`python -m zoo measure`: the accuracy of an image classifier on test images."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from nfn.network import NO_CLASSIFIER
from nfn.reader import read_network
from zoo.card_row import eval_results, model_index
from zoo.catalog import Zoo
from zoo.classifiers import Classifier, accuracy_predictors, classifier_at, identify_classifier
from zoo.commands.browse import ZooOption
from zoo.commands.predict import NetworkArgument, PartOption, is_file
from zoo.commands.rows import narrow_table
from zoo.errors import ZooError
from zoo.measure import Measured, Trial, as_dict, measure, own_trial
from zoo.remote import open_zoo
from zoo.small_cnns import override_convention

console = Console()


def measure_network(
    network: NetworkArgument,
    images: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help=".npz, .parquet, or a .zip with a folder per class"),
    ],
    pixels: Annotated[
        str,
        typer.Option(help="inputs for black and white, e.g. 0,1 or imagenet; auto: from the file, or detect"),
    ] = "auto",
    part: PartOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
    zoo: ZooOption = None,
) -> None:
    """Measure the accuracy of an image classifier on your own labelled images."""
    trial = own_trial(_open(open_zoo(zoo), network, pixels, part), images)
    measured = _run(trial)
    if as_json:
        print(json.dumps(as_dict(measured, trial), indent=2))
        return
    _print(measured, trial)
    print(model_index(Path(network).name if Path(network).is_file() else network, trial.dataset, measured))
    print(eval_results(trial.dataset, measured))


def _open(zoo: Zoo, text: str, pixels: str, part: str | None) -> Classifier:
    predictors = accuracy_predictors(zoo)
    if not is_file(zoo, text):
        return classifier_at(zoo, text, predictors)
    network = read_network(text, part=part)
    if network.kind != "classifier":
        raise ZooError(NO_CLASSIFIER)
    return identify_classifier(override_convention(network, pixels=pixels), predictors.pictures)


def _run(trial: Trial) -> Measured:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring", total=len(trial.images))
        measured = None
        for measured in measure(trial):
            bar.update(task, completed=measured.seen)
    assert measured is not None, "files without images are refused"
    return measured


def _print(measured: Measured, trial: Trial) -> None:
    console.print(
        f"[bold]{measured.accuracy:.1%}[/] of {measured.total:,} images; 95% interval {measured.low:.1%} to "
        f"{measured.high:.1%}",
        highlight=False,
    )
    table = narrow_table("Class", "Images", "Correct")
    for name, (correct, seen) in zip(trial.classes, measured.classes, strict=False):
        table.add_row(escape(name), f"{seen:,}", f"{correct / seen:.1%}" if seen else "")
    console.print(table)
    for sentence in trial.sentences:
        console.print(f"{escape(sentence)}.", highlight=False)
