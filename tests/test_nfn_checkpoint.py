"""Checkpoints: each format, by the code that writes it, gives its tensors and their values; broken ones say how."""

import json
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_ways import WAYS
from safetensors.torch import save_file

from nfn.checkpoint import Checkpoint, open_bytes, open_checkpoint
from nfn.checkpoint.values import BLOCK
from nfn.health import examine
from nfn.look import look
from nfn.look.words import as_dict
from nfn.reader import NetworkFileError

EXPORTED = Path(__file__).parent / "data" / "checkpoints" / "exported.pt2"
"""By `torch.export.save`, its stack traces taken out: Conv2d(3, 4, 3), BatchNorm2d(4), mean, Linear(4, 10)."""


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4), "b.weight": torch.randn(2, 4).half()}


def values(checkpoint: Checkpoint, name: str) -> np.ndarray:
    assert checkpoint.blocks is not None
    return np.concatenate([block for block in checkpoint.blocks(name)])


def write(path: Path, form: str) -> Path:
    state = tensors()
    if form == "safetensors":
        save_file(state, path)
    elif form == "npz":
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        with path.open("wb") as file:  # of a name, numpy would add its suffix to it
            np.savez(file, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    elif form in ("npy", "pickle"):
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        with path.open("wb") as file:
            pickle.dump(arrays, file) if form == "pickle" else np.save(
                file, np.array(arrays), allow_pickle=True
            )
    else:
        content = {"state_dict": state, "optimizer": {"step": 3}} if form == "lightning" else state
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    return path


@pytest.mark.parametrize("form", ["safetensors", "npz", "npy", "pickle", "zip", "legacy", "lightning"])
def test_each_format_lists_names_shapes_and_values(form, tmp_path):
    opened = open_checkpoint(write(tmp_path / "net", form))
    assert opened.shapes == {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (2, 4)}
    assert [t.dtype for t in opened.tensors.values()] == ["float32", "float32", "float16"]
    assert opened.parameters == 24 and opened.nbytes == 80 and not opened.broken
    for name, tensor in tensors().items():
        assert np.array_equal(values(opened, name), tensor.float().numpy())


@pytest.mark.parametrize("name", WAYS)
def test_whatever_public_code_wrote_is_listed_and_not_broken(name):
    opened = open_bytes(WAYS[name].make())
    assert opened.parameters > 0 and look(opened).tensors == len(opened.tensors)
    assert examine(opened).verdict != "broken"


def test_training_state_beside_the_network_is_named(tmp_path):
    (note,) = open_checkpoint(write(tmp_path / "net", "lightning")).notes
    assert "'optimizer'" in note


def test_an_exported_program_lists_its_graph_without_opening_its_pickles():
    opened = open_checkpoint(EXPORTED)
    assert opened.shapes["conv.weight"] == (4, 3, 3, 3) and opened.tensors["bn.running_mean"].is_buffer
    assert opened.parameters == 4 * 27 + 4 + 8 + 50
    assert opened.operators == {"conv2d": 1, "batch_norm": 1, "relu": 1, "mean.dim": 1, "linear": 1}
    assert opened.inputs[0].shape == (1, 3, 8, 8) and opened.outputs[0].shape == (1, 10)
    assert values(opened, "fc.weight").shape == (10, 4)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_lists_its_tensors(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    torch.jit.save(torch.jit.script(model), tmp_path / "net.pt")
    opened = open_checkpoint(tmp_path / "net.pt")
    assert opened.shapes["0.weight"] == (4, 3) and opened.shapes["2.bias"] == (2,)
    assert np.array_equal(values(opened, "0.weight"), model.state_dict()["0.weight"].numpy())


def test_onnx_lists_its_graph_though_no_predictor_could_run_it(tmp_path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Einsum", ["y"], ["z"], equation="ij->ji"),
    ]
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
        for n, shape in (("x", ["n", 3]), ("z", [2, "n"]))
    ]
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])),
        tmp_path / "net.onnx",
    )
    opened = open_checkpoint(tmp_path / "net.onnx")
    assert opened.shapes == {"w": (3, 2)} and opened.operators == {"MatMul": 1, "Einsum": 1}
    assert opened.inputs[0].shape == (None, 3) and values(opened, "w").sum() == 6


