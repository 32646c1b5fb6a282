"""PyTorch networks through `torch.onnx.export(dynamo=True)`, the default since PyTorch 2.9, and back."""

import pytest
import torch
from architecture_zoo import ZOO, build, inputs
from onnx_files import check_function, export, keep_registry
from torch import nn

from nfn.architecture import axes_of
from nfn.architecture.trace import trace
from nfn.onnx_reader import OnnxError, read_onnx


@torch.no_grad()
def check_module(module: nn.Module, x: torch.Tensor, **settings):
    model = read_onnx(export(module, x[:2] if settings else x[:1], dynamo=True, **settings))
    check_function(model, x, module(x))
    return model


@pytest.mark.parametrize("name", ZOO)
def test_a_network_exported_by_torch_export_computes_the_same(name):
    module, x = build(name), inputs(name)
    model = check_module(module, x)
    assert model.architecture.input_shape == ZOO[name].shape
    assert not model.notes
    assert len(axes_of(model.architecture).hidden) == len(axes_of(trace(module, ZOO[name].shape)).hidden)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "squeeze-excitation", "siren-3"])
def test_the_batch_may_be_left_open(name):
    check_module(build(name), inputs(name), dynamic_shapes=({0: "batch"},))


def test_tensors_keep_their_names():
    model = check_module(build("lenet5"), inputs("lenet5"))
    assert set(model.tensors) == set(build("lenet5").state_dict())


def test_a_layer_used_twice_stays_one():
    shared = nn.Linear(5, 5, bias=False)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False), nn.Tanh(), shared, nn.Tanh(), shared)
    assert len(check_module(module, torch.randn(4, 3, 2, 2)).tensors) == 2


@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec")  # of torch.export
def test_weights_in_another_file_are_refused_with_the_line_that_keeps_them_inside(tmp_path):
    """This is what the exporter writes unless it is told otherwise."""
    path = tmp_path / "net.onnx"
    keep_registry()
    torch.onnx.export(build("mlp-2"), (inputs("mlp-2", 1),), path, dynamo=True, verbose=False)
    with pytest.raises(OnnxError, match=r"'1.weight' lies in another file .* external_data=False"):
        read_onnx(path.read_bytes())
