"""PyTorch networks through `torch.onnx.export` (the exporter by tracing) and back: the same function."""

import onnx
import pytest
import torch
from architecture_zoo import ZOO, ResNet18, build, inputs
from onnx_files import check_function, export
from torch import nn
from torch.nn.utils import parametrizations

from nfn.architecture import axes_of
from nfn.architecture.trace import trace
from nfn.onnx_reader import OnnxError, read_onnx
from nfn.reader import read_network


@torch.no_grad()
def check_module(module: nn.Module, x: torch.Tensor, **settings):
    model = read_onnx(export(module, x[:1], dynamo=False, **settings))
    check_function(model, x, module(x))
    return model


@pytest.mark.parametrize("name", ZOO)
def test_a_network_exported_by_tracing_computes_the_same(name):
    module, x = build(name), inputs(name)
    model = check_module(module, x)
    assert model.architecture.input_shape == ZOO[name].shape
    assert not model.notes
    assert len(axes_of(model.architecture).hidden) == len(axes_of(trace(module, ZOO[name].shape)).hidden)


OLDER = [
    (name, opset)
    for opset in (9, 11, 13, 18)
    for name in ("squeeze-excitation", "mobilenet-v2", "normalised")
]
OLDER += [("resnet20", 10), ("resnet20", 13), ("mlp-4", 9), ("inception", 11)]


@pytest.mark.parametrize(("name", "opset"), OLDER)
def test_older_versions_of_the_operators(name, opset):
    check_module(build(name), inputs(name), opset_version=opset)


@pytest.mark.parametrize("opset", [10, 14, 17])
def test_activations_that_older_opsets_take_apart(opset):
    layers = [nn.GELU(), nn.GELU(approximate="tanh"), nn.SiLU(), nn.Mish(), nn.Softplus(3), nn.Hardsigmoid(),
              nn.ELU(0.6), nn.PReLU(5), nn.LeakyReLU(0.3), nn.Hardtanh(-2, 0.5), nn.ReLU6(), nn.Softsign()]  # fmt: skip
    layers += [nn.Hardswish(), nn.CELU(0.7)] if opset > 10 else []
    for layer in layers:
        module = nn.Sequential(nn.Linear(4, 5), layer, nn.Linear(5, 3))
        model = check_module(module, torch.randn(6, 4), opset_version=opset)
        kinds = [op.kind for op in model.architecture.ops]
        assert "multiply" not in kinds, f"{layer} was read in pieces"


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "densenet", "squeeze-excitation", "siren-3", "mlp-3"])
def test_the_batch_may_be_left_open(name):
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    names = {"input_names": ["input"], "output_names": ["output"]}
    check_module(build(name), inputs(name), dynamic_axes=axes, **names)


def test_tensors_keep_their_names():
    model = check_module(build("squeeze-excitation"), inputs("squeeze-excitation"))
    assert set(model.tensors) == set(build("squeeze-excitation").state_dict())
    folded = check_module(build("vgg-bn"), inputs("vgg-bn"))
    assert any(name.startswith("onnx::Conv_") for name in folded.tensors)


def test_equal_parameters_of_several_layers_stay_apart():
    """The exporter stores equal tensors once; their layers may still be permuted each by itself."""
    module = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.ReLU(), nn.BatchNorm1d(6),
                           nn.Linear(6, 2)).eval()  # fmt: skip
    model = check_module(module, torch.randn(4, 3))
    assert {"2.weight", "5.weight"} <= set(model.tensors)
    assert len(axes_of(model.architecture).hidden) == 2


def test_layers_without_bias_and_layers_used_twice():
    shared = nn.Linear(5, 5, bias=False)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False), nn.Tanh(), shared, nn.Tanh(), shared)
    check_module(module, torch.randn(4, 3, 2, 2))


def test_weight_norm_is_computed():
    module = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))
    check_module(module, torch.randn(5, 4))


