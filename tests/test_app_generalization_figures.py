"""Figures and words of the Generalization tab: every mark where it belongs, and nothing from a file becomes markup."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.networks.source import Source
from app.tabs.generalization import batch_html, measured_html, zoo_html
from app.tabs.generalization import html as tab_html
from app.tabs.generalization.actions import Predicted
from app.tabs.generalization.batch import BatchRow
from app.tabs.generalization.figures import (
    Axis,
    Dot,
    Span,
    axis_for,
    interval_strip,
    kernel_mosaic,
    layer_figures,
    scatter,
    weight_bars,
)
from app.tabs.generalization.symmetry import SymmetryCheck
from app.tabs.generalization.zoo_points import ZooPoint
from nfn.features import WeightSpaceFeatures
from nfn.generalization import Generalization
from nfn.network import ClassifierConvention, LayerNames, Network
from zoo.card_row import PLACEHOLDER
from zoo.classifiers import Classifier
from zoo.images import IMAGE_SETS, ImageSet
from zoo.measure import Measured, Trial

HOSTILE = '<img src=x onerror=alert(1)>&"'


def result(typical: bool = True, accuracy: float = 0.412) -> Generalization:
    low, high = (accuracy - 0.03, accuracy + 0.03) if typical else (0.0, 1.0)
    return Generalization(accuracy, low, high, 0.9, typical, 0.9, "cifar10", "relu")


def predicted(typical: bool = True, measured: float | None = None) -> Predicted:
    return Predicted(result(typical), 72.0, measured, ())


def point(number: int, measured: float, guess: float, typical: bool = True) -> ZooPoint:
    row = {"activation": "tanh", "optimizer": "sgd"}
    return ZooPoint(
        f"zoo/test/{number}", "cifar10", measured, guess, guess - 0.02, guess + 0.02, typical, row
    )


def small_cnn(name: str = "0") -> Network:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 1, 3, 3), (4, 4, 3, 3), (10, 4)]
    pairs = [
        (torch.randn(1, 1, *shape, generator=generator), torch.zeros(1, 1, shape[0])) for shape in shapes
    ]
    features = WeightSpaceFeatures.from_zipped(pairs)
    names = tuple(LayerNames(f"{name}{i}.weight", f"{name}{i}.bias") for i in range(3))
    return Network(features, ClassifierConvention(), names,
                   notes=(f"{name} was read.",))  # fmt: skip


def attributes(html: str, kind: str, name: str) -> list[float]:
    tags = re.findall(rf'<[a-z]+ class="{kind}"[^>]*>', html)
    return [float(re.search(rf'\b{name}="([\d.]+)%?"', tag)[1]) for tag in tags]  # pyright: ignore


@pytest.mark.parametrize(
    ("highest", "end"), [(0.04, 0.05), (0.25, 0.25), (0.42, 0.5), (0.93, 1.0), (1.0, 1.0)]
)
def test_an_axis_covers_all_values_and_ends_on_a_tick(highest, end):
    axis = axis_for([0.01, highest])
    assert axis.high == pytest.approx(end) == pytest.approx(axis.ticks[-1]) and len(axis.ticks) <= 6
    assert axis.at(0) == 0 and axis.at(end) == 100 and axis.at(2.0) == 100


def test_the_strip_shows_interval_prediction_and_truth_where_they_are():
    html = interval_strip(Span(0.4, 0.35, 0.45), Span(0.42, 0.42, 0.42), [0.1, 0.2, 0.5], "in words")
    (left,), (width,) = attributes(html, "band", "x"), attributes(html, "band", "width")
    assert (left, width) == (70, 20)
    assert attributes(html, "predicted", "cx") == [80] and attributes(html, "measured", "x") == [84]
    assert len(attributes(html, "zoo", "x")) == 3 and 'aria-label="in words"' in html


def test_the_strip_shows_no_untypical_number():
    html = interval_strip(None, None, [0.1, 0.2], "")
    assert 'class="band"' not in html and 'class="predicted"' not in html


def test_every_dot_lies_where_it_was_measured_and_predicted():
    dots = [
        Dot("zoo/test/1", 0.5, Span(0.25, 0.2, 0.3), "one"),
        Dot("zoo/test/2", 1.0, Span(1.0, 0.9, 1.0), "two"),
    ]
    html = scatter(dots, Span(0.5, 0.4, 0.6), None, "")
    assert attributes(html, "dot", "cx") == [50, 100] and attributes(html, "dot", "cy") == [75, 0]
    assert attributes(html, "band", "y") == [40] and attributes(html, "band", "height") == [20]
    assert 'class="measured"' not in html
    assert attributes(scatter(dots, Span(0.5, 0.4, 0.6), Span(0.45, 0.4, 0.5), ""), "measured", "x") == [45]


def test_kernels_are_tiles_with_gaps():
    weight = np.random.default_rng(0).normal(size=(4, 5, 3, 3))
    picture = kernel_mosaic(weight)
    assert picture.dtype == np.uint8 and picture.shape[2] == 4
    solid = (picture[..., 3] == 255).any(0)
    assert np.diff(solid.astype(int)).tolist().count(-1) == 4, "five kernels, four gaps"
    wide = np.random.default_rng(0).normal(size=(4, 7, 3, 3))
    assert kernel_mosaic(wide).shape[1] > kernel_mosaic(wide).shape[0], "a row of kernels for each neuron"
    assert (kernel_mosaic(np.zeros((2, 2)))[0, 0] == kernel_mosaic(np.zeros((2, 2)))[0, 1]).all()


@pytest.mark.parametrize(
    "shape",
    [
        (16, 1, 3, 3),
        (32, 3, 7, 7),
        (9, 4, 5, 5),
        (5, 1, 3, 3),
        (10, 16),
        (300, 200, 5, 5),
        (1, 1),
        (3, 1, 1, 7),
    ],
)
def test_layers_of_every_shape_can_be_drawn(shape):
    weight = np.random.default_rng(0).normal(size=shape)
    assert min(kernel_mosaic(weight).shape) >= 1 and max(kernel_mosaic(weight).shape) < 2000
    assert "<rect" in weight_bars(weight)


@pytest.mark.parametrize("shape", [(32, 3, 7, 7), (32, 1, 5, 5), (20, 4, 3, 3), (32, 2, 3, 3)])
def test_a_layer_of_few_input_channels_is_about_as_wide_as_high(shape):
    height, width, _ = kernel_mosaic(np.random.default_rng(0).normal(size=shape)).shape
    assert 0.6 < width / height < 1.7


def test_red_is_below_zero_and_blue_above():
    red, white, blue = (kernel_mosaic(np.array([[value, -1.0, 1.0]]))[0, 0] for value in (-1.0, 0.0, 1.0))
    assert red[0] > red[2] and blue[2] > blue[0] and min(white) >= 240


def test_every_layer_gets_a_figure():
    html = layer_figures(small_cnn().tensors())
    assert html.count("<figure>") == html.count("<img") == 3 and "<b>02</b>" in html


def test_the_result_leads_with_number_interval_and_place():
    html = tab_html.accuracy(predicted(measured=0.42), None, [0.1, 0.2], "")
    for words in ("41.2%", "38.2%", "44.2%", "9 of 10", "72%", "CIFAR-10", "42.0%", "inside"):
        assert words in html
    assert "not yet" in tab_html.accuracy(predicted(), None, [], "")
    outside = tab_html.accuracy(predicted(measured=0.6), None, [], "")
    assert "outside" in outside and "uncertain" not in outside


def test_a_measurement_on_few_images_that_may_miss_the_interval_by_chance_says_so():
    few, many = Measured(460, 1000, 1000, 0.1), Measured(4600, 10000, 10000, 0.1)
    assert few.low < predicted().result.high < many.low, "the interval ends at 44.2%"
    texts = [tab_html.accuracy(predicted(), measured, [], "") for measured in (few, many)]
    assert "uncertain, too: 42.9% to 49.1%" in texts[0] and "uncertain" not in texts[1]
    assert all("outside" in text for text in texts)


def test_an_untypical_number_is_struck_out_and_has_no_interval():
    html = tab_html.accuracy(predicted(typical=False), None, [0.1], "")
    assert "Unlike the zoo" in html and re.search(r"<s [^>]*>41.2%</s>", html)
    assert "between" not in html and 'class="band"' not in html and "Better than" not in html


def test_a_note_stands_where_the_place_in_the_zoo_would():
    shown = predicted()
    noted = replace(shown, result=replace(shown.result, note="Its layers <do> not fit."))
    html = tab_html.accuracy(noted, None, [0.1], "")
    assert "Its layers &lt;do&gt; not fit." in html and "Better than" not in html and "41.2%" in html


def test_what_was_measured_replaces_what_the_zoo_knows():
    html = tab_html.accuracy(predicted(measured=0.42), Measured(400, 1000, 1000, 0.1), [], "")
    assert "40.0%" in html and "1,000 test images" in html and "42.0%" not in html


def trial(dataset: ImageSet | str) -> Trial:
    """Images of a set, or of somebody's file, whose one class and sentence are hostile."""
    none = torch.zeros(0)
    return Trial(dataset, Classifier(small_cnn(), None, None), none, none, (HOSTILE,), (HOSTILE,))


