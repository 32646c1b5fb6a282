"""Permutations and sign flips leave networks' functions as they are; misuse is refused."""

import pytest
import torch
from hypothesis import given, settings
from nfn_cases import SPECS, assert_close, random_features, seeds
from torch.nn import functional as F

from nfn.features import WeightSpaceFeatures
from nfn.permutation import (
    flip_signs,
    group_sizes,
    permute,
    permute_uncoupled,
    random_permutations,
    random_signs,
)
from nfn.spec import ANY, ArraySpec, NetworkSpec

thorough = settings(deadline=None, derandomize=True, max_examples=20)
MLP, CNN = SPECS["four layers, odd widths"], SPECS["convolutions, linear last"]


def run(features: WeightSpaceFeatures, x: torch.Tensor, activation) -> torch.Tensor:
    """The first network of the batch as torch would run it; convolutions are pooled before a linear layer."""
    for i, (weight, bias) in enumerate(features):
        weight, bias = weight[0, 0], bias[0, 0]
        if i > 0:
            x = activation(x)
        if weight.dim() == 4:
            x = F.conv2d(x, weight, bias)
        else:
            x = F.linear(x.mean((2, 3)) if x.dim() == 4 else x, weight, bias)
    return x


@thorough
@given(seeds)
def test_hidden_permutations_keep_the_function(seed):
    generator = torch.Generator().manual_seed(seed)
    for spec, shape in ((MLP, (5, 3)), (CNN, (2, 1, 7, 7))):
        features = random_features(spec, 1, seed=seed)
        x = torch.randn(shape, dtype=torch.float64, generator=generator)
        moved = permute(features, random_permutations(spec, generator))
        torch.testing.assert_close(run(moved, x, torch.relu), run(features, x, torch.relu))


@thorough
@given(seeds)
def test_sign_flips_keep_the_function_of_a_sine_network(seed):
    generator = torch.Generator().manual_seed(seed)
    features = random_features(MLP, 1, seed=seed)
    x = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    flipped = flip_signs(features, random_signs(MLP, generator))
    torch.testing.assert_close(run(flipped, x, torch.sin), run(features, x, torch.sin))


def test_sign_flips_move_every_hidden_layer_and_work_on_convolutions():
    signs = [-torch.ones(4), torch.tensor([1, -1, 1])]
    features = random_features(CNN, 2)
    flipped = flip_signs(features, signs)
    torch.testing.assert_close(flipped.weights[0], -features.weights[0])
    torch.testing.assert_close(flipped.biases[1][..., 1], -features.biases[1][..., 1])
    torch.testing.assert_close(flipped.weights[2][..., 1], -features.weights[2][..., 1])
    assert_close(flip_signs(flipped, signs), features)


def test_input_and_output_permutations_move_inputs_and_outputs():
    features = random_features(MLP, 1)
    orders = random_permutations(MLP, torch.Generator().manual_seed(1), ends=True)
    x = torch.randn(5, 3, dtype=torch.float64)
    moved = run(permute(features, orders), x[:, orders[0]], torch.relu)
    torch.testing.assert_close(moved, run(features, x, torch.relu)[:, orders[-1]])


def test_uncoupled_permutations_change_the_function():
    features = random_features(MLP, 1)
    x = torch.randn(5, 3, dtype=torch.float64)
    rows = [torch.arange(5).roll(1), None, None, None]
    moved = run(permute_uncoupled(features, rows, [None] * 4), x, torch.relu)
    assert not torch.allclose(moved, run(features, x, torch.relu))


def test_random_permutations_are_seeded_and_of_the_right_sizes():
    draw = [random_permutations(MLP, torch.Generator().manual_seed(3), ends=True) for _ in range(2)]
    assert group_sizes(MLP) == (3, 5, 2, 7, 4)
    assert [sorted(order.tolist()) for order in draw[0]] == [list(range(n)) for n in group_sizes(MLP)]
    assert all(torch.equal(a, b) for a, b in zip(*draw, strict=True))


FEATURES = random_features(MLP, 1)
ERRORS = {
    "number": (lambda: permute(FEATURES, [torch.arange(5)]), "expected 3 .hidden neurons. or 5"),
    "size": (lambda: permute(FEATURES, [torch.arange(n) for n in (5, 3, 7)]), "Layer 1: a permutation of 3"),
    "signs": (lambda: flip_signs(FEATURES, [torch.ones(5)]), "expected 3"),
    "sign size": (lambda: flip_signs(FEATURES, [torch.ones(n) for n in (5, 3, 7)]), "Layer 1: 3 signs"),
    "open": (
        lambda: random_permutations(NetworkSpec((ArraySpec((ANY, 1)),), (ArraySpec((ANY,)),))),
        "set_all_dims=True",
    ),
}


@pytest.mark.parametrize("call, words", ERRORS.values(), ids=ERRORS)
def test_errors_say_where_and_what(call, words):
    with pytest.raises(ValueError, match=words):
        call()
