"""Decide what a file is from its first bytes; its name never counts."""

import struct
from typing import Literal

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError

Format = Literal["safetensors", "zip"]

_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"

_FOREIGN = (
    (_LEGACY_MAGIC, "a checkpoint in PyTorch's old format (before 1.6), which can run code when opened"),
    (b"\x80", "a raw pickle, which can run code when opened"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5?)"),
    (b"GGUF", "a GGUF language model"),
    (b"\x93NUMPY", "a NumPy array"),
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
        NetworkFileError: the file is neither safetensors nor a zip archive; the message names what it is.
    """
    if not data:
        raise NetworkFileError(f"The file is empty (0 bytes). Wanted a network's weights. {EXPORT_ADVICE}")
    if data.startswith(b"PK\x03\x04"):
        return "zip"
    if _is_surely_safetensors(data):
        return "safetensors"
    foreign = _foreign_format(data)
    if foreign:
        raise NetworkFileError(f"This is {foreign}, not a network that can be read safely. {EXPORT_ADVICE}")
    if len(data) < 10:
        raise NetworkFileError(
            f"The file is too short to hold a network ({len(data)} bytes). {EXPORT_ADVICE}"
        )
    if _looks_like_safetensors(data):
        return "safetensors"
    raise NetworkFileError(
        f"The file's format is unknown (it begins with {data[:8].hex(' ')}). "
        f"Wanted safetensors, or a state_dict saved by torch.save. {EXPORT_ADVICE}"
    )


def _is_surely_safetensors(data: bytes) -> bool:
    """A header's length may begin like another format (640 is a pickle's first two bytes): look further."""
    return data[4:8] == b"\0\0\0\0" and data[8:9] == b"{"


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
    return _foreign_text(data) or _foreign_protobuf(data)


def _foreign_text(data: bytes) -> str | None:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (download the real file with `git lfs pull`)"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        return "an HTML page (a failed download?)"
    if start.startswith((b"{", b"[")) and not _looks_like_safetensors(data.ljust(9, b"\0")):
        return "a JSON text"
    return None


def _foreign_protobuf(data: bytes) -> str | None:
    """ONNX begins with field 1 (`ir_version`, a small number), then a field of text or of the graph."""
    if (
        len(data) > 4
        and data[0] == 0x08
        and data[1] < 0x20
        and data[2] in (0x12, 0x1A, 0x22, 0x2A, 0x3A, 0x42)
    ):
        return "an ONNX model"
    return None
