"""A weights-only reader learns from a picture classifier's probabilities, and continues from another reader."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from nfn.classifier import InrClassifier
from nfn.weight_reader import WeightReader
from zoo.__main__ import app
from zoo.catalog import EMBEDDED, Zoo
from zoo.collection import Collection
from zoo.distill import teach
from zoo.errors import ZooError
from zoo.files import read_json
from zoo.train_reader import ReaderRecipe, ReaderSize, batch_loss, read_examples, reader_config, train_reader
from zoo.training import step_generator

IMAGES = Path(__file__).parent / "data/images"


@pytest.fixture(scope="module")
def teacher() -> InrClassifier:
    return Zoo().predictor("inr-classifier", InrClassifier)


def test_a_teacher_gives_the_probabilities_of_its_own_answers(digits, teacher, tmp_path):
    collection = Collection(digits)
    probabilities = teach(teacher, collection, tmp_path / "taught.pt")
    torch.testing.assert_close(probabilities.sum(1), torch.ones(16), atol=2e-3, rtol=0)
    answer = teacher.predict(collection.network("train/3"), "mnist")
    expected = torch.tensor([answer.probabilities[name] for name in collection.spec.label_names])
    torch.testing.assert_close(probabilities[3], expected, atol=2e-3, rtol=0)


def test_a_resumed_training_does_not_run_its_teacher_again(digits, teacher, tmp_path, monkeypatch):
    first = teach(teacher, Collection(digits), tmp_path / "taught.pt")
    monkeypatch.setattr(InrClassifier, "probabilities", None)
    assert torch.equal(teach(teacher, Collection(digits), tmp_path / "taught.pt"), first)


def test_a_teacher_of_other_labels_is_refused(digits, teacher, tmp_path):
    other = InrClassifier(replace(teacher.config, labels={"mnist": ["zero", "one"]}))
    with pytest.raises(ZooError, match="does not know the labels of digits"):
        teach(other, Collection(digits), tmp_path / "taught.pt")


def test_the_loss_is_a_weighted_mean_of_labels_and_teacher(digits):
    collection = Collection(digits)
    config = replace(reader_config("label", [collection], ReaderSize(4)), dropout=0.0)
    torch.manual_seed(0)
    model = WeightReader(config)
    with torch.no_grad():  # an untrained reader is nearly indifferent, and the losses are nearly the same
        for parameter in model.head[-1].parameters():
            parameter.mul_(20)
    uniform = torch.full((16, 10), 0.1)
    sets = read_examples(model, [collection], lambda collection: uniform)
    smooth = ReaderRecipe(
        samples=16, batch=8, noise=0.0, label_smoothing=1.0
    )  # all labels alike, as this teacher says
    hard = replace(smooth, label_smoothing=0.0)
    labels, taught = (
        batch_loss(model, sets, recipe, step_generator(0, 0))
        for recipe in (hard, replace(hard, distillation=1.0))
    )
    half = batch_loss(model, sets, replace(hard, distillation=0.5), step_generator(0, 0))
    torch.testing.assert_close(half, (labels + taught) / 2)
    torch.testing.assert_close(taught, batch_loss(model, sets, smooth, step_generator(0, 0)))
    assert (labels - taught).abs() > 1e-3


def test_a_training_continues_from_another_reader(digits, tmp_path):
    collection, still = Collection(digits), ReaderRecipe(samples=16, batch=8, learning_rate=0.0)
    torch.manual_seed(5)
    config = reader_config("label", [collection], ReaderSize(4))
    start = WeightReader(replace(config, dropout=0.2, views=3, moves=(0.3, 0.1, 0.1, 0.1), mirror=("mnist",)))
    start.scales.fill_(0.7)
    model = train_reader([digits], "label", ReaderSize(4), still, tmp_path, "cpu", start=start)
    for name, tensor in start.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert model.config == config
    with pytest.raises(ZooError, match="has another config"):
        train_reader([digits], "label", ReaderSize(8), still, tmp_path / "other", "cpu", start=start)


def test_a_larger_reader_answers_as_the_one_that_it_continues_and_then_learns(digits, tmp_path):
    collection, larger = Collection(digits), ReaderSize(channels=4, rounds=3, wide=6)
    torch.manual_seed(5)
    start = WeightReader(reader_config("label", [collection], ReaderSize(4))).eval()
    still, step = (ReaderRecipe(samples=16, batch=8, learning_rate=rate) for rate in (0.0, 1e-2))
    model = train_reader([digits], "label", larger, still, tmp_path / "still", "cpu", start=start)
    assert (model.config.rounds, model.config.wide, len(model.sweeps)) == (3, 6, 5)
    networks = collection.normalized()
    torch.testing.assert_close(model(networks), start(networks))
    learned = train_reader([digits], "label", larger, step, tmp_path / "step", "cpu", start=start)
    for name, tensor in model.state_dict().items():
        assert name == "scales" or not torch.equal(tensor, learned.state_dict()[name]), name
    with pytest.raises(ZooError, match="has another config"):
        train_reader([digits], "label", ReaderSize(4), still, tmp_path / "less", "cpu", start=model)


def test_both_are_options_of_the_command(digits, tmp_path):
    options = ["--samples", "16", "--batch", "8", "--channels", "4", "--device", "cpu"]
    first, second = tmp_path / "first", tmp_path / "second"
    train = ["train", "reader", str(digits), *options, "--out"]
    assert CliRunner().invoke(app, [*train, str(first), "--work", str(tmp_path / "a")]).exit_code == 0
    teacher = str(EMBEDDED / "predictors/inr-classifier")
    more = ["--work", str(tmp_path / "b"), "--teacher", teacher, "--start", str(first)]
    result = CliRunner().invoke(app, [*train, str(second), *more])
    assert result.exit_code == 0, result.output
    recipes = [read_json(folder / "training.json")["recipe"] for folder in (first, second)]
    assert [recipe["distillation"] for recipe in recipes] == [0.0, 0.8]
    assert WeightReader.load(second).config == WeightReader.load(first).config
