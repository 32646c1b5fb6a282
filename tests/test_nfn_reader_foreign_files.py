"""A network is the same however public code wrote it down: its tensors are those that were written."""

import re
from pathlib import Path

import pytest
import torch
from foreign_files import State
from foreign_ways import WAYS

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
    for key, text in way.told.items():
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
    again = read_network(tmp_path / "copy")
    assert (again.kind, again.names, again.siren) == (network.kind, network.names, network.siren)
    before, after = network.tensors(), again.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
