"""Product messages: what they must keep (order, signs, scales), and what they must notice."""

import pytest
import torch
from nfn_cases import SPECS, chain, random_features
from space_cases import REPEATED, SPACES, random_on

from nfn.canonical import (
    canonical_by_activation,
    canonical_odd,
    canonical_relu,
    canonical_sine,
    scale_units,
)
from nfn.checks import assert_equivariant, assert_invariant, assert_sensitive
from nfn.features import WeightSpaceFeatures
from nfn.layers.messages import ProductMessages, Symmetry, UnitEncoder, UnitPool, WidePool
from nfn.layers.unit_decoder import UnitDecoder
from nfn.siren import evaluate
from nfn.space import SpaceLike, WeightSpace, as_space
from nfn.spec import NetworkSpec

CHAINS = {name: spec for name, spec in SPECS.items() if len(spec) > 1}
MESSAGE_SPACES = {
    name: space
    for name, space in {**SPACES, **REPEATED}.items()
    if all(sum(g in space.permuting for g in t.axes if g is not None) < 3 for t in space.tensors)
}


class Reading(torch.nn.Module):
    """Encoder, sweeps and pool: networks to a vector each."""

    def __init__(
        self, spec: SpaceLike, channels: int = 1, symmetry: Symmetry = "none", waves: int = 0, wide: int = 0
    ):
        super().__init__()
        self.encoder = UnitEncoder(spec, channels, 4, waves, symmetry=symmetry)
        ways = (False,) if symmetry == "scale" else (False, True, False)
        self.sweeps = torch.nn.ModuleList(
            ProductMessages(spec, channels, 4, backward, symmetry) for backward in ways
        )
        narrow = UnitPool(spec, channels, 4, symmetry)
        self.pool = WidePool(spec, channels, 4, wide) if wide else narrow
        self.double()

    def units(self, features: WeightSpaceFeatures) -> list[torch.Tensor]:
        units = self.encoder(features)
        for sweep in self.sweeps:
            units = sweep(features, units)
        return units

    def forward(self, features: WeightSpaceFeatures) -> torch.Tensor:
        out = self.pool(features, self.units(features))
        assert out.shape[1] == self.pool.num_outs
        return out


@pytest.mark.parametrize("spec", CHAINS.values(), ids=CHAINS)
def test_reading_a_chain_does_not_depend_on_the_order_of_units(spec):
    features = random_features(spec, 2)
    assert_invariant(Reading(spec, 2, waves=3), features)
    assert_sensitive(Reading(spec, 2), features)


@pytest.mark.parametrize("space", MESSAGE_SPACES.values(), ids=MESSAGE_SPACES)
def test_reading_any_space_does_not_depend_on_the_order_of_units(space):
    features = random_on(space, 2)
    assert_invariant(Reading(space, 2), features, space=space)
    assert_sensitive(Reading(space, 2), features, space=space)


@pytest.mark.parametrize("space", MESSAGE_SPACES.values(), ids=MESSAGE_SPACES)
def test_wide_pooling_does_not_depend_on_the_order_of_units(space):
    reading, features = Reading(space, 2, wide=9), random_on(space, 2)
    assert_invariant(reading, features, space=space)
    assert_sensitive(reading, features, space=space)


class Editing(Reading):
    """Encoder, sweeps and decoder: networks to an update of each weight."""

    def __init__(self, spec: SpaceLike):
        super().__init__(spec)
        self.decoder = UnitDecoder(spec, 4).double()

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        return self.decoder(features, self.units(features))


@pytest.mark.parametrize("space", MESSAGE_SPACES.values(), ids=MESSAGE_SPACES)
def test_an_update_moves_as_the_network_does(space):
    features, model = random_on(space, 1), Editing(space)
    assert_equivariant(model, features, space=space)
    assert_sensitive(model, features, space=space)
    assert [x.shape for x in model(features).tensors] == [x.shape for x in features.tensors]


@pytest.mark.parametrize("name", ["resnet", "lenet with flattening"])
def test_units_move_as_the_network_does(name):
    space, reading = SPACES[name], Reading(SPACES[name], 1)
    features, orders = random_on(space, 1), space.random_permutations()
    moved = features.with_tensors(space.permute(features.tensors, orders))
    for before, after, group in zip(
        reading.units(features), reading.units(moved), sorted(orders), strict=True
    ):
        torch.testing.assert_close(after, before[:, orders[group]])


def random_factors(features: WeightSpaceFeatures, signs: bool) -> list[torch.Tensor]:
    return [torch.randn_like(b).sign() if signs else 10 ** torch.randn_like(b) for b in features.biases[:-1]]


@pytest.mark.parametrize("symmetry", ["sign", "scale"])
def test_symmetric_messages_keep_signs_and_scales(symmetry):
    spec = NetworkSpec.mlp(3, 5, 4, 2)
    features, reading = random_features(spec, 1), Reading(spec, 1, symmetry)
    factors = random_factors(features, symmetry == "sign")
    scaled = scale_units(features, factors)
    torch.testing.assert_close(reading(scaled), reading(features))
    for before, after, factor in zip(reading.units(features), reading.units(scaled), factors, strict=True):
        torch.testing.assert_close(after, before * factor[:, 0, :, None])
    assert_sensitive(reading, features)
    assert not torch.allclose(Reading(spec)(scaled), Reading(spec)(features))


def test_scales_of_convolutions_are_kept_too():
    spec = SPECS["convolutions, linear last"]
    features, reading = random_features(spec, 1), Reading(spec, 1, "scale")
    torch.testing.assert_close(
        reading(scale_units(features, random_factors(features, False))), reading(features)
    )


