"""State dicts to features and back, with and without biases; the helpers of the published package."""

from collections import OrderedDict

import pytest
import torch
from nfn_cases import SPECS, assert_close, random_features
from torch import nn

from nfn import common
from nfn.convert import (
    params_to_func_params,
    params_to_state_dicts,
    state_dict_to_tensors,
    state_dicts_to_features,
)


def network(bias: bool = True) -> nn.Sequential:
    layers = [nn.Conv2d(1, 4, 3, bias=bias), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2, bias=bias)]
    return nn.Sequential(*layers)


def test_round_trip_of_a_batch_of_networks():
    state_dicts = [network().state_dict() for _ in range(3)]
    features = state_dicts_to_features(state_dicts)
    assert features.weights[0].shape == (3, 1, 4, 1, 3, 3) and features.biases[1].shape == (3, 1, 2)
    back = params_to_state_dicts(state_dicts[0].keys(), features)
    for got, want in zip(back, state_dicts, strict=True):
        assert isinstance(got, OrderedDict) and list(got) == list(want)
        assert all(torch.equal(got[key], want[key]) for key in want)


def test_layers_without_bias_give_none_zeros_and_no_key():
    state = network(bias=False).state_dict()
    weights, biases = state_dict_to_tensors(state)
    assert [w.shape for w in weights] == [(1, 4, 1, 3, 3), (1, 2, 4)] and biases == [None, None]
    features = state_dicts_to_features([state])
    assert not any(b.any() for b in features.biases)
    (back,) = params_to_state_dicts(state.keys(), features)
    assert list(back) == list(state)


def test_tensors_are_views_with_one_leading_dimension():
    state = network().state_dict()
    weights, biases = state_dict_to_tensors(state)
    assert torch.equal(weights[1][0], state["3.weight"]) and biases[0] is not None
    assert torch.equal(biases[0][0], state["0.bias"])


def test_bias_before_its_weight_is_still_its_bias():
    state = {"a.bias": torch.zeros(2), "a.weight": torch.ones(2, 3)}
    weights, biases = state_dict_to_tensors(state)
    assert weights[0].shape == (1, 2, 3) and biases[0] is not None and biases[0].shape == (1, 2)


def test_func_params_squeeze_a_single_channel():
    spec = SPECS["siren"]
    single, double = random_features(spec, 1), random_features(spec, 2)
    assert [tuple(x.shape) for x in params_to_func_params(single)[:2]] == [(3, 6, 2), (3, 6)]
    assert [tuple(x.shape) for x in params_to_func_params(double)[:2]] == [(3, 2, 6, 2), (3, 2, 6)]


def test_common_offers_the_published_names():
    features = random_features(SPECS["siren"], 1)
    spec = common.network_spec_from_wsfeat(features)
    assert spec.get_io() == (2, 1) and spec.weight_spec[1] == common.ArraySpec((-1, -1))
    assert common.network_spec_from_wsfeat(features, set_all_dims=True) == SPECS["siren"]
    assert_close(common.WeightSpaceFeatures.from_zipped(features), features)
    assert {"ArraySpec", "NetworkSpec", "WeightSpaceFeatures", "network_spec_from_wsfeat", "state_dict_to_tensors",
            "params_to_state_dicts", "params_to_func_params"} == set(common.__all__)  # fmt: skip


BATCH_NORM = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()
SIREN = random_features(SPECS["siren"], 1)
ERRORS = {
    "batch norm": (lambda: state_dict_to_tensors(BATCH_NORM), "1.running_mean"),
    "norm weight": (lambda: state_dict_to_tensors({"n.weight": torch.ones(3)}), r"'n.weight' is \(3,\)"),
    "bias size": (
        lambda: state_dict_to_tensors({"a.weight": torch.ones(2, 3), "a.bias": torch.ones(3)}),
        r"'a.bias' is \(3,\), expected \(2,\)",
    ),
    "bias alone": (lambda: state_dict_to_tensors({"a.bias": torch.ones(2)}), "'a.bias'"),
    "nothing": (lambda: state_dicts_to_features([]), "no state dict"),
    "different networks": (
        lambda: state_dicts_to_features([network().state_dict(), nn.Linear(2, 2).state_dict()]),
        "Network 1 has weights",
    ),
    "too few keys": (lambda: params_to_state_dicts(["a.weight"], SIREN), "name 1 layers, the features have 3"),
    "lost bias": (lambda: params_to_state_dicts(["a.weight", "b.weight", "c.weight"], SIREN), "beside 'a.weight'"),
    "channels": (
        lambda: params_to_state_dicts(["a.weight", "b.weight", "c.weight"], random_features(SPECS["siren"], 2)),
        "have 2 channels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, words", ERRORS.values(), ids=ERRORS)
def test_errors_name_the_key(call, words):
    with pytest.raises(ValueError, match=words):
        call()
