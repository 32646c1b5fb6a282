"""Detect a file's format from its first bytes, never from its name."""

import re
import struct
from typing import Literal

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, KERAS_ADVICE, NetworkFileError
from nfn.reader.legacy_file import LEGACY_MAGIC
from nfn.reader.npz_file import NPY_MAGIC

Format = Literal["safetensors", "zip", "legacy", "pickle", "npy", "onnx"]
"""`zip` is written by `torch.save` and `numpy.savez`, which differ in the names of their members."""

_PICKLE = re.compile(rb"\x80[\x02-\x05]|[}\]][qr(.]|\([dlt](?:p\d|\.)|c[a-z_]\w*(?:\.\w+)*\n\w+\n")
"""The first bytes of a pickle: of protocols 2 to 5, or of 0 and 1 (Python 2)."""

_FOREIGN = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5?)"),
    (b"GGUF", "a GGUF language model"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"(\xb5/\xfd", "a zstd archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"%PDF", "a PDF document"),
)


def sniff(data: bytes) -> Format:
    """The format of the file's bytes.

    Raises:
        NetworkFileError: the format is not supported; the message names it if it is known.
    """
    if not data:
        raise NetworkFileError(f"The file is empty (0 bytes). Expected a network's weights. {EXPORT_ADVICE}")
    if data.startswith(b"PK\x03\x04"):
        return "zip"
    if (
        data[4:8] == b"\0\0\0\0" and data[8:9] == b"{"
    ):  # the header's length alone may look like another format
        return "safetensors"
    supported = _supported_format(data)
    if supported:
        return supported
    foreign = _foreign_format(data)
    if foreign:
        raise NetworkFileError(f"This is {foreign}, not a network that can be read. {_advice(foreign)}")
    if len(data) < 10:
        raise NetworkFileError(f"The file is too short for a network ({len(data)} bytes). {EXPORT_ADVICE}")
    if _looks_like_safetensors(data):
        return "safetensors"
    raise NetworkFileError(
        f"The file's format is unknown (it begins with {data[:8].hex(' ')}). "
        f"Expected safetensors, or a state_dict saved by torch.save. {EXPORT_ADVICE}"
    )


def _supported_format(data: bytes) -> Format | None:
    if data.startswith(LEGACY_MAGIC):
        return "legacy"
    if data.startswith(NPY_MAGIC):
        return "npy"
    if _is_onnx(data):
        return "onnx"
    return "pickle" if _PICKLE.match(data) else None


def _advice(foreign: str) -> str:
    """How to convert a file of an unsupported format."""
    if "HDF5" in foreign:
        return KERAS_ADVICE
    if "sharded" in foreign:
        return (
            "Load the model and save it as one file: model.save_pretrained(folder, max_shard_size='100GB')."
        )
    if "MessagePack" in foreign:
        return "Save its flat parameters with numpy.savez or safetensors.flax.save_file, and use that file."
    if "archive" in foreign:
        return "Unpack it and choose the file with the weights."
    if "HTML" in foreign:
        return "Download the file itself, not the page that shows it."
    if "picture" in foreign:
        return "Open it in the Pictures tab, or with python -m zoo fit, to turn it into a network."
    if "Git LFS" in foreign:
        return "Download the real file with `git lfs pull`, and choose that."
    return EXPORT_ADVICE


def _looks_like_safetensors(data: bytes) -> bool:
    (header_bytes,) = struct.unpack_from("<Q", data)
    fits = header_bytes <= min(len(data), limits.SAFETENSORS_HEADER_BYTES)
    return data[8:9] == b"{" or fits


def _foreign_format(data: bytes) -> str | None:
    for magic, name in _FOREIGN:
        if data.startswith(magic):
            return name
    if data[257:262] == b"ustar":
        return "a tar archive (PyTorch's oldest format?)"
    if data[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if data[:4] in (b"PK\x05\x06", b"PK\x07\x08"):
        return "an empty or split zip archive"
    if 0x80 <= data[0] <= 0x8F and 0xA0 <= int.from_bytes(data[1:2]) <= 0xBF:
        return "a MessagePack file (Flax's to_bytes?)"
    return _foreign_text(data)


def _foreign_text(data: bytes) -> str | None:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        return "an HTML page (a failed download?)"
    if start.startswith((b"{", b"[")) and not _looks_like_safetensors(data.ljust(9, b"\0")):
        shards = b'"weight_map"' in data
        return "the index of a sharded checkpoint, without its weights" if shards else "a JSON text"
    return None


def _is_onnx(data: bytes) -> bool:
    """Whether the file begins with field 1 (`ir_version`, a small number), then a text field or the graph."""
    return (
        len(data) > 4
        and data[0] == 0x08
        and data[1] < 0x20
        and data[2] in (0x12, 0x1A, 0x22, 0x2A, 0x3A, 0x42)
    )
