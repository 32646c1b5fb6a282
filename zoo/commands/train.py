"""`python -m zoo train`: train a predictor and save it with the facts of its training."""

import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from nfn.accuracy.predictor import AccuracyPredictor
from nfn.editor import InrEditorConfig
from nfn.predictor import CONFIG_FILE, Predictor
from nfn.ticket_vae import TicketVae
from nfn.tickets import TicketConfig, TicketPredictor
from zoo.build import find_device
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.files import read_json
from zoo.train_accuracy import AccuracyRecipe, describe_training, describe_wild
from zoo.train_accuracy import train_accuracy as fit_accuracy
from zoo.train_classifier import ClassifierRecipe, calibrate
from zoo.train_classifier import train_classifier as fit_classifier
from zoo.train_editor import EditorRecipe
from zoo.train_editor import train_editor as fit_editor
from zoo.train_generalization import GeneralizationRecipe
from zoo.train_generalization import train_generalization as fit_generalization
from zoo.train_tickets import TicketTraining
from zoo.train_tickets import train_tickets as fit_tickets

TRAINING_FILE = "training.json"
Collections = Annotated[list[Path], typer.Argument(help="folders of SIRENs fitted to training images")]
Work = Annotated[Path, typer.Option(help="folder for checkpoints; an interrupted command resumes from it")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Seed = Annotated[int, typer.Option(help="random seed")]
Out = Annotated[Path, typer.Option(help="folder to write the predictor to")]
Overwrite = Annotated[bool, typer.Option(help="replace an existing predictor")]


NAMES = ("inr-classifier", "inr-editor", "generalization", "accuracy")
MADE_IN = {name: Path("work") / name / "predictor" for name in NAMES}
"""The default folder for training and evaluating a predictor: never the embedded zoo."""


def check_out(out: Path, overwrite: bool) -> None:
    """Raise ZooError, before hours of training, if a predictor would be replaced without --overwrite."""
    if (out / CONFIG_FILE).exists() and not overwrite:
        raise ZooError(
            f"{out} already holds a predictor: name another folder with --out, or add --overwrite."
        )


def check_training_split(collections: list[Path]) -> None:
    """Raise ZooError if a collection has only networks of test images."""
    for folder in collections:
        if set(Collection(folder).rows["split"].to_pylist()) == {"test"}:
            raise ZooError(
                f"{folder} holds SIRENs of test images: a predictor trained on them cannot be measured on them. Name "
                "folders that were built with --split train."
            )


def train_classifier(
    collections: Collections,
    validation: Annotated[list[Path], typer.Option(help="folder of SIRENs to calibrate on; repeatable")],
    out: Out = MADE_IN["inr-classifier"],
    overwrite: Overwrite = False,
    work: Work = Path("work/inr-classifier"),
    steps: Annotated[int, typer.Option(help="training steps")] = ClassifierRecipe.steps,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train the SIREN classifier."""
    check_out(out, overwrite)
    check_training_split(collections)
    recipe, start = ClassifierRecipe(steps=steps, seed=seed), time.time()
    model = fit_classifier(collections, recipe, work, find_device(device))
    calibrate(model, validation)
    facts = {"recipe": asdict(recipe), "seconds": round(time.time() - start)}
    save("inr-classifier", model, out, collections, facts)


def train_editor(
    collections: Collections,
    out: Out = MADE_IN["inr-editor"],
    overwrite: Overwrite = False,
    work: Work = Path("work/inr-editor"),
    steps: Annotated[int, typer.Option(help="training steps")] = EditorRecipe.steps,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train the SIREN editor."""
    check_out(out, overwrite)
    check_training_split(collections)
    recipe, start = EditorRecipe(steps=steps, seed=seed), time.time()
    model = fit_editor(collections, InrEditorConfig(), recipe, work, find_device(device))
    facts = {"recipe": asdict(recipe), "seconds": round(time.time() - start)}
    save("inr-editor", model, out, collections, facts)


def train_generalization(
    collections: Annotated[
        list[Path], typer.Argument(help="folders of small CNNs; their train and validation splits are used")
    ],
    out: Out = MADE_IN["generalization"],
    overwrite: Overwrite = False,
    work: Work = Path("work/generalization"),
    steps: Annotated[int, typer.Option(help="training steps")] = GeneralizationRecipe.steps,
    seed: Seed = 0,
) -> None:
    """Train the predictor of small CNNs' test accuracies, and calibrate its intervals; minutes on a CPU."""
    check_out(out, overwrite)
    recipe, start = GeneralizationRecipe(steps=steps, seed=seed), time.time()
    model = fit_generalization(collections, recipe, work)
    facts = {"recipe": asdict(recipe), "seconds": round(time.time() - start), "probes": model.config.probes,
             "members": model.config.members}  # fmt: skip
    save("generalization", model, out, collections, facts)


def train_accuracy(
    folders: Annotated[
        list[Path], typer.Argument(help="folders of wild zoos; their training splits are used")
    ],
    out: Out = MADE_IN["accuracy"],
    overwrite: Overwrite = False,
    work: Work = Path("work/accuracy"),
    steps: Annotated[int, typer.Option(help="training steps")] = AccuracyRecipe.steps,
    extend: Annotated[
        Path | None, typer.Option(help="folder of a trained predictor, to learn from its networks as well")
    ] = None,
) -> None:
    """Train the test accuracy predictor of any classifier, and calibrate its intervals; on the CPU."""
    check_out(out, overwrite)
    recipe, start = AccuracyRecipe(steps=steps), time.time()
    earlier = None if extend is None else AccuracyPredictor.load(extend)
    model = fit_accuracy(folders, recipe, work, earlier=earlier)
    before = [] if extend is None else read_json(extend / TRAINING_FILE)["wild"]
    facts = {"recipe": asdict(recipe), "seconds": round(time.time() - start), **describe_training(model),
             "wild": [*before, *map(describe_wild, folders)]}  # fmt: skip
    save("accuracy", model, out, [], facts)


def train_tickets(
    collection: Annotated[Path, typer.Argument(help="folder of initializations and their tickets")],
    out: Out,
    work: Work,
    model: Annotated[
        str, typer.Option(help="direct, pointwise, vae, or magnitude (learns a unit per layer only)")
    ] = "direct",
    channels: Annotated[int, typer.Option(help="width of the layers")] = TicketConfig.channels,
    depth: Annotated[int, typer.Option(help="number of layers")] = TicketConfig.depth,
    moments: Annotated[
        str, typer.Option(help="steps of the short training after which gradients are read")
    ] = "1,32,256",
    images: Annotated[int, typer.Option(help="number of training images to store")] = TicketConfig.images,
    shrink: Annotated[
        int, typer.Option(help="factor by which stored images are reduced")
    ] = TicketConfig.shrink,
    coarse: Annotated[
        int, typer.Option(help="further factor by which the short training's images are reduced")
    ] = TicketConfig.coarse,
    steps: Annotated[int, typer.Option(help="training steps")] = TicketTraining.steps,
    overwrite: Overwrite = False,
    balanced: Annotated[bool, typer.Option(help="weight every layer, not every weight, equally")] = False,
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
    trained = fit_tickets(collection, config, training, work, find_device(device), kind)
    settings = {"model": model, "channels": channels, "depth": depth, "balanced": balanced, "images": images,
                "shrink": shrink, "coarse": coarse}  # fmt: skip
    facts = {"recipe": asdict(training), "seconds": round(time.time() - start), **settings,
             "moments": list(config.moments)}  # fmt: skip
    save("tickets", trained, out, [], {**facts, "pairs": Collection(collection).describe()})


def save(
    name: str,
    model: Predictor,
    folder: Path,
    collections: list[Path],
    facts: dict[str, Any],
    figure: str = "",
) -> None:
    """Write the predictor and its training facts, and print the command that measures it."""
    device = str(model.device)
    model.cpu().save(folder)
    facts = {**facts, "device": device, "machine": machine(), "torch": torch.__version__,
             "collections": [Collection(path).describe() for path in collections]}  # fmt: skip
    (folder / TRAINING_FILE).write_text(json.dumps(facts, indent=2) + "\n")
    count = sum(tensor.numel() for tensor in model.state_dict().values())
    print(f"Wrote {folder}: {count:,} parameters, {facts['seconds']} s{figure}. "
         f"Next: python -m zoo evaluate {name} HELD_OUT_FOLDER --folder {folder}")  # fmt: skip


def machine() -> str:
    """A description of the processor."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} {platform.machine()} cores{gpu}"
