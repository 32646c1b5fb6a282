"""Files that are wrong, foreign or hostile, made when they are wanted: rows 2 to 25 of the table of bad inputs.

`python tests/hostile_files.py FOLDER` writes them there, as seeds for `bench/fuzz_reader.py`.
"""

import io
import itertools
import os
import pickle
import pickletools
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from foreign_ways import WAYS
from hostile_formats import FORMATS, MAGIC
from reader_files import (
    Call,
    Storage,
    float_entries,
    make_cnn,
    make_siren,
    tensor_call,
    to_pickle,
    write_checkpoint,
    write_members,
    write_safetensors,
)
from safetensors.torch import save

MARKER = Path(tempfile.gettempdir(), f"weightscope-ran-{os.getpid()}")
"""What a payload would make, if it ran."""


@dataclass(frozen=True)
class Hostile:
    """A row of the table, the words of the right answer, and how to make the file."""

    row: int
    words: str
    make: Callable[[], bytes]


def written(write: Callable[[Path], object]) -> bytes:
    """The bytes of a file that `write` puts where it is told."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net")
        write(path)
        return path.read_bytes()


def saved(value: object, **how: bool) -> bytes:
    """What `torch.save` writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return written(lambda path: torch.save(value, path, **how))


def checkpoint(pickled: bytes, **storages: bytes) -> bytes:
    return written(lambda path: write_checkpoint(path, pickled, storages or None))