def test_impossible_inputs_give_clear_errors():
    with pytest.raises(ValueError, match="3 axes permute"):
        ProductMessages(SPACES["three axes"], 1, 4)
    with pytest.raises(ValueError, match="are not scale-equivariant"):
        ProductMessages(NetworkSpec.mlp(2, 3, 1), 1, 4, backward=True, symmetry="scale")
    with pytest.raises(ValueError, match="Waves are not equivariant"):
        UnitEncoder(NetworkSpec.mlp(2, 3, 1), 1, 4, waves=2, symmetry="sign")
    with pytest.raises(ValueError, match="Unknown symmetry 'odd'"):
        UnitPool(NetworkSpec.mlp(2, 3, 1), 1, 4, symmetry="odd")  # type: ignore[arg-type]


def sirens(widths=(2, 6, 5, 3), seed=0) -> WeightSpaceFeatures:
    features = random_features(NetworkSpec.mlp(*widths), 1, seed=seed)
    return features.map(lambda x: x * 0.3)


def disguised(features: WeightSpaceFeatures) -> WeightSpaceFeatures:
    """The same SIRENs with signs flipped and half-turns added to phases."""
    features, pairs = scale_units(features, random_factors(features, True)), []
    sign = features.biases[0].new_ones(1, 1, 1)
    for weight, bias in list(features)[:-1]:
        turns = torch.randint_like(bias, -3, 4)
        pairs.append((weight * sign[:, :, None], bias + turns * torch.pi / 30))
        sign = 1 - 2 * (turns.abs() % 2)
    weight, bias = features[-1]
    return WeightSpaceFeatures.from_zipped([*pairs, (weight * sign[:, :, None], bias)])


def close(got: WeightSpaceFeatures, want: WeightSpaceFeatures) -> bool:
    return all(torch.allclose(a, b) for a, b in zip(got.tensors, want.tensors, strict=True))


def test_canonical_sines_compute_the_same_and_are_equal_for_all_copies():
    features = sirens()
    points = torch.rand(11, 2, dtype=torch.float64) * 2 - 1
    other = disguised(features)
    torch.testing.assert_close(evaluate(other, points), evaluate(features, points))
    torch.testing.assert_close(evaluate(canonical_sine(features), points), evaluate(features, points))
    assert not close(other, features)
    assert close(canonical_sine(other), canonical_sine(features))
    for bias in canonical_sine(features).biases[:-1]:
        assert 0 <= bias.min() <= bias.max() <= torch.pi / 60 + 1e-12


def run(features: WeightSpaceFeatures, x: torch.Tensor, activation) -> torch.Tensor:
    for i, (weight, bias) in enumerate(features):
        x = torch.baddbmm(bias[:, 0, :, None], weight[:, 0], x)
        x = activation(x) if i < len(features) - 1 else x
    return x


@pytest.mark.parametrize(
    ("canonical", "activation", "signs"),
    [(canonical_relu, torch.relu, False), (canonical_odd, torch.tanh, True)],
)
def test_canonical_scales_and_signs_compute_the_same_and_are_equal_for_all_copies(
    canonical, activation, signs
):
    features = random_features(NetworkSpec.mlp(3, 6, 5, 2), 1)
    x = torch.randn(3, 3, 9, dtype=torch.float64)
    copy = scale_units(features, random_factors(features, signs))
    torch.testing.assert_close(run(copy, x, activation), run(features, x, activation))
    torch.testing.assert_close(run(canonical(features), x, activation), run(features, x, activation))
    assert close(canonical(copy), canonical(features)) and not close(copy, features)


def test_canonical_scales_of_convolutions_and_of_dead_units():
    features = random_features(SPECS["convolutions, linear last"], 1)
    copy = scale_units(features, random_factors(features, False))
    assert close(canonical_relu(copy), canonical_relu(features))
    for weight, bias in list(canonical_relu(features))[:-1]:
        torch.testing.assert_close(weight.flatten(3).square().sum(3) + bias.square(), torch.ones_like(bias))
    dead = features.map(torch.zeros_like)
    assert close(canonical_relu(dead), dead)
    silent = features.with_tensors(features.tensors)
    for tensor in silent.tensors[:2]:
        tensor[:, :, 0] = 0
    again = scale_units(silent, random_factors(silent, False))
    assert close(canonical_relu(again), canonical_relu(silent)), "what follows a unit that outputs 0 is 0 too"


def test_signs_of_units_without_biases_are_canonical_too():
    features = random_features(SPECS["convolutions, linear last"], 1)
    unbiased = features.with_tensors(x * (i % 2 == 0) for i, x in enumerate(features.tensors))
    copy = scale_units(unbiased, random_factors(unbiased, True))
    assert close(canonical_odd(copy), canonical_odd(unbiased)) and not close(copy, unbiased)


def test_networks_are_made_canonical_by_their_own_activation():
    features = random_features(NetworkSpec.mlp(3, 6, 5, 2), 1)
    mixed = canonical_by_activation(features, ["relu", "gelu", "tanh"])
    forms = (canonical_relu(features), features, canonical_odd(features))
    for row, form in enumerate(forms):
        assert close(mixed.select(row), form.select(row))


def test_factors_for_every_hidden_layer_are_required():
    with pytest.raises(ValueError, match="factors for 1 hidden layers, expected 2"):
        scale_units(sirens(), [torch.ones(3, 1, 6)])


def test_messages_take_features_as_chains_and_as_tensors():
    spec = NetworkSpec.mlp(2, 4, 3, 1)
    features, reading = random_features(spec, 1), Reading(spec)
    again = WeightSpaceFeatures.of_tensors(features.tensors)
    assert isinstance(as_space(spec), WeightSpace) and torch.equal(
        reading(again), reading(chain(features.tensors))
    )
