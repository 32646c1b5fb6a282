"""`StoredTensor`: a tensor as described by a file, validated against its bytes before it becomes an array."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote

FLOATS = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
"""The supported dtypes and their bytes per value."""

FINITE_ADVICE = "The training has most likely diverged: use a checkpoint from before that."

INTEGERS = {"int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8}
WHOLE = {**INTEGERS, "bool": 1}
"""Further dtypes of masks, and their bytes per value."""
NUMBERS = {**WHOLE, "float16": 2, "float32": 4, "float64": 8}
"""The dtypes of numbers that are not weights, and their bytes per value."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A strided view of the bytes of one storage; strides and offset are in values.

    `problem` says why the tensor is not supported ("a sparse tensor"); the other fields are then meaningless.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    data: memoryview
    problem: str = ""

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_integer(self) -> bool:
        return not self.problem and self.dtype in INTEGERS


def from_array(array: np.ndarray) -> StoredTensor:
    """A `StoredTensor` with the values of a float32 or float64 array."""
    flat = np.ascontiguousarray(array)
    data = memoryview(flat.reshape(-1).view(np.uint8).data)
    return StoredTensor(flat.dtype.name, array.shape, contiguous_strides(array.shape), 0, data)


def refused_tensor(problem: str) -> StoredTensor:
    """A tensor of an unsupported form."""
    return StoredTensor("", (), (), 0, memoryview(b""), problem)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides, in values."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def check_tensor(name: str, tensor: StoredTensor) -> None:
    """Check one tensor against its bytes, without allocating memory.

    Raises:
        NetworkFileError: it is not a dense floating-point tensor, or extends beyond its bytes.
    """
    _check(name, tensor, FLOATS)


def read_array(name: str, tensor: StoredTensor) -> np.ndarray:
    """The values of a tensor: float64 if the file has float64, else float32.

    Raises:
        NetworkFileError: the tensor fails `check_tensor`, or has NaN or infinity.
    """
    check_tensor(name, tensor)
    array = _widen(_view(tensor, FLOATS), tensor.dtype)
    check_finite(name, array)
    return array


def read_mask(name: str, tensor: StoredTensor) -> np.ndarray:
    """`read_array` for a mask, which may also be boolean or integer."""
    if tensor.dtype not in WHOLE:
        return read_array(name, tensor)
    _check(name, tensor, WHOLE)
    return _view(tensor, WHOLE).astype(np.float32)


def read_numbers(name: str, tensor: StoredTensor) -> np.ndarray:
    """The values of a tensor of floats, integers or booleans, as a view of the file (bfloat16 is refused).

    Raises:
        NetworkFileError: it has values of another type, or extends beyond its bytes.
    """
    _check(name, tensor, NUMBERS)
    return _view(tensor, NUMBERS)


def _check(name: str, tensor: StoredTensor, sizes: Mapping[str, int]) -> None:
    if tensor.problem:
        raise _refusal(name, f"is {tensor.problem}; expected a dense floating-point tensor")
    if tensor.dtype not in sizes:
        raise _refusal(
            name, f"has values of type {quote(tensor.dtype)}; expected float32, float64, float16 or bfloat16"
        )
    _check_shape(name, tensor)
    check_extent(name, tensor, sizes[tensor.dtype])


def _view(tensor: StoredTensor, sizes: Mapping[str, int]) -> np.ndarray:
    """The values in the file as a view; bfloat16 as uint16."""
    dtype, size = "uint16" if tensor.dtype == "bfloat16" else tensor.dtype, sizes[tensor.dtype]
    strides = [stride * size for stride in tensor.strides]
    view = np.ndarray(
        tensor.shape, np.dtype(dtype).newbyteorder("<"), tensor.data, tensor.offset * size, strides
    )
    view.flags.writeable = False
    return view


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise NetworkFileError, naming the tensor, if it has NaN or infinity."""
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise _refusal(
            name,
            f"has NaN or infinity in {bad:,} of {array.size:,} values; expected finite weights",
            FINITE_ADVICE,
        )


def to_float32(name: str, array: np.ndarray) -> np.ndarray:
    """A contiguous float32 copy; NetworkFileError if a value is beyond the range of float32."""
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(narrow).all():
        raise _refusal(name, "has values beyond the range of float32", FINITE_ADVICE)
    return narrow


def _widen(view: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        wide = np.array(view, dtype=np.uint32, order="C")
        wide <<= 16
        return wide.view(np.float32)
    return np.array(view, dtype=np.float64 if dtype == "float64" else np.float32, order="C")


def _check_shape(name: str, tensor: StoredTensor) -> None:
    if len(tensor.shape) > limits.RANK:
        raise _refusal(name, f"has {len(tensor.shape)} dimensions; at most {limits.RANK} are read")
    if any(size < 1 for size in tensor.shape):
        raise _refusal(name, f"has no values: its shape is {show_shape(tensor.shape)}")
    if len(tensor.strides) != len(tensor.shape):
        raise _corrupt(name, f"it has {len(tensor.shape)} sizes but {len(tensor.strides)} strides")


def check_extent(name: str, tensor: StoredTensor, size: int) -> None:
    """Raise NetworkFileError if a tensor extends beyond its storage, or is an expanded view.

    `size` is the number of bytes per value.
    """
    available = len(tensor.data) // size
    if tensor.numel > available:
        raise _corrupt(
            name,
            f"it claims more data than the file has ({show_count(tensor.numel)} values of {available:,})",
        )
    if tensor.offset < 0 or any(stride < 0 for stride in tensor.strides):
        raise _corrupt(name, "its offset or a stride is negative")
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if last >= available:
        raise _corrupt(name, f"it extends to value {show_count(last + 1)} of a storage of {available:,}")
    if _overlaps(tensor):
        raise _refusal(
            name, "is an expanded view that uses values more than once; save a `.contiguous()` copy"
        )


def _overlaps(tensor: StoredTensor) -> bool:
    reach = 0
    for stride, size in sorted(zip(tensor.strides, tensor.shape, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += (size - 1) * stride
    return False


def show_count(count: int) -> str:
    """A count with thousands separators; huge ones, which may have millions of digits, are abbreviated."""
    return f"{count:,}" if abs(count) < 10**30 else "more than 10^30"


def show_shape(shape: tuple[int, ...]) -> str:
    """A shape for a message, truncated after a few dimensions."""
    sizes = [show_count(size) for size in shape[: limits.RANK]]
    return "[" + ", ".join(sizes + ["…"] * (len(shape) > limits.RANK)) + "]"


def _refusal(name: str, fault: str, advice: str = EXPORT_ADVICE) -> NetworkFileError:
    return NetworkFileError(f"Tensor {quote(name)} {fault}. {advice}")


def _corrupt(name: str, fault: str) -> NetworkFileError:
    return NetworkFileError(
        f"The file is corrupt at tensor {quote(name)}: {fault}. Download or save it again."
    )
