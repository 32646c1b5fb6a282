"""Omegas of a SIREN that are stored as tensors, or as attributes of modules.

If omegas differ within a layer, or between hidden layers, the difference is folded into the weights:
`sin(a (W x + b)) = sin(c (a/c W x + a/c b))`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nfn.reader import limits
from nfn.reader.contents import ModuleFacts
from nfn.reader.errors import quote_some
from nfn.reader.tensors import FLOATS, INTEGERS, StoredTensor, from_array, read_array, read_mask
from nfn.wiring.names import natural_key

_OMEGA = re.compile(r"_?(?:omegas?(?:_?0)?|w_?0|omega_0_scale|omega_scale|freq(?:uency)?_scale)")
_SCALE = "scale"
_INNER = ("", "linear.", "fc.", "layer.", "net.", "dense.")
"""Paths from an omega's module to the module of its weight."""


@dataclass(frozen=True)
class Frequency:
    """The omega of one layer: one number, or one per output."""

    weight: str
    bias: str | None
    omegas: np.ndarray


def split_omegas(
    tensors: Mapping[str, StoredTensor],
) -> tuple[dict[str, StoredTensor], dict[str, StoredTensor]]:
    """Split tensors into all others, and omegas."""
    names = sorted((name for name in tensors if _is_omega(name, tensors)), key=natural_key)
    omegas = {name: tensors[name] for name in names}
    left = {name: tensor for name, tensor in tensors.items() if name not in omegas}
    return (left, omegas) if any(len(tensor.shape) > 1 for tensor in left.values()) else (dict(tensors), {})


def omega_facts(
    tensors: Mapping[str, StoredTensor], omegas: Mapping[str, StoredTensor]
) -> tuple[dict[str, StoredTensor], dict[str, str], tuple[str, ...]]:
    """The tensors, with differences between omegas folded in; the omegas as metadata; and notes."""
    if not omegas:
        return dict(tensors), {}, ()
    frequencies = [frequency for name in omegas if (frequency := _frequency(name, omegas[name], tensors))]
    notes = [f"Omegas were read from the file's tensors ({quote_some(list(omegas))})."]
    if not frequencies:
        numbers = [_values(name, tensor) for name, tensor in omegas.items()]
        return (
            dict(tensors),
            _facts([values[0] for values in numbers if len(set(values)) == 1]),
            tuple(notes),
        )
    medians = [float(np.median(frequency.omegas)) for frequency in frequencies]
    hidden = Counter(medians[1:]).most_common(1)[0][0] if medians[1:] else medians[0]
    changed = dict(tensors)
    for frequency, omega in zip(frequencies, [medians[0], *[hidden] * len(medians[1:])], strict=True):
        if np.any(frequency.omegas != omega):
            changed |= _scaled(frequency, omega, tensors)
            notes.append(f"Omegas that differ were folded into {quote_some([frequency.weight])}.")
    return changed, _facts([medians[0], hidden]), tuple(notes)


def module_omegas(modules: Mapping[str, ModuleFacts]) -> dict[str, str]:
    """Omegas in the attributes of modules, as metadata; {} if the hidden layers differ."""
    omegas = []
    for facts in modules.values():
        values = [value for key, value in facts.attributes.items() if _OMEGA.fullmatch(key)]
        omegas += [float(v) for v in values[:1] if isinstance(v, (int, float)) and 0 < v <= limits.OMEGA]
    return _facts(omegas[:2] if len(set(omegas[1:])) <= 1 else [])


def _facts(omegas: list[float]) -> dict[str, str]:
    """The first and the hidden omega as metadata."""
    if not omegas:
        return {}
    return {"first_omega": repr(omegas[0]), "hidden_omega": repr(omegas[-1])}


def _is_omega(name: str, tensors: Mapping[str, StoredTensor]) -> bool:
    """Whether a tensor is an omega by its name: one value, or one per output of its layer (for `scale`)."""
    tensor, key = tensors[name], re.split(r"[./]", name)[-1].lower()
    if tensor.problem or tensor.dtype not in {**FLOATS, **INTEGERS}:
        return False
    if not _OMEGA.fullmatch(key) and key != _SCALE:
        return False
    beside = _weight_beside(name, tensors)
    if tensor.numel == 1:
        return key != _SCALE or beside is not None
    rows = () if beside is None else tensors[beside].shape[:1]
    return key != _SCALE and rows == tuple(size for size in tensor.shape if size != 1)


def _weight_beside(name: str, tensors: Mapping[str, StoredTensor]) -> str | None:
    stem = name[: len(name) - len(re.split(r"[./]", name)[-1])]
    names = [f"{stem}{inner}weight" for inner in _INNER] if stem else []
    return next((n for n in names if n in tensors and len(tensors[n].shape) == 2), None)


def _frequency(name: str, tensor: StoredTensor, tensors: Mapping[str, StoredTensor]) -> Frequency | None:
    weight = _weight_beside(name, tensors)
    values = _values(name, tensor)
    if weight is None or not values or len(values) not in (1, tensors[weight].shape[0]):
        return None
    bias = weight.removesuffix("weight") + "bias"
    return Frequency(weight, bias if bias in tensors else None, np.array(values))


def _values(name: str, tensor: StoredTensor) -> list[float]:
    """The omegas, or [] if they are not valid."""
    if tensor.numel > limits.LAYER_WIDTH:
        return []
    values = [float(str(value)) for value in read_mask(name, tensor).ravel()]
    return values if all(0 < value <= limits.OMEGA for value in values) else []


def _scaled(
    frequency: Frequency, omega: float, tensors: Mapping[str, StoredTensor]
) -> dict[str, StoredTensor]:
    factor = np.broadcast_to(frequency.omegas / omega, (tensors[frequency.weight].shape[0],))
    scaled = {}
    for name in (frequency.weight, frequency.bias):
        if name is not None:
            values = read_array(name, tensors[name])
            column = factor.reshape(-1, *[1] * (values.ndim - 1))
            scaled[name] = from_array((values * column).astype(values.dtype))
    return scaled
