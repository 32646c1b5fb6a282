"""Files that are wrong, foreign or hostile: one sentence each, nothing run, nothing slow, nothing large."""

import ast
import itertools
import os
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from reader_files import (
    Call,
    Storage,
    float_entries,
    make_siren,
    tensor_call,
    to_pickle,
    write_checkpoint,
    write_members,
    write_safetensors,
)
from safetensors.torch import save_file
from torch import nn
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2

from nfn.reader import NetworkFileError, read_network
from nfn.reader.errors import quote
from nfn.reader.limits import FILE_BYTES, PICKLE_OPCODES, TENSORS

LONGEST_SECONDS = 2.0
NAN, INF = float("nan"), float("inf")


def refusal(path: Path) -> str:
    """The message with which a file is refused: one readable line, given soon."""
    start = time.process_time()
    with pytest.raises(NetworkFileError) as caught:
        read_network(path)
    assert time.process_time() - start < LONGEST_SECONDS
    message = str(caught.value)
    assert message.isprintable() and len(message) < 800
    assert "weights_only" not in message
    return message


def peak_memory(action: Callable[[], object]) -> int:
    """The most bytes that Python and numpy held while `action` ran."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def valid_checkpoint(path: Path) -> bytes:
    torch.save(make_siren(2, 4, 1).state_dict(), path)
    return path.read_bytes()


def valid_safetensors(path: Path) -> bytes:
    save_file(make_siren(2, 4, 1).state_dict(), path)
    return path.read_bytes()


FOREIGN = {
    "empty": (b"", "empty"),
    "seven bytes": (b"1234567", "too short"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS"),
    "json": (b'{"message": "Not found", "status": 404}', "JSON"),
    "raw pickle": (pickle.dumps({"a": 1}, 4), "raw pickle"),
    "old pickle": (pickle.dumps({"a": [1.0] * 9}, 2), "raw pickle"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(100), "GGUF"),
    "npy": (b"\x93NUMPY\x01\0" + bytes(100), "NumPy array"),
    "onnx": (b"\x08\x0a\x12\x07pytorch\x1a\x062.13.0:\x90\x01", "ONNX"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(20), "gzip"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(20), "picture"),
    "tar": (b"sys_info".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), "tar archive"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
    "noise": (bytes(range(200, 256)) * 3, "format is unknown"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "empty"),
}


@pytest.mark.parametrize(("content", "words"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_foreign_files_are_named_with_advice(tmp_path, content, words, suffix):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    message = refusal(path)
    assert words in message
    assert "safetensors.torch.save_file(model.state_dict()" in message


def test_old_and_whole_and_scripted_models_are_named_with_advice(tmp_path):
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    torch.save(model.state_dict(), tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(model, tmp_path / "whole.pt")
    torch.save({"model": model, "epoch": 3}, tmp_path / "wrapped.pt")
    np.savez(tmp_path / "arrays.npz", weight=np.zeros((2, 2)))
    torch.export.save(torch.export.export(model, (torch.rand(1, 2),)), tmp_path / "program.pt2")
    words = {
        "legacy.pt": "old format",
        "whole.pt": "whole pickled object of class 'torch.nn.modules.container.Sequential'",
        "wrapped.pt": "model: torch.nn.modules.container.Sequential",
        "arrays.npz": "NumPy archive",
        "program.pt2": ".pt2",
    }
    for name, expected in words.items():
        message = refusal(tmp_path / name)
        assert expected in message and "save_file" in message


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
    size = 524_000 * 10 * 4
    header = (
        f'{{"0.weight": {{"dtype": "F32", "shape": [10, 524000], "data_offsets": [0, {size}]}}}}'.encode()
    )
    text = header.ljust(FILE_BYTES - size - 8)
    path = write_safetensors(tmp_path / "net.safetensors", text, bytes(size))
    assert path.stat().st_size == FILE_BYTES
    assert "524,000 wide" in refusal(path)
    write_safetensors(path, text.replace(b"[10, 524000]", b"[100, 52400]"), bytes(size))
    assert peak_memory(lambda: read_network(path)) < 3 * FILE_BYTES
    assert read_network(path).spec.get_io() == (52_400, 100)
    with path.open("ab") as file:
        file.write(b"\0")
    assert f"{FILE_BYTES:,} (20 MiB)" in refusal(path)


# --- pickles that want to run something ---


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize("place", ["top", "entry", "tensor", "state"])
def test_a_payload_is_refused_and_not_run(tmp_path, place, protocol):
    marker = tmp_path / "marker"
    payload = Call(os.system, f"touch {marker}")
    values = {
        "top": payload,
        "entry": {"weight": 1, "note": payload},
        "tensor": {"0.weight": Call(_rebuild_parameter, payload, True, OrderedDict())},
        "state": {"state_dict": Call(OrderedDict, state={"_metadata": payload})},
    }
    path = write_checkpoint(tmp_path / "net.pt", pickle.dumps(values[place], protocol))
    assert "tries to run 'posix.system'" in refusal(path)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(values[place], protocol))
    refusal(tmp_path / "raw.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'touch %s'\ntR.",
        b"(S'touch %s'\nios\nsystem\n.",
        b"(cposix\nsystem\nS'touch %s'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93(S'touch %s'\ntR.",
        b'cbuiltins\neval\n(S\'__import__("os").system("touch %s")\'\ntR.',
        b"csubprocess\nPopen\n((S'touch'\nS'%s'\nltR.",
        b"crunpy\n_run_code\n(S'touch %s'\ntR.",
        b"cos.path\nos.system\n(S'touch %s'\ntR.",
    ],
)
def test_every_way_to_call_is_refused(tmp_path, code):
    marker = tmp_path / "marker"
    path = write_checkpoint(tmp_path / "net.pt", code % str(marker).encode())
    assert "tries to run" in refusal(path)
    assert not marker.exists()


def test_an_unknown_class_is_never_imported(tmp_path):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    code = b"(dS'note'\ncevil_module\nrun\n(tRs."
    sys.path.insert(0, str(tmp_path))
    try:
        assert "evil_module.run" in refusal(write_checkpoint(tmp_path / "net.pt", code))
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil_module" not in sys.modules


def test_an_unknown_object_is_refused_only_where_a_tensor_is_wanted(tmp_path):
    state = make_siren(2, 4, 1).state_dict()
    torch.save({**state, "note": np.float64(1)}, tmp_path / "fine.pt")
    torch.save({**state, "9.weight": np.zeros((2, 2))}, tmp_path / "array.pt")
    assert read_network(tmp_path / "fine.pt").kind == "siren"
    assert "'9.weight' is an object of class 'numpy" in refusal(tmp_path / "array.pt")


def test_the_reader_has_no_way_to_load_a_pickle():
    for path in (Path(__file__).parents[1] / "nfn" / "reader").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert not called.endswith((".load", "eval", "exec", "__import__", "import_module")), (
                path,
                called,
            )
            if isinstance(node, ast.Import):
                assert not {"pickle", "importlib"} & {alias.name for alias in node.names}, path


ODD_PICKLES = {
    "item of a tensor": b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n)RK\x01K\x02s.",
    "item of a list": b"]K\x01K\x02s.",
    "append to a dict": b"}K\x01a.",
    "state of a dict": b"}}b.",
    "underflow": b"R.",
    "no mark": b"K\x01t.",
    "empty": b"",
    "only stop": b".",
    "no stop": b"}",
    "two values": b"}}.",
    "open mark": b"(}.",
    "after the end": b"}.junk",
    "missing memo": b"h\x07.",
    "unknown step": b"\xff.",
    "extension": b"\x82\x01.",
    "text persistent id": b"P0\n.",
    "buffer": b"\x80\x05\x97.",
    "odd items": b"}(K\x01u.",
    "call a text": b"\x8c\x02os)R.",
    "storage of nothing": b"K\x01Q.",
    "rebuilt from nothing": b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "huge number": b"L" + b"9" * 5000 + b"L\n.",
    "bad text": b"X\x02\0\0\0\xff\xfe.",
    "odd escape": b"S'\\q'\n.",
    "unhashable class": b"}(]K\x01u.",
}


@pytest.mark.parametrize("code", ODD_PICKLES.values(), ids=ODD_PICKLES)
def test_odd_pickles_are_refused(tmp_path, code):
    message = refusal(write_checkpoint(tmp_path / "net.pt", code))
    assert any(word in message for word in ("corrupt", "refused", "No weights found"))


def test_endless_pickles_are_refused_soon(tmp_path):
    nested_tuples = b"\x80\x02)" + b"2\x86" * 60 + b"q\x000}h\x00K\x01s."
    assert "No weights found" in refusal(write_checkpoint(tmp_path / "hash.pt", nested_tuples))
    for code in (b"N0" * 10**6, b"(" * 10**6, b"]" + b"]a" * 10**6, b"}q\x00" + b"h\x000" * 10**6):
        assert f"{PICKLE_OPCODES:,} steps" in refusal(write_checkpoint(tmp_path / "long.pt", code + b"."))
    text = b"X" + struct.pack("<I", 5 << 20) + bytes(5 << 20) + b"."
    assert "bytes long" in refusal(write_checkpoint(tmp_path / "text.pt", text))


def test_a_dict_inside_itself_ends(tmp_path):
    loop: dict = {"a": 1}
    loop["self"] = loop
    assert "No weights found" in refusal(write_checkpoint(tmp_path / "net.pt", to_pickle(loop)))


# --- tensors that are not there ---


def test_tensors_larger_than_their_storage_are_refused(tmp_path):
    shapes = {
        "expanded": tensor_call((10**6, 10**5), (0, 0)),
        "long": tensor_call((2, 2), (2, 1)),
        "offset": tensor_call((1, 1), (1, 1), offset=1),
        "negative offset": tensor_call((1, 1), (1, 1), offset=-1),
        "huge stride": tensor_call((2, 1), (2**62, 1), Storage(numel=4, key="4")),
        "negative stride": tensor_call((2, 1), (-1, 1), Storage(numel=4, key="4"), offset=1),
        "huge shape": tensor_call((2**70, 2**70), (1, 1)),
        "few strides": tensor_call((1, 1), (1,)),
    }
    storages = {"0": bytes(4), "4": bytes(16)}
    for name, tensor in shapes.items():
        path = write_checkpoint(tmp_path / "net.pt", to_pickle({f"{name}.weight": tensor}), storages)
        message = refusal(path)
        assert f"corrupt at tensor '{name}.weight'" in message, message
    path = write_checkpoint(tmp_path / "net.pt", to_pickle({"a.weight": shapes["expanded"]}), storages)
    assert "claims more data than the file holds (100,000,000,000 values, 1 held)" in refusal(path)


def test_views_that_use_a_value_twice_are_refused(tmp_path):
    storage = Storage(numel=16, key="16")
    for shape, strides in [
        ((4, 4), (0, 1)),
        ((4, 4), (1, 1)),
        ((2, 8), (4, 1)),
        ((4, 2, 1, 2), (2, 0, 1, 1)),
    ]:
        pickled = to_pickle({"a.weight": tensor_call(shape, strides, storage)})
        path = write_checkpoint(tmp_path / "net.pt", pickled, {"16": bytes(64)})
        assert "'a.weight' is an expanded view" in refusal(path)


def test_a_real_expanded_tensor_is_refused(tmp_path):
    torch.save({"a.weight": torch.ones(1).expand(10**6, 10**5)}, tmp_path / "net.pt")
    assert (tmp_path / "net.pt").stat().st_size < 2000
    assert "claims more data than the file holds" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize("numel", [0, 2, 3, -1, 2**70])
def test_a_storage_that_is_not_as_long_as_declared_is_refused(tmp_path, numel):
    pickled = to_pickle({"a.weight": tensor_call((1, 1), (1, 1), Storage(numel=numel))})
    message = refusal(write_checkpoint(tmp_path / "net.pt", pickled))
    assert "'a.weight' is corrupt" in message and "4 bytes" in message


def test_a_missing_storage_is_refused(tmp_path):
    pickled = to_pickle({"a.weight": tensor_call((1, 1), (1, 1), Storage(key="7"))})
    assert "'a.weight' is corrupt: its storage is missing" in refusal(
        write_checkpoint(tmp_path / "net.pt", pickled)
    )


def test_malformed_tensor_arguments_are_refused(tmp_path):
    for arguments in [
        (Storage(), 0, (1.5,), (1,), False, None),
        (Storage(), 0, [1], (1,), False, None),
        (Storage(), None, (1,), (1,), False, None),
        (Storage(key=1), 0, (1,), (1,), False, None),
        (Storage(numel="x"), 0, (1,), (1,), False, None),
        ("storage", 0, (1,), (1,), False, None),
        (Storage(), 0, (1,) * 100, (1,) * 100, False, None),
        (Storage(),),
    ]:
        path = write_checkpoint(
            tmp_path / "net.pt", to_pickle({"a.weight": Call(_rebuild_tensor_v2, *arguments)})
        )
        assert "corrupt" in refusal(path)


def quantised() -> torch.Tensor:
    return torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)


KINDS = {
    "sparse": (lambda: torch.ones(2, 2).to_sparse(), "sparse"),
    "sparse csr": (lambda: torch.ones(2, 2).to_sparse_csr(), "sparse"),
    "meta": (lambda: torch.empty(10**6, 10**6, device="meta"), "meta"),
    "quantised": (quantised, "quantised"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested"),
    "complex": (lambda: torch.ones(2, 2, dtype=torch.complex64), "complex64"),
    "int8": (lambda: torch.ones(2, 2, dtype=torch.int8), "int8"),
    "int64": (lambda: torch.ones(2, 2, dtype=torch.int64), "int64"),
    "bool": (lambda: torch.ones(2, 2, dtype=torch.bool), "bool"),
    "float8": (lambda: torch.ones(2, 2).to(torch.float8_e4m3fn), "float8"),
    "negated": (lambda: torch.ones(2, 2, dtype=torch.complex64).conj().imag, "negated"),
}


@pytest.mark.parametrize(("make", "words"), KINDS.values(), ids=KINDS)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_not_dense_floats_are_refused_by_name(tmp_path, make, words):
    torch.save({"body.weight": make()}, tmp_path / "net.pt")
    message = refusal(tmp_path / "net.pt")
    assert "'body.weight'" in message and words in message and "wanted" in message


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e5m2, torch.complex64])
def test_safetensors_of_other_types_are_refused_by_name(tmp_path, dtype):
    save_file({"body.weight": torch.ones(2, 2).to(dtype)}, tmp_path / "net.safetensors")
    message = refusal(tmp_path / "net.safetensors")
    assert "'body.weight'" in message and str(dtype).removeprefix("torch.")[:6] in message


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nan_and_infinity_are_refused_by_name(tmp_path, value, dtype):
    state = make_siren(2, 4, 1).to(dtype).state_dict()
    state["1.bias"][0] = value
    save_file(state, tmp_path / "net.safetensors")
    torch.save(state, tmp_path / "net.pt")
    for name in ("net.safetensors", "net.pt"):
        assert "Tensor '1.bias' holds NaN or infinity in 1 of 1 values" in refusal(tmp_path / name)


def test_a_double_too_large_for_float32_is_refused(tmp_path):
    state = make_siren(2, 4, 1).double().state_dict()
    state["1.bias"][0] = 1e300
    save_file(state, tmp_path / "net.safetensors")
    assert "'1.bias' holds values beyond the range of float32" in refusal(tmp_path / "net.safetensors")


# --- archives ---


def test_a_zip_bomb_is_refused_from_its_directory(tmp_path):
    members = {"net/data.pkl": to_pickle({}), "net/version": b"3", "net/data/0": bytes(10**8)}
    path = write_members(tmp_path / "net.pt", members, zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(path)
    assert peak_memory(lambda: refusal(path)) < 10**6


def test_archives_of_too_many_members_are_refused(tmp_path):
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 60_000, 60_000, 46 * 60_000, 0, 0)
    (tmp_path / "net.pt").write_bytes(b"PK\x03\x04" + bytes(46 * 60_000) + end)
    assert "60,000 members" in refusal(tmp_path / "net.pt")
    members = {"net/data.pkl": to_pickle({}), **{f"net/data/{i}": b"" for i in range(2 * TENSORS)}}
    assert "members" in refusal(write_members(tmp_path / "many.pt", members))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../../x", "outside"),
        ("net/../x", "outside"),
        ("/etc/passwd", "outside"),
        ("C:/x", "outside"),
        ("net\\x", "outside"),
        ("net/data/\u202e", "outside"),
        ("other/data/1", "several top folders"),
        ("loose", "several top folders"),
        ("net/run.py", "never writes"),
    ],
)
def test_members_in_odd_places_are_refused(tmp_path, name, words):
    members = {"net/data.pkl": to_pickle({}), name: b"x"}
    assert words in refusal(write_members(tmp_path / "net.pt", members))
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_and_links_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.pt", "w") as archive:
        for _ in range(2):
            archive.writestr("net/data.pkl", to_pickle({}))
    assert "'net/data.pkl' twice" in refusal(tmp_path / "twice.pt")
    link = zipfile.ZipInfo("net/data/0")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.pt", "w") as archive:
        archive.writestr("net/data.pkl", to_pickle({}))
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in refusal(tmp_path / "link.pt")


def test_encrypted_members_are_refused(tmp_path):
    data = bytearray(valid_checkpoint(tmp_path / "net.pt"))
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    (tmp_path / "net.pt").write_bytes(data)
    assert "encrypted" in refusal(tmp_path / "net.pt")


def test_a_wrong_checksum_is_refused(tmp_path):
    data = bytearray(valid_checkpoint(tmp_path / "net.pt"))
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        offset = archive.getinfo("net/data/0").header_offset
    data[data.index(b"PK\x07\x08", offset) - 1] ^= 1
    (tmp_path / "net.pt").write_bytes(data)
    assert "checksum of 'net/data/0' is wrong" in refusal(tmp_path / "net.pt")


def test_polyglots_are_refused(tmp_path):
    data = valid_checkpoint(tmp_path / "net.pt")
    other = write_members(tmp_path / "other.zip", {"a.txt": b"hello"}).read_bytes()
    for polyglot in (data + b"junk", data + bytes(1), data + other, other + data, b"PK\x03\x04" + data):
        (tmp_path / "net.pt").write_bytes(polyglot)
        refusal(tmp_path / "net.pt")
    (tmp_path / "net.pt").write_bytes(data + b"junk")
    assert "appended" in refusal(tmp_path / "net.pt")
    (tmp_path / "net.pt").write_bytes(other + data)
    assert "not where it should be" in refusal(tmp_path / "net.pt")


def test_a_hidden_member_between_members_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", to_pickle({}))
        archive.writestr("net/data/0", b"hidden")
        archive.writestr("net/version", b"3")
        del archive.NameToInfo["net/data/0"]
        archive.filelist = [info for info in archive.filelist if info.filename != "net/data/0"]
    assert "belong to nothing" in refusal(tmp_path / "net.pt")


def test_a_nested_zip_is_only_bytes(tmp_path):
    inner = write_members(tmp_path / "inner.zip", {"a": b"x"}).read_bytes()
    path = write_checkpoint(tmp_path / "net.pt", to_pickle({"a.weight": 1}), {"0": inner})
    assert "No weights found" in refusal(path)


def test_big_endian_checkpoints_are_refused(tmp_path):
    members = {"net/data.pkl": to_pickle({}), "net/byteorder": b"big"}
    assert "byte order" in refusal(write_members(tmp_path / "net.pt", members))


# --- safetensors ---


@pytest.mark.parametrize("length", [0, 5, 10**4, 2**20 + 1, 10**8, 2**63, 2**64 - 1])
def test_header_lengths_that_lie_are_refused(tmp_path, length):
    header, body = float_entries({"a.weight": (1, 2)})
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body, length))
    assert "safetensors file" in message


ENTRY = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}
BAD_HEADERS = {
    "not utf-8": (b'{"\xff\xfe": 1}', "UTF-8 JSON"),
    "not json": (b"{abc}", "UTF-8 JSON"),
    "list": (b"[1, 2, 3]", "not a JSON object"),
    "deep": (b'{"a":' + b"[" * 10**5, "UTF-8 JSON"),
    "nan": (b'{"a": NaN}', "NaN"),
    "twice": (b'{"a": {"dtype": "F32"}, "a": 1}', "twice"),
    "no tensors": ({}, "No tensors found"),
    "only metadata": ({"__metadata__": {"a": "b"}}, "No tensors found"),
    "metadata numbers": ({"__metadata__": {"a": 1}, "a": ENTRY}, "metadata"),
    "metadata list": ({"__metadata__": [], "a": ENTRY}, "metadata"),
    "not an entry": ({"a": 5}, "entry of tensor 'a'"),
    "missing key": ({"a": {"dtype": "F32", "shape": [1]}}, "entry of tensor 'a'"),
    "extra key": ({"a": {**ENTRY, "x": 1}}, "entry of tensor 'a'"),
    "negative": ({"a": {**ENTRY, "shape": [-1, -2]}}, "impossible"),
    "fraction": ({"a": {**ENTRY, "shape": [1.0, 2]}}, "impossible"),
    "boolean": ({"a": {**ENTRY, "shape": [True, 2]}}, "impossible"),
    "text": ({"a": {**ENTRY, "shape": "12"}}, "impossible"),
    "backwards": ({"a": {**ENTRY, "data_offsets": [8, 0]}}, "impossible"),
    "three offsets": ({"a": {**ENTRY, "data_offsets": [0, 4, 8]}}, "impossible"),
    "rank": ({"a": {**ENTRY, "shape": [1] * 63 + [2]}}, "64 dimensions"),
    "overflow": ({"a": {**ENTRY, "shape": [2**62, 2**62]}}, "does not fit"),
    "too small": ({"a": {**ENTRY, "shape": [3]}}, "does not fit"),
    "type": ({"a": {**ENTRY, "dtype": "F99"}}, "unknown type"),
    "type list": ({"a": {**ENTRY, "dtype": []}}, "unknown type"),
    "overlap": ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, "overlap"),
    "same": ({"a": ENTRY, "b": ENTRY}, "overlap"),
    "hole": ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [12, 20]}}, "hole"),
    "not from zero": ({"a": {**ENTRY, "data_offsets": [4, 12]}}, "hole"),
    "trailing": ({"a": {**ENTRY, "shape": [1, 1], "data_offsets": [0, 4]}}, "follow its last tensor"),
    "short": ({"a": {**ENTRY, "shape": [10, 2], "data_offsets": [0, 80]}}, "incomplete"),
    "empty tensor": (
        {"a": {**ENTRY, "shape": [0, 2**60], "data_offsets": [0, 0]}, "b": ENTRY},
        "has no values",
    ),
    "rank 3": ({"a": {**ENTRY, "shape": [1, 1, 2]}}, "no supported layer"),
    "scalar": ({"a": {**ENTRY, "shape": [2]}}, "only vectors"),
}


@pytest.mark.parametrize(("header", "words"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_bad_headers_are_refused(tmp_path, header, words):
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, bytes(8)))
    assert words in message, message


def test_too_many_tensors_are_refused(tmp_path):
    header, body = float_entries({f"{i}.weight": (1, 1) for i in range(TENSORS + 1)})
    assert "2,001 tensors" in refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    text = b"{" + b",".join(b'"%d":0' % i for i in range(10**5)) + b"}"
    assert "100,000 tensors" in refusal(write_safetensors(tmp_path / "net.safetensors", text))


# --- networks that are not supported ---


def test_unsupported_structures_say_what_is_supported_found_and_where(tmp_path):
    shapes = {
        "residual": {"conv1": (16, 3, 3, 3), "conv2": (32, 16, 3, 3), "down": (32, 16, 1, 1), "fc": (10, 32)},
        "flattened": {"conv": (8, 1, 3, 3), "fc": (10, 8 * 26 * 26)},
        "grouped": {"conv1": (8, 8, 1, 1), "conv2": (8, 1, 3, 3)},
        "broken": {"a": (8, 2), "b": (7, 8), "c": (1, 9)},
        "backwards": {"fc": (8, 2), "conv": (8, 8, 3, 3)},
    }
    words = {
        "residual": "layer 2 ('down.weight'): it takes 16 inputs, but 'conv2.weight' before it gives 32",
        "flattened": "layer 1 ('fc.weight'): 5,408 inputs after 8 channels, which is flattening",
        "grouped": "grouped (depthwise) convolution",
        "broken": "First mismatch at layer 2 ('c.weight')",
        "backwards": "convolution after a linear layer",
    }
    for name, layers in shapes.items():
        header, body = float_entries({f"{layer}.weight": shape for layer, shape in layers.items()})
        state = {f"{layer}.weight": torch.ones(shape) for layer, shape in layers.items()}
        torch.save(state, tmp_path / "net.pt")
        message = refusal(tmp_path / "net.pt")
        assert words[name] in message, message
        assert "Supported:" in message and f"Found {len(layers)} layers" in message
        assert "Supported:" in refusal(write_safetensors(tmp_path / "net.safetensors", header, body))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"a.weight": (2, 8), "a.bias": (8,)}, "looks transposed"),
        ({"a.weight": (8, 2), "a.bias": (3,)}, "'a.bias' has 3 values"),
        (
            {"a.weight": (8, 2), "norm.weight": (8,), "norm.bias": (8,)},
            "'norm.weight' of shape [8] belongs to no",
        ),
        ({"a.weight": (8, 2), "scale": ()}, "'scale' of shape [] belongs to no"),
        ({"a.weight": (8, 2, 3)}, "'a.weight' of shape [8, 2, 3] belongs to no"),
        ({"a.weight": (8, 2), "n.running_mean": (8,)}, "no 'n.running_var'"),
        ({f"{i}.weight": (1, 1) for i in range(500)}, "500 layers; at most 64"),
        ({"a.weight": (100_001, 1)}, "100,001 wide; at most 100,000"),
    ],
)
def test_tensors_without_a_place_are_named(tmp_path, shapes, words):
    header, body = float_entries(shapes)
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    assert words in message, message


def test_storages_shared_by_many_tensors_count_against_the_budget(tmp_path):
    flat = torch.zeros(1000 * 1000)
    torch.save({f"{i}.weight": flat.view(1000, 1000) for i in range(9)}, tmp_path / "net.pt")
    assert "9,000,000 values; at most 8,000,000" in refusal(tmp_path / "net.pt")


def test_two_networks_in_one_file_are_told_apart_by_nobody(tmp_path):
    state = make_siren(2, 4, 1).state_dict()
    torch.save({"generator": state, "critic": state.copy()}, tmp_path / "net.pt")
    assert "2 state_dicts ('generator', 'critic')" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.ones(2, 2), "single tensor"),
        ([torch.ones(2, 2)], "holds a list"),
        ({0: torch.ones(2, 2)}, "name that is not text"),
        ({"epoch": 3, "loss": 0.5}, "entries 'epoch', 'loss'"),
        ({}, "holds nothing"),
        ({"weights": np.zeros((2, 2))}, "weights: numpy"),
    ],
)
def test_checkpoints_without_a_state_dict_say_what_they_hold(tmp_path, value, words):
    torch.save(value, tmp_path / "net.pt")
    assert words in refusal(tmp_path / "net.pt")


def test_an_order_hard_to_find_is_given_up_soon(tmp_path):
    letters = [a + b for a, b in itertools.product("abcdefgh", repeat=2)][:60]
    shapes = {f"{name}.weight": (4, 4) for name in letters[:-2]}
    shapes |= {f"{letters[-2]}.weight": (4, 3), f"{letters[-1]}.weight": (4, 3)}
    header, body = float_entries(shapes)
    refusal(write_safetensors(tmp_path / "net.safetensors", header, body))


def test_a_name_without_end_is_refused_soon(tmp_path):
    header, body = float_entries({"weight" * 100_000: (1, 2)})
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    assert "600,000 characters" in message and len(message) < 400


@pytest.mark.parametrize(
    "name", ["x" * 10_000, "a\nb\tc\x00", "\u202e\u2066evil", "<script>alert(1)</script>" * 9]
)
def test_names_in_messages_are_short_and_printable(tmp_path, name):
    header, body = float_entries({name: (1, 2, 3)})
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    assert len(message) < 400
    assert len(quote(name)) < 70 and quote(name).isprintable()