@pytest.mark.parametrize(("right", "words"), [(410, "overlap"), (700, "do not overlap")])
def test_the_measured_accuracy_is_compared_with_the_prediction(right, words):
    done, source = Measured(right, 1000, 1000, 0.1, ((right, 1000),)), Source(zoo_id="zoo/test/1")
    line = measured_html.result(source, done, trial(IMAGE_SETS["cifar10"]), predicted())
    assert words in line and f"{right:,} classified correctly" in line and "type: uoft-cs/cifar10" in line
    other = measured_html.result(source, done, trial(IMAGE_SETS["mnist"]), predicted())
    assert "cannot be compared" in other and PLACEHOLDER not in other
    own = measured_html.result(source, done, trial("mnist"), predicted())
    assert "prediction" not in own.lower() and f"type: {PLACEHOLDER}" in own and "ylecun" not in own


def test_the_table_lists_the_best_first_and_the_plot_counts():
    points = [point(1, 0.2, 0.21), point(2, 0.4, 0.5), point(3, 0.3, 0.9, typical=False)]
    rows = re.findall(r'<tr data-zoo-id="zoo/test/(\d)"', zoo_html.networks_table(points))
    assert rows == ["2", "3", "1"] and "unlike the zoo" in zoo_html.networks_table(points)
    line = zoo_html.scatter_line(points)
    assert "the 2 held-out networks" in line and "5.5 points" in line and "1 of them (50%)" in line
    assert zoo_html.networks_table([]) and "no networks" in zoo_html.scatter_line([])
    assert zoo_html.zoo_scatter(points, predicted(), None).count("data-zoo-id") == 2


