"""Input conventions from extra tensors in a file: mean and std of the inputs, and stored coordinate grids."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nfn.reader import limits
from nfn.reader.tensors import FLOATS, StoredTensor, read_array

_CHANNELS = 4
_BYTE = 255.0


@dataclass(frozen=True)
class Normalization:
    """Input normalization `(x - mean) / std`, one number or one per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def facts(self) -> dict[str, str]:
        """As metadata, for pixels from 0 to 1: one number, or one for each of three channels; {} otherwise."""
        if len(self.mean) not in (1, 3):
            return {}
        scale = _BYTE if max(map(abs, self.mean)) > 1 or max(self.std) > 1 else 1.0
        numbers = ([number / scale for number in part] for part in (self.mean, self.std))
        mean, std = (str(part if len(part) > 1 else part[0]) for part in numbers)
        return {"pixel_mean": mean, "pixel_std": std}


def find_normalization(statistics: Mapping[str, StoredTensor]) -> Normalization | None:
    """The pair of mean and std, if there is exactly one with valid values; else None."""
    pairs = []
    for name, tensor in statistics.items():
        for suffix in ("std", "stddev"):
            mean = name.removesuffix(suffix) + "mean"
            if name.endswith(suffix) and mean in statistics:
                pairs.append((_numbers(mean, statistics[mean]), _numbers(name, tensor)))
    if len(pairs) != 1 or not all(pairs[0]):
        return None
    (mean, std) = pairs[0]
    if len(mean) != len(std) or min(std) < limits.PIXEL_STD or max(map(abs, (*mean, *std))) > limits.PIXEL:
        return None
    return Normalization(mean, std)


def _numbers(name: str, tensor: StoredTensor) -> tuple[float, ...]:
    if tensor.problem or tensor.dtype not in FLOATS or not 0 < math.prod(tensor.shape) <= _CHANNELS:
        return ()
    return tuple(float(str(value)) for value in read_array(name, tensor).ravel())


def coordinate_facts(grids: Mapping[str, StoredTensor]) -> dict[str, str]:
    """As metadata, the coordinate order, range and direction of a stored coordinate grid `(..., 2)`."""
    for name, tensor in grids.items():
        if tensor.problem or tensor.dtype not in FLOATS or tensor.shape[-1:] != (2,):
            continue
        if not 4 <= tensor.numel <= limits.ELEMENTS:
            continue
        points = read_array(name, tensor).reshape(-1, 2)
        steps = points[1] - points[0]
        if sorted(steps != 0) != [False, True] or steps.max() <= 0:
            continue
        column = int(steps.argmax())
        rows = points[:, 1 - column]
        facts = {"coordinates": ("col_row", "row_col")[column], "coordinate_range": _range(points)}
        return facts if rows[-1] > rows[0] else {**facts, "upwards": "true"}
    return {}


def _range(points: np.ndarray) -> str:
    low, high = (float(str(value)) for value in (points.min(), points.max()))
    return f"[{low!r}, {high!r}]"
