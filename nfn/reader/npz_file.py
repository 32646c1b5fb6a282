"""Read arrays from NumPy's `.npz` and `.npy`; headers are parsed here, and Python objects are not supported.

Format: `numpy.lib.format` (a magic number, the version, the header's length, the header, the values).
"""

import re
from typing import Any

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.numpy_rebuild import describe_dtype, make_array
from nfn.reader.pickle_plan import read_plan
from nfn.reader.tensors import StoredTensor
from nfn.reader.zip_file import Archive, hostile

NPY_MAGIC = b"\x93NUMPY"
_HEADER_BYTES = 4_096
_OBJECTS = ("|O", "O", "O8", "|O8")
_FIELDS = {
    "descr": re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?\w+)['"]"""),
    "fortran_order": re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)"""),
    "shape": re.compile(r"""['"]shape['"]\s*:\s*\(([\d\s,L]*)\)"""),
}


def is_npz(names: list[str]) -> bool:
    """Whether an archive consists of arrays."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(archive: Archive) -> dict[str, StoredTensor]:
    """The arrays of an archive by name, in its order.

    Raises:
        NetworkFileError: the archive or a header is not valid, or an array has Python objects.
    """
    if len(archive.names) > limits.TENSORS:
        raise NetworkFileError(
            f"The file holds {len(archive.names):,} arrays; at most {limits.TENSORS:,} are read. {EXPORT_ADVICE}"
        )
    members = archive.members(unpack=True)
    names = [name.removesuffix(".npy") for name in archive.names]
    return {name: _read_array(name, members[f"{name}.npy"]) for name in names}


def read_npy(data: memoryview) -> Any:
    """The array of a file, or the single object in it (`numpy.save` of a dict)."""
    code, fortran, shape, start = _read_header("the file", data)
    if code in _OBJECTS:
        return read_plan(data[start:], {})
    return make_array(describe_dtype(code), shape, fortran, data[start:])


def _read_array(name: str, data: memoryview) -> StoredTensor:
    code, fortran, shape, start = _read_header(name, data)
    if code in _OBJECTS:
        raise NetworkFileError(
            f"The array {quote(name)} holds Python objects, which are not read; expected numbers. "
            f"Save each array of it under a name of its own: numpy.savez(path, **arrays)."
        )
    return make_array(describe_dtype(code), shape, fortran, data[start:])


def _read_header(name: str, data: memoryview) -> tuple[str, bool, tuple[int, ...], int]:
    """The dtype code, whether in Fortran order, the shape, and the offset of the values."""
    if bytes(data[:6]) != NPY_MAGIC or len(data) < 12 or data[6] not in (1, 2, 3):
        raise hostile(f"its member {quote(name)} is no array")
    width = 2 if data[6] == 1 else 4
    start = 8 + width
    length = int.from_bytes(data[8:start], "little")
    if length > _HEADER_BYTES or start + length > len(data):
        raise _malformed(name, f"a header of {length:,} bytes")
    text = str(data[start : start + length], "latin-1")
    matches = {field: pattern.findall(text) for field, pattern in _FIELDS.items()}
    rest = text
    for pattern in _FIELDS.values():
        rest = pattern.sub("", rest)
    if any(len(values) != 1 for values in matches.values()) or rest.strip(" ,{}\n\t"):
        raise _malformed(name, f"the header {quote(text.strip())}")
    sizes = re.findall(r"\d+", matches["shape"][0])
    shape = tuple(int(size) for size in sizes)
    return matches["descr"][0], matches["fortran_order"][0] == "True", shape, start + length


def _malformed(name: str, what: str) -> NetworkFileError:
    return NetworkFileError(
        f"The array {quote(name)} has {what}, which numpy.save never writes. Save the arrays again."
    )
