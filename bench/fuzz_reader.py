"""Coverage-guided fuzzing of the reader, run by hand, as docs/security.md says.

An input that begins with byte 1 is a pickle of `torch.save`, one with byte 2 a safetensors header, one with byte 3 the
pickle of an old checkpoint, and one with byte 4 an array of an archive: each is embedded with correct checksums and
lengths, so that mutations get past these checks. Anything else is a whole file.
"""

import importlib
import io
import pickle
import struct
import sys
import time
import zipfile
from pathlib import Path

import atheris  # pyright: ignore
import torch

import nfn
from nfn.reader.legacy_file import LEGACY_MAGIC

for name in [name for name in sys.modules if name.startswith(f"{nfn.__name__}.reader")]:
    del sys.modules[name]  # to be imported again, instrumented
with atheris.instrument_imports(include=["nfn.reader"]):  # pyright: ignore
    reader = importlib.import_module("nfn.reader")
    stack = importlib.import_module("nfn.reader.stack")

ROOM = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp", "fuzzed")
"""The file that is written again and again, in memory if possible."""
SECONDS = 2.0
STORAGES = {"0": bytes(64), "1": bytes(16), "2": bytes(range(64))}
BODY = bytes(64)
HEADS = pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
OLD_STORAGES = {"0": struct.pack("<q", 1) + bytes(4)}
ARRAY = b"\x93NUMPY\x01\0\x3c\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n" + bytes(24)


def wrap(data: bytes) -> bytes:
    """The file that an input encodes."""
    if data[:1] == b"\x01":
        return _archive(data[1:])
    if data[:1] == b"\x02":
        return struct.pack("<Q", len(data) - 1) + data[1:] + BODY
    if data[:1] == b"\x03":
        return (
            LEGACY_MAGIC
            + HEADS
            + data[1:]
            + pickle.dumps(list(OLD_STORAGES), 2)
            + b"".join(OLD_STORAGES.values())
        )
    if data[:1] == b"\x04":
        return _members({"a.npy": data[1:], "b.npy": ARRAY})
    return data


def _archive(pickled: bytes) -> bytes:
    return _members({"net/data.pkl": pickled, **{f"net/data/{key}": data for key, data in STORAGES.items()}})


def _members(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def one_input(data: bytes) -> None:
    """Read an input as one network and as a stack: finite networks, or one error message, within the time limit."""
    ROOM.write_bytes(wrap(data))
    start = time.process_time()
    for read in (lambda: [reader.read_network(ROOM)], lambda: stack.read_networks(ROOM)):
        try:
            _check([network for network in read() if not isinstance(network, reader.NetworkFileError)])
        except reader.NetworkFileError as error:
            assert str(error).isprintable() and len(str(error)) < 800, str(error)
    assert time.process_time() - start < SECONDS, "too slow"


def _check(networks: list) -> None:
    """Check that the networks are finite, and identical after writing and reading them."""
    for network in networks[:2]:
        assert all(torch.isfinite(part).all() for pair in network.features for part in pair)
        reader.write_network(network, ROOM)
        again = reader.read_network(ROOM)
        assert (again.kind, again.names, again.siren) == (network.kind, network.names, network.siren)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
