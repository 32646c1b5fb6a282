"""A network is the same however public code wrote it down: its tensors are those that were written."""

import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_files import State, npz
from foreign_ways import WAYS
from reader_files import Call
from safetensors.torch import load_file

from nfn.reader import read_network, write_network
from nfn.reader.stored import StoredFile, open_file
from nfn.reader.tensors import read_array


def opened(data: bytes, folder: Path, part: str | None = None) -> StoredFile:
    path = folder / "file"
    path.write_bytes(data)
    return open_file(path, part)


def compare(stored: StoredFile, expected: State, tolerance: float = 0.0) -> None:
    read = {n: torch.from_numpy(read_array(n, t)) for n, t in stored.tensors.items() if not t.is_integer}
    floats = {name: tensor.detach() for name, tensor in expected.items() if tensor.is_floating_point()}
    assert read.keys() == floats.keys()
    for name, tensor in floats.items():
        torch.testing.assert_close(
            read[name], tensor.to(read[name].dtype), rtol=tolerance, atol=tolerance, msg=name
        )


@pytest.mark.parametrize("name", WAYS)
def test_a_network_is_read_however_public_code_wrote_it(tmp_path, name):
    way = WAYS[name]
    stored = opened(way.make(), tmp_path, way.part)
    compare(stored, way.tensors(), 1e-6 if name.startswith(("folded", "omega")) else 0.0)
    for key, text in way.declared.items():
        assert stored.metadata[key].startswith(text), stored.metadata
    if way.note:
        assert any(re.search(way.note, note) for note in stored.notes), stored.notes


@pytest.mark.parametrize("name", WAYS)
def test_its_layers_are_put_in_the_order_in_which_they_run(tmp_path, name):
    way = WAYS[name]
    (tmp_path / "file").write_bytes(way.make())
    network = read_network(tmp_path / "file", kind="classifier", part=way.part)
    weights = [weight for weight, tensor in way.tensors().items() if tensor.dim() > 1]
    assert [layer.weight for layer in network.names] == weights


@pytest.mark.parametrize("name", WAYS)
def test_what_is_written_of_it_is_read_as_the_same(tmp_path, name):
    way = WAYS[name]
    (tmp_path / "file").write_bytes(way.make())
    network = read_network(tmp_path / "file", part=way.part)
    write_network(network, tmp_path / "copy")
    before, written = network.tensors(), load_file(tmp_path / "copy")
    assert before.keys() == written.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in before.items())
    again = read_network(tmp_path / "copy")
    assert again.convention == network.convention
    if network.chain is not None:  # the settings of a pickled module are no tensors
        assert again.names == network.names and again.tensors().keys() == before.keys()


def test_arrays_of_jax_are_read(tmp_path, monkeypatch):
    """As jax 0.10 pickles them: a call of its own around the parts of a NumPy array."""
    module = types.ModuleType("jax._src.array")
    exec("def _reconstruct_array(*_): ...", module.__dict__)
    for name in ("jax", "jax._src", "jax._src.array"):
        monkeypatch.setitem(sys.modules, name, module)
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    call = Call(module._reconstruct_array, *values.__reduce__(), {"weak_type": False, "named_shape": {}})
    stored = opened(pickle.dumps({"params": {"Dense_0": {"kernel": call}}}), tmp_path)
    np.testing.assert_array_equal(read_array("kernel", stored.tensors["Dense_0.weight"]), values.T)


def test_the_batch_norm_of_keras_keeps_its_epsilon(tmp_path):
    norm = {"bn/gamma": 2.0, "bn/beta": 3.0, "bn/moving_mean": 0.5, "bn/moving_variance": 1e-3}
    arrays = {name: np.full(8, value, np.float32) for name, value in norm.items()}
    stored = opened(npz({"dense/kernel": np.ones((4, 8), np.float32), **arrays}), tmp_path)
    x = torch.randn(5, 8)
    ours = [
        torch.from_numpy(read_array(part, stored.tensors[f"bn/{part}"]))
        for part in ("running_mean", "running_var", "weight", "bias")
    ]
    theirs = 2 * (x - 0.5) / (1e-3 + 1e-3) ** 0.5 + 3
    mean, variance, weight, bias = ours
    torch.testing.assert_close(torch.nn.functional.batch_norm(x, mean, variance, weight, bias), theirs)
    assert any("epsilon" in note for note in stored.notes)