def members(names: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    return written(lambda path: write_members(path, names, compression))


def header(head: object, body: bytes = bytes(8), length: int | None = None) -> bytes:
    return written(lambda path: write_safetensors(path, head, body, length))


def tensors(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """A safetensors file of float32 tensors of the value 0.5."""
    return header(*float_entries(shapes))


def siren(*widths: int) -> dict[str, torch.Tensor]:
    """An untrained SIREN, always the same."""
    torch.manual_seed(0)
    return make_siren(*(widths or (2, 8, 8, 1))).state_dict()


FOREIGN = {
    "empty": (b"", "empty"),
    "seven bytes": (b"1234567", "too short"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS"),
    "json": (b'{"message": "Not found", "status": 404}', "JSON"),
    "raw pickle": (pickle.dumps({"a": 1}, 4), "No weights found: the file holds the entries 'a'"),
    "old pickle": (pickle.dumps({"a": [1.0] * 9}, 0), "No weights found: the file holds the entries 'a'"),
    "shards": (
        b'{"metadata": {}, "weight_map": {"fc.weight": "model-00001-of-00002.safetensors"}}',
        "sharded",
    ),
    "messagepack": (b"\x81\xa6kernel\xc7\x10\x01" + bytes(20), "MessagePack"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(100), "GGUF"),
    "npy": (b"\x93NUMPY\x01\0" + bytes(100), "which numpy.save never writes"),
    "onnx": (b"\x08\x0a\x12\x07pytorch\x1a\x062.13.0:\x90\x01", "ONNX"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(20), "gzip"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(20), "picture"),
    "tar": (b"sys_info".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), "tar archive"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
    "noise": (bytes(range(200, 256)) * 3, "format is unknown"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "empty"),
}


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


def early(make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """A tensor of a kind that torch warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


KINDS = {
    "sparse": (lambda: torch.ones(2, 2).to_sparse(), "sparse"),
    "sparse csr": (lambda: early(torch.ones(2, 2).to_sparse_csr), "sparse"),
    "meta": (lambda: torch.empty(10**6, 10**6, device="meta"), "meta"),
    "quantised": (
        lambda: early(lambda: torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)),
        "quantised",
    ),
    "nested": (
        lambda: early(lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
        "nested",
    ),
    "complex": (lambda: torch.ones(2, 2, dtype=torch.complex64), "complex64"),
    "int8": (lambda: torch.ones(2, 2, dtype=torch.int8), "int8"),
    "int64": (lambda: torch.ones(2, 2, dtype=torch.int64), "int64"),
    "bool": (lambda: torch.ones(2, 2, dtype=torch.bool), "bool"),
    "float8": (lambda: torch.ones(2, 2).to(torch.float8_e4m3fn), "float8"),
    "negated": (lambda: torch.ones(2, 2, dtype=torch.complex64).conj().imag, "negated"),
}


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


def _with(value: float) -> bytes:
    state = siren()
    state["1.linear.bias"][0] = value
    return save(state)


def _twice() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("net/data.pkl", to_pickle({}))
    return buffer.getvalue()


def _link() -> bytes:
    buffer, link = io.BytesIO(), zipfile.ZipInfo("net/data/0")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", to_pickle({}))
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def _wrong_checksum() -> bytes:
    data = bytearray(saved(siren()))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        offset = next(i.header_offset for i in archive.infolist() if i.filename.endswith("data/0"))
    data[data.index(b"PK\x07\x08", offset) - 1] ^= 1
    return bytes(data)


def long_integers() -> bytes:
    """A shape of eight sizes of millions of bits, one and the same: their product takes half a minute."""
    size = b"\x8b" + struct.pack("<i", 450_000) + b"\x01" * 450_000 + b"q\x00" + b"h\x00" * 7
    storage = b"(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuK\x01tQ"
    strides = b"(" + b"K\x01" * 8 + b"t"
    rebuilt = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00(" + size + b"t" + strides + b"\x89NtR"
    )
    return checkpoint(b"}\x8c\x08a.weight" + rebuilt + b"s.")


def _payload(protocol: int) -> bytes:
    return pickle.dumps({"0.weight": Call(os.system, f"touch {MARKER}")}, protocol)


def _tensor(name: str, call: Call, **storages: bytes) -> bytes:
    return checkpoint(to_pickle({name: call}), **storages)


TRUNCATED = {
    "cut checkpoint": Hostile(4, "incomplete", lambda: saved(siren())[:-40]),
    "cut safetensors": Hostile(4, "incomplete", lambda: save(siren())[:-40]),
}
PICKLES = {
    "payload in a zip": Hostile(7, "tries to run", lambda: checkpoint(_payload(2))),
    "payload of protocol 4": Hostile(7, "tries to run", lambda: checkpoint(_payload(4))),
    "payload, raw": Hostile(7, "tries to run", lambda: _payload(4)),
    "a million steps": Hostile(8, "200,000 steps", lambda: checkpoint(b"N0" * 10**6 + b".")),
    "long integers": Hostile(8, "LONG4", long_integers),
    **{f"pickle: {name}": Hostile(8, "corrupt|refused|No weights", lambda code=code: checkpoint(code))
       for name, code in ODD_PICKLES.items()},
}  # fmt: skip
_PICKLED = {"net/data.pkl": to_pickle({})}
ARCHIVES = {
    "zip bomb": Hostile(
        9, "compressed", lambda: members({**_PICKLED, "net/data/0": bytes(10**8)}, zipfile.ZIP_DEFLATED)
    ),
    "nested zip": Hostile(
        9, "No weights", lambda: checkpoint(to_pickle({"a": 1}), **{"0": members({"a": b"x"})})
    ),
    "many members": Hostile(
        9, "members", lambda: members({**_PICKLED, **{f"net/data/{i}": b"" for i in range(4000)}})
    ),
    "member above": Hostile(10, "outside", lambda: members({**_PICKLED, "../../x": b"x"})),
    "absolute member": Hostile(10, "outside", lambda: members({**_PICKLED, "/etc/passwd": b"x"})),
    "member twice": Hostile(10, "twice", _twice),
    "member that is a link": Hostile(10, "symbolic link", _link),
    "wrong checksum": Hostile(11, "checksum", _wrong_checksum),
    "appended": Hostile(11, "appended", lambda: saved(siren()) + b"junk"),
    "prepended": Hostile(11, "not where it should be", lambda: members({"a.txt": b"hello"}) + saved(siren())),
}
OTHER_TYPES = ("complex", "int8", "int64", "bool", "float8")
STORAGES = {
    "short storage": Hostile(
        12, "'a' is corrupt", lambda: _tensor("a", tensor_call((2, 2), (2, 1), Storage(numel=4)))
    ),
    "missing storage": Hostile(
        12, "'a' is corrupt", lambda: _tensor("a", tensor_call((1, 1), (1, 1), Storage(key="7")))
    ),
    "expanded": Hostile(13, "claims more data", lambda: saved({"a": torch.ones(1).expand(10**6, 10**5)})),
    **{f"{name} tensor": Hostile(15 if name in OTHER_TYPES else 14, words,
       lambda make=make: saved({"body.weight": make()})) for name, (make, words) in KINDS.items()},
    **{f"value {value}": Hostile(16, "NaN or infinity", lambda value=value: _with(value))
       for value in (float("nan"), float("inf"), float("-inf"))},
}  # fmt: skip
BAD_HEADER_ROWS = {
    **dict.fromkeys(("not utf-8", "not json", "list", "deep", "nan"), 17),
    **dict.fromkeys(("negative", "rank", "empty tensor"), 18),
    **dict.fromkeys(("no tensors", "only metadata"), 20),
}
"""The rows of bad headers; the others are entries that do not fit the bytes, row 19."""
HEADERS = {
    **{f"header of {length} bytes": Hostile(17, "safetensors file", lambda n=length: header({"a": ENTRY}, length=n))
       for length in (0, 10**4, 10**8, 2**63)},
    **{f"header: {name}": Hostile(BAD_HEADER_ROWS.get(name, 19), words, lambda head=head: header(head))
       for name, (head, words) in BAD_HEADERS.items()},
    "a hundred thousand tensors": Hostile(
        18, "100,000 tensors", lambda: header(b"{" + b",".join(b'"%d":0' % i for i in range(10**5)) + b"}")
    ),
    "a name of 10 KB": Hostile(21, "10,000 characters", lambda: tensors({"x" * 10_000: (1, 2)})),
    "markup as a name": Hostile(21, "script", lambda: tensors({"<script>window.__xss=1</script>": (1, 2, 3, 4, 5, 6)})),
    "a name from right to left": Hostile(21, r"\\u202e", lambda: tensors({"\u202eevil": (1, 2, 3, 4, 5, 6)})),
}  # fmt: skip
MODELS = {
    "module without tensors": Hostile(22, "'torch.nn.modules.activation.ReLU'", lambda: saved(torch.nn.ReLU())),
    "TorchScript": Hostile(22, "TorchScript", lambda: members({**_PICKLED, "n/constants.pkl": b"", "n/code/n": b""})),
    "exported program": Hostile(22, ".pt2", lambda: members({"n/archive_format": b"pt2", "n/models/m.json": b"{}"})),
    "Keras model": Hostile(22, "Keras", lambda: members({"model.weights.h5": b"x", "config.json": b"{}"})),
    "wrapped object": Hostile(23, "pickled objects", lambda: saved({"model": torch.nn.ReLU(), "epoch": 3})),
    "residual": Hostile(24, "mismatch", lambda: tensors({"a.weight": (8, 2), "b.weight": (7, 8), "c.weight": (1, 9)})),
    "transposed": Hostile(24, "transposed", lambda: tensors(
        {"a.weight": (8, 2), "a.bias": (8,), "b.weight": (8, 4), "b.bias": (4,)})),
    "500 layers": Hostile(25, "500 layers", lambda: tensors({f"{i}.weight": (1, 1) for i in range(500)})),
    "too wide": Hostile(25, "100,001 wide", lambda: tensors({"a.weight": (100_001, 1)})),
}  # fmt: skip
FOREIGN_ROWS = {"empty": 2, "seven bytes": 2, "html": 3, "lfs": 3, "json": 3}
NAMED = {
    name: Hostile(FOREIGN_ROWS.get(name, 22), words, lambda content=content: content)
    for name, (content, words) in FOREIGN.items()
}
OTHER_FORMATS = {name: Hostile(*row) for name, row in FORMATS.items()}
REFUSED: dict[str, Hostile] = {
    **NAMED, **TRUNCATED, **PICKLES, **ARCHIVES, **STORAGES, **HEADERS, **MODELS, **OTHER_FORMATS
}  # fmt: skip
"""Every file that is refused, by what it is."""


def write_seeds(folder: Path) -> None:
    """Good and bad files; and of each its pickle or header alone, as `bench/fuzz_reader.py` takes them."""
    folder.mkdir(parents=True, exist_ok=True)
    good = [
        saved(siren()),
        saved({"model": make_cnn().state_dict(), "w0": 20.0}),
        save(make_cnn().state_dict()),
    ]
    good += [
        save({name: torch.stack([x, x]) for name, x in siren().items()}, {"omega_0": "20", "kind": "siren"})
    ]
    files = good + [way.make() for way in WAYS.values()] + [hostile.make() for hostile in REFUSED.values()]
    seeds = itertools.chain.from_iterable((data, *_inside(data)) for data in files if len(data) < 100_000)
    for number, seed in enumerate(seeds):
        (folder / f"{number:03d}").write_bytes(seed)


def _inside(data: bytes) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            kinds = {".npy": b"\x04", ".pkl": b"\x01"}
            return [
                kinds[name[-4:]] + archive.read(name) for name in archive.namelist() if name[-4:] in kinds
            ]
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError):
        if data.startswith(MAGIC):
            return _inside_old(data)
        size = int.from_bytes(data[:8], "little")
        return [b"\x02" + data[8 : 8 + size]] if data[8:9] == b"{" and size < len(data) else []


def _inside_old(data: bytes) -> list[bytes]:
    """The fourth pickle: the object."""
    file = io.BytesIO(data)
    try:
        starts = [(file.tell(), *pickletools.genops(file))[0] for _ in range(4)]
    except ValueError:
        return []
    return [b"\x03" + data[starts[3] : file.tell()]]


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
