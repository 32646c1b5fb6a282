"""`open_file`: from a file that anyone may have made to named tensors, and what it says of them."""

import stat
from dataclasses import dataclass
from pathlib import Path

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.safetensors_file import read_safetensors
from nfn.reader.sniff import Format, sniff
from nfn.reader.state_dict import read_torch
from nfn.reader.tensors import StoredTensor


@dataclass(frozen=True)
class StoredFile:
    """What a file holds, not yet taken for a network; `in_order` where it keeps the order of the modules."""

    tensors: dict[str, StoredTensor]
    metadata: dict[str, str]
    notes: tuple[str, ...]
    in_order: bool


def open_file(path: Path) -> StoredFile:
    """Read and parse a file; NetworkFileError where it is of no known format, or malformed."""
    data = _read_bytes(path)
    layout = sniff(data)
    tensors, metadata, notes = _read_tensors(data, layout)
    return StoredFile(tensors, metadata, (*_name_note(path, layout), *notes), in_order=layout == "zip")


def _read_bytes(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise NetworkFileError(f"This is a folder or a device, not a file. {EXPORT_ADVICE}")
    with path.open("rb") as file:
        data = file.read(min(status.st_size, limits.FILE_BYTES) + 1)
    if len(data) > limits.FILE_BYTES:
        size = max(status.st_size, len(data))
        raise NetworkFileError(
            f"The file is too large: {size:,} bytes, and at most {limits.FILE_BYTES:,} "
            f"({limits.FILE_BYTES >> 20} MiB) are read. Save the weights alone, without optimizer state."
        )
    return data


def _read_tensors(
    data: bytes, layout: Format
) -> tuple[dict[str, StoredTensor], dict[str, str], tuple[str, ...]]:
    if layout == "zip":
        return read_torch(data)
    tensors, metadata = read_safetensors(data)
    return tensors, metadata, ()


def _name_note(path: Path, layout: Format) -> tuple[str, ...]:
    named = {".safetensors": "safetensors", ".pt": "zip", ".pth": "zip", ".ckpt": "zip"}.get(
        path.suffix.lower(), layout
    )
    if named == layout:
        return ()
    actual = "a torch.save checkpoint" if layout == "zip" else "a safetensors file"
    return (f"The file name ends in {quote(path.suffix)}, but its content is {actual}; it was read as such.",)
