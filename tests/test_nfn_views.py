"""Graphs that are chains, read as what the predictors of SIRENs and of small CNNs take."""

import pytest
import torch
from torch import nn

import nfn
from nfn.architecture.views import siren_view, small_cnn_view
from nfn.cnn import class_scores
from nfn.reader import read_network
from nfn.siren import coordinate_grid, evaluate


class Sine(nn.Module):
    def __init__(self, omega):
        super().__init__()
        self.omega = omega

    def forward(self, x):
        return torch.sin(self.omega * x)


def siren(first=30.0, hidden=30.0, *end):
    return nn.Sequential(
        nn.Linear(2, 16), Sine(first), nn.Linear(16, 16), Sine(hidden), nn.Linear(16, 1), *end
    )


class Half(nn.Module):
    def forward(self, x):
        return 0.5 * x + 0.5


@pytest.mark.parametrize("first, hidden", [(30.0, 30.0), (30.0, 1.0), (7.5, 7.5)])
def test_a_declared_siren_is_read_with_its_own_omegas(tmp_path, first, hidden):
    torch.manual_seed(0)
    module = siren(first, hidden)
    nfn.save(module, tmp_path / "net.safetensors", (2,))
    network = read_network(tmp_path / "net.safetensors")
    assert network.kind == "siren" and network.graph is not None
    assert (network.siren.first_omega, network.siren.hidden_omega) == (first, hidden)
    points = coordinate_grid(9, 9)
    with torch.no_grad():
        torch.testing.assert_close(
            evaluate(network.normalized, points)[0, 0], module(points)[:, 0], atol=2e-5, rtol=1e-4
        )


def test_a_scaled_output_changes_the_range_of_the_pixels(tmp_path):
    torch.manual_seed(0)
    module = siren(30.0, 30.0, Half())
    nfn.save(module, tmp_path / "net.safetensors", (2,), metadata={"pixel_range": "[0, 1]"})
    network = read_network(tmp_path / "net.safetensors")
    points = coordinate_grid(9, 9)
    with torch.no_grad():
        got = evaluate(network.normalized, points)[0, 0]
        torch.testing.assert_close(got, 2 * module(points)[:, 0] - 1, atol=2e-5, rtol=1e-4)


def test_other_graphs_are_not_sirens():
    shapes = nfn.trace(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)), (2,))
    assert siren_view(shapes, {}) is None


def small_cnn(place, activation: type[nn.Module] = nn.ReLU, **first):
    parts = []
    for inputs in (1, 8):
        norm = nn.BatchNorm2d(8)
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        assert norm.running_mean is not None and norm.running_var is not None
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        order = {"before": [norm, activation()], "after": [activation(), norm], "none": [activation()]}[place]
        parts += [nn.Conv2d(inputs, 8, 3, 2, **(first if inputs == 1 else {})), *order]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)).eval()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("place", ["before", "after", "none"])
def test_a_small_cnn_keeps_its_function_when_batch_norm_is_folded(place, activation):
    torch.manual_seed(0)
    module = small_cnn(place, activation)
    view = small_cnn_view(nfn.trace(module, (1, 28, 28)), module.state_dict())
    assert view is not None and view.activation == activation.__name__.lower()
    x = torch.randn(5, 1, 28, 28)
    with torch.no_grad():
        got = class_scores(view.features, x, view.activation)[0]
        torch.testing.assert_close(got, module(x), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "module",
    [
        small_cnn("none", padding=1),
        small_cnn("none", nn.GELU),
        nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 10)),
        nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                      nn.Linear(4, 10)),
        nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.Conv2d(4, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                      nn.Linear(4, 10)),
    ],
)  # fmt: skip
def test_other_wirings_are_not_small_cnns(module):
    assert small_cnn_view(nfn.trace(module, (1, 28, 28)), module.state_dict()) is None


def test_a_declared_classifier_runs_as_it_was(tmp_path):
    torch.manual_seed(0)
    module = small_cnn("after", nn.SiLU, padding=1)
    nfn.save(module, tmp_path / "net.safetensors", (1, 28, 28), pixel_mean=0.13, pixel_std=0.31)
    network = read_network(tmp_path / "net.safetensors")
    assert network.graph is not None and network.classifier.pixel_mean == 0.13
    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(network.graph.run(x), module(x), atol=2e-5, rtol=1e-4)
