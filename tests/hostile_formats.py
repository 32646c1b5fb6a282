"""Files that are wrong or hostile in the formats of NumPy and of old PyTorch; as the others in `hostile_files`."""

import io
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable

import numpy as np
import torch
from reader_files import Call, to_pickle
from torch import nn

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
ONE = struct.pack("<f", 1.0)


def old_format(value: object) -> bytes:
    """What `torch.save` wrote before PyTorch 1.6."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def old_parts(
    pickled: bytes,
    keys: object = ("0",),
    storages: bytes = b"",
    protocol: object = 1001,
    machine: object = None,
) -> bytes:
    """A checkpoint in the old format from parts made by hand."""
    machine = {"little_endian": True} if machine is None else machine
    heads = [MAGIC, to_pickle(protocol), to_pickle(machine)]
    return b"".join([*heads, pickled, to_pickle(list(keys) if isinstance(keys, tuple) else keys), storages])


def old_tensor(shape: tuple[int, ...] = (1, 1), numel: int = 1, kind: bytes = b"FloatStorage") -> bytes:
    """The pickle of one tensor, in a table, with six parts to its storage."""
    storage = (
        b"(X\x07\0\0\0storagectorch\n" + kind + b"\nX\x01\0\0\x000X\x03\0\0\0cpuK" + bytes([numel]) + b"NtQ"
    )
    sizes = b"(" + b"".join(b"J" + struct.pack("<i", size) for size in shape) + b"t"
    strides = b"(" + b"K\x01" * len(shape) + b"t"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + sizes + strides + b"\x89NtR"
    return b"\x80\x02}X\x01\0\0\0a" + call + b"s."


def counted(count: int, data: bytes = ONE) -> bytes:
    """A storage of the old format."""
    return struct.pack("<q", count) + data


def npy(
    descr: str = "'<f4'", shape: str = "(1, 1)", body: bytes = ONE, order: str = "False", more: str = ""
) -> bytes:
    """An array with any header."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {more}}}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + body


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of arrays made by hand; what is to be the same name twice ends in a blank."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, data in members.items():
            archive.writestr(name.rstrip(), data)
    return buffer.getvalue()


def with_size(data: bytes, size: int) -> bytes:
    """An archive whose directory claims another size for its first member."""
    changed = bytearray(data)
    at = data.index(b"PK\x01\x02")
    changed[at + 24 : at + 28] = struct.pack("<I", size)
    return bytes(changed)


