"""Pictures and heat maps."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from app import actions
from app.actions import Source
from app.figures import MAX_NEURONS, robust_limit, to_pixels, weight_heatmaps, weight_maps
from app.widgets import plot_data
from nfn.features import WeightSpaceFeatures
from nfn.network import Network, SirenConvention


def test_pixels_span_black_to_white_and_are_cut():
    image = torch.tensor([[[-3.0, -1.0, 0.0, 1.0, 3.0]]])
    pixels = to_pixels(image)
    assert pixels.dtype == np.uint8 and pixels.shape == (1, 5, 3)
    assert pixels[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_colours_stay_in_place():
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


def test_heat_maps_are_symmetric_about_zero():
    figure = weight_heatmaps(actions.open_network(Source(zoo_id="mnist-sirens/test/0")))
    traces: list[Any] = list(figure.data)
    assert len(traces) == 3
    for trace in traces:
        assert trace.zmid == 0 and trace.zmin == -trace.zmax < 0
    assert "displayModeBar" in plot_data(figure).plot


def test_one_outlier_does_not_set_the_range():
    values = np.ones(1000)
    values[0] = 1e6
    assert robust_limit(values) == 1
    assert robust_limit(np.zeros(4)) == 1, "a range is never empty"
