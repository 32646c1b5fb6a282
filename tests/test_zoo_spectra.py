"""Spectra beside the zoo's: the percentiles are those of its layers, and hardly depend on a layer's shape."""

import numpy as np
import pytest
import torch

from nfn.checkpoint.memory import of_tensors
from nfn.health import spectra
from zoo.catalog import Zoo
from zoo.spectra import alpha_sizes, percentile_words, standing, zoo_spectra


def spectrum(*shape: int, power: float = 1.0):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    (one,) = spectra(of_tensors("test", {"w": weight.sign() * weight.abs() ** power}))
    return one


@pytest.mark.parametrize("shape", [(64, 64), (64, 16, 3, 3), (32, 784), (300, 40)])
def test_the_relative_rank_of_a_random_matrix_is_one_whatever_its_shape(shape):
    assert spectrum(*shape).relative_rank == pytest.approx(1, abs=0.15)


def test_half_of_the_zoos_layers_are_above_the_middle():
    few = [one for one in zoo_spectra(Zoo(), 20) if one.axes > 2]
    places = [standing(one) for one in few]
    assert len(few) == 80 and all(place.rank_of == 680 for place in places)
    assert np.median([place.rank for place in places if place.rank is not None]) == pytest.approx(50, abs=15)
    assert np.median([place.alpha for place in places if place.alpha is not None]) == pytest.approx(
        50, abs=15
    )


def test_a_layer_whose_size_the_zoo_lacks_is_compared_by_its_rank_alone():
    assert alpha_sizes().startswith(
        "convolution layers with a smaller side of 16 to 31, linear layers with a smaller"
    )
    place = standing(spectrum(256, 256))
    assert place.rank is not None and place.alpha is None and percentile_words(None, 0, place.kind) == ""
    assert (
        percentile_words(83.4, 680, "convolution layer")
        == "higher than 83% of the zoo’s 680 convolution layers"
    )
