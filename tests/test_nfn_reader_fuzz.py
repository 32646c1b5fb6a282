"""Whatever the bytes, `read_network` gives a network or one `NetworkFileError`, and nothing else."""

import json
import pickletools
import struct
import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from foreign_ways import WAYS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_files import Storage, make_cnn, make_siren, tensor_call, to_pickle, write_checkpoint
from safetensors.torch import load, save

from nfn.network import Network
from nfn.reader import NetworkFileError, read_network
from nfn.reader.legacy_file import LEGACY_MAGIC
from nfn.reader.pickle_plan import read_plan
from nfn.reader.pickle_steps import LongText, split_steps

fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FOLDER = tempfile.TemporaryDirectory()
SCRATCH = Path(FOLDER.name) / "net"


@pytest.fixture(scope="module", autouse=True)
def remove_scratch():
    yield
    FOLDER.cleanup()


def outcome(data: bytes) -> Network | None:
    """The network in the bytes; None if they are refused as they should be."""
    SCRATCH.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            network = read_network(SCRATCH)
    except NetworkFileError as error:
        assert str(error).isprintable() and len(str(error)) < 800
        return None
    assert all(tensor.isfinite().all() for tensor in network.tensors().values())
    return network


MUTATED = (
    "container: state_dict, old format",
    "container: pickle of arrays, protocol 2",
    "container: pickle of arrays, protocol 4",
    "container: npz, compressed",
    "container: npy of a dict",
    "container: whole module",
    "container: whole module, old format",
    "library: Flax, pickled",
    "wrapper: Lightning",
    "folded: weight_norm",
    "omega: per-row omegas that differ",
    "omega: text in YAML",
)
"""Ways to write a network down, besides the plainest."""


def checkpoint(value: object) -> bytes:
    torch.save(value, SCRATCH)
    return SCRATCH.read_bytes()


VALID = {
    **{name: WAYS[name].make() for name in MUTATED},
    "siren.pt": checkpoint(make_siren(2, 4, 4, 1).state_dict()),
    "cnn.pt": checkpoint({"model": make_cnn().state_dict(), "epoch": 3}),
    "siren.safetensors": save(make_siren(2, 4, 4, 1).state_dict(), {"omega_0": "20"}),
    "cnn.safetensors": save(make_cnn().state_dict()),
}


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid file with bytes changed, a piece cut out, repeated or replaced."""
    data = bytearray(draw(st.sampled_from(list(VALID.values()))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1) | st.integers(0, min(600, len(data) - 1)))
        piece = draw(st.binary(max_size=12))
        length = draw(st.sampled_from([0, 1, 1, 1, 2, 8, len(piece), 64]))
        data[at : at + length] = piece
        if len(data) < 2:
            break
    return bytes(data)


def test_the_files_to_be_mutated_are_read():
    assert all(outcome(data) is not None for data in VALID.values())


PREFIXES = [
    b"",
    b"PK\x03\x04",
    b"\x80\x02",
    b"\x40" + bytes(7) + b"{",
    b"\x93NUMPY\x01\0",
    LEGACY_MAGIC,
    b"(dp0\n",
]


@fuzz
@given(st.binary(max_size=300), st.sampled_from(PREFIXES))
def test_random_bytes(data, prefix):
    assert outcome(prefix + data) is None


@settings(fuzz, max_examples=600)
@given(mutated())
def test_mutated_files(data):
    outcome(data)


@settings(fuzz, max_examples=300)
@given(st.data())
def test_mutated_safetensors_that_are_accepted_satisfy_the_library_too(data):
    """A differential test: our header checks are at least as strict, and the values are the same."""
    valid = data.draw(st.sampled_from([v for k, v in VALID.items() if k.endswith("safetensors")]))
    (size,) = struct.unpack_from("<Q", valid)
    header = json.loads(valid[8 : 8 + size])
    name = data.draw(st.sampled_from(sorted(header)))
    number = st.integers(-1, 40) | st.sampled_from([2**31, 2**63, 1.0, None, "1", True])
    field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", "new"]))
    value = data.draw(
        st.lists(number, max_size=4) | st.sampled_from(["F16", "F32", "I64", "BF16", "BOOL", {}])
    )
    header[name] = {**header[name], field: value}
    text = json.dumps(header).encode()
    file = struct.pack("<Q", len(text)) + text + valid[8 + size :]
    network = outcome(file)
    if network is not None:
        tensors = load(file)
        assert {names.weight for names in network.names} <= tensors.keys()


SNIPPETS = [
    b"(", b")", b"}", b"]", b"t", b"\x85", b"\x86", b"\x87", b"N", b"K\x01", b"K\x04", b"0", b"1", b"2", b"a", b"e",
    b"s", b"u", b"b", b"R", b"o", b"d", b"l", b"\x81", b"\x92", b"\x93", b"\x94", b"\x8f", b"\x90", b"\x91", b"Q",
    b"q\x00", b"h\x00", b"q\x01", b"h\x01", b"\x8c\x01a", b"\x8c\x08a.weight", b"\x8c\x07storage", b"\x8c\x010",
    b"\x8c\x03cpu", b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n", b"ctorch.storage\nUntypedStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_tensor_v3\n", b"ctorch\nSize\n",
    b"ctorch._utils\n_rebuild_parameter\n", b"ctorch._tensor\n_rebuild_from_type_v2\n", b"cnumpy\nndarray\n",
    b"(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuK\x04tQ", b"K\x00K\x02K\x02\x86K\x02K\x01\x86\x89",
    b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n", b"\x8c\x02f4", b"\x89\x88", b"C\x04abcd",
    b"c_codecs\nencode\n", b"\x8c\x06latin1", b"cA\nB\n", b"\x8c\x08_modules", b"\x8c\x0b_parameters",
    b"ios\nsystem\n", b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"G\x7f\xf8\0\0\0\0\0\0",
]  # fmt: skip


@settings(fuzz, max_examples=600)
@given(st.lists(st.sampled_from(SNIPPETS), max_size=40))
def test_random_opcodes_on_the_pickle_machine(snippets):
    """The machine alone, so that the zip's checksum does not hide it."""
    try:
        read_plan(memoryview(b"".join(snippets) + b"."), {"data/0": memoryview(bytes(16))})
    except NetworkFileError as error:
        assert str(error).isprintable()