def test_a_batch_shows_only_typical_numbers():
    rows = [
        BatchRow("good", 0.41, 0.38, 0.44, True, "cifar10", "relu"),
        BatchRow("odd", 0.9, 0.0, 1.0, False, "cifar10", "tanh"),
        BatchRow("bad", error="Not a network."),
    ]
    table = batch_html.batch_table(rows)
    assert table[0][1:4] == [41.0, 38.0, 44.0] and table[1][1:4] == table[2][1:4] == [None] * 3
    assert "unlike" in str(table[1][-1]) and table[2][-1] == "Not a network."
    long = batch_html.batch_table([BatchRow("bad", error="a sentence " * 30)])
    assert len(str(long[0][-1])) <= batch_html.MAX_REMARK, "a row is not ten lines tall"
    assert "1 of 3" in batch_html.batch_line(rows) and "1 could not be read" in batch_html.batch_line(rows)
    assert all(len(row) == len(batch_html.BATCH_HEADERS) for row in table)


def test_a_changed_prediction_of_a_permuted_copy_is_reported():
    one = Classifier(small_cnn(), None, None)
    same = SymmetryCheck("permute", one, one, 7, 9, result(), result(), 1e-8, 1e-7)
    other = SymmetryCheck("permute", one, one, 7, 9, result(), result(accuracy=0.5), 0.088, 1e-7)
    broken = SymmetryCheck("permute", one, one, 7, 9, result(), result(), 0.0, 0.3)
    assert "prediction stayed" in tab_html.symmetry_line(same) and "7 of 9" in tab_html.symmetry_line(same)
    assert "did not stay" in tab_html.symmetry_line(other) and "did not stay" in tab_html.symmetry_line(
        broken
    )


def test_a_classifier_without_a_number_says_why_and_what_to_do():
    unread = replace(result(typical=False), test_accuracy=math.nan, reason=f"It is {HOSTILE}.")
    card = tab_html.accuracy(Predicted(unread, None, None, ()), None, [], "")
    assert "No number" in card and "torch.onnx.export" in card and "nan" not in card and "<img" not in card
    rivals = replace(result(typical=False), reason="Two ways fit.")
    card = tab_html.accuracy(Predicted(rivals, None, None, ()), None, [], "")
    assert "Two ways fit." in card and "A doubtful reading" in card


def test_text_from_a_file_is_escaped():
    network, row = small_cnn(HOSTILE), {"activation": HOSTILE, "optimizer": HOSTILE, "learning_rate": 0.1,
                                        "steps": 1, "train_share": 0.5}  # fmt: skip
    odd = ZooPoint(f"zoo/test/{HOSTILE}", HOSTILE, 0.2, 0.2, 0.1, 0.3, True, row)
    answer = Generalization(0.4, 0.3, 0.5, 0.9, True, 0.9, HOSTILE, HOSTILE)
    source = Source(path=f"/uploads/{HOSTILE.replace('/', '')}")
    shown = Predicted(answer, 50.0, None, (HOSTILE,))
    pieces = [
        tab_html.network_facts(source, Classifier(network, None, None), answer, row),
        tab_html.accuracy(shown, None, [], ""),
        zoo_html.networks_table([odd]),
        zoo_html.zoo_scatter([odd], shown, None),
        measured_html.result(source, Measured(1, 2, 2, 0.1, ((1, 2),)), trial(HOSTILE), shown),
        measured_html.progress(Measured(1, 2, 2, 0.1), trial(HOSTILE)),
    ]
    for piece in pieces:
        assert "<img" not in piece and "&lt;img" in piece


def test_values_outside_an_axis_are_drawn_at_its_end():
    assert Axis(0.0, 0.5, ()).at(0.9) == 100
