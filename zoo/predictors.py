"""The predictors that a zoo can hold. To add one, add a line to `PREDICTORS` and its loader."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nfn.predictor import Predictor
from zoo.errors import ZooError


def _load_classifier(folder: Path) -> Predictor:
    from nfn.classifier import InrClassifier

    return InrClassifier.load(folder)


def _load_editor(folder: Path) -> Predictor:
    from nfn.editor import InrEditor

    return InrEditor.load(folder)


def _load_generalization(folder: Path) -> Predictor:
    from nfn.generalization import GeneralizationPredictor

    return GeneralizationPredictor.load(folder)


def _load_accuracy(folder: Path) -> Predictor:
    from nfn.accuracy.predictor import AccuracyPredictor

    return AccuracyPredictor.load(folder)


def _load_tickets(folder: Path) -> Predictor:
    from nfn.tickets import TicketPredictor

    return TicketPredictor.load(folder)


def _load_reader(folder: Path) -> Predictor:
    from nfn.weight_reader import WeightReader

    return WeightReader.load(folder)


@dataclass(frozen=True)
class PredictorKind:
    """A predictor that a zoo can hold; `load` takes its folder, and imports its code only then."""

    name: str
    title: str
    task: str
    load: Callable[[Path], Predictor]


PREDICTORS = {
    p.name: p
    for p in (
        PredictorKind(
            "inr-classifier", "What an image network shows", "INR classification", _load_classifier
        ),
        PredictorKind("inr-editor", "Edits of image networks", "INR editing", _load_editor),
        PredictorKind(
            "generalization", "Test accuracy of small CNNs", "generalization prediction", _load_generalization
        ),
        PredictorKind(
            "accuracy", "Test accuracy of any image classifier", "generalization prediction", _load_accuracy
        ),
        PredictorKind(
            "reader-gray", "What weights alone say of gray pictures", "INR classification", _load_reader
        ),
        PredictorKind(
            "reader-colour", "What weights alone say of colour pictures", "INR classification", _load_reader
        ),
        PredictorKind("tickets-mnist", "Winning tickets of MLPs on MNIST", "sparsity masks", _load_tickets),
        PredictorKind(
            "tickets-cifar10", "Winning tickets of CNNs on CIFAR-10", "sparsity masks", _load_tickets
        ),
    )
}


READERS = ("reader-gray", "reader-colour")
"""The predictors that read weights alone."""


def predictor_kind(name: str) -> PredictorKind:
    """A line of the table; ZooError where this version has none of that name."""
    if name not in PREDICTORS:
        raise ZooError(f"Unknown predictor {name!r}: this version knows {', '.join(PREDICTORS)}.")
    return PREDICTORS[name]
