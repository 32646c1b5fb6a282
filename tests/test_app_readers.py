"""Two readings side by side: what each says, whether they agree, and where weights alone cannot be read."""

from dataclasses import replace

import pytest

from app.networks.source import Source
from app.runtime.errors import RequestError
from app.tabs.inr import readers
from app.tabs.inr import views as inr_views
from app.tabs.inr.actions import open_network
from app.tabs.inr.html import verdict
from app.tabs.inr.readers import TwoReadings, answer, read_both, weights_line
from nfn.weight_reader import WeightReading
from zoo import catalog

SEVEN = Source(zoo_id="mnist-sirens/test/0")
SHIRT = Source(zoo_id="fashion-mnist-sirens/test/0")


@pytest.mark.parametrize("collection", ["mnist-sirens", "fashion-mnist-sirens"])
def test_both_readers_read_gray_sirens_of_the_zoo(collection):
    both = [read_both(Source(zoo_id=f"{collection}/test/{i}")) for i in range(20)]
    assert all(one.weights is not None for one in both)
    assert sum(one.agree for one in both) >= (16 if collection == "mnist-sirens" else 11)


def test_a_colour_picture_has_no_second_reading():
    assert read_both(Source(zoo_id="cifar10-sirens/test/0")).weights is None


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
