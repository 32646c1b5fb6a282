"""What the shipped predictors answer to a few networks of the embedded zoo, as numbers to compare with.

python -m tests.golden      # writes tests/data/golden.json; only where a predictor was trained anew on purpose
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from nfn.accuracy.predictor import AccuracyPredictor
from nfn.classifier import InrClassifier
from nfn.editor import InrEditor
from nfn.generalization import GeneralizationPredictor
from nfn.tickets import TicketPredictor
from nfn.weight_reader import WeightReader
from zoo.catalog import Zoo
from zoo.evaluate_accuracy import small_estimate

FILE = Path(__file__).parent / "data" / "golden.json"


def inr_classifier(zoo: Zoo, zoo_id: str) -> list[float]:
    """The typicality, the probability of each image set and of each label."""
    answer = zoo.predictor("inr-classifier", InrClassifier).predict(zoo.network(zoo_id))
    return [answer.typicality, *answer.domain_probabilities.values(), *answer.probabilities.values()]


def inr_editor(zoo: Zoo, zoo_id: str) -> list[float]:
    """The error of an edit, and the spread of the edited weights of each layer."""
    edit = zoo.predictor("inr-editor", InrEditor).edit(zoo.network(zoo_id), "dilate")
    return [edit.mse, *(float(weight.std()) for weight in edit.network.features.weights)]


def generalization(zoo: Zoo, zoo_id: str) -> list[float]:
    """The accuracy, its interval and the typicality."""
    answer = zoo.predictor("generalization", GeneralizationPredictor).predict(zoo.network(zoo_id))
    return [answer.test_accuracy, answer.low, answer.high, answer.typicality]


def accuracy(zoo: Zoo, zoo_id: str) -> list[float]:
    """The accuracy, its interval, and the accuracy on the pictures that the network was shown."""
    collection = zoo.collection(zoo_id.partition("/")[0])
    number = int(zoo_id.rpartition("/")[2])
    model = zoo.predictor("accuracy", AccuracyPredictor)
    answer = small_estimate(model, collection, number, collection.rows.to_pylist()[number])
    return [answer.test_accuracy, answer.low, answer.high, answer.seen]


def labels_alone(name: str, zoo: Zoo, zoo_id: str) -> list[float]:
    """The probability of each label that weights alone give."""
    answer = zoo.predictor(name, WeightReader).predict(zoo.network(zoo_id))
    return list(answer.probabilities.values())


def number_alone(name: str, zoo: Zoo, zoo_id: str) -> list[float]:
    """The number that weights alone say."""
    number = zoo.predictor(name, WeightReader).predict(zoo.network(zoo_id)).number
    assert number is not None, "This reader predicts numbers."
    return [number]


def ticket_shares(name: str, zoo: Zoo, zoo_id: str) -> list[float]:
    """The share of each layer's weights that a ticket of 5% of all weights keeps."""
    scores = zoo.predictor(name, TicketPredictor).predict(zoo.network(zoo_id)).scores
    lowest = torch.cat([score.flatten() for score in scores]).quantile(0.95)
    return [float((score > lowest).float().mean()) for score in scores]


GRAY_SIRENS = ("mnist-sirens/test/18", "fashion-mnist-sirens/test/8")  # which leave the classifier in doubt
COLOUR_SIRENS = ("cifar10-sirens/test/39",)
CNNS = ("cifar10-cnns/test/0", "fashion-mnist-cnns/test/5")
ANSWERS: dict[str, tuple[Callable[[Zoo, str], list[float]], tuple[str, ...]]] = {
    "inr-classifier": (inr_classifier, (*GRAY_SIRENS, *COLOUR_SIRENS)),
    "inr-editor": (inr_editor, (*GRAY_SIRENS, *COLOUR_SIRENS)),
    "generalization": (generalization, CNNS),
    "accuracy": (accuracy, CNNS),
    "reader-gray": (partial(labels_alone, "reader-gray"), GRAY_SIRENS),
    "reader-colour": (partial(labels_alone, "reader-colour"), COLOUR_SIRENS),
    "reader-cifar10-cnns": (partial(number_alone, "reader-cifar10-cnns"), CNNS[:1]),
    "reader-fashion-mnist-cnns": (partial(number_alone, "reader-fashion-mnist-cnns"), CNNS[1:]),
    "tickets-mnist": (partial(ticket_shares, "tickets-mnist"), ("mnist-inits/test/0",)),
    "tickets-cifar10": (partial(ticket_shares, "tickets-cifar10"), ("cifar10-inits/test/0",)),
}
"""By predictor, the numbers that are taken from its answer, and the networks that it is given."""


def answers(predictor: str) -> Iterator[tuple[str, list[float]]]:
    """Each network that a predictor is given, and its numbers."""
    (numbers, zoo_ids), zoo = ANSWERS[predictor], Zoo()
    for zoo_id in zoo_ids:
        yield zoo_id, [round(number, 5) for number in numbers(zoo, zoo_id)]


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: dict(answers(name)) for name in ANSWERS}, indent=1) + "\n")
