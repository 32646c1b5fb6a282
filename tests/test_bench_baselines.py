"""What the baselines read must tell networks apart: sinusoidal encodings in every layer drown it."""

import pytest
import torch
from torch import nn

from bench.cnn_baselines import CHANNELS, Baseline, predict, stop_if_constant
from bench.edit_baseline import MeanEditor, turn
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import HNPLinear, HNPPool, IOSinusoidalEncoding, NPLinear, NPPool, TupleOp
from nfn.siren import render
from zoo.catalog import EMBEDDED
from zoo.collection import Collection


@pytest.fixture(scope="module")
def networks() -> WeightSpaceFeatures:
    return Collection(EMBEDDED / "collections/cifar10-cnns").features(slice(0, 24))


def spread(pooled: torch.Tensor) -> float:
    """How far networks differ, as a part of what they have in common."""
    return float(pooled.std(0).norm() / pooled.mean(0).norm())


def encoded_body(kind: str, networks: WeightSpaceFeatures) -> nn.Sequential:
    spec, channels, modules = network_spec_from_wsfeat(networks), 1, []
    linear, pool = (NPLinear, NPPool) if kind == "np" else (HNPLinear, HNPPool)
    for wanted in CHANNELS:
        encoding = IOSinusoidalEncoding(spec, 10.0, 6)
        modules += [encoding, linear(spec, encoding.num_out_chan(channels), wanted), TupleOp(nn.ReLU())]
        channels = wanted
    return nn.Sequential(*modules, pool(spec))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["np", "hnp"])
def test_sinusoids_in_every_layer_hide_the_differences_between_networks(kind, networks):
    torch.manual_seed(0)
    drowned = spread(encoded_body(kind, networks)(networks).flatten(1))
    assert drowned < 0.01
    assert spread(Baseline(kind, networks).read(networks)) > 5 * drowned


def test_every_baseline_tells_networks_apart(networks):
    for kind in ("statnn", "np", "hnp"):
        torch.manual_seed(0)
        predicted = predict(Baseline(kind, networks), networks)
        stop_if_constant(predicted)
        assert predicted.shape == (24,)


def test_a_constant_answer_raises_a_clear_error():
    with pytest.raises(SystemExit, match=r"predicts 0\.5000 for every network"):
        stop_if_constant(torch.full((5,), 0.5))
    with pytest.raises(SystemExit, match="no longer finite"):
        stop_if_constant(torch.tensor([0.5, float("nan")]))


def test_turned_networks_show_the_turned_pictures():
    sirens = Collection(EMBEDDED / "collections/cifar10-sirens").normalized().select(slice(0, 2))
    pictures, seen = render(sirens, 12, 12), set()
    for seed in range(40):
        networks, turned = turn(sirens, pictures, torch.Generator().manual_seed(seed))
        torch.testing.assert_close(render(networks, 12, 12), turned, atol=1e-3, rtol=0)
        seen.add(tuple(turned[0, 0, 0, :2].tolist()))
    assert len(seen) == 8


class Times(nn.Module):
    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        return features.map(lambda x: self.factor * x)


def test_the_mean_editor_gives_the_mean_of_the_weights(networks):
    found = MeanEditor([Times(1.0), Times(2.0), Times(6.0)])(networks)
    for got, tensor in zip(found.tensors, networks.tensors, strict=True):
        torch.testing.assert_close(got, 3 * tensor)