@settings(fuzz, max_examples=300)
@given(st.lists(st.sampled_from(SNIPPETS), max_size=40) | st.binary(max_size=60).map(lambda data: [data]))
def test_the_steps_of_a_pickle_are_those_of_pickletools(snippets):
    """A differential test: our steps have the names, arguments and places that the standard library finds."""
    data = b"".join(snippets) + b"."
    try:
        ours = list(split_steps(memoryview(data)))
    except (ValueError, IndexError, struct.error):
        return
    try:
        theirs = list(pickletools.genops(data))
    except ValueError:
        assert any(name in UNREAD for name, _, _ in ours), "what is refused at sight need not be whole"
        return
    assert [name for name, _, _ in ours] == [opcode.name for opcode, _, _ in theirs]
    for (_, argument, end), (opcode, expected, _), following in zip(
        ours, theirs, [*theirs[1:], None], strict=True
    ):
        assert end == (len(data) if following is None else following[2]) or following is None
        if opcode.name not in UNREAD:
            plain = bytes(argument) if isinstance(argument, memoryview) else argument
            assert isinstance(plain, LongText) or plain == expected or plain != plain


UNREAD = ("LONG4", "PERSID", "EXT1", "EXT2", "EXT4")
"""Steps that are refused whatever their argument."""


@settings(fuzz, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=3)), min_size=1, max_size=3))
def test_mutated_pickles_in_sound_archives(changes):
    pickled = bytearray(RAW_PICKLE)
    for at, piece in changes:
        at %= len(pickled)
        pickled[at : at + len(piece)] = piece
    write_checkpoint(SCRATCH, bytes(pickled), {"0": bytes(32), "1": bytes(16)})
    outcome(SCRATCH.read_bytes())


def _raw_pickle() -> bytes:
    weight = tensor_call((4, 2), (2, 1), Storage(numel=8))
    bias = tensor_call((4,), (1,), Storage(key="1", numel=4))
    return to_pickle({"state_dict": {"0.weight": weight, "0.bias": bias}, "w0": 20.0})


RAW_PICKLE = _raw_pickle()


def test_the_pickle_to_be_mutated_is_read():
    write_checkpoint(SCRATCH, RAW_PICKLE, {"0": bytes(32), "1": bytes(16)})
    network = outcome(SCRATCH.read_bytes())
    assert network is not None and network.names[0].bias == "0.bias"
