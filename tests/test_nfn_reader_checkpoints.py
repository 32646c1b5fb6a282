"""Whatever `torch.save` wraps around a state dict, and however it stores it: tensors are read as torch reads them."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from reader_files import make_siren
from safetensors.torch import save_file
from state_dicts import SIREN_WIDTHS
from torch import nn

from nfn.reader import read_network


def test_strided_and_shared_storages_are_read_as_torch_reads_them(tmp_path):
    flat = torch.randn(100)
    state = {
        "0.weight": flat[3:19].view(2, 8).t(),
        "0.bias": flat[20:36:2],
        "1.weight": nn.Parameter(flat[40:80].view(5, 8)[1:2]),
        "1.bias": flat[7:8],
    }
    torch.save(state, tmp_path / "net.pt")
    network = read_network(tmp_path / "net.pt")
    for name, tensor in network.tensors().items():
        assert torch.equal(tensor, state[name].detach()), name


WRAPPED = {
    "state_dict": lambda s: {"state_dict": s, "epoch": 7, "loss": torch.tensor(0.5)},
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(8, 2)}}}, "args": None},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "net": lambda s: {"net": s, "step": 3},
    "deep": lambda s: {"checkpoint": {"best": {"weights": s}}},
    "unusual": lambda s: {"my_siren": s, "name": "cat"},
    "beside its average": lambda s: {"model": s, "ema": {k: 2 * v for k, v in s.items()}},
    "numpy scalar": lambda s: {"acc": np.float64(0.5), "state_dict": s},
    "namespace": lambda s: {"args": argparse.Namespace(lr=0.1), "model": s},
    "path": lambda s: {"cfg": Path("/data"), "device": torch.device("cpu"), "dtype": torch.half, "model": s},
    "scalars among tensors": lambda s: {**s, "epoch": 3, "note": "hi"},
    "default dict": lambda s: {"history": __import__("collections").defaultdict(list, {"a": [1]}), "net": s},
    "tuple keys": lambda s: {"table": {(1, 2): 3, 1.5: 2, b"x": 1}, "net": s},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_checkpoints_are_unwrapped(tmp_path, wrap):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save(wrap(state), tmp_path / "net.pt")
    tensors = read_network(tmp_path / "net.pt").tensors()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_a_training_checkpoint_with_optimizer_state_is_read(tmp_path):
    model = make_siren(*SIREN_WIDTHS)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(4, 2)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "net.pt")
    assert read_network(tmp_path / "net.pt").names[0].weight == "0.linear.weight"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_of_torch_save_is_read(tmp_path, protocol):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save({"state_dict": state}, tmp_path / "net.pt", pickle_protocol=protocol)
    assert read_network(tmp_path / "net.pt").tensors().keys() == state.keys()


def test_content_decides_and_a_misleading_file_name_is_mentioned(tmp_path):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save(state, tmp_path / "net.safetensors")
    save_file(state, tmp_path / "net.pt")
    for name in ("net.safetensors", "net.pt"):
        network = read_network(tmp_path / name)
        assert any("read as such" in note for note in network.notes)
        assert network.tensors().keys() == state.keys()
