"""Evaluation measures what it says, and cards say what was measured."""

from pathlib import Path

import pytest
import torch
import yaml

from nfn.classifier import InrClassifier
from nfn.editor import InrEditor
from nfn.operators import apply_style
from nfn.siren import render
from zoo import images
from zoo.card import classifier_card, editor_card, table
from zoo.catalog import EMBEDDED, Zoo
from zoo.collection import Collection
from zoo.evaluate_classifier import accuracy_row, evaluate_classifier
from zoo.evaluate_editor import adam, edit_all, error, evaluate_editor, true_images
from zoo.evaluate_typicality import shuffle_entries

IMAGES = Path(__file__).parent / "data/images"
DIGITS = EMBEDDED / "collections/mnist-sirens"
TRAINING = {
    "recipe": {"steps": 3, "seed": 0}, "seconds": 120, "device": "cpu", "machine": "2 cores", "torch": "2.13.0",
    "collections": [{"collection": "c", "images": "mnist", "recipe": "varied", "networks": 5, "psnr": 30.0}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def bundled_images(monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))


@pytest.fixture
def few(monkeypatch):
    """Evaluate on 20 networks at a time, so that a whole evaluation takes seconds."""
    monkeypatch.setattr("zoo.evaluate_classifier.BATCH", 20)


def test_accuracy_counts_right_answers():
    model, collection = Zoo().predictor("inr-classifier", InrClassifier), Collection(DIGITS)
    row = accuracy_row(model, collection)
    right = [
        model.predict(collection.network(f"test/{i}"), "mnist").label == str(int(label))
        for i, label in enumerate(collection.labels)
    ]
    assert row["accuracy"] == pytest.approx(sum(right) / len(right), abs=1e-4)
    assert row["networks"] == len(collection) and row["images"] == "mnist"


def test_the_classifiers_card_has_every_figure(few):
    metrics = evaluate_classifier(Zoo().predictor("inr-classifier", InrClassifier), [DIGITS])
    assert all(row["permuted"] < 1e-2 for row in metrics["symmetry"])
    baseline = {"model": "published", "train": "t", "test": "u", "epochs": 10, "accuracy": 0.288, "seconds": 780,
                "device": "CPU"}  # fmt: skip
    card = classifier_card(TRAINING, metrics, [baseline])
    assert f"{100 * metrics['accuracy'][0]['accuracy']:.1f}%" in card and "28.8%" in card
    header = yaml.safe_load(card.split("---")[1])
    value = header["model-index"][0]["results"][0]["metrics"][0]["value"]
    assert value == metrics["accuracy"][0]["accuracy"]


def test_a_card_without_baselines_says_so(few):
    metrics = {"accuracy": [], "symmetry": [], "milliseconds": 1}
    assert "Not measured yet" in classifier_card(TRAINING, metrics, [])


def test_the_editors_card_has_every_figure():
    metrics = evaluate_editor(Zoo().predictor("inr-editor", InrEditor), [DIGITS], count=6)
    assert len(metrics["styles"]) == 5 and all(row["mse"] < row["unedited"] for row in metrics["styles"])
    card = editor_card(TRAINING, metrics, [])
    assert all(str(row["mse_true_image"]) in card for row in metrics["styles"])


def test_edits_in_bulk_are_those_of_single_networks():
    model, collection = Zoo().predictor("inr-editor", InrEditor), Collection(DIGITS)
    features = collection.features(slice(0, 3))
    target = apply_style(render(features, 28, 28).clamp(-1, 1), "dilate")
    bulk = edit_all(model, features, target)
    single = model.edit(collection.network("test/2"), "dilate").after
    torch.testing.assert_close(bulk[2], single, atol=2e-3, rtol=0)


def test_true_images_are_those_that_the_networks_hold():
    collection = Collection(DIGITS)
    truth, shown = true_images(collection, 8), render(collection.features(slice(0, 8)), 28, 28)
    assert error(shown, truth) < 0.01


def test_plain_adam_comes_closer_with_more_gradients():
    features = Collection(DIGITS).features(slice(0, 4))
    target = apply_style(render(features, 28, 28).clamp(-1, 1), "dilate")
    errors = [error(adam(features, target, 4e-3, steps), target) for steps in (0, 10, 40)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_shuffled_entries_are_the_same_numbers():
    x = torch.randn(2, 1, 4, 3, generator=torch.Generator().manual_seed(0))
    mixed = shuffle_entries(x, torch.Generator().manual_seed(0))
    assert torch.equal(mixed[1].flatten().sort().values, x[1].flatten().sort().values) and not torch.equal(
        mixed, x
    )


def test_tables_have_a_cell_for_each_column():
    assert table([{"a": 1, "b": 2}, {"a": 3}], {"a": "A", "b": "B"}) == (
        "| A | B |\n| --- | --- |\n| 1 | 2 |\n| 3 |  |"
    )
