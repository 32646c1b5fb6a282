"""`python -m zoo look`: files, and models on the Hub, of which only headers are asked for."""

import json
import struct
from pathlib import Path

import pytest
from checkpoint_families import lenet5, llama, resnet, write_sparse
from typer.testing import CliRunner

from nfn.reader import NetworkFileError
from zoo.__main__ import app
from zoo.errors import HubError
from zoo.hub_checkpoint import open_hub_checkpoint

NAME = "someone/model"


def publish(hub, files: dict[str, bytes]) -> None:
    hub.create("models", NAME)
    hub.commit("models", NAME, files, [])


def sparse(tmp_path, shapes, dtype="F32") -> bytes:
    return write_sparse(tmp_path / "file", shapes, dtype).read_bytes()


def asked(hub) -> int:
    """Bytes of weights that were sent, from the ranges that were asked for."""
    ranges = [
        r.range.removeprefix("bytes=").split("-")
        for r in hub.requests
        if r.path.startswith("/large/") and r.range
    ]
    return sum(int(stop) - int(start) + 1 for start, stop in ranges)


def test_a_model_on_the_hub_costs_its_header(hub, tmp_path):
    weights = sparse(tmp_path, resnet((2, 2, 2, 2)))
    publish(
        hub,
        {"model.safetensors": weights, "config.json": b'{"architectures": ["ResNetForImageClassification"]}'},
    )
    opened = open_hub_checkpoint(NAME)
    assert opened.declared_name == "ResNetForImageClassification" and opened.parameters == 11_689_512
    assert asked(hub) == 100_000 < len(weights) / 400 and NAME in opened.notes[0]
    assert opened.blocks is None


def test_shards_on_the_hub_are_one_checkpoint(hub, tmp_path):
    shapes = llama(1, 64, 128, 4, 1, 16, 100)
    names = list(shapes)
    halves = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    files = {file: sparse(tmp_path, {n: shapes[n] for n in half}, "BF16") for file, half in halves.items()}
    index = {"weight_map": {name: file for file, half in halves.items() for name in half}}
    publish(hub, {**files, "model.safetensors.index.json": json.dumps(index).encode()})
    opened = open_hub_checkpoint(f"{NAME}@main")
    assert opened.shapes == {name: shapes[name] for half in halves.values() for name in half}
    assert opened.format == "safetensors, 2 shards" and not opened.broken


def test_a_header_longer_than_the_first_bytes_is_asked_for_in_two(hub, tmp_path):
    shapes = {f"layers.{i}.{'x' * 200}.weight": (2, 2) for i in range(500)}
    publish(hub, {"model.safetensors": sparse(tmp_path, shapes)})
    assert len(open_hub_checkpoint(NAME).tensors) == 500
    assert len([r for r in hub.requests if r.path.startswith("/large/")]) == 2


def test_a_gguf_on_the_hub_costs_its_header_however_long_its_vocabulary(hub):
    """By the specification of version 3: two entries, of which one is longer than the first request, and a tensor."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    entries = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    entries += text("tokens") + struct.pack("<IIQ", 9, 8, 150_000) + 150_000 * text("word")
    tensor = text("norm") + struct.pack("<I1QIQ", 1, 4_000_000, 0, 0)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + entries + tensor
    publish(hub, {"model-q4.gguf": header + bytes(-len(header) % 32 + 16_000_000), "model-q8.gguf": b"GGUF"})
    opened = open_hub_checkpoint(NAME)
    assert opened.declared_name == "llama" and opened.shapes == {"norm": (4_000_000,)} and not opened.broken
    assert "model-q4.gguf, one of 2" in opened.notes[-1] and asked(hub) == 2**20 + 2**23


def test_failures_of_the_hub_are_reported(hub, tmp_path):
    publish(hub, {"pytorch_model.bin": b"PK", "README.md": b"# A model"})
    with pytest.raises(NetworkFileError, match=r"no safetensors and no GGUF.*bin, md"):
        open_hub_checkpoint(NAME)
    with pytest.raises(HubError, match="not the id of a model"):
        open_hub_checkpoint("../etc")
    with pytest.raises(HubError, match="someone/nothing"):
        open_hub_checkpoint("someone/nothing")


def test_a_file_that_is_cut_on_the_hub_is_broken(hub, tmp_path):
    publish(hub, {"model.safetensors": sparse(tmp_path, lenet5())[:-100]})
    assert "truncated or padded" in open_hub_checkpoint(NAME).broken[0]


def test_the_command_says_what_a_file_is_and_what_comes_next(tmp_path):
    path = write_sparse(tmp_path / "lenet.safetensors", lenet5())
    shown = CliRunner().invoke(app, ["look", str(path)])
    assert shown.exit_code == 0 and "LeNet-5" in shown.output and "62,006 parameters" in shown.output
    assert "predict generalization" in shown.output and "conv1 456" in shown.output


def test_the_command_gives_all_of_it_to_programs(tmp_path):
    path = write_sparse(tmp_path / "lenet.safetensors", lenet5())
    description = json.loads(CliRunner().invoke(app, ["look", str(path), "--json"]).output)
    assert description["architecture"]["name"] == "LeNet-5" and description["architecture"]["classes"] == 10
    assert description["tree"]["children"][0]["tensors"][0] == {
        "name": "weight",
        "dtype": "float32",
        "shape": [6, 3, 5, 5],
    }
    assert len(description["next"]) == 2


def test_a_graph_is_told_to_programs_too():
    exported = Path(__file__).parent / "data" / "checkpoints" / "exported.pt2"
    description = json.loads(CliRunner().invoke(app, ["look", str(exported), "--json"]).output)
    assert description["operators"]["conv2d"] == 1 and description["inputs"][0]["shape"] == [1, 3, 8, 8]


def test_the_command_says_why_no_predictor_reads_a_file(tmp_path):
    path = write_sparse(tmp_path / "m.safetensors", llama(1, 64, 128, 4, 1, 16, 100), "BF16")
    shown = CliRunner().invoke(app, ["look", str(path)]).output
    assert "Llama-like" in shown and "No predictor can read it" in shown


def test_a_name_that_is_neither_file_nor_id_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["look", str(tmp_path / "nothing.pt")])
    assert result.exit_code == 1 and "neither a file here" in str(result.exception)
