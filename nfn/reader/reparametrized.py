"""Compute reparametrized weights, as the forward pass does: weight norm, spectral norm, pruning masks.

`weight_norm` (arXiv:1602.07868): `g * v / |v|`; `spectral_norm` (arXiv:1802.05957): `W / (u^T W v)`; pruning:
`weight * mask`. Each with the tensor names of `torch.nn.utils` and of `torch.nn.utils.parametrizations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nfn.reader import limits
from nfn.reader.errors import NetworkFileError, quote, quote_some
from nfn.reader.tensors import StoredTensor, from_array, read_array, read_mask


@dataclass(frozen=True)
class _Spelling:
    """The kind of a reparametrization, and the name suffix of each of its parts."""

    kind: str
    parts: Mapping[str, str]


_ADVICE = "Save the network without the reparametrization (torch.nn.utils.remove_weight_norm and the like)."
_SPELLINGS = (
    _Spelling("weight norm", {"g": "_g", "v": "_v"}),
    _Spelling("spectral norm", {"orig": "_orig", "u": "_u", "v": "_v"}),
    _Spelling("spectral norm", {"orig": "_orig", "u": "_u"}),
    _Spelling("spectral norm", {"orig": "_bar", "u": "_u", "v": "_v"}),
    _Spelling("a pruning mask", {"orig": "_orig", "mask": "_mask"}),
)
_PARAMETRIZED = "parametrizations."
_PARAMETRIZATIONS = (
    _Spelling("weight norm", {"g": ".original0", "v": ".original1"}),
    _Spelling("spectral norm", {"orig": ".original", "u": ".0._u", "v": ".0._v"}),
)


def fold_parametrizations(
    tensors: Mapping[str, StoredTensor],
) -> tuple[dict[str, StoredTensor], tuple[str, ...]]:
    """The tensors with plain weights in place of reparametrized ones, and notes.

    Raises:
        NetworkFileError: a part is not valid or does not fit the others, or the parametrization is unknown.
    """
    plain: dict[str, StoredTensor] = {}
    folded: dict[str, list[str]] = {}
    used: set[str] = set()
    room = limits.REPARAMETRIZED
    for name in tensors:
        if name in used:
            continue
        whole, kind, parts = _match(name, tensors)
        if kind:
            room -= max(tensors[part].numel for part in parts.values())
            if room < 0:
                raise _too_many()
            plain[whole] = _fold(whole, kind, {part: (n, tensors[n]) for part, n in parts.items()})
            folded.setdefault(kind, []).append(whole)
            used |= set(parts.values())
        else:
            plain[name] = tensors[name]
    _refuse_unknown(plain)
    notes = [f"Folded {kind} into {quote_some(names)}." for kind, names in folded.items()]
    wholes = {name for names in folded.values() for name in names}
    return {n: tensor for n, tensor in plain.items() if n in wholes or n not in used}, tuple(notes)


def _match(name: str, tensors: Mapping[str, StoredTensor]) -> tuple[str, str, dict[str, str]]:
    """The weight that `name` is a part of, the kind of reparametrization ("" for none), and the names of all parts."""
    for spelling in _SPELLINGS:
        for suffix in spelling.parts.values():
            if name.endswith(suffix):
                whole = name.removesuffix(suffix)
                parts = {part: whole + end for part, end in spelling.parts.items()}
                if all(part in tensors for part in parts.values()):
                    return whole, spelling.kind, parts
    for spelling in _PARAMETRIZATIONS:
        for suffix in spelling.parts.values():
            stem, _, inner = name.rpartition(_PARAMETRIZED)
            if _PARAMETRIZED in name and inner.endswith(suffix) and "." not in inner.removesuffix(suffix):
                base = stem + _PARAMETRIZED + inner.removesuffix(suffix)
                parts = {part: base + end for part, end in spelling.parts.items()}
                if all(part in tensors for part in parts.values()):
                    return stem + inner.removesuffix(suffix), spelling.kind, parts
    mask = name.removesuffix("weight") + "mask"
    if name.endswith("weight") and mask in tensors and tensors[mask].shape == tensors[name].shape:
        return name, "a mask", {"orig": name, "mask": mask}
    return name, "", {}


def _refuse_unknown(tensors: Mapping[str, StoredTensor]) -> None:
    strange = [name for name in tensors if f".{_PARAMETRIZED}" in f".{name}"]
    if strange:
        raise NetworkFileError(
            f"Tensor {quote(strange[0])} belongs to a parametrization that is not known. Remove it with "
            f"torch.nn.utils.parametrize.remove_parametrizations(module, 'weight') and save the state_dict again."
        )


def _fold(name: str, kind: str, parts: Mapping[str, tuple[str, StoredTensor]]) -> StoredTensor:
    arrays = {
        part: read_mask(*named) if part == "mask" else read_array(*named) for part, named in parts.items()
    }
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if kind == "weight norm":
            whole = _normed(name, arrays["g"], arrays["v"])
        elif kind == "spectral norm":
            whole = _spectral(name, arrays["orig"], arrays["u"].ravel(), arrays.get("v"))
        else:
            whole = _masked(name, arrays["orig"], arrays["mask"])
    return from_array(whole)


def _normed(name: str, g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`g * v / |v|`, in place; the norm is over the axes on which `g` has size 1."""
    if g.ndim and (g.ndim != v.ndim or any(a not in (1, b) for a, b in zip(g.shape, v.shape, strict=True))):
        raise _misfit(name, f"magnitudes of shape {list(g.shape)} and directions of shape {list(v.shape)}")
    kept = [axis for axis in range(v.ndim) if g.ndim and g.shape[axis] > 1]
    norms = np.einsum(v, [*range(v.ndim)], v, [*range(v.ndim)], kept, dtype=np.float64)
    scale = g / np.sqrt(norms).reshape([v.shape[axis] if axis in kept else 1 for axis in range(v.ndim)])
    return np.multiply(v, scale, out=v, dtype=np.float64, casting="same_kind")


def _spectral(name: str, weight: np.ndarray, u: np.ndarray, v: np.ndarray | None) -> np.ndarray:
    """`W / (u^T W v)`, in place; `u` belongs to the axis of outputs."""
    if weight.ndim == 0:
        raise _misfit(name, "a weight that is a single number")
    axis = 0 if weight.ndim < 2 or len(weight) == u.size else 1
    matrix = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    right = matrix.T @ u if v is None and len(matrix) == u.size else v
    if right is None or len(matrix) != u.size or matrix.shape[1] != right.size:
        raise _misfit(name, f"a weight of shape {list(weight.shape)} and vectors of {u.size} values")
    if v is None:
        right = right / np.linalg.norm(right)
    weight /= np.dot(u.astype(np.float64), matrix @ right.ravel())
    return weight


def _masked(name: str, weight: np.ndarray, mask: np.ndarray) -> np.ndarray:
    if weight.shape != mask.shape:
        raise _misfit(name, f"a weight of shape {list(weight.shape)} and a mask of shape {list(mask.shape)}")
    weight *= mask.astype(weight.dtype)
    return weight


def _too_many() -> NetworkFileError:
    return NetworkFileError(
        f"The network has more than {limits.REPARAMETRIZED:,} values in weights that are stored in parts. {_ADVICE}"
    )


def _misfit(name: str, what: str) -> NetworkFileError:
    return NetworkFileError(f"The parts of {quote(name)} do not fit: {what}. {_ADVICE}")
