"""Replacements for the NumPy functions that a pickle calls: arguments to an array's dtype, shape and bytes."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.pickle_objects import Global, Inert
from nfn.reader.pickle_steps import LongText
from nfn.reader.tensors import FLOATS, INTEGERS, StoredTensor, contiguous_strides, refused_tensor

_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
SIZES = {**FLOATS, **INTEGERS, "bool": 1}
"""Bytes per value of the dtypes whose array sizes are checked."""
_LAST_LATIN = 0xC3
"""The highest byte in the UTF-8 encoding of Latin-1 characters."""
_SCALARS = re.compile(r"(?:float|u?int)(?:8|16|32|64)|bool")


class NumpyDtype(Inert):
    """A dtype; its byte order is set by its state."""

    __slots__ = ("code", "order")

    def __init__(self, code: str):
        super().__init__("numpy.dtype")
        self.code, self.order = code, code[:1] if code[:1] in "<>|=" else "="

    def set_state(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and isinstance(state[1], str):
            self.order = state[1]

    @property
    def description(self) -> str:
        """The dtype's name, such as `float32`."""
        return describe_dtype(self.order + self.code.lstrip("<>|="))


class NumpyArray(Inert):
    """An array: `tensor` after its state is set; `items` if it is an array of Python objects."""

    __slots__ = ("items", "tensor")

    def __init__(self) -> None:
        super().__init__("numpy.ndarray")
        self.tensor: StoredTensor = refused_tensor("an array without values")
        self.items: list[Any] = []

    def set_state(self, state: Any) -> None:
        """Set `(version, shape, dtype, is Fortran order, values)`; the oldest pickles have no version."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise _malformed()
        shape, dtype, fortran, values = state[-4:]
        if not isinstance(dtype, NumpyDtype):
            raise _malformed()
        if isinstance(values, list):
            self.items, self.tensor = values, refused_tensor("an array of Python objects")
        else:
            self.tensor = make_array(dtype.description, shape, fortran is True, _bytes(values))


def describe_dtype(code: str) -> str:
    """The dtype name for NumPy's code: `float32` for `<f4`, `big-endian float32` for `>f4`."""
    order, kind = (code[:1], code[1:]) if code[:1] in "<>|=" else ("=", code)
    if kind in ("?", "b1"):
        return "bool"
    if kind == "bfloat16":
        return kind
    if not re.fullmatch(r"[fiuc](?:1|2|4|8|16)", kind):
        return f"NumPy's {kind[:20]}"
    name = f"{_KINDS[kind[0]]}{8 * int(kind[1:])}"
    return f"big-endian {name}" if order == ">" and kind[1:] != "1" else name


def make_array(dtype: str, shape: Any, fortran: bool, data: memoryview) -> StoredTensor:
    """A `StoredTensor` for a contiguous array; its values are checked when it is used."""
    if not isinstance(shape, tuple) or len(shape) > 64 or any(type(size) is not int for size in shape):
        raise _malformed()
    if any(size < 0 or size >= 2**63 for size in shape):
        return refused_tensor("corrupt: its shape is impossible")
    held = len(data) // SIZES.get(dtype, 1)
    if dtype in SIZES and (math.prod(shape) != held or len(data) % SIZES[dtype]):
        return refused_tensor(f"corrupt: it has {len(data):,} bytes, not what its shape needs")
    strides = contiguous_strides(shape)
    if fortran:
        strides = contiguous_strides(shape[::-1])[::-1]
    return StoredTensor(dtype, shape, strides, 0, data)


def _dtype(code: Any = "", *_: Any) -> NumpyDtype:
    if isinstance(code, Global):
        code = code.name.rpartition(".")[2]
    if not isinstance(code, str) or not 0 < len(code) < 40:
        raise _malformed()
    return NumpyDtype(code)


def _empty_array(*_: Any) -> NumpyArray:
    """`numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")`; the state follows."""
    return NumpyArray()


def _array_from_buffer(values: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> NumpyArray:
    """`numpy.core.numeric._frombuffer`, of protocol 5."""
    array = NumpyArray()
    array.set_state((shape, dtype, order == "F", values))
    return array


def _array_of_jax(function: Any, arguments: Any, state: Any, *_: Any) -> NumpyArray:
    """`jax._src.array._reconstruct_array`: the pickled parts of a NumPy copy."""
    array = NumpyArray()
    array.set_state(state)
    return array


def _scalar(dtype: Any, values: Any = b"", *_: Any) -> Any:
    """A NumPy scalar as a Python number."""
    if not isinstance(dtype, NumpyDtype):
        raise _malformed()
    name = dtype.description
    if not _SCALARS.fullmatch(name):
        return Inert("numpy.scalar")
    data, kind = _bytes(values), np.dtype(name)
    if len(data) != kind.itemsize:
        raise _malformed()
    return np.frombuffer(data, kind)[0].item()


def _encode(text: Any, encoding: Any = "", *_: Any) -> memoryview:
    """`_codecs.encode`, by which protocol 2 pickles bytes; each character is one byte."""
    if encoding not in ("latin1", "latin-1", "iso-8859-1"):
        raise NetworkFileError(f"The checkpoint encodes a text as {quote(encoding)}. {EXPORT_ADVICE}")
    if isinstance(text, LongText):
        if np.frombuffer(text.data, np.uint8).max() > _LAST_LATIN:
            raise _malformed()
        text = str(text.data, "utf-8")
    if not isinstance(text, str):
        raise _malformed()
    return memoryview(text.encode("latin-1"))


def _bytes(values: Any) -> memoryview:
    if isinstance(values, str):
        return memoryview(values.encode("latin-1"))
    if isinstance(values, memoryview):
        return values
    raise _malformed()


NUMPY_REBUILDERS: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    "jax._src.array._reconstruct_array": _array_of_jax,
    **{f"numpy.{core}.multiarray._reconstruct": _empty_array for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _array_from_buffer for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}
"""Name in the pickle to its replacement here, as `rebuild.REBUILDERS`."""


def _malformed() -> NetworkFileError:
    return NetworkFileError(
        f"The checkpoint is corrupt: it describes a NumPy array in an impossible way. {EXPORT_ADVICE}"
    )
