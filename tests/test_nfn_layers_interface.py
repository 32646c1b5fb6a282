"""The NF-layers have the names and arguments of the published package, and clear errors."""

import inspect

import pytest
import torch
from nfn_cases import SPECS, cnn, random_features

from nfn import layers
from nfn.spec import ANY, ArraySpec, NetworkSpec

SIGNATURES = {
    "HNPLinear": "network_spec in_channels out_channels",
    "NPLinear": "network_spec in_channels out_channels io_embed=False init_type='pytorch_default'",
    "NPPool": "network_spec",
    "HNPPool": "network_spec",
    "Pointwise": "network_spec in_channels out_channels",
    "NPAttention": "network_spec channels num_heads=8 dropout=0 share_projections=True ablate_crossterm=False "
    "ablate_diagonalterm=False",
    "ChannelLinear": "in_channels out_channels bias=True",
    "FlattenWeights": "network_spec",
    "UnflattenWeights": "network_spec",
    "TupleOp": "op",
    "ResBlock": "base_layer activation dropout norm",
    "StatFeaturizer": "args kwargs",
    "LearnedScale": "network_spec init_scale",
    "CrossAttnDecoder": "network_spec channels num_params",
    "CrossAttnEncoder": "network_spec channels num_latents",
    "SimpleLayerNorm": "network_spec channels",
    "ParamLayerNorm": "network_spec channels",
    "ChannelDropout": "dropout",
    "ChannelLayerNorm": "channels eps=1e-05",
    "GaussianFourierFeatureTransform": "network_spec in_channels mapping_size=256 scale=10",
    "IOSinusoidalEncoding": "network_spec max_freq=10 num_bands=6 enc_layers=True",
    "LearnedPosEmbedding": "network_spec channels",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_constructors_take_the_published_arguments(name):
    parameters = list(inspect.signature(getattr(layers, name)).parameters.values())
    words = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    assert " ".join(words) == SIGNATURES[name]


def test_no_public_layer_is_missing():
    assert set(layers.__all__) == set(SIGNATURES)


OPEN = NetworkSpec((ArraySpec((ANY, ANY)),), (ArraySpec((ANY,)),))
ERRORS = {
    "attention heads": (lambda: layers.NPAttention(SPECS["siren"], 6, num_heads=4), "divisible by num_heads"),
    "attention on a CNN": (lambda: layers.NPAttention(cnn((1, 2), ((2, 2),)), 8), "share_projections=False"),
    "encoding of open ends": (lambda: layers.IOSinusoidalEncoding(OPEN), "number of inputs and outputs"),
    "embedding of open ends": (lambda: layers.LearnedPosEmbedding(OPEN, 2), "number of inputs and outputs"),
    "unflatten to open sizes": (lambda: layers.UnflattenWeights(OPEN), "set_all_dims=True"),
    "unflatten of another length": (
        lambda: layers.UnflattenWeights(NetworkSpec.mlp(2, 3))(torch.zeros(1, 8, 4)),
        r"expected \(batch, 9, channels\)",
    ),
    "decoder for another network": (lambda: layers.CrossAttnDecoder(NetworkSpec.mlp(2, 3), 4, 8), "the spec has 9"),
    "pool of another network": (
        lambda: layers.HNPPool(SPECS["siren"])(random_features(NetworkSpec.mlp(2, 6, 7, 2), 1)),
        "Layer 2 weight",
    ),
    "norm of other channels": (
        lambda: layers.SimpleLayerNorm(SPECS["siren"], 2)(random_features(SPECS["siren"], 3)),
        r"expected \(batch, 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, words", ERRORS.values(), ids=ERRORS)
def test_errors_say_what_was_wanted(call, words):
    with pytest.raises(ValueError, match=words):
        call()
