"""Convert layouts of Flax, Keras and scikit-learn, such as kernels `[in, out]`, to torch's, without copies."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nfn.reader.errors import NetworkFileError, quote_some
from nfn.reader.tensors import StoredTensor, from_array, read_array

_KERNEL = re.compile(r"(?i)(.*?)kernel((?:_\d+)?)$")
_BIAS_OF = ((r"kernel", "bias"), (r"weight", "bias"), (r"W", "b"), (r"w", "b"), (r"coefs_", "intercepts_"))
_NORM = {
    "scale": "weight", "gamma": "weight", "beta": "bias", "bias": "bias",
    "mean": "running_mean", "var": "running_var",
    "moving_mean": "running_mean", "moving_variance": "running_var", "moving_var": "running_var",
}  # fmt: skip
_KERAS_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5
_WORDS = {"coefs_": "weights", "intercepts_": "biases"}
"""scikit-learn's names for the weights and biases of an MLP."""


def to_torch(tensors: Mapping[str, StoredTensor]) -> tuple[dict[str, StoredTensor], tuple[str, ...]]:
    """The tensors with torch's layout and names, and notes on what was changed."""
    tensors = {name.removesuffix(":0"): tensor for name, tensor in tensors.items()}
    tensors, norms = _rename_norms(tensors)
    transposed = _find_transposed(tensors)
    converted = {}
    for name, tensor in tensors.items():
        if name in transposed:
            converted[_torch_name(name, True)] = _transpose(tensor)
        else:
            converted[_torch_name(name, False)] = tensor
    if len(converted) < len(tensors):
        raise NetworkFileError(
            "Two tensors have the same name but for 'kernel' and 'weight'. Give each layer one weight."
        )
    notes = [norms] if norms else []
    if transposed:
        notes.append(
            f"Weights stored as [in, out] or [h, w, in, out], as Flax and Keras do, were transposed "
            f"({quote_some(list(transposed))})."
        )
    return converted, tuple(notes)


def _find_transposed(tensors: Mapping[str, StoredTensor]) -> dict[str, None]:
    """The weights with outputs on the last axis: kernels, or all if the lengths of the biases say so."""
    weights = [name for name, tensor in tensors.items() if len(tensor.shape) in (2, 4)]
    first, last = _evidence(weights, tensors)
    if first:
        return {}
    kernels = [name for name in weights if _KERNEL.fullmatch(name)]
    if kernels:
        return dict.fromkeys(kernels)
    if last and all(len(tensors[name].shape) == 2 for name in weights):
        return dict.fromkeys(weights)
    return {}


def _evidence(weights: list[str], tensors: Mapping[str, StoredTensor]) -> tuple[int, int]:
    """How many weights have a bias as long as their first size only, and as their last size only."""
    first = last = 0
    for name in weights:
        shape, bias = tensors[name].shape, _bias_of(name, tensors)
        if bias is not None and shape[0] != shape[-1]:
            first += bias == shape[0]
            last += bias == shape[-1]
    return first, last


def _bias_of(name: str, tensors: Mapping[str, StoredTensor]) -> int | None:
    for word, other in _BIAS_OF:
        at = name.rfind(word)
        bias = tensors.get(name[:at] + other + name[at + len(word) :]) if at >= 0 else None
        if bias is not None and len(bias.shape) == 1:
            return bias.shape[0]
    return None


def _transpose(tensor: StoredTensor) -> StoredTensor:
    """[in, out] to [out, in], and [h, w, in, out] to [out, in, h, w]: other strides over the same bytes."""
    axes = (1, 0) if len(tensor.shape) == 2 else (3, 2, 0, 1)
    if len(tensor.strides) != len(axes):
        return tensor
    return replace(
        tensor,
        shape=tuple(tensor.shape[axis] for axis in axes),
        strides=tuple(tensor.strides[axis] for axis in axes),
    )


def _torch_name(name: str, transposed: bool) -> str:
    """The name in torch; a transposed kernel is renamed to weight, so that it is not transposed again later."""
    for word, torch_word in _WORDS.items():
        name = name.replace(word, torch_word) if name.startswith(word) else name
    match = _KERNEL.fullmatch(name)
    return f"{match[1]}weight{match[2]}" if transposed and match else name


def _rename_norms(tensors: Mapping[str, StoredTensor]) -> tuple[dict[str, StoredTensor], str]:
    """Rename batch norm of Flax and Keras to torch's names; return the tensors, and a note or ""."""
    stems = {re.sub(r"(?:moving_)?mean$", "", name) for name in tensors if _is_foreign_mean(name, tensors)}
    renamed, keras = {}, False
    for name, tensor in tensors.items():
        stem = re.match(r"(.*[./])?", name)[0]  # type: ignore[index]
        part = name[len(stem) :]
        if stem in stems and part in _NORM:
            if part.startswith("moving_var") and not tensor.problem:
                tensor, keras = _with_epsilon(name, tensor), True
            renamed[stem + _NORM[part]] = tensor
        else:
            renamed[name] = tensor
    return renamed, "Keras's batch norm was read with its default epsilon, 0.001." if keras else ""


def _is_foreign_mean(name: str, tensors: Mapping[str, StoredTensor]) -> bool:
    for mean, variances in (("moving_mean", ("moving_variance", "moving_var")), ("mean", ("var",))):
        stem = name.removesuffix(mean)
        if stem != name and (not stem or stem[-1] in "./"):
            return any(stem + variance in tensors for variance in variances)
    return False


def _with_epsilon(name: str, tensor: StoredTensor) -> StoredTensor:
    """A variance corrected for the difference between Keras's and torch's default epsilon."""
    return from_array(read_array(name, tensor) + np.float32(_KERAS_EPSILON - _TORCH_EPSILON))
