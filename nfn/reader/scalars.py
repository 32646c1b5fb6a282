"""Convert numbers and single-value tensors of a file to strings, as in metadata."""

import math
from typing import Any

import numpy as np

from nfn.reader.tensors import FLOATS, INTEGERS, StoredTensor


def number_text(value: Any) -> str | None:
    """A number, a string, or up to three numbers as a string; None for anything else."""
    if isinstance(value, (str, bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return str(value)
    if (
        isinstance(value, (list, tuple))
        and 0 < len(value) < 4
        and all(type(v) in (int, float) for v in value)
    ):
        return str([float(v) for v in value]) if all(abs(v) < 1e300 for v in value) else None
    return None


def tensor_text(tensor: StoredTensor) -> str | None:
    """The value of a tensor of shape `()` as a string, such as a label or an omega; None for other tensors."""
    if tensor.problem or tensor.shape != ():
        return None
    number = single_number(tensor)
    return None if number is None or not math.isfinite(number) else str(number)


def single_number(tensor: StoredTensor) -> int | float | None:
    """The one value of a tensor, or None if it is outside its bytes."""
    size = {**FLOATS, **INTEGERS}.get(tensor.dtype, 0)
    data = bytes(tensor.data[tensor.offset * size :][:size]) if tensor.offset >= 0 else b""
    if not size or len(data) != size:
        return None
    if tensor.dtype == "bfloat16":
        return float(np.frombuffer(bytes(2) + data, "<f4")[0])
    return np.frombuffer(data, np.dtype(tensor.dtype).newbyteorder("<"))[0].item()
