"""Convert the bytes of tensors to float32 (or float64) values, block by block."""

from collections.abc import Iterator

import numpy as np
import torch

BLOCK = 1 << 20
"""Values per block, 4 MB as float32; more only if a single row has more."""

_NUMPY = {
    "float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "<u2", "int64": "<i8", "int32": "<i4",
    "int16": "<i2", "int8": "|i1", "uint64": "<u8", "uint32": "<u4", "uint16": "<u2", "uint8": "|u1", "bool": "|b1",
    "float8 (e4m3)": "|u1", "float8 (e5m2)": "|u1",
}  # fmt: skip
_FLOAT8 = {"float8 (e4m3)": torch.float8_e4m3fn, "float8 (e5m2)": torch.float8_e5m2}


def is_readable(dtype: str) -> bool:
    """Whether values of this dtype can be read individually."""
    return dtype in _NUMPY


def view(
    data: memoryview,
    dtype: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    offset: int = 0,
) -> np.ndarray:
    """The values as they stand in the file (bfloat16 and float8 as their bits), copied nowhere.

    `strides` and `offset` are counted in values. Whoever calls has checked that all of it lies inside `data`.
    """
    flat = np.frombuffer(data, _NUMPY[dtype])[offset:]
    if strides is None:
        return flat[: int(np.prod(shape, dtype=np.int64))].reshape(shape)
    step = [stride * flat.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(flat, shape, step, writeable=False)


def blocks(values: np.ndarray, dtype: str) -> Iterator[np.ndarray]:
    """Yield `values` of type `dtype` in blocks of whole rows, of at most `BLOCK` values if a row allows."""
    if values.ndim == 0:
        values = values.reshape(1)
    rows = max(1, BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        yield widen(values[start : start + rows], dtype)


def widen(part: np.ndarray, dtype: str) -> np.ndarray:
    """A float32 copy; float64 for float64 and wide integers."""
    if dtype == "bfloat16":
        wide = part.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    if dtype in _FLOAT8:
        bits = torch.from_numpy(part.copy())
        return bits.view(_FLOAT8[dtype]).float().numpy()
    exact = dtype in ("float64", "int64", "uint64", "int32", "uint32")
    return part.astype(np.float64 if exact else np.float32)
