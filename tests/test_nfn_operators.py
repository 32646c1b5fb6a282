"""Edit styles: OpenCV's operators against slow definitions, and what strength means."""

import pytest
import torch
import torch.nn.functional as F

from nfn.operators import STYLES, apply_style


def pictures(channels: int, seed: int = 0) -> torch.Tensor:
    """Smooth random pictures `(3, channels, 12, 10)` that exist in 8 bits."""
    coarse = torch.randn(3, channels, 4, 4, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, (12, 10), mode="bilinear").clamp(-1, 1)
    return ((smooth + 1) * 127.5).round() / 127.5 - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_dilate_erode_and_neon_are_the_maximum_minimum_and_their_difference(channels):
    x = pictures(channels)
    high, low = F.max_pool2d(x, 3, 1, 1), -F.max_pool2d(-x, 3, 1, 1)
    torch.testing.assert_close(apply_style(x, "dilate"), high, atol=1e-5, rtol=0)
    torch.testing.assert_close(apply_style(x, "erode"), low, atol=1e-5, rtol=0)
    torch.testing.assert_close(apply_style(x, "neon"), high - low - 1, atol=1e-5, rtol=0)


def test_sharpen_adds_what_a_blur_takes_away():
    step = torch.full((1, 1, 11, 11), -0.5)
    step[..., 6:] = 0.5
    sharp = apply_style(step, "sharpen")
    assert sharp[0, 0, 5, 5] < -0.6 and sharp[0, 0, 5, 6] > 0.6
    torch.testing.assert_close(sharp[0, 0, 5, 0], step[0, 0, 5, 0], atol=0.01, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_spreads_the_pixels_of_a_dull_picture(channels):
    dull = pictures(channels) * 0.2
    assert apply_style(dull, "contrast").std() > 1.2 * dull.std()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("channels", [1, 3])
def test_strength_goes_from_nothing_through_the_operator_and_beyond(style, channels):
    x = pictures(channels)
    full = apply_style(x, style, 1.0)
    torch.testing.assert_close(apply_style(x, style, 0.0), x)
    torch.testing.assert_close(apply_style(x, style, 0.5), (x + full) / 2, atol=1e-6, rtol=0)
    torch.testing.assert_close(apply_style(x, style, 2.0), (2 * full - x).clamp(-1, 1), atol=1e-6, rtol=0)
    assert not torch.allclose(full, x, atol=1e-2)


def test_pixels_out_of_range_are_clamped_first():
    assert apply_style(torch.full((1, 1, 5, 5), 7.0), "dilate").max() == 1


def test_an_unknown_style_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'glitter'.*dilate, erode, contrast, sharpen, neon"):
        apply_style(pictures(1), "glitter")
