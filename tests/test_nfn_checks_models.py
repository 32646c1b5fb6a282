"""The property checks catch broken layers; the stacks keep their symmetry and learn."""

import dataclasses

import pytest
import torch
from nfn_cases import SPECS, assert_close, random_features

from nfn.checks import assert_equivariant, assert_invariant, assert_sensitive, equivariance_error
from nfn.features import WeightSpaceFeatures
from nfn.layers import HNPLinear, LearnedScale, Pointwise, StatFeaturizer
from nfn.models import EquivariantConfig, EquivariantNFN, InvariantConfig, InvariantNFN, StackConfig
from nfn.permutation import random_permutations

SIREN = SPECS["siren"]


def uneven(features: WeightSpaceFeatures) -> WeightSpaceFeatures:
    """Scales the first neuron of every layer: depends on the order of neurons."""
    return features.map(lambda x: torch.cat([2 * x[:, :, :1], x[:, :, 1:]], 2))


def test_checks_pass_what_holds():
    features = random_features(SIREN, 2)
    assert_equivariant(lambda x: x.map(torch.sin), features)
    assert_invariant(StatFeaturizer(), features)
    assert_sensitive(HNPLinear(SIREN, 2, 2).double(), features)
    orders = random_permutations(SIREN, torch.Generator().manual_seed(0))
    assert equivariance_error(lambda x: x, features, orders) == 0.0


def test_checks_refuse_what_does_not_hold():
    features = random_features(SIREN, 2)
    orders = [torch.arange(6).roll(1), torch.arange(7).roll(1)]
    with pytest.raises(AssertionError, match="Not equivariant: the error is"):
        assert_equivariant(uneven, features, orders)
    with pytest.raises(AssertionError, match="Not invariant: the error is"):
        assert_invariant(lambda x: x.weights[1], features, orders)
    with pytest.raises(AssertionError, match="permuting only the rows of hidden group 1"):
        assert_sensitive(Pointwise(SIREN, 2, 2).double(), features)


def test_checks_refuse_nan():
    with pytest.raises(AssertionError, match="error is nan"):
        assert_equivariant(lambda x: x * float("nan"), random_features(SIREN, 2))


def test_checks_refuse_the_wrong_kind_of_output():
    with pytest.raises(TypeError, match="returns WeightSpaceFeatures, this one Tensor"):
        assert_equivariant(StatFeaturizer(), random_features(SIREN, 1))
    with pytest.raises(TypeError, match="returns Tensor, this one WeightSpaceFeatures"):
        assert_invariant(lambda x: x, random_features(SIREN, 1))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-10)], ids=str)
@pytest.mark.parametrize("kind", ["hnp", "np", "pointwise"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_stacks_keep_their_symmetry(spec, kind, dtype, tolerance):
    torch.manual_seed(0)
    stack = StackConfig(layer=kind, channels=8, norm=True, fourier_features=4, fourier_scale=1.0, depth=2)
    features = random_features(spec, 2, dtype=dtype)
    invariant = InvariantNFN(spec, InvariantConfig(5, stack, head_width=16, dropout=0.5), in_channels=2)
    equivariant = EquivariantNFN(spec, EquivariantConfig(stack, out_channels=3), in_channels=2)
    assert invariant(random_features(spec, 2, dtype=torch.float32)).shape == (3, 5)
    assert_invariant(invariant.to(dtype).eval(), features, tolerance=tolerance)
    assert_equivariant(equivariant.to(dtype), features, tolerance=tolerance)
    assert equivariant(features).weights[0].shape[1] == 3


@pytest.mark.parametrize("kind", ["hnp", "np", "pointwise"])
def test_an_invariant_stack_learns_a_property_of_networks(kind):
    """How much larger the first input's weights are than the second's: needs inputs to be told apart."""
    torch.manual_seed(0)
    model = InvariantNFN(SIREN, InvariantConfig(1, StackConfig(layer=kind, channels=16, depth=2), 32, 1))
    features = random_features(SIREN, 1, batch=128, dtype=torch.float32)
    averages = features.weights[0].mean((1, 2))
    target = 2 * (averages[:, :1] - averages[:, 1:])
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(120):
        loss = (model(features) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_an_edit_starts_at_the_network_itself():
    model, scale = EquivariantNFN(SIREN, EquivariantConfig(StackConfig(channels=4))), LearnedScale(SIREN, 0.0)
    features = random_features(SIREN, 1, dtype=torch.float32)
    assert_close(features + scale(model(features)), features)


def test_configs_are_frozen_plain_numbers():
    config = InvariantConfig(10, StackConfig(channels=4))
    assert dataclasses.asdict(config)["stack"]["channels"] == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.stack.channels = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("build", [
    lambda: StackConfig(layer="dws"),  # pyright: ignore[reportArgumentType]
    lambda: InvariantNFN(SIREN, InvariantConfig(1, StackConfig(depth=0))),
    lambda: EquivariantNFN(SIREN, EquivariantConfig(StackConfig(depth=0))),
])  # fmt: skip
def test_impossible_configs_are_refused(build):
    with pytest.raises(ValueError, match=r"expected one of hnp, np, pointwise|depth 0"):
        build()
