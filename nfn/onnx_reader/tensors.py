"""Tensors of an ONNX file: validated against their bytes first, converted to arrays when used."""

import math
from dataclasses import dataclass

import numpy as np

from nfn.onnx_reader.errors import AGAIN, OnnxError, invalid
from nfn.onnx_reader.wire import Message
from nfn.reader import limits
from nfn.reader.errors import ONNX_EXPORT, quote
from nfn.reader.tensors import show_count, show_shape

TYPES = {1: "FLOAT", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64", 8: "STRING", 9: "BOOL",
         10: "FLOAT16", 11: "DOUBLE", 12: "UINT32", 13: "UINT64", 14: "COMPLEX64", 15: "COMPLEX128", 16: "BFLOAT16",
         17: "FLOAT8E4M3FN", 18: "FLOAT8E4M3FNUZ", 19: "FLOAT8E5M2", 20: "FLOAT8E5M2FNUZ", 21: "UINT4", 22: "INT4",
         23: "FLOAT4E2M1"}  # fmt: skip
"""ONNX's names of types by their numbers, as in `TensorProto.DataType`."""
FLOATS = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")
_LITTLE = {"FLOAT": "<f4", "DOUBLE": "<f8", "FLOAT16": "<f2", "BFLOAT16": "<u2", "INT64": "<i8", "INT32": "<i4",
           "BOOL": "|b1", "INT8": "|i1", "UINT8": "|u1", "INT16": "<i2", "UINT16": "<u2", "UINT32": "<u4"}  # fmt: skip
"""The types that are read, as NumPy calls raw bytes of them; bfloat16 by its bits."""
_FIELDS = {"FLOAT": "float_data", "DOUBLE": "double_data", "INT64": "int64_data", "UINT32": "uint64_data"}
"""Where values stand that are not raw bytes; all others are in `int32_data`, half floats by their bits."""
_TYPED = ("float_data", "double_data", "int32_data", "int64_data", "uint64_data", "string_data")


@dataclass(frozen=True, eq=False)
class RawTensor:
    """A tensor as the file describes it. `message` holds its values, as raw bytes or in the list of its type."""

    dtype: str
    shape: tuple[int, ...]
    message: Message

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS


def describe(message: Message) -> RawTensor:
    """A `TensorProto` with its type by name."""
    return RawTensor(
        type_name(message.integer("data_type")), tuple(message.numbers("dims").tolist()), message
    )


def type_name(number: int) -> str:
    """ONNX's name of a dtype; its number if it has none."""
    return TYPES.get(number, f"number {number}")


def check_tensor(name: str, tensor: RawTensor) -> None:
    """Check a tensor's shape against what the file holds of it; nothing is allocated.

    Raises:
        OnnxError: the values are elsewhere, of a type that is not read, too many, or not as many as the shape says.
    """
    message, shape = tensor.message, tensor.shape
    if message.integer("data_location") or message.has("external_data"):
        raise invalid(
            f"tensor {quote(name)} lies in another file beside it; expected all weights inside",
            f"Export it with its weights: {ONNX_EXPORT}; or onnx.save(onnx.load(path), path) beside those files.",
        )
    if message.has("segment"):
        raise _refusal(name, "is stored in segments")
    if tensor.dtype not in _LITTLE:
        raise _refusal(
            name, f"has values of type {quote(tensor.dtype)}; expected floats (or integers for shapes)"
        )
    if len(shape) > limits.RANK or any(not 0 <= size < 2**31 for size in shape):
        raise _refusal(name, f"has the shape {show_shape(shape)}")
    most = limits.ELEMENTS if tensor.is_float else limits.ONNX_INTEGERS
    if tensor.numel > most:
        hint = "" if tensor.is_float else f" of type {tensor.dtype} (a quantised weight?)"
        raise _refusal(name, f"has {show_count(tensor.numel)} values{hint}; at most {most:,} are read")
    _check_extent(name, tensor)


def _check_extent(name: str, tensor: RawTensor) -> None:
    """Check that there are as many values as the shape has, in one field."""
    message, held = tensor.message, [field for field in _TYPED if tensor.message.has(field)]
    expected = _FIELDS.get(tensor.dtype, "int32_data")
    if message.has("raw_data"):
        there, asked = len(message.raw("raw_data")), tensor.numel * np.dtype(_LITTLE[tensor.dtype]).itemsize
        if held:
            raise _refusal(name, "holds its values twice")
        if there != asked:
            raise _refusal(
                name,
                f"has the shape {show_shape(tensor.shape)}, which asks for {show_count(asked)} bytes; {there:,} are "
                "there",
            )
    elif held not in ([], [expected]):
        raise _refusal(name, f"is of type {tensor.dtype} and has its values as {held[0]}")
    elif len(message.numbers(expected)) != tensor.numel:
        there = len(message.numbers(expected))
        raise _refusal(name, f"has the shape {show_shape(tensor.shape)}, and {there:,} values")


def to_array(tensor: RawTensor) -> np.ndarray:
    """The values of a checked tensor: float32 (also for half floats), float64, int64 or bool."""
    message, little = tensor.message, _LITTLE[tensor.dtype]
    if message.has("raw_data"):
        flat = np.frombuffer(message.raw("raw_data"), little)
    else:
        flat = message.numbers(_FIELDS.get(tensor.dtype, "int32_data"))
        if tensor.dtype in ("FLOAT16", "BFLOAT16"):
            flat = flat.astype(np.uint16).view(little)
    return _widen(flat, tensor.dtype).reshape(tensor.shape)


def _widen(flat: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "BFLOAT16":
        wide = flat.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    kind = {"DOUBLE": np.float64, "BOOL": np.bool_}.get(dtype, np.float32 if dtype in FLOATS else np.int64)
    return flat.astype(kind, copy=False)


def _refusal(name: str, fault: str) -> OnnxError:
    return OnnxError(f"Tensor {quote(name)} of this ONNX file {fault}. {AGAIN}")