def gguf(pad: int = 0, count: int = 2) -> bytes:
    """A GGUF file of version 3 by its specification: a text, a list, a quantised and a plain tensor."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    entries = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    entries += text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("one") + text("two")
    infos = text("blk.0.w") + struct.pack(
        "<I2QIQ", 2, 256, 4, 12, 0
    )  # 4 × 256 of Q4_K: 4 blocks of 144 bytes
    infos += text("norm") + struct.pack("<I1QIQ", 1, 8, 0, 576)
    head = b"GGUF" + struct.pack("<IQQ", 3, count, 2) + entries + infos
    return head + bytes(-len(head) % 32) + bytes(576) + np.arange(8, dtype="<f4").tobytes() + bytes(pad)


def test_gguf_lists_quantised_tensors_and_reads_plain_ones():
    opened = open_bytes(gguf())
    assert opened.declared_name == "llama" and opened.shapes == {"blk.0.w": (4, 256), "norm": (8,)}
    assert opened.tensors["blk.0.w"].dtype == "q4_k" and opened.nbytes == 576 + 32
    assert values(opened, "norm").tolist() == list(range(8))
    with pytest.raises(NetworkFileError, match="q4_k"):
        values(opened, "blk.0.w")


def shard(folder: Path) -> Path:
    state = tensors()
    save_file({"a.weight": state["a.weight"]}, folder / "model-00001-of-00002.safetensors")
    save_file(
        {n: t for n, t in state.items() if n != "a.weight"}, folder / "model-00002-of-00002.safetensors"
    )
    places = {name: f"model-0000{1 if name == 'a.weight' else 2}-of-00002.safetensors" for name in state}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 80}, "weight_map": places}))
    return index


def test_shards_are_one_checkpoint(tmp_path):
    opened = open_checkpoint(shard(tmp_path))
    assert opened.shapes["b.weight"] == (2, 4) and opened.parameters == 24 and len(opened.files) == 2
    assert values(opened, "a.bias").tolist() == tensors()["a.bias"].tolist()


def test_a_missing_shard_is_named(tmp_path):
    index = shard(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    opened = open_checkpoint(index)
    assert list(opened.tensors) == ["a.weight"] and "model-00002-of-00002.safetensors" in opened.broken[0]
    with pytest.raises(NetworkFileError, match="put them beside it"):
        open_bytes(index.read_bytes())


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "a\\b", "..", 7])
def test_an_index_opens_no_file_in_other_folders(name, tmp_path):
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(NetworkFileError, match="names files elsewhere"):
        open_checkpoint(index)


def test_a_cut_file_is_listed_and_says_what_is_lost(tmp_path):
    data = write(tmp_path / "net", "safetensors").read_bytes()
    cut = open_bytes(data[:-10])
    assert "cut short" in cut.broken[0] and len(cut.missing) == 1 and len(cut.tensors) == 3
    with pytest.raises(NetworkFileError, match="cannot be read"):
        values(cut, next(iter(cut.missing)))
    assert "7 bytes follow the last tensor" in open_bytes(data + bytes(7)).broken[0]
    assert "cut short" in open_bytes(gguf()[:-30]).broken[0]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (struct.pack("<Q", 2**31) + b"{", "claims"),
        (struct.pack("<Q", 400_000) + b"{" * 400_000, "not a JSON object of at most"),
        (struct.pack("<Q", 9) + b'{"a": {}}', "the entry of tensor 'a'"),
        (struct.pack("<Q", 30) + b"{", "cut short within its header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 1), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 2**62), "within an entry"),
        (gguf(count=3), "damaged"),
        (gguf(400).replace(struct.pack("<I1QIQ", 1, 8, 0, 576), struct.pack("<I1QIQ", 1, 200, 0, 0)), "share"),
        (b"GGUF" + struct.pack("<IQQ", 1, 1, 1), "of version 1"),
        (b"\x08\x08\x12\x00\x3a\x00", "no operations"),
        (b'{"weight_map": [1, 2]}', "names files elsewhere"),
        (b"hello world, this is text", "unknown"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_with_a_clear_error(data, why):
    with pytest.raises(NetworkFileError, match=why):
        open_bytes(data)


@pytest.mark.parametrize(
    "graph",
    [b"[]", b"{}", b'{"graph_module": 3}', b"{" * 100_000, b'{"graph_module": {"graph": {"nodes": [7]}}}'],
)
def test_an_exported_program_with_another_graph_is_refused(graph, tmp_path):
    with zipfile.ZipFile(EXPORTED) as real, zipfile.ZipFile(tmp_path / "net.pt2", "w") as other:
        for name in real.namelist():
            other.writestr(name, graph if name.endswith("models/model.json") else real.read(name))
    with pytest.raises(NetworkFileError, match=r"torch\.export\.save"):
        open_checkpoint(tmp_path / "net.pt2")


def test_large_tensors_come_in_blocks_of_whole_rows(tmp_path):
    save_file({"w": torch.zeros(5, BLOCK // 2), "row": torch.ones(2 * BLOCK)}, tmp_path / "net")
    opened = open_checkpoint(tmp_path / "net")
    assert opened.blocks is not None
    assert [block.shape for block in opened.blocks("w")] == [
        (2, BLOCK // 2),
        (2, BLOCK // 2),
        (1, BLOCK // 2),
    ]
    assert [block.shape for block in opened.blocks("row")] == [(BLOCK,), (BLOCK,)]


def test_all_float_types_have_their_values(tmp_path):
    kinds = [
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
    ]
    state = {str(kind): torch.tensor([[1.5, -2.0], [0.25, 0.0]]).to(kind) for kind in kinds}
    save_file(state, tmp_path / "net")
    opened = open_checkpoint(tmp_path / "net")
    for name in state:
        assert values(opened, name).tolist() == [[1.5, -2.0], [0.25, 0.0]]


def test_every_mutated_file_is_listed_or_refused_with_a_clear_error(tmp_path):
    """600 files with some bytes changed, cut or put in; half a million more were tried by hand."""
    seeds = [write(tmp_path / form, form).read_bytes() for form in ("safetensors", "npz", "zip", "legacy")]
    seeds += [EXPORTED.read_bytes(), gguf(), shard(tmp_path).read_bytes()]
    rng = random.Random(0)
    for _ in range(600):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 2, 4))):
            place = rng.randrange(min(len(data), rng.choice((64, 512, len(data)))))
            data[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        try:
            seen = open_bytes(bytes(data))
            json.dumps(as_dict(look(seen)))
            examine(seen)
        except NetworkFileError as error:
            assert str(error).isprintable()
