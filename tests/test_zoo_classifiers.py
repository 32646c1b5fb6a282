"""What is said of a classifier at chance, and of one that can be read in several ways."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from nfn import write_network
from nfn.features import WeightSpaceFeatures
from nfn.layer_fit import NO_FIT
from nfn.reader import read_network
from nfn.wiring.identify import identify
from nfn.wiring.pictures import INVERTED
from zoo.__main__ import app
from zoo.catalog import Zoo
from zoo.classifiers import (
    AT_CHANCE,
    LARGEST_GAIN,
    MOST_SHIFTED,
    OVERCONFIDENT,
    SHIFTED_NORMS,
    Classifier,
    accuracy_predictors,
    moved_on_stored,
    predict_accuracy,
    zoo_classifier,
)
from zoo.train_generalization import uncouple


@pytest.fixture(scope="module")
def predictors():
    return accuracy_predictors(Zoo())


def taken_apart(zoo_id: str):
    """A trained network of the zoo, the rows of its layers permuted without their columns."""
    network = Zoo().network(zoo_id)
    return network.with_features(uncouple(network.features, torch.Generator().manual_seed(7)))


@pytest.mark.parametrize("collection", ["cifar10-cnns", "fashion-mnist-cnns"])
def test_networks_taken_apart_are_at_chance_and_the_note_says_why(collection, predictors):
    images = Zoo().collection(collection).images
    size = predictors.small.config.sizes[images]
    apart = zoo_classifier(taken_apart(f"{collection}/test/2"), images, size)
    result = predict_accuracy(apart, predictors)
    assert result.test_accuracy < 0.2 and result.note == f"{AT_CHANCE} {NO_FIT}"
    trained = zoo_classifier(Zoo().network(f"{collection}/test/2"), images, size)
    assert predict_accuracy(trained, predictors).note == ""


@pytest.mark.parametrize(
    ("apart", "words"), [(True, "do not fit each other"), (False, "fit each other as those of")]
)
def test_a_file_that_fits_no_pictures_is_said_to_be_trained_or_not(apart, words, tmp_path):
    """Without a declared wiring none is found; permuting the classes alone leaves the layers as they were trained."""
    network = taken_apart("cifar10-cnns/test/2") if apart else other_labels("cifar10-cnns/test/2")
    write_network(network, tmp_path / "net.safetensors")
    given = [f"--activation={network.classifier.activation or 'relu'}", "--pixels=-1,1"]  # a short search
    result = CliRunner().invoke(app, ["predict", "generalization", str(tmp_path / "net.safetensors"), *given])
    output = " ".join(result.output.split())
    assert result.exit_code == 1 and "better than by chance" in output and words in output


def other_labels(zoo_id: str):
    """A trained network of the zoo whose classes are numbered in another way: none stays where it was."""
    network = Zoo().network(zoo_id)
    rows = torch.arange(10).roll(1)
    weights, biases = list(network.features.weights), list(network.features.biases)
    weights[-1], biases[-1] = weights[-1][:, :, rows], biases[-1][:, :, rows]
    return network.with_features(WeightSpaceFeatures(weights, biases))


def test_a_reading_is_doubtful_if_its_accuracy_on_the_stored_images_differs(predictors):
    network = read_network(Path(__file__).parent / "data/foreign_cnns/lenet5.pt")
    general, identified = predictors.general, identify(network, predictors.general.picture_sets())
    assert identified is not None
    classifier = Classifier(network, identified.graph, identified.setting)
    result, best = predict_accuracy(classifier, predictors), identified.best
    inverted = replace(best, setting=replace(best.setting, pixels=INVERTED[0]))
    estimate = general.estimate_graph(identified.graph, best.setting)
    assert general.stored_accuracy(identified.graph, best.setting) == pytest.approx(estimate.seen, abs=1e-6)
    assert moved_on_stored(identified, [best, inverted], result, general) == [inverted]


@pytest.mark.parametrize("file", ["digits_bn.pt", "fashion_bn_after.pt"])
def test_a_reading_that_is_probably_not_the_networks_own_gets_no_interval(file, predictors):
    network = read_network(Path(__file__).parent / "data/foreign_cnns" / file)
    identified = identify(network, predictors.pictures)
    assert identified is not None and identified.best.norm_shift < 0.2
    classifier = Classifier(network, identified.graph, identified.setting, identified)
    result = predict_accuracy(classifier, predictors)
    assert result.typical
    for change, reason in (
        ({"norm_shift": MOST_SHIFTED + 0.01}, SHIFTED_NORMS),
        ({"temperature_gain": LARGEST_GAIN + 0.001}, OVERCONFIDENT),
        ({"confidence": identified.best.accuracy + 0.11}, OVERCONFIDENT),
    ):
        fits = (replace(identified.best, **change), *identified.fits[1:])
        doubtful = predict_accuracy(
            replace(classifier, identified=replace(identified, fits=fits)), predictors
        )
        assert (doubtful.typical, doubtful.low, doubtful.high) == (False, 0.0, 1.0)
        assert doubtful.reason == reason and doubtful.test_accuracy == result.test_accuracy
        declared = replace(identified, fits=fits, declared=True)
        assert predict_accuracy(replace(classifier, identified=declared), predictors).typical
