"""SIRENs: rendering against a plain torch module, gradients against autograd, fitting, signs and conventions."""

import io
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from nfn.features import WeightSpaceFeatures
from nfn.network import SirenConvention
from nfn.permutation import apply_order, permute, random_permutations
from nfn.siren import (
    FitRecipe,
    apply_signs,
    canonical_order,
    canonical_signs,
    coordinate_grid,
    error_gradient,
    evaluate,
    fit_sirens,
    random_sirens,
    render,
)
from nfn.spec import NetworkSpec

DIGITS = Path(__file__).parent / "data/images/ylecun/mnist/mnist/test-00000-of-00001.parquet"

SPECS = [
    NetworkSpec.mlp(2, 3),
    NetworkSpec.mlp(2, 5, 1),
    NetworkSpec.mlp(2, 32, 32, 3),
    NetworkSpec.mlp(2, 7, 4, 6, 1),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_value(features: WeightSpaceFeatures, network: int, row: float, col: float) -> torch.Tensor:
    """One SIREN at one point, straight from the definition."""
    x = torch.tensor([row, col], dtype=features.weights[0].dtype)
    for i, (weight, bias) in enumerate(features):
        x = weight[network, 0] @ x + bias[network, 0]
        if i < len(features) - 1:
            x = torch.sin(30 * x)
    return x


def test_the_grid_runs_row_by_row_from_corner_to_corner():
    grid = coordinate_grid(2, 3)
    assert grid.tolist() == [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]


@pytest.mark.parametrize("spec", SPECS)
def test_render_is_the_definition_at_every_pixel(spec):
    features = random_sirens(2, spec, generator()).to(torch.float64)
    image = render(features, 4, 5)
    assert image.shape == (2, spec.get_io()[1], 4, 5)
    for row in range(4):
        for col in range(5):
            expected = slow_value(features, 1, -1 + 2 * row / 3, -1 + 2 * col / 4)
            torch.testing.assert_close(image[1, :, row, col], expected)


def test_each_network_may_have_points_of_its_own():
    features = random_sirens(3, SPECS[2], generator())
    points = torch.rand(3, 6, 2, generator=generator())
    out = evaluate(features, points)
    torch.testing.assert_close(
        out[2, :, 4], slow_value(features, 2, *points[2, 4].tolist()), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("spec", SPECS)
def test_the_handwritten_gradient_is_autograds(spec):
    features = random_sirens(3, spec, generator()).to(torch.float64)
    images = torch.rand(3, spec.get_io()[1], 6, 5, generator=generator(), dtype=torch.float64)
    leaves = features.map(lambda x: x.clone().requires_grad_())
    (render(leaves, 6, 5) - images).square().flatten(1).mean(1).sum().backward()
    for (weight, bias), (slow_weight, slow_bias) in zip(
        error_gradient(features, images), leaves, strict=True
    ):
        torch.testing.assert_close(weight, slow_weight.grad)
        torch.testing.assert_close(bias, slow_bias.grad)


def test_fitting_reaches_33_decibels_on_real_images_and_reports_what_rendering_shows():
    pictures = real_pictures(12)
    fitted, psnr = fit_sirens(pictures, FitRecipe(), generator())
    error = (render(fitted, 28, 28) - pictures).square().flatten(1).mean(1)
    torch.testing.assert_close(psnr, 10 * torch.log10(4 / error), atol=1e-3, rtol=0)
    assert psnr.mean() >= 33


def test_fitting_depends_on_the_seed_and_not_on_the_chunk():
    pictures = real_pictures(5)
    recipe = FitRecipe(steps=10)
    one, _ = fit_sirens(pictures, recipe, generator(3), chunk=2)
    two, _ = fit_sirens(pictures, recipe, generator(3), chunk=5)
    other, _ = fit_sirens(pictures, recipe, generator(4), chunk=5)
    torch.testing.assert_close(one.weights[1], two.weights[1], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(one.weights[1], other.weights[1])


def test_progress_is_reported_for_each_network():
    heard: list[int] = []
    fit_sirens(real_pictures(5), FitRecipe(steps=1), generator(), chunk=2, on_chunk=heard.append)
    assert heard == [2, 4, 5]


@pytest.mark.parametrize("spec", SPECS)
def test_sign_flips_change_no_picture_and_have_one_canonical_form(spec):
    features = random_sirens(4, spec, generator())
    signs = [(torch.rand(b.shape, generator=generator(1)) < 0.5) * 2.0 - 1 for b in features.biases[:-1]]
    flipped = apply_signs(features, signs)
    torch.testing.assert_close(render(flipped, 8, 8), render(features, 8, 8), atol=1e-4, rtol=0)
    one, two = (apply_signs(x, canonical_signs(x)) for x in (features, flipped))
    for (w1, b1), (w2, b2) in zip(one, two, strict=True):
        assert torch.equal(w1, w2) and torch.equal(b1, b2)
    if signs:
        assert not torch.equal(flipped.weights[0], features.weights[0])


@pytest.mark.parametrize("spec", SPECS)
def test_permuted_copies_have_one_canonical_order_and_it_can_be_undone(spec):
    features = random_sirens(4, spec, generator())
    copy = permute(features, random_permutations(spec, generator(1)))
    orders = canonical_order(copy)
    one, two = apply_order(features, canonical_order(features)), apply_order(copy, orders)
    back = apply_order(two, [order.argsort(1) for order in orders])
    for first, second, third, fourth in zip(one, two, back, copy, strict=True):
        assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
        assert torch.equal(third[0], fourth[0]) and torch.equal(third[1], fourth[1])
    torch.testing.assert_close(render(one, 8, 8), render(features, 8, 8), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "convention",
    [SirenConvention(first_omega=20, hidden_omega=10), SirenConvention(low=0, high=1),
     SirenConvention(coordinates="col_row"), SirenConvention(15, 45, -0.5, 2, "col_row")],
)  # fmt: skip
def test_a_convention_is_undone_exactly_and_means_what_it_says(convention):
    ours = random_sirens(2, SPECS[2], generator()).to(torch.float64)
    theirs = convention.denormalize(ours)
    for (w1, b1), (w2, b2) in zip(convention.normalize(theirs), ours, strict=True):
        torch.testing.assert_close(w1, w2)
        torch.testing.assert_close(b1, b2)
    x = torch.tensor([[0.3, -0.6]], dtype=torch.float64)
    x = x if convention.coordinates == "row_col" else x.flip(1)
    for i, (weight, bias) in enumerate(theirs):
        x = x @ weight[0, 0].T + bias[0, 0]
        if i < 2:
            x = torch.sin((convention.first_omega if i == 0 else convention.hidden_omega) * x)
    brightness = (x - convention.low) / (convention.high - convention.low) * 2 - 1
    torch.testing.assert_close(brightness[0], slow_value(ours, 0, 0.3, -0.6))


def test_untrained_sirens_have_sitzmanns_bounds():
    features = random_sirens(50, NetworkSpec.mlp(2, 32, 32, 1), generator())
    assert features.weights[0].abs().max() <= 0.5
    assert math.isclose(features.weights[1].abs().max(), math.sqrt(6 / 32) / 30, rel_tol=0.02)


def real_pictures(count: int) -> torch.Tensor:
    """Real digits `(count, 1, 28, 28)` in [-1, 1]."""
    table = pq.read_table(DIGITS).slice(0, count)
    pixels = [np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in table["image"].to_pylist()]
    return torch.from_numpy(np.stack(pixels))[:, None].float() / 127.5 - 1
