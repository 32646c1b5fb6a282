"""`python -m zoo train`: train a predictor and put it, with the facts of its training, where the zoo finds it."""

import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from nfn.editor import InrEditorConfig
from nfn.predictor import CONFIG_FILE, Predictor
from nfn.ticket_vae import TicketVae
from nfn.tickets import TicketConfig, TicketPredictor
from zoo.build import find_device
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.evaluate_classifier import describe
from zoo.train_accuracy import AccuracyRecipe, describe_training, describe_wild
from zoo.train_accuracy import train_accuracy as fit_accuracy
from zoo.train_classifier import ClassifierRecipe, calibrate
from zoo.train_classifier import train_classifier as fit_classifier
from zoo.train_editor import EditorRecipe
from zoo.train_editor import train_editor as fit_editor
from zoo.train_generalization import GeneralizationRecipe
from zoo.train_generalization import describe as describe_cnns
from zoo.train_generalization import train_generalization as fit_generalization
from zoo.train_tickets import TicketTraining, describe_pairs
from zoo.train_tickets import train_tickets as fit_tickets

TRAINING_FILE = "training.json"
Collections = Annotated[list[Path], typer.Argument(help="folders of SIRENs fitted to training images")]
Work = Annotated[Path, typer.Option(help="folder for checkpoints; the same command goes on from them")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Seed = Annotated[int, typer.Option(help="seed of every random number")]
Out = Annotated[Path, typer.Option(help="folder that the predictor is written into")]
Overwrite = Annotated[bool, typer.Option(help="replace a predictor that is there")]


NAMES = ("inr-classifier", "inr-editor", "generalization", "accuracy")
MADE_IN = {name: Path("work") / name / "predictor" for name in NAMES}
"""Where a predictor is trained and measured where no other folder is named: never in the zoo that ships."""


def check_out(out: Path, overwrite: bool) -> None:
    """ZooError, before hours of training, where a predictor would be replaced that nobody said may be."""
    if (out / CONFIG_FILE).exists() and not overwrite:
        raise ZooError(
            f"{out} holds a predictor already: name another folder with --out, or add --overwrite."
        )


def check_training_split(collections: list[Path]) -> None:
    """ZooError where a collection holds networks of test images only."""
    for folder in collections:
        if set(Collection(folder).rows["split"].to_pylist()) == {"test"}:
            raise ZooError(
                f"{folder} holds SIRENs of test images: what learns from them cannot be measured with them. Name "
                "folders that were built with --split train."
            )


def train_classifier(
    collections: Collections,
    validation: Annotated[
        list[Path], typer.Option(help="folder of SIRENs to calibrate on; may be given again")
    ],
    out: Out = MADE_IN["inr-classifier"],
    overwrite: Overwrite = False,
    work: Work = Path("work/inr-classifier"),
    steps: Annotated[int, typer.Option(help="training steps")] = ClassifierRecipe.steps,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train the classifier of SIRENs."""
    check_out(out, overwrite)
    check_training_split(collections)
    recipe, start = ClassifierRecipe(steps=steps, seed=seed), time.time()
    model = fit_classifier(collections, recipe, work, find_device(device))
    calibrate(model, validation)
    save(model, out, collections, {"recipe": asdict(recipe), "seconds": round(time.time() - start)})


def train_editor(
    collections: Collections,
    out: Out = MADE_IN["inr-editor"],
    overwrite: Overwrite = False,
    work: Work = Path("work/inr-editor"),
    steps: Annotated[int, typer.Option(help="training steps")] = EditorRecipe.steps,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train the editor of SIRENs."""
    check_out(out, overwrite)
    check_training_split(collections)
    recipe, start = EditorRecipe(steps=steps, seed=seed), time.time()
    model = fit_editor(collections, InrEditorConfig(), recipe, work, find_device(device))
    save(model, out, collections, {"recipe": asdict(recipe), "seconds": round(time.time() - start)})


def train_generalization(
    collections: Annotated[
        list[Path], typer.Argument(help="folders of small CNNs; their splits are respected")
    ],
    out: Out = MADE_IN["generalization"],
    overwrite: Overwrite = False,
    work: Work = Path("work/generalization"),
    steps: Annotated[int, typer.Option(help="training steps")] = GeneralizationRecipe.steps,
    seed: Seed = 0,
) -> None:
    """Train the predictor of test accuracies, and calibrate its intervals; minutes on a CPU."""
    check_out(out, overwrite)
    recipe, start = GeneralizationRecipe(steps=steps, seed=seed), time.time()
    model = fit_generalization(collections, recipe, work)
    facts = {"recipe": asdict(recipe), "seconds": round(time.time() - start), "probes": model.config.probes,
             "members": model.config.members}  # fmt: skip
    save(model, out, collections, facts)


def train_accuracy(
    folders: Annotated[list[Path], typer.Argument(help="folders of wild zoos; their splits are respected")],
    out: Out = MADE_IN["accuracy"],
    overwrite: Overwrite = False,
    work: Work = Path("work/accuracy"),
    steps: Annotated[int, typer.Option(help="training steps")] = AccuracyRecipe.steps,
) -> None:
    """Train the predictor of any classifier's test accuracy, and calibrate its intervals; on the CPU."""
    check_out(out, overwrite)
    recipe, start = AccuracyRecipe(steps=steps), time.time()
    model = fit_accuracy(folders, recipe, work)
    facts = {"recipe": asdict(recipe), "seconds": round(time.time() - start), **describe_training(model),
             "wild": [describe_wild(folder) for folder in folders]}  # fmt: skip
    save(model, out, [], facts)


def train_tickets(
    collection: Annotated[Path, typer.Argument(help="folder of initializations and their tickets")],
    out: Out,
    work: Work,
    model: Annotated[
        str, typer.Option(help="direct, pointwise, vae, or magnitude (a unit per layer, nothing else)")
    ] = "direct",
    channels: Annotated[int, typer.Option(help="width of the layers")] = TicketConfig.channels,
    depth: Annotated[int, typer.Option(help="number of layers")] = TicketConfig.depth,
    moments: Annotated[
        str, typer.Option(help="steps of the short training at which gradients are read")
    ] = "1,32,256",
    images: Annotated[int, typer.Option(help="training images that it stores")] = TicketConfig.images,
    shrink: Annotated[int, typer.Option(help="store them so many times smaller")] = TicketConfig.shrink,
    coarse: Annotated[
        int, typer.Option(help="let the short training see them so many times smaller")
    ] = TicketConfig.coarse,
    steps: Annotated[int, typer.Option(help="training steps")] = TicketTraining.steps,
    overwrite: Overwrite = False,
    balanced: Annotated[bool, typer.Option(help="let every layer count the same, not every weight")] = False,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train a predictor of winning tickets."""
    if model not in ("direct", "pointwise", "vae", "magnitude"):
        raise ZooError(f"Unknown model {model!r}: choose direct, pointwise, vae or magnitude.")
    rule = "magnitude" if model == "magnitude" else "model"
    config = TicketConfig(
        channels=channels, depth=depth, images=images, shrink=shrink, coarse=coarse, pointwise=model == "pointwise",
        balanced=balanced, moments=tuple(int(step) for step in moments.split(",")), rule=rule,
    )  # fmt: skip
    check_out(out, overwrite)
    training, start = TicketTraining(steps=steps, seed=seed), time.time()
    kind = TicketVae if model == "vae" else TicketPredictor
    found = fit_tickets(collection, config, training, work, find_device(device), kind)
    settings = {"model": model, "channels": channels, "depth": depth, "balanced": balanced, "images": images,
                "shrink": shrink, "coarse": coarse}  # fmt: skip
    facts = {"recipe": asdict(training), "seconds": round(time.time() - start), **settings,
             "moments": list(config.moments)}  # fmt: skip
    save(found, out, [], {**facts, "pairs": describe_pairs(Collection(collection))})


def save(model: Predictor, folder: Path, collections: list[Path], facts: dict[str, Any]) -> None:
    """Write the predictor and, beside it, what it was trained on and where."""
    device = str(model.device)
    model.cpu().save(folder)
    facts = {**facts, "device": device, "machine": machine(), "torch": torch.__version__,
             "collections": [describe_any(Collection(path)) for path in collections]}  # fmt: skip
    (folder / TRAINING_FILE).write_text(json.dumps(facts, indent=2) + "\n")
    print(f"Written into {folder}. Next: python -m zoo evaluate (see its --help) with --folder {folder}")


def describe_any(collection: Collection) -> dict[str, Any]:
    """The facts of a collection of either kind, for cards."""
    return describe(collection) if collection.spec.kind == "siren" else describe_cnns(collection)


def machine() -> str:
    """The processor, in words."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} {platform.machine()} cores{gpu}"