class Fourier(nn.Module):
    """Fourier features before a small network, points in a batch of one, as many write it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("b", 3 * torch.randn(2, 8))
        self.net = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3), nn.Sigmoid())

    def forward(self, x):
        x = 2 * torch.pi * x @ self.b
        return self.net(torch.cat([torch.sin(x), torch.cos(x)], dim=-1))


def test_points_in_a_batch_of_one():
    module, x = Fourier(), torch.rand(1, 9, 2)
    with torch.no_grad():
        model = read_onnx(export(module, x, dynamo=False))
        check_function(model, x[0], module(x)[0])
    assert model.architecture.input_shape == (2,) and "points" in model.notes[0]


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.other = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, x):
        x = torch.relu(self.body(x))
        return self.head(x), self.other(x)


def test_the_first_of_several_outputs_is_used_and_reported(tmp_path):
    module, x = TwoHeads(), torch.randn(5, 4)
    data = export(module, x[:1], dynamo=False, output_names=["classes", "value"])
    (tmp_path / "net.onnx").write_bytes(data)
    with torch.no_grad():
        model = read_onnx(data)
        check_function(model, x, module(x)[0])
        check_function(read_onnx(data, "value"), x, module(x)[1])
    assert model.notes == ("The file has 2 outputs: 'classes' was taken, 'value' left out.",)
    assert "other.weight" not in model.tensors
    assert "other.weight" in read_network(tmp_path / "net.onnx", part="value").tensors()
    with pytest.raises(OnnxError, match=r"no output 'actor'. Its outputs are 'classes', 'value'"):
        read_onnx(data, "actor")


def test_half_precision_is_cast_and_reported():
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).half()
    model = read_onnx(export(module, torch.zeros(1, 4).half(), dynamo=False))
    x = torch.randn(5, 4)
    with torch.no_grad():
        check_function(model, x, module.float()(x))
    assert all(t.dtype == torch.float32 for t in model.tensors.values())
    assert model.notes == ("Weights of type float16 were read as float32.",)


def test_read_network_reads_it_by_content(tmp_path):
    path = tmp_path / "net.bin"
    path.write_bytes(export(build("siren-3"), inputs("siren-3", 1), dynamo=False))
    siren = read_network(path)
    assert (siren.kind, siren.siren.first_omega, siren.siren.hidden_omega) == ("siren", 30, 30)
    path.write_bytes(export(build("resnet20"), inputs("resnet20", 1), dynamo=False))
    network, x = read_network(path), inputs("resnet20")
    assert network.kind == "classifier" and network.graph is not None
    torch.testing.assert_close(network.graph.run(x), build("resnet20")(x).detach(), atol=1e-5, rtol=0)


def test_a_siren_of_points_is_a_siren(tmp_path):
    """Coordinates as (1, points, 2): products of matrices and sums instead of Gemm."""
    (tmp_path / "net.onnx").write_bytes(export(build("siren-4"), torch.rand(1, 50, 2), dynamo=False))
    network = read_network(tmp_path / "net.onnx")
    assert (network.kind, network.siren.first_omega, network.siren.hidden_omega) == ("siren", 30, 1)
    x = torch.rand(5, 2)
    with torch.no_grad():
        assert network.graph is not None
        torch.testing.assert_close(network.graph.run(x), build("siren-4")(x), atol=1e-5, rtol=0)


def test_metadata_of_the_file_is_kept(tmp_path):
    """`onnx.helper.set_model_props(model, {"pixel_mean": "0.1307", ...})` declares what a graph cannot say."""
    model = onnx.ModelProto.FromString(export(build("mlp-2"), inputs("mlp-2", 1), dynamo=False))
    onnx.helper.set_model_props(model, {"pixel_mean": "0.1307", "pixel_std": "0.3081"})
    onnx.save(model, tmp_path / "net.onnx")
    network = read_network(tmp_path / "net.onnx")
    assert (network.classifier.pixel_mean, network.classifier.pixel_std) == (0.1307, 0.3081)


def test_a_full_resnet18():
    """64 channels, 11 million parameters, 224 x 224: as torchvision's."""
    torch.manual_seed(0)
    module, x = ResNet18(width=64, classes=1000).eval(), torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        model = read_onnx(export(module, x, dynamo=False))
        torch.testing.assert_close(model.architecture.run(model.tensors, x), module(x), atol=1e-5, rtol=1e-5)
    assert model.architecture.parameters > 11_000_000
