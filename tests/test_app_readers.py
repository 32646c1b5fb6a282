"""Two readings side by side: what each says, whether they agree, and where weights alone cannot be read."""

from dataclasses import replace

import pytest
import torch

from app.networks.source import Source
from app.runtime.errors import RequestError
from app.tabs.generalization import actions as accuracy_actions
from app.tabs.generalization import readers as accuracy_readers
from app.tabs.generalization import views as accuracy_views
from app.tabs.inr import readers
from app.tabs.inr import views as inr_views
from app.tabs.inr.actions import open_network
from app.tabs.inr.html import verdict
from app.tabs.inr.readers import TwoReadings, answer, read_both, weights_line
from nfn.architecture.views import small_cnn_graph
from nfn.network import ClassifierConvention, Graph, Network
from nfn.permutation import permute, random_permutations
from nfn.reader import write_network
from nfn.weight_reader import WeightReading
from zoo import catalog
from zoo.catalog import Zoo
from zoo.classifiers import AccuracyPredictors, accuracy_from_weights

SEVEN = Source(zoo_id="mnist-sirens/test/0")
SHIRT = Source(zoo_id="fashion-mnist-sirens/test/0")
CNN = Source(zoo_id=max(Zoo().rows("cifar10-cnns"), key=lambda row: row["test_accuracy"])["id"])
WILD = Source(zoo_id="cifar10-wild/test/0")


AGREEING = {"mnist-sirens": 16, "fashion-mnist-sirens": 11, "cifar10-sirens": 9}
"""Of the first 20 SIRENs of each collection at least so many, by far more than chance."""


@pytest.mark.parametrize("collection", AGREEING)
def test_both_readers_read_sirens_of_the_zoo(collection):
    both = [read_both(Source(zoo_id=f"{collection}/test/{i}")) for i in range(20)]
    assert all(one.weights is not None for one in both)
    assert sum(one.agree for one in both) >= AGREEING[collection]


def test_the_page_shows_both_answers_and_what_each_looked_at():
    both = read_both(SEVEN)
    page = verdict(both.best, "auto", "", weights_line(both))
    assert "Weights alone: 7" in page and "the same answer" in page and "only weights and biases" in page


def test_another_answer_is_marked_and_escaped():
    said = WeightReading("<set>", "<b>", {"<b>": 0.93}, {"<set>": 1.0})
    line = weights_line(replace(read_both(SEVEN), weights=said))
    assert "≠" in line and "another answer" in line and "&lt;b&gt;" in line and "(93.0%, &lt;set&gt;)" in line


def test_domains_without_a_reader_have_no_line_and_an_api_error(monkeypatch):
    monkeypatch.setattr(catalog, "READER_PREFIX", "none-")
    readers.read_both.cache_clear()
    both = read_both(SHIRT)
    assert both == TwoReadings(both.best, None) and weights_line(both) == "" and not both.agree
    with pytest.raises(RequestError, match="Leave reader at best"):
        answer(SHIRT, "auto", "weights")
    readers.read_both.cache_clear()


def test_the_api_gives_the_answer_that_is_asked_for():
    best, weights = answer(SEVEN, "auto", "best"), answer(SEVEN, "mnist", "weights")
    assert best.predictor == "inr-classifier" and weights.predictor == "reader-gray"
    assert best.label == weights.label == "7" and best.typical and weights.typical
    assert sum(weights.probabilities.values()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(RequestError, match="Unknown reader 'fastest': choose best or weights"):
        answer(SEVEN, "auto", "fastest")


def test_a_reader_is_not_used_for_a_domain_it_does_not_know():
    assert readers.reader_of(open_network(SEVEN), "cifar10") is None


def test_the_neurons_that_moved_the_answer_are_named():
    found = readers.attribute(SEVEN)
    assert found.network.features.weights[1].shape == (1, 1, 32, 32)
    line = readers.attribution_line(found)
    assert "Weights alone: <b>7</b>" in line and "In layer 1" in line and "In layer 2" in line
    maps, note, shown = inr_views.show_attribution(SEVEN, "auto")
    assert maps.count("<img") == 3 and "Blue is for the answer" in note and shown == line


def test_without_a_reader_there_is_no_attribution(monkeypatch):
    monkeypatch.setattr(catalog, "READER_PREFIX", "none-")
    readers.read_both.cache_clear()
    _, _, line = inr_views.show_attribution(SEVEN, "auto")
    assert "No predictor in this zoo reads such a network from weights alone" in line
    readers.read_both.cache_clear()


def test_an_accuracy_from_weights_alone_has_no_interval():
    best, weights = accuracy_readers.answer(CNN, "best"), accuracy_readers.answer(CNN, "weights")
    assert best.predictor == "generalization" and weights.predictor == "reader-cifar10-cnns"
    assert best.accuracy == best.best.result.test_accuracy and best.low is not None and best.agree is None
    assert weights.accuracy == weights.best.weights == best.best.weights != best.accuracy
    assert (weights.low, weights.high, weights.coverage) == (None, None, None) and weights.agree is True
    assert weights.percentile is not None and 0 <= weights.percentile <= 100


@pytest.fixture
def permuted(tmp_path) -> tuple[Source, list[torch.Tensor]]:
    """An upload that declares its graph, with permuted hidden neurons; and the orders of its hidden layers."""
    network = Zoo().network(CNN.zoo_id or "")
    orders = list(random_permutations(network.spec, torch.Generator().manual_seed(0)))
    graph = Graph(*small_cnn_graph(permute(network.features, orders), "tanh", 32))
    convention = ClassifierConvention("tanh", 0.5, 0.5)
    write_network(Network(None, convention, graph=graph), tmp_path / "permuted.safetensors")
    return Source(path=str(tmp_path / "permuted.safetensors")), orders


def test_a_permuted_upload_gets_the_same_accuracy_and_the_permuted_attribution(permuted):
    source, orders = permuted
    here, there = accuracy_readers.answer(CNN, "weights"), accuracy_readers.answer(source, "weights")
    assert there.accuracy == pytest.approx(here.accuracy, abs=1e-5)
    found, moved = accuracy_readers.attribute(CNN), accuracy_readers.attribute(source)
    assert list(found.layers) == ["layer 1", "layer 2", "layer 3", "output"]
    wanted = permute(found.contributions, orders)
    for got, want in zip(moved.contributions.tensors, wanted.tensors, strict=True):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-3)