def array(state: tuple, dtype: bytes = b"f4") -> bytes:
    """A raw pickle of one array with any state; `DTYPE` in it stands for its type."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tC\x01btR"
    kind = (
        b"cnumpy\ndtype\n(\x8c"
        + bytes([len(dtype)])
        + dtype
        + b"\x89\x88tR(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    parts = b"".join(kind if part == "DTYPE" else pickle.dumps(part, 3)[2:-1] for part in state)
    return b"\x80\x03}\x8c\x01a" + made + b"(" + parts + b"tbs."


def encoded(text: str, encoding: str) -> bytes:
    """A raw pickle that makes bytes from a text, as protocol 2 does."""
    body = text.encode()
    return (
        b"\x80\x02}X\x01\0\0\0ac_codecs\nencode\n(X" + struct.pack("<I", len(body)) + body
        + b"X" + struct.pack("<I", len(encoding)) + encoding.encode() + b"tRs."
    )  # fmt: skip


def nested(depth: int) -> bytes:
    """A list in a list in a list."""
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def two_objects() -> bytes:
    """An object of tensors where the list of the storages should be."""
    return MAGIC + to_pickle(1001) + to_pickle({}) + old_tensor() * 2


def integers() -> bytes:
    """Integers under the name of a weight."""
    return array((1, (1, 1), "DTYPE", False, ONE), b"i4").replace(b"\x8c\x01a", b"\x8c\x06weight", 1)


def payload() -> dict[str, Call]:
    return {"0.weight": Call(os.system, "true")}


def structured() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.zeros((2, 2), dtype=[("a", "f4"), ("b", "i4")]))
    return buffer.getvalue()


def of_objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.array([[1, None]], dtype=object))
    return buffer.getvalue()


def parametrized() -> bytes:
    net = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))
    return old_format(net.state_dict())


STATE = nn.Linear(2, 1).state_dict()
BOMB = npz({"a.npy": npy(body=bytes(10**6))}, zipfile.ZIP_DEFLATED)
Row = tuple[int, str, Callable[[], bytes]]
"""The row of the table of bad inputs, the words of the answer, and the file."""

OLD_FORMAT: dict[str, Row] = {
    "payload": (7, "tries to run", lambda: old_parts(pickle.dumps(payload(), 2))),
    "payload among the keys": (7, "tries to run", lambda: old_parts(old_tensor(), payload(), counted(1))),
    "cut short": (4, "incomplete", lambda: old_format(STATE)[:-3]),
    "cut in the pickle": (4, "corrupt", lambda: old_format(STATE)[:150]),
    "magic alone": (4, "corrupt", lambda: MAGIC),
    "appended": (11, "follow its last storage", lambda: old_format(STATE) + b"junk"),
    "another protocol": (22, "protocol is '1000'", lambda: old_parts(old_tensor(), protocol=1000)),
    "a protocol without end": (8, "protocol is 'list'", lambda: MAGIC + nested(50_000) + to_pickle({}) * 9),
    "big-endian": (22, "big-endian", lambda: old_parts(old_tensor(), machine={"little_endian": False})),
    "a huge storage": (12, "incomplete", lambda: old_parts(old_tensor(), storages=counted(2**62))),
    "a negative storage": (12, "-1 values", lambda: old_parts(old_tensor(), storages=counted(-1, ONE * 3))),
    "another number of values": (12, "'a' is corrupt", lambda: old_parts(old_tensor(numel=2), storages=counted(1))),
    "no storage": (12, "list of its storages", lambda: old_parts(old_tensor(), keys=())),
    "other keys": (12, "list of its storages", lambda: old_parts(old_tensor(), keys=("1",), storages=counted(1))),
    "a key twice": (12, "list of its storages", lambda: old_parts(old_tensor(), ("0", "0"), counted(1) * 2)),
    "keys without end": (8, "list of its storages", lambda: old_parts(old_tensor(), keys=[[[["0"]]]])),
    "an unknown storage": (14, "unknown type", lambda: old_parts(old_tensor(kind=b"EvilStorage"), storages=counted(1))),
    "a lying shape": (12, "claims more data", lambda: old_parts(old_tensor((2**30, 2**30)), storages=counted(1))),
    "a storage among the keys": (8, "among the storages' keys", two_objects),
    "overlapping": (13, "expanded", lambda: old_parts(old_tensor((2, 2), 4), storages=counted(4, ONE * 4))),
    "parametrization": (24, "remove_parametrizations", parametrized),
}  # fmt: skip
ARRAYS: dict[str, Row] = {
    "bomb": (9, "unpacks to", lambda: with_size(BOMB, 2**31)),
    "longer than it says": (9, "as long as it claims", lambda: with_size(BOMB, 100)),
    "shorter than it says": (9, "as long as it claims", lambda: with_size(BOMB, 10**7)),
    "damaged": (11, "cannot be unpacked|claims|checksum", lambda: BOMB[:60] + b"\xff" * 9 + BOMB[69:]),
    "no array": (22, "is no array", lambda: npz({"a.npy": b"hello" * 9})),
    "objects": (22, "Python objects", of_objects),
    "structured": (22, "which numpy.save never writes", structured),
    "a member above": (10, "outside", lambda: npz({"../../x.npy": npy()})),
    "a member twice": (10, "twice", lambda: npz({"a.npy": npy(), "a.npy ": npy()})),
    "many": (9, "arrays; at most", lambda: npz({f"{i}.npy": b"" for i in range(2500)})),
    "lying shape": (12, "not what its shape needs", lambda: npz({"a.npy": npy(shape="(1000, 1000)")})),
    "huge shape": (12, "impossible|not what", lambda: npz({"a.npy": npy(shape=f"({10**60}, 2)")})),
    "endless shape": (12, "header", lambda: npz({"a.npy": npy(shape="(" + "1" * 5000)})),
    "shape of an expression": (12, "header", lambda: npz({"a.npy": npy(shape="(9**9**9, 1)")})),
    "no rank": (12, "No weights|single", lambda: npz({"a.npy": npy(shape="()")})),
    "rank": (18, "dimensions", lambda: npz({"a.npy": npy(shape="(" + "1, " * 40 + "1)")})),
    "code in its type": (12, "header", lambda: npz({"a.npy": npy(descr="__import__('os')")})),
    "another type": (14, "NumPy's V4", lambda: npz({"a.npy": npy(descr="'|V4'")})),
    "big-endian": (14, "big-endian float32", lambda: npz({"a.npy": npy(descr="'>f4'")})),
    "integers": (15, "int32", lambda: npz({"weight.npy": npy(descr="'<i4'")})),
    "more in its header": (12, "header", lambda: npz({"a.npy": npy(more="'x': 1")})),
    "NaN": (16, "NaN", lambda: npz({"a.npy": npy(body=struct.pack("<f", float("nan")))})),
    "beside another file": (10, "other files", lambda: npz({"a.npy": npy(), "run.sh": b"x"})),
    "single": (22, "single tensor", lambda: npy()),
    "single, of a payload": (7, "tries to run", lambda: npy("'|O'", "()", pickle.dumps(payload(), 2))),
}  # fmt: skip
PICKLED: dict[str, Row] = {
    "two": (11, "corrupt", lambda: pickle.dumps({}, 2) * 2),
    "lying shape": (12, "not what its shape needs", lambda: array((1, (2, 2**40), "DTYPE", False, ONE))),
    "negative shape": (12, "impossible", lambda: array((1, (-2, -2), "DTYPE", False, ONE * 4))),
    "shape of a text": (12, "impossible way", lambda: array((1, "22", "DTYPE", False, ONE))),
    "no type": (12, "impossible way", lambda: array((1, (1, 1), "f4", False, ONE))),
    "no values": (12, "impossible way", lambda: array((1, (1, 1), "DTYPE", False, None))),
    "no state": (12, "impossible way", lambda: array((1, (1, 1)))),
    "objects": (14, "No weights", lambda: array((1, (1, 1), "DTYPE", False, [1]), b"O8")),
    "unknown type": (14, "NumPy's x9", lambda: array((1, (1, 1), "DTYPE", False, ONE), b"x9")),
    "integers": (15, "int32", integers),
    "half of a value": (12, "not what its shape needs", lambda: array((1, (1, 1), "DTYPE", False, ONE[:3]))),
    "wide text as bytes": (12, "corrupt", lambda: encoded("\u20ac" * 9, "latin1")),
    "long wide text as bytes": (12, "impossible way", lambda: encoded("\u20ac" * 99_999, "latin1")),
    "another encoding": (7, "encodes a text as 'rot13'", lambda: encoded("x", "rot13")),
    "joblib": (22, "pickle.dump", lambda: b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n."),
    "nested lists": (8, "No weights", lambda: nested(90_000)),
    "calls of unknown functions": (8, "No weights", lambda: b"\x80\x02}X\x01\0\0\0acevil\nrun\n(X\x01\0\0\0xtRs."),
    "text without end": (8, "corrupt", lambda: b"\x80\x02X\xff\xff\xff\xff" + b"a" * 99),
    "line without end": (8, "corrupt", lambda: b"}qc" + b"a" * 10**6),
}  # fmt: skip
FORMATS: dict[str, Row] = {
    **{f"old format: {name}": row for name, row in OLD_FORMAT.items()},
    **{f"arrays: {name}": row for name, row in ARRAYS.items()},
    **{f"raw pickle: {name}": row for name, row in PICKLED.items()},
}
