"""Pictures and heat maps."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from app.page.figures import MAX_SIDE, colours, robust_limit, to_pixels, weights_square
from app.tabs.inr.figures import MAX_NEURONS, weight_heatmaps, weight_maps
from nfn.features import WeightSpaceFeatures
from nfn.network import Network, SirenConvention


def test_pixels_span_black_to_white_and_are_cut():
    image = torch.tensor([[[-3.0, -1.0, 0.0, 1.0, 3.0]]])
    pixels = to_pixels(image)
    assert pixels.dtype == np.uint8 and pixels.shape == (1, 5, 3)
    assert pixels[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_colours_keep_their_positions():
    image = torch.stack([torch.full((2, 2), v) for v in (-1.0, 0.0, 1.0)])
    assert to_pixels(image)[0, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(("widths", "shapes"), [
    ((2, 32, 32, 1), [(32, 3), (32, 33), (32, 1)]),
    ((2, 300, 3), [(MAX_NEURONS, 3), (MAX_NEURONS, 3)]),
    ((2, 3), [(2, 3)]),
])  # fmt: skip
def test_every_layer_is_a_matrix_of_readable_size(widths, shapes):
    pairs = [(torch.randn(1, 1, n, m), torch.randn(1, 1, n)) for m, n in pairwise(widths)]
    network = Network(WeightSpaceFeatures.from_zipped(pairs), SirenConvention())
    assert [cells.shape for cells in weight_maps(network)] == shapes


@pytest.mark.parametrize("hidden", [1, 2, 3, 6])
def test_each_layer_is_a_picture_with_its_name_and_colour_range(hidden):
    widths = [2, *[32] * hidden, 1]
    pairs = [(torch.randn(1, 1, n, m), torch.randn(1, 1, n)) for m, n in pairwise(widths)]
    shown = weight_heatmaps(Network(WeightSpaceFeatures.from_zipped(pairs), SirenConvention()), "Weights")
    assert shown.count("<img") == shown.count("<figcaption>") == shown.count("±") == hidden + 1
    assert "output<br>" in shown


def test_colours_are_white_at_zero_red_below_and_blue_above():
    red, white, blue, none = colours(np.array([-2.0, 0.0, 1.0, np.nan]), 1.0)
    assert red[0] > 2 * red[2] and blue[2] > 2 * blue[0] and min(white) > 240
    assert none[3] == 0


def test_one_outlier_does_not_set_the_range():
    values = np.ones(1000)
    values[0] = 1e6
    assert robust_limit(values) == 1
    assert robust_limit(np.zeros(4)) == 1, "a range is never empty"


def test_all_weights_are_one_square_and_a_mask_makes_the_others_transparent():
    weights = [torch.ones(100, 100), -torch.ones(2, 3)]
    assert weights_square(weights).shape == (MAX_SIDE, MAX_SIDE, 4)
    few = weights_square(weights[1:], [torch.tensor([[True, False, True], [False, False, True]])])
    assert few.shape == (3, 3, 4)
    assert (few[..., 3] > 0).flatten().tolist() == [
        True,
        False,
        True,
        False,
        False,
        True,
        False,
        False,
        False,
    ]
    assert few[0, 0, 0] > few[0, 0, 2]  # red, as it is below zero
