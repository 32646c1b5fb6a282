"""The other NF-layers: symmetric over random weight spaces."""

import pytest
import torch
from hypothesis import given, settings
from nfn_cases import SPECS, assert_close, channel_counts, dtypes, random_features, residual, seeds, specs
from torch import nn

from nfn import layers
from nfn.checks import assert_equivariant, assert_invariant, assert_sensitive, equivariance_error
from nfn.features import WeightSpaceFeatures
from nfn.permutation import permute_uncoupled, random_permutations
from nfn.spec import NetworkSpec

thorough = settings(deadline=None, derandomize=True, max_examples=15)


def has_kernels(spec: NetworkSpec) -> bool:
    return max(spec.kernel_sizes) > 1


def attention(spec: NetworkSpec, channels: int, **kwargs) -> layers.NPAttention:
    return layers.NPAttention(
        spec, 2 * channels, num_heads=2, share_projections=not has_kernels(spec), **kwargs
    )


class Widen(nn.Module):
    """Doubles the channels, so that attention with two heads can follow any number of them."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        return self.layer(WeightSpaceFeatures.cat([features, features.map(torch.cos)], 1))


# Name -> (build(spec, channels), equivariant to inputs and outputs too, to uncoupled permutations too)
EQUIVARIANT = {
    "Pointwise": (lambda spec, c: layers.Pointwise(spec, c, 3), True, True),
    "NPAttention": (lambda spec, c: Widen(attention(spec, c)), True, False),
    "NPAttention without shared projections": (
        lambda spec, c: Widen(layers.NPAttention(spec, 2 * c, num_heads=1, share_projections=False)),
        True,
        False,
    ),
    "SimpleLayerNorm": (layers.SimpleLayerNorm, True, True),
    "ParamLayerNorm": (layers.ParamLayerNorm, False, True),
    "ChannelDropout": (lambda spec, c: layers.ChannelDropout(0.5), True, True),
    "IOSinusoidalEncoding": (lambda spec, c: layers.IOSinusoidalEncoding(spec), False, True),
    "GaussianFourierFeatureTransform": (
        lambda spec, c: layers.GaussianFourierFeatureTransform(spec, c, 3, 1.0),
        True,
        True,
    ),
    "LearnedPosEmbedding": (layers.LearnedPosEmbedding, False, True),
    "LearnedScale": (lambda spec, c: layers.LearnedScale(spec, 0.1), True, True),
    "TupleOp": (lambda spec, c: layers.TupleOp(nn.ReLU()), True, True),
    "ResBlock": (residual, False, False),
}
INVARIANT = {
    "NPPool": (lambda spec, c: layers.NPPool(spec), True),
    "HNPPool": (lambda spec, c: layers.HNPPool(spec), False),
    "StatFeaturizer": (lambda spec, c: layers.StatFeaturizer(), True),
    "CrossAttnEncoder": (lambda spec, c: layers.CrossAttnEncoder(spec, c, 3), True),
}


def build(make, spec: NetworkSpec, channels: int, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return make(spec, channels).to(dtype).eval()


@pytest.mark.parametrize("name", EQUIVARIANT)
@thorough
@given(spec=specs(), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_equivariant(name, spec, channels, dtype, seed):
    make, ends, _ = EQUIVARIANT[name]
    layer, features = (
        build(make, spec, channels, dtype),
        random_features(spec, channels, dtype=dtype, seed=seed),
    )
    assert_equivariant(
        layer, features, random_permutations(spec, torch.Generator().manual_seed(seed), ends=ends)
    )


@pytest.mark.parametrize("name", [name for name, case in EQUIVARIANT.items() if not case[1]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_layers_with_fixed_inputs_and_outputs_distinguish_them(name, dtype):
    spec = NetworkSpec.mlp(3, 4, 5, 2)
    layer, features = build(EQUIVARIANT[name][0], spec, 2, dtype), random_features(spec, 2, dtype=dtype)
    for layer_norm in (m for m in layer.modules() if isinstance(m, nn.LayerNorm)):
        nn.init.uniform_(layer_norm.weight)  # a fresh norm treats all inputs alike
    still = torch.arange(4), torch.arange(5)
    for ends in ((torch.tensor([1, 2, 0]), torch.arange(2)), (torch.arange(3), torch.tensor([1, 0]))):
        assert equivariance_error(layer, features, (ends[0], *still, ends[1])) > 1e-3


@pytest.mark.parametrize("name", ["NPAttention", "NPAttention without shared projections"])
@thorough
@given(spec=specs(min_layers=2), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_sensitive_to_uncoupled_permutations(name, spec, channels, dtype, seed):
    layer = build(EQUIVARIANT[name][0], spec, channels, dtype)
    features = random_features(spec, channels, dtype=dtype, seed=seed)
    assert_sensitive(layer, features, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_residual_block_is_sensitive_to_uncoupled_permutations(dtype):
    spec = SPECS["siren"]
    features = random_features(spec, 8, dtype=dtype)  # over one channel its norm would erase everything
    assert_sensitive(build(residual, spec, 8, dtype), features)


@pytest.mark.parametrize("name", [name for name, case in EQUIVARIANT.items() if case[2]])
def test_layers_that_work_entry_by_entry_commute_with_uncoupled_permutations(name):
    spec = SPECS["siren"]
    layer, features = build(EQUIVARIANT[name][0], spec, 2, torch.float64), random_features(spec, 2)
    rows, columns = [torch.randperm(6), torch.randperm(7), None], [None, torch.randperm(6), torch.randperm(7)]
    assert_close(
        layer(permute_uncoupled(features, rows, columns)), permute_uncoupled(layer(features), rows, columns)
    )


@pytest.mark.parametrize("name", INVARIANT)
@thorough
@given(spec=specs(), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_invariant(name, spec, channels, dtype, seed):
    make, ends = INVARIANT[name]
    layer, features = (
        build(make, spec, channels, dtype),
        random_features(spec, channels, dtype=dtype, seed=seed),
    )
    assert_invariant(
        layer, features, random_permutations(spec, torch.Generator().manual_seed(seed), ends=ends)
    )


def test_hnp_pool_keeps_inputs_and_outputs_apart():
    spec = NetworkSpec.mlp(3, 4, 2)
    features = random_features(spec, 1)
    for ends in ((torch.tensor([1, 2, 0]), torch.arange(2)), (torch.arange(3), torch.tensor([1, 0]))):
        assert equivariance_error(layers.HNPPool(spec), features, (ends[0], torch.arange(4), ends[1])) > 1e-3
