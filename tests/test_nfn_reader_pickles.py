"""Pickles that want to run something, or never to end: refused soon, with nothing run or imported."""

import ast
import os
import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import ODD_PICKLES
from reader_files import (
    Call,
    make_siren,
    to_pickle,
    write_checkpoint,
)
from refusals import refusal
from torch._utils import _rebuild_parameter

from nfn.reader import read_network
from nfn.reader.limits import PICKLE_OPCODES


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
    torch.save({**state, "9.weight": torch.nn.ReLU()}, tmp_path / "object.pt")
    assert read_network(tmp_path / "fine.pt").kind == "siren"
    assert "'9.weight' is an object of class 'torch.nn.modules.activation.ReLU'" in refusal(
        tmp_path / "object.pt"
    )


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


@pytest.mark.parametrize("code", ODD_PICKLES.values(), ids=ODD_PICKLES)
def test_odd_pickles_are_refused(tmp_path, code):
    message = refusal(write_checkpoint(tmp_path / "net.pt", code))
    assert any(word in message for word in ("corrupt", "refused", "No weights found"))


def test_endless_pickles_are_refused_quickly(tmp_path):
    nested_tuples = b"\x80\x02)" + b"2\x86" * 60 + b"q\x000}h\x00K\x01s."
    assert "No weights found" in refusal(write_checkpoint(tmp_path / "hash.pt", nested_tuples))
    for code in (b"N0" * 10**6, b"(" * 10**6, b"]" + b"]a" * 10**6, b"}q\x00" + b"h\x000" * 10**6):
        assert f"{PICKLE_OPCODES:,} steps" in refusal(write_checkpoint(tmp_path / "long.pt", code + b"."))
    text = b"X" + struct.pack("<I", 5 << 20) + bytes(5 << 20) + b"."
    assert "the file holds a text" in refusal(write_checkpoint(tmp_path / "text.pt", text))
    short = b"X\xff\xff\0\0" + bytes((1 << 16) - 1)
    assert "bytes long" in refusal(write_checkpoint(tmp_path / "texts.pt", b"(" + short * 80 + b"t."))


def test_a_dict_inside_itself_terminates(tmp_path):
    loop: dict = {"a": 1}
    loop["self"] = loop
    assert "No weights found" in refusal(write_checkpoint(tmp_path / "net.pt", to_pickle(loop)))
