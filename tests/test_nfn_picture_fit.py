"""Fits of one picture: how good they get, what they depend on, and how far they say they are."""

import pytest
import torch

from nfn.picture_fit import BATCH, SIZES, FitSize, descend_in_batches, fit_picture
from nfn.siren import random_sirens, render

TINY = FitSize((16, 16), 5e-3, 200)


def stripes(side: int, channels: int = 1) -> torch.Tensor:
    """A picture of waves, in [-1, 1]."""
    rows, columns = torch.meshgrid(*[torch.linspace(0, 6, side)] * 2, indexing="ij")
    return torch.stack([torch.sin(rows + c) * torch.cos(columns) for c in range(channels)])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fit_shows_the_picture(channels):
    image = stripes(24, channels)
    *_, done = fit_picture(image, TINY)
    assert done.step == done.steps == 150 and done.psnr > 30
    torch.testing.assert_close(render(done.features, 24, 24)[0].clamp(-1, 1), done.picture)


def test_what_is_said_on_the_way_changes_nothing():
    image = stripes(12)
    *often, a = fit_picture(image, TINY, steps=30, every=0.0)
    *seldom, b = fit_picture(image, TINY, steps=30, every=99.0)
    assert len(often) == 29 and not seldom and often[0].psnr < a.psnr
    assert all(torch.equal(x, y) for x, y in zip(a.features.weights, b.features.weights, strict=True))
    *_, other = fit_picture(image, TINY, steps=30, seed=1)
    assert not torch.equal(a.features.weights[0], other.features.weights[0])


def test_larger_pictures_are_learned_in_batches_of_all_their_pixels():
    side = 72
    assert side**2 > BATCH
    *_, done = fit_picture(stripes(side), TINY)
    assert done.psnr > 30
    corners = (done.picture - stripes(side))[0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.abs().max() < 0.3


def test_the_sizes_are_what_they_are_said_to_be():
    counts = {name: size.spec(3).get_num_params() for name, size in SIZES.items()}
    assert counts == {"small": 1251, "medium": 33_795, "large": 133_123}
    assert [SIZES["medium"].steps(side**2) for side in (28, 128, 256)] == [150, 360, 1400]


def test_a_network_is_moved_to_another_picture():
    start = random_sirens(1, TINY.spec(1), torch.Generator().manual_seed(0))
    image = stripes(70)
    before, after = start, descend_in_batches(start, image, 5e-3, 120)
    errors = [float((render(x, 70, 70)[0] - image).square().mean()) for x in (before, after)]
    assert errors[1] < errors[0] / 20
