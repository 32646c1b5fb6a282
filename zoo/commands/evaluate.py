"""`python -m zoo evaluate`: measure a predictor, and write `metrics.json` and its model card."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nfn.accuracy.predictor import AccuracyPredictor
from nfn.classifier import InrClassifier
from nfn.editor import InrEditor
from nfn.generalization import GeneralizationPredictor
from zoo.build import find_device, usable_cores
from zoo.card import classifier_card, editor_card
from zoo.card_accuracy import accuracy_card
from zoo.card_generalization import generalization_card
from zoo.card_tickets import tickets_card
from zoo.commands.train import MADE_IN, TRAINING_FILE, Device
from zoo.evaluate_accuracy import evaluate_accuracy as measure_accuracy
from zoo.evaluate_classifier import evaluate_classifier as measure_classifier
from zoo.evaluate_editor import evaluate_editor as measure_editor
from zoo.evaluate_generalization import evaluate_generalization as measure_generalization
from zoo.evaluate_tickets import evaluate_tickets as measure_tickets

SHIPPED = "this model"
METRICS_FILE, BASELINES_FILE, CARD_FILE = "metrics.json", "baselines.json", "README.md"
Folder = Annotated[Path, typer.Option(help="folder of the predictor, which its card is written into")]
Collections = Annotated[list[Path], typer.Argument(help="folders of SIRENs fitted to held-out images")]


def evaluate_classifier(
    collections: Collections,
    folder: Folder = MADE_IN["inr-classifier"],
    device: Device = "auto",
) -> None:
    """Measure the classifier of SIRENs and write its card."""
    model = InrClassifier.load(folder, find_device(device))
    write_card(folder, classifier_card, measure_classifier(model, collections))


def evaluate_editor(
    collections: Collections,
    folder: Folder = MADE_IN["inr-editor"],
    count: Annotated[int, typer.Option(help="networks per collection")] = 200,
    device: Device = "auto",
) -> None:
    """Measure the editor of SIRENs and write its card."""
    model = InrEditor.load(folder, find_device(device))
    write_card(folder, editor_card, measure_editor(model, collections, count))


def evaluate_generalization(
    collections: Annotated[list[Path], typer.Argument(help="folders of small CNNs; their test splits count")],
    folder: Folder = MADE_IN["generalization"],
    device: Device = "auto",
) -> None:
    """Measure the predictor of test accuracies and write its card."""
    model = GeneralizationPredictor.load(folder, find_device(device))
    write_card(folder, generalization_card, measure_generalization(model, collections))


def evaluate_accuracy(
    folders: Annotated[list[Path], typer.Argument(help="folders of wild zoos; their held-out splits count")],
    small: Annotated[
        list[Path] | None, typer.Option(help="a collection of small CNNs to measure too; may be given again")
    ] = None,
    folder: Folder = MADE_IN["accuracy"],
    work: Annotated[Path, typer.Option(help="folder in which what is read from networks is kept")] = Path(
        "work/accuracy"
    ),
) -> None:
    """Measure the predictor of any classifier's test accuracy and write its card."""
    write_card(
        folder, accuracy_card, measure_accuracy(AccuracyPredictor.load(folder), folders, small or [], work)
    )


def evaluate_tickets(
    collection: Annotated[Path, typer.Argument(help="folder of initializations and their tickets")],
    folder: Folder,
    work: Annotated[Path, typer.Option(help="folder for results; the same command goes on from them")],
    beside: Annotated[
        list[str] | None,
        typer.Option(help="another predictor to measure, as NAME=FOLDER; may be given again"),
    ] = None,
    keep: Annotated[
        bool, typer.Option(help="keep the folder's figures of other masks, and measure the predictors only")
    ] = False,
) -> None:
    """Measure a predictor of winning tickets against all other masks, and write its card."""
    others = dict(text.split("=", 1) for text in beside or [])
    folders = {SHIPPED: folder, **{name: Path(place) for name, place in others.items()}}
    earlier = json.loads((folder / METRICS_FILE).read_text()) if keep else None
    metrics = measure_tickets(collection, folders, work, usable_cores(), earlier)
    models = [{"model": name, **model_facts(place)} for name, place in folders.items()]
    if keep:
        known = json.loads((folder / BASELINES_FILE).read_text())
        models += [model for model in known if model["model"] not in folders]
    (folder / BASELINES_FILE).write_text(json.dumps(models, indent=2) + "\n")
    write_card(folder, tickets_card, metrics)


def model_facts(folder: Path) -> dict[str, Any]:
    """What the card tells of one model of the comparison."""
    training = json.loads((folder / TRAINING_FILE).read_text())
    facts = {key: training[key] for key in ("model", "channels", "depth", "device")}
    steps, minutes = training["recipe"]["steps"], round(training["seconds"] / 60)
    moments = ", ".join(map(str, training["moments"]))
    return {"what": facts.pop("model"), **facts, "moments": moments, "steps": steps, "minutes": minutes}


def write_card(folder: Path, card: Callable[..., str], metrics: dict[str, Any]) -> None:
    """Write the figures, then the card from them and from what training and the baselines left in the folder."""
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=2) + "\n")
    training = json.loads((folder / TRAINING_FILE).read_text())
    baselines = folder / BASELINES_FILE
    known = json.loads(baselines.read_text()) if baselines.exists() else []
    (folder / CARD_FILE).write_text(card(training, metrics, known))
    Console().print(f"Wrote {folder / METRICS_FILE} and {folder / CARD_FILE}.")
