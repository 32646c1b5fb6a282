"""Files that are wrong, foreign or hostile: one sentence each, nothing run, nothing slow, nothing large."""

import os
import re
from pathlib import Path

import pytest
import torch
from hostile_files import FOREIGN, MARKER, REFUSED
from reader_files import (
    float_entries,
    make_siren,
    to_pickle,
    write_members,
    write_safetensors,
)
from refusals import peak_memory, refusal, valid_checkpoint
from safetensors.torch import save_file
from torch import nn

from nfn.reader import read_network
from nfn.reader.limits import FILE_BYTES


def valid_safetensors(path: Path) -> bytes:
    save_file(make_siren(2, 4, 1).state_dict(), path)
    return path.read_bytes()


@pytest.mark.parametrize(("content", "words"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_foreign_files_are_named_with_advice(tmp_path, content, words, suffix):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    message = refusal(path)
    assert words in message
    assert re.search(r"\. (Export|Unpack|Save|Load|Download|Open|Expected a state_dict)", message)


def test_exported_programs_are_named_with_advice(tmp_path):
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    torch.export.save(torch.export.export(model, (torch.rand(1, 2),)), tmp_path / "program.pt2")
    message = refusal(tmp_path / "program.pt2")
    assert ".pt2" in message and "save_file" in message


def test_torchscript_is_named(tmp_path):
    members = {"net/data.pkl": to_pickle({}), "net/constants.pkl": b"", "net/code/net.py": b""}
    path = write_members(tmp_path / "net.pt", members)
    assert "TorchScript" in refusal(path)


def test_other_zip_archives_are_named(tmp_path):
    assert "other files" in refusal(write_members(tmp_path / "a.zip", {"readme.txt": b"hello"}))
    keras = write_members(tmp_path / "b.keras", {"model.weights.h5": b"x", "config.json": b"{}"})
    assert "Keras" in refusal(keras)


def test_folders_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "folder or a device" in refusal(tmp_path)
    assert "folder or a device" in refusal(tmp_path / "pipe")


@pytest.mark.parametrize("make", [valid_checkpoint, valid_safetensors])
def test_every_truncation_is_refused(tmp_path, make):
    data = make(tmp_path / "whole")
    path = tmp_path / "cut"
    for size in {*range(0, 40), *range(40, len(data), max(1, len(data) // 60)), len(data) - 1}:
        path.write_bytes(data[:size])
        refusal(path)
    path.write_bytes(data[: len(data) - 40])
    assert "incomplete" in refusal(path)


def test_a_file_at_the_size_limit_is_read_within_three_times_its_size(tmp_path):
    header, _ = float_entries({})
    size = 262_000 * 100 * 4
    header = (
        f'{{"0.weight": {{"dtype": "F32", "shape": [100, 262000], "data_offsets": [0, {size}]}}}}'.encode()
    )
    text = header.ljust(FILE_BYTES - size - 8)
    path = write_safetensors(tmp_path / "net.safetensors", text, bytes(size))
    assert path.stat().st_size == FILE_BYTES
    assert "262,000 wide" in refusal(path)
    write_safetensors(path, text.replace(b"[100, 262000]", b"[1000, 26200]"), bytes(size))
    assert peak_memory(lambda: read_network(path)) < 3 * FILE_BYTES
    assert read_network(path).spec.get_io() == (26_200, 1000)
    with path.open("ab") as file:
        file.write(b"\0")
    assert f"{FILE_BYTES:,} (100 MiB)" in refusal(path)


@pytest.mark.parametrize("name", REFUSED)
def test_every_hostile_file_is_refused_with_the_right_error(tmp_path, name):
    (tmp_path / "net").write_bytes(REFUSED[name].make())
    message = refusal(tmp_path / "net")
    assert re.search(REFUSED[name].words, message), message
    assert not MARKER.exists()
