"""Pictures whose file declares its graph: SIRENs with something at the end, and networks that are no SIREN."""

import math

import pytest
import torch
from torch import nn

import nfn
from nfn.editor import DESCENT, InrEditor, InrEditorConfig
from nfn.reader import NetworkFileError, read_network, write_network
from nfn.siren import coordinate_grid, render_network
from nfn.siren_convention.convention import SirenConvention


class Sine(nn.Module):
    def __init__(self, omega: float):
        super().__init__()
        self.omega = omega

    def forward(self, x):
        return torch.sin(self.omega * x)


class Half(nn.Module):
    def forward(self, x):
        return 0.5 * x + 0.5


class Fourier(nn.Module):
    """Features of a fixed random matrix in front of an ordinary network (arXiv:2006.10739)."""

    def __init__(self, outputs: int = 1):
        super().__init__()
        self.register_buffer("matrix", torch.randn(2, 8))
        self.net = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, outputs), nn.Sigmoid())

    def forward(self, x):
        phase = 2 * math.pi * (x @ self.matrix)
        return self.net(torch.cat([torch.sin(phase), torch.cos(phase)], -1))


def siren(*end: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), Sine(20.0), nn.Linear(16, 16), Sine(5.0), nn.Linear(16, 3), *end)


def shown(module: nn.Module, size: int) -> torch.Tensor:
    """The module's outputs from 0 (black) to 1 (white) as a picture in [-1, 1]."""
    with torch.no_grad():
        return 2 * module(coordinate_grid(size, size)).T.unflatten(1, (size, size)) - 1


@pytest.mark.parametrize(
    ("end", "output"),
    [
        ((nn.Sigmoid(),), "sigmoid"),
        ((nn.Tanh(), Half()), "tanh"),
        ((Sine(5.0), Half()), "sine"),
        ((), "linear"),
    ],
)
def test_the_output_activation_of_a_siren_is_part_of_its_convention(end, output, tmp_path):
    module = siren(*end)
    nfn.save(module, tmp_path / "net.safetensors", (2,), metadata={"pixel_range": "[0, 1]"})
    network = read_network(tmp_path / "net.safetensors")
    assert network.kind == "siren" and network.chain is not None and network.siren.output == output
    assert set(network.undeclared) == {"coordinates", "upwards", "start", "end", "pixel_centres"}
    torch.testing.assert_close(render_network(network, 9, 9)[0], shown(module, 9), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("outputs", [1, 3])
def test_any_declared_graph_from_two_coordinates_to_a_pixel_is_drawn(outputs, tmp_path):
    torch.manual_seed(0)
    module = Fourier(outputs)
    nfn.save(module, tmp_path / "net.safetensors", (2,), metadata={"pixel_range": "[0, 1]"})
    network = read_network(tmp_path / "net.safetensors")
    assert network.kind == "siren" and network.chain is None
    torch.testing.assert_close(render_network(network, 9, 9)[0], shown(module, 9), atol=2e-5, rtol=1e-4)


def test_the_convention_of_a_graph_says_where_its_coordinates_are(tmp_path):
    torch.manual_seed(0)
    nfn.save(Fourier(), tmp_path / "net.safetensors", (2,))
    convention = SirenConvention(low=0.0, coordinates="col_row", start=0.0, end=1.0, upwards=True)
    network = read_network(tmp_path / "net.safetensors", convention=convention)
    with torch.no_grad():
        row, col = torch.meshgrid(torch.linspace(1, 0, 5), torch.linspace(0, 1, 5), indexing="ij")
        torch.manual_seed(0)
        module = Fourier()
        expected = 2 * module(torch.stack([col, row], -1).flatten(0, 1)).T.unflatten(1, (5, 5)) - 1
    torch.testing.assert_close(render_network(network, 5, 5)[0], expected, atol=2e-5, rtol=1e-4)


def test_a_graph_of_something_else_is_not_a_picture(tmp_path):
    nfn.save(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 10)), tmp_path / "net.safetensors", (2,))
    assert read_network(tmp_path / "net.safetensors").kind == "classifier"
    with pytest.raises(NetworkFileError, match="not a SIREN of a picture"):
        read_network(tmp_path / "net.safetensors", kind="siren")


def test_a_drawn_graph_is_written_unchanged(tmp_path):
    torch.manual_seed(0)
    nfn.save(Fourier(), tmp_path / "net.safetensors", (2,))
    network = read_network(tmp_path / "net.safetensors")
    write_network(network, tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    torch.testing.assert_close(render_network(again, 7, 7), render_network(network, 7, 7))


def test_an_edited_siren_with_a_graph_is_read_again_as_it_is_shown(tmp_path):
    nfn.save(
        siren(nn.Sigmoid(), Half()), tmp_path / "net.safetensors", (2,), metadata={"pixel_range": "[0.5, 1]"}
    )
    network = read_network(tmp_path / "net.safetensors")
    edit = InrEditor(InrEditorConfig(channels=4)).eval().edit(network, "dilate", 0.5)
    write_network(edit.network, tmp_path / "edited.safetensors")
    again = read_network(tmp_path / "edited.safetensors")
    assert again.siren == network.siren and list(again.tensors()) == list(network.tensors())
    torch.testing.assert_close(render_network(again, 32, 32)[0].clamp(-1, 1), edit.after, atol=1e-4, rtol=0)


def test_a_picture_that_is_not_a_chain_is_edited_and_keeps_its_fixed_matrix(tmp_path):
    torch.manual_seed(0)
    nfn.save(Fourier(), tmp_path / "net.safetensors", (2,), metadata={"pixel_range": "[0, 1]"})
    network = read_network(tmp_path / "net.safetensors")
    edit = InrEditor(InrEditorConfig(channels=4)).eval().edit(network, "contrast")
    assert edit.predictor == DESCENT and edit.mse < 0.5 * float(
        (edit.before - edit.reference).square().mean()
    )
    before, after = network.tensors(), edit.network.tensors()
    assert list(before) == list(after)
    assert torch.equal(before["matrix"], after["matrix"]) and not torch.equal(
        before["net.0.weight"], after["net.0.weight"]
    )
    write_network(edit.network, tmp_path / "edited.safetensors")
    again = read_network(tmp_path / "edited.safetensors")
    torch.testing.assert_close(render_network(again, 28, 28)[0].clamp(-1, 1), edit.after, atol=1e-4, rtol=0)
