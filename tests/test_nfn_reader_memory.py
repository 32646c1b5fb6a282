"""A ResNet-18 in float32, 45 MB, is read in about twice its size, in whichever of the formats it comes."""

import gc
import pickle

import pytest
import torch
from architecture_zoo import ResNet18
from foreign_files import arrays, legacy, npz, torch_zip
from refusals import peak_memory
from safetensors.torch import save as save_tensors

from nfn.reader.stored import open_file
from nfn.reader.tensors import read_array

VALUES = 11_699_132
"""Of torchvision's ResNet-18 with 1,000 classes: parameters, statistics and counters of batch norm."""


@pytest.fixture(scope="module")
def model() -> ResNet18:
    return ResNet18(width=64, classes=1000)


def test_the_network_is_as_large_as_it_should_be(model):
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == VALUES


WRITTEN = {
    "safetensors": lambda model: save_tensors(model.state_dict()),
    "torch.save": lambda model: torch_zip(model.state_dict()),
    "old format": lambda model: legacy({"state_dict": model.state_dict()}),
    "whole module": lambda model: torch_zip(model),
    "pickle": lambda model: pickle.dumps(arrays(model.state_dict()), 4),
    "npz": lambda model: npz(arrays(model.state_dict())),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_resnet_is_read_within_about_twice_its_size(tmp_path, model, name):
    path = tmp_path / "net"
    path.write_bytes(WRITTEN[name](model))
    gc.collect()
    size = path.stat().st_size
    read: dict[str, torch.Tensor] = {}

    def load() -> None:
        stored = open_file(path)
        for key, tensor in stored.tensors.items():
            if not tensor.is_integer:
                read[key] = torch.from_numpy(read_array(key, tensor))

    assert peak_memory(lambda: open_file(path)) < 1.1 * size
    assert peak_memory(load) < 2.2 * size
    state = {key: tensor for key, tensor in model.state_dict().items() if tensor.is_floating_point()}
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], tensor) for key, tensor in state.items())
