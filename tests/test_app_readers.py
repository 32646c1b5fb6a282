"""Two readings side by side: what each says, whether they agree, and where weights alone cannot be read."""

from dataclasses import replace

import pytest

from app import readers
from app.actions import RequestError, Source, open_network
from app.panels import verdict
from app.readers import TwoReadings, answer, read_twice, weights_line
from app.tabs import inr_views
from nfn.weight_reader import WeightReading

SEVEN = Source(zoo_id="mnist-sirens/test/0")
SHIRT = Source(zoo_id="fashion-mnist-sirens/test/0")


@pytest.mark.parametrize("collection", ["mnist-sirens", "fashion-mnist-sirens"])
def test_both_readers_read_gray_sirens_of_the_zoo(collection):
    both = [read_twice(Source(zoo_id=f"{collection}/test/{i}")) for i in range(20)]
    assert all(one.weights is not None for one in both)
    assert sum(one.agree for one in both) >= (16 if collection == "mnist-sirens" else 11)


def test_a_colour_picture_has_no_second_reading():
    assert read_twice(Source(zoo_id="cifar10-sirens/test/0")).weights is None


def test_the_page_shows_both_answers_and_what_each_looked_at():
    both = read_twice(SEVEN)
    page = verdict(both.best, "auto", "", weights_line(both))
    assert "Weights alone: 7" in page and "the same answer" in page and "looked at weights and biases" in page


def test_another_answer_is_marked_and_escaped():
    said = WeightReading("<set>", "<b>", {"<b>": 0.93}, {"<set>": 1.0})
    line = weights_line(replace(read_twice(SEVEN), weights=said))
    assert "≠" in line and "another answer" in line and "&lt;b&gt;" in line and "(93.0%, &lt;set&gt;)" in line


def test_what_no_reader_knows_has_no_line_and_a_sentence_over_the_api(monkeypatch):
    monkeypatch.setattr(readers, "READERS", ())
    readers.read_twice.cache_clear()
    both = read_twice(SHIRT)
    assert both == TwoReadings(both.best, None) and weights_line(both) == "" and not both.agree
    with pytest.raises(RequestError, match="Leave reader at best"):
        answer(SHIRT, "auto", "weights")
    readers.read_twice.cache_clear()


def test_the_api_gives_the_answer_that_is_asked_for():
    best, weights = answer(SEVEN, "auto", "best"), answer(SEVEN, "mnist", "weights")
    assert best.predictor == "inr-classifier" and weights.predictor == "reader-gray"
    assert best.label == weights.label == "7" and best.typical and weights.typical
    assert sum(weights.probabilities.values()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(RequestError, match="Unknown reader 'fastest': choose best or weights"):
        answer(SEVEN, "auto", "fastest")


def test_a_reader_that_does_not_know_the_domain_is_not_asked():
    assert readers.reader_of(open_network(SEVEN), "cifar10") is None


def test_the_neurons_that_moved_the_answer_are_named():
    found = readers.attribute(SEVEN)
    assert found.network.features.weights[1].shape == (1, 1, 32, 32)
    line = readers.attribution_line(found)
    assert "Weights alone: <b>7</b>" in line and "in layer 1" in line and "in layer 2" in line
    plot, note, shown = inr_views.show_attribution(SEVEN, "auto")
    assert plot.value is not None and "spoke for it" in note and shown == line


def test_where_no_reader_reads_there_is_no_attribution(monkeypatch):
    monkeypatch.setattr(readers, "READERS", ())
    readers.read_twice.cache_clear()
    _, _, line = inr_views.show_attribution(SEVEN, "auto")
    assert "No reader of weights alone" in line
    readers.read_twice.cache_clear()
