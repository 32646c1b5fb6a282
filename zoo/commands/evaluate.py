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
from nfn.predictor import CONFIG_FILE
from zoo.build import find_device
from zoo.card import classifier_card, editor_card
from zoo.card_accuracy import RELIABILITY_PLOT, accuracy_card
from zoo.card_generalization import generalization_card
from zoo.card_plot import reliability_svg
from zoo.card_tickets import tickets_card
from zoo.commands.train import MADE_IN, TRAINING_FILE, Device
from zoo.evaluate_accuracy import evaluate_accuracy as measure_accuracy
from zoo.evaluate_classifier import evaluate_classifier as measure_classifier
from zoo.evaluate_editor import evaluate_editor as measure_editor
from zoo.evaluate_generalization import evaluate_generalization as measure_generalization
from zoo.evaluate_tickets import evaluate_tickets as measure_tickets
from zoo.evaluate_tickets import reader_rows
from zoo.executor import usable_cores
from zoo.files import read_json, write_json

SHIPPED = "this model"
METRICS_FILE, BASELINES_FILE, CARD_FILE = "metrics.json", "baselines.json", "README.md"
Folder = Annotated[Path, typer.Option(help="folder of the predictor, where the card is written")]
Collections = Annotated[list[Path], typer.Argument(help="folders of SIRENs fitted to held-out images")]


def evaluate_classifier(
    collections: Collections,
    folder: Folder = MADE_IN["inr-classifier"],
    device: Device = "auto",
) -> None:
    """Measure the SIREN classifier and write its card."""
    model = InrClassifier.load(folder, find_device(device))
    write_card(folder, classifier_card, measure_classifier(model, collections))


def evaluate_editor(
    collections: Collections,
    folder: Folder = MADE_IN["inr-editor"],
    count: Annotated[int, typer.Option(help="networks per collection")] = 200,
    device: Device = "auto",
) -> None:
    """Measure the SIREN editor and write its card."""
    model = InrEditor.load(folder, find_device(device))
    write_card(folder, editor_card, measure_editor(model, collections, count))


def evaluate_generalization(
    collections: Annotated[
        list[Path], typer.Argument(help="folders of small CNNs; their test splits are used")
    ],
    folder: Folder = MADE_IN["generalization"],
    device: Device = "auto",
) -> None:
    """Measure the predictor of small CNNs' test accuracies and write its card."""
    model = GeneralizationPredictor.load(folder, find_device(device))
    write_card(folder, generalization_card, measure_generalization(model, collections))


def evaluate_accuracy(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="folders of wild zoos; of builds that it was trained on, the held-out splits are used"
        ),
    ],
    small: Annotated[
        list[Path] | None, typer.Option(help="a collection of small CNNs to measure too; repeatable")
    ] = None,
    folder: Folder = MADE_IN["accuracy"],
    work: Annotated[Path, typer.Option(help="folder for cached features of the networks")] = Path(
        "work/accuracy"
    ),
) -> None:
    """Measure the test accuracy predictor of any classifier and write its card."""
    trained = read_json(folder / TRAINING_FILE)["wild"]
    metrics = measure_accuracy(AccuracyPredictor.load(folder), folders, small or [], work, trained)
    (folder / RELIABILITY_PLOT).write_text(reliability_svg(metrics["reliability"]))
    write_card(folder, accuracy_card, metrics)


def evaluate_tickets(
    collection: Annotated[Path, typer.Argument(help="folder of initializations and their tickets")],
    folder: Folder,
    work: Annotated[Path, typer.Option(help="folder for results; an interrupted command resumes from it")],
    beside: Annotated[
        list[str] | None,
        typer.Option(help="another predictor to measure, as NAME=FOLDER; repeatable"),
    ] = None,
    keep: Annotated[
        bool, typer.Option(help="reuse the folder's figures of other masks, measure only the predictors")
    ] = False,
) -> None:
    """Compare a predictor of winning tickets with other masks, and write its card."""
    others = dict(text.split("=", 1) for text in beside or [])
    folders = {SHIPPED: folder, **{name: Path(path) for name, path in others.items()}}
    earlier = json.loads((folder / METRICS_FILE).read_text()) if keep else None
    metrics = measure_tickets(collection, folders, work, usable_cores(), earlier)
    models = [model for name, path in folders.items() for model in model_facts(name, path)]
    if keep:
        models += [model for model in read_baselines(folder) if not model["model"].startswith(tuple(folders))]
    (folder / BASELINES_FILE).write_text(json.dumps(models, indent=2) + "\n")
    config = read_json(folder / CONFIG_FILE)
    write_json(folder / CONFIG_FILE, {**config, "readers": metrics["readers"]})  # the best one first
    write_card(folder, tickets_card, metrics)


def model_facts(name: str, folder: Path) -> list[dict[str, Any]]:
    """The card's facts about one model of the comparison, an entry for each of its readers."""
    training, readers = read_json(folder / TRAINING_FILE), read_json(folder / CONFIG_FILE)["readers"]
    facts = {key: training[key] for key in ("channels", "depth")}
    of_reader = {
        "training": {"what": training["model"], **facts, "moments": ", ".join(map(str, training["moments"]))},
        "weights": {"what": "reference", "moments": "none"},
    }
    return [
        {
            "model": row,
            **of_reader[reader],
            **_effort(training["reference"] if reader == "weights" else training),
        }
        for reader, row in reader_rows(name, readers).items()
    ]


def _effort(training: dict[str, Any]) -> dict[str, Any]:
    return {
        "device": training["device"], "steps": training["recipe"]["steps"], "minutes": round(training["seconds"] / 60)
    }  # fmt: skip


def read_baselines(folder: Path) -> list[dict[str, Any]]:
    """The figures of what was trained beside the predictor in `folder`, if anything."""
    path = folder / BASELINES_FILE
    return json.loads(path.read_text()) if path.exists() else []


def write_card(folder: Path, card: Callable[..., str], metrics: dict[str, Any]) -> None:
    """Write the metrics, then the card from them and from the training and baseline files in the folder."""
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=2) + "\n")
    training = json.loads((folder / TRAINING_FILE).read_text())
    (folder / CARD_FILE).write_text(card(training, metrics, read_baselines(folder)))
    Console().print(f"Wrote {folder / METRICS_FILE} and {folder / CARD_FILE}.")