def test_what_came_and_what_is_wanted_is_said_where_no_reader_takes_a_classifier():
    came = r"this network \(CNN, 7 convolutions, SiLU, .* weights, trained on CIFAR-10\) from weights alone"
    wanted = r"weights of 16×1×3×3, 16×16×3×3, 16×16×3×3, 10×16, trained on CIFAR-10 or Fashion-MNIST\. Leave reader"
    for words in (came, wanted):
        with pytest.raises(RequestError, match=words):
            accuracy_readers.answer(WILD, "weights")
    with pytest.raises(RequestError, match="Unknown reader 'fastest': choose best or weights"):
        accuracy_readers.answer(CNN, "fastest")
    assert accuracy_readers.answer(WILD, "best").accuracy is not None


def test_a_zoo_without_readers_says_so(monkeypatch):
    without = replace(accuracy_actions.readers(), weights={})
    monkeypatch.setattr(accuracy_readers, "readers", lambda: without)
    with pytest.raises(
        RequestError, match="No predictor in this zoo reads a test accuracy from weights alone"
    ):
        accuracy_readers.answer(CNN, "weights")


def test_an_accuracy_that_is_not_typical_is_given_and_not_explained(monkeypatch):
    predicted = accuracy_actions.predict(CNN)
    doubtful = replace(
        predicted, result=replace(predicted.result, typical=False, low=0.0, high=1.0), weights=None
    )
    monkeypatch.setattr(accuracy_readers, "predict", lambda source: doubtful)
    answered = accuracy_readers.answer(CNN, "weights")
    assert answered.accuracy == predicted.weights and answered.agree is None
    with pytest.raises(RequestError, match="no reliable number"):
        accuracy_readers.attribute(CNN)


def test_a_doubtful_reading_gets_no_number_from_weights_alone(monkeypatch):
    predicted = accuracy_actions.predict(CNN)
    nothing = replace(predicted, result=replace(predicted.result, typical=False, test_accuracy=float("nan")))
    monkeypatch.setattr(accuracy_readers, "predict", lambda source: nothing)
    for reader in ("best", "weights"):
        assert accuracy_readers.answer(CNN, reader).accuracy is None


@pytest.mark.parametrize("factor", [0.0, 1e30])
def test_weights_of_any_size_give_an_accuracy_from_0_to_1_or_none(factor):
    predictors: AccuracyPredictors = accuracy_actions.readers()
    classifier = accuracy_actions.classifier_of(Source(zoo_id="cifar10-cnns/test/10"))  # tanh keeps its scale
    graph = accuracy_actions.require_graph(classifier)
    tensors = {name: tensor * factor for name, tensor in graph.tensors.items()}
    number = accuracy_from_weights(replace(classifier, graph=replace(graph, tensors=tensors)), predictors)
    assert number is None if factor else number is not None and 0 <= number <= 1


def test_the_weights_that_moved_an_accuracy_are_drawn_and_named():
    maps, line = accuracy_views.show_attribution(CNN)
    assert maps.count("<figure") == 4 and "layer 1: what each weight contributed as colours" in maps
    assert f"Weights alone: <b>{100 * (accuracy_actions.predict(CNN).weights or 0):.1f}%</b>" in line
    assert "In layer 3, neurons" in line and "Blue raised it, red lowered it" in line
    maps, line = accuracy_views.show_attribution(WILD)
    assert maps == "" and "from weights alone. The readers here take" in line
    assert [accuracy_views.show_weights(source)[-1].visible for source in (CNN, WILD)] == [True, False]
