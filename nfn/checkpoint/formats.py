"""Open any file as a `Checkpoint`; the format is detected from its bytes, never from its name."""

import mmap
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nfn.checkpoint.exported import is_exported, open_exported
from nfn.checkpoint.gguf import MAGIC, open_gguf
from nfn.checkpoint.hdf5 import MAGIC as HDF5_MAGIC
from nfn.checkpoint.keras import is_keras, open_hdf5, open_keras
from nfn.checkpoint.listing import Checkpoint
from nfn.checkpoint.onnx_file import open_onnx
from nfn.checkpoint.safetensors_file import open_safetensors
from nfn.checkpoint.sharded import is_index, join_shards, read_index
from nfn.checkpoint.torch_file import (
    open_legacy,
    open_npy,
    open_npz,
    open_pickle,
    open_torch_zip,
    open_torchscript,
)
from nfn.reader.errors import NetworkFileError
from nfn.reader.npz_file import is_npz
from nfn.reader.sniff import sniff
from nfn.reader.zip_file import Archive

_HEAD = 1 << 16
_OPENERS: dict[str, Callable[[memoryview], Checkpoint]] = {
    "safetensors": open_safetensors,
    "legacy": open_legacy,
    "pickle": open_pickle,
    "npy": open_npy,
    "onnx": open_onnx,
}


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a file of any size, or the `.index.json` of a sharded checkpoint with its shards beside it.

    The file is mapped into memory: it must not change while the checkpoint is used.

    Raises:
        NetworkFileError: it is no checkpoint of a format that is known, or damaged; the message is one for people.
        OSError: it cannot be opened.

    Example: `open_checkpoint("model.safetensors").tensors["lm_head.weight"].shape`.
    """
    path = Path(path)
    data = _mapped(path)
    if is_index(data[:_HEAD]):
        return join_shards(read_index(data[:]), lambda name: _beside(path.parent / name))
    return _open_mapped(data)


def open_bytes(data: bytes | memoryview) -> Checkpoint:
    """Open what a file holds; NetworkFileErrors as of `open_checkpoint`.

    Example: `open_bytes(Path("model.safetensors").read_bytes()).format` is "safetensors".
    """
    data = memoryview(data)
    head = bytes(data[:_HEAD])
    if head.startswith(MAGIC):
        return open_gguf(data)
    if head.startswith(HDF5_MAGIC):
        return open_hdf5(data)
    if is_index(head):
        return join_shards(read_index(bytes(data)), lambda _: None)
    layout = sniff(head)
    if layout != "zip":
        return _OPENERS[layout](data)
    archive = Archive(data)
    return replace(_open_zip(archive), verify=archive.verify)


def _open_zip(archive: Archive) -> Checkpoint:
    inner = [name.partition("/")[2] for name in archive.names]
    if is_npz(archive.names):
        return open_npz(archive)
    if is_exported(archive.names):
        return open_exported(archive)
    if is_keras(archive.names):
        return open_keras(archive)
    if "constants.pkl" in inner and "data.pkl" in inner:
        return open_torchscript(archive)
    return open_torch_zip(archive)


def _beside(path: Path) -> Checkpoint | None:
    return _open_mapped(_mapped(path)) if path.is_file() else None


def _open_mapped(data: mmap.mmap) -> Checkpoint:
    return replace(open_bytes(memoryview(data)), release=lambda: data.madvise(mmap.MADV_DONTNEED))


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise NetworkFileError("This is a folder or a device, not a file.")
        if not status.st_size:
            raise NetworkFileError("The file is empty (0 bytes). Download or save it again.")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
