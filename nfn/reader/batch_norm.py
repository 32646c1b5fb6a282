"""Fold batch norm in its evaluation mode into a layer beside it (arXiv:1502.03167, section 3.1).

Before the activation, `gamma * (W x + b - mean) / sqrt(var + eps) + beta` is the layer `scale * W`,
`scale * (b - mean) + beta` with `scale = gamma / sqrt(var + eps)` per output. After the activation, batch norm is
part of the next layer: `W (scale * x + shift) + b` with `shift = beta - scale * mean` per input, which is exact
where that layer pads nothing; averages between the two do not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nfn.reader.errors import NetworkFileError, StructureError, quote
from nfn.reader.tensors import StoredTensor, read_array
from nfn.wiring.batch_norms import BatchNorm
from nfn.wiring.names import natural_key, numbers_of, template_of

EPS = 1e-5
"""The default of `torch.nn.BatchNorm2d`; a state_dict does not hold it."""


def place_batch_norms(
    norms: list[BatchNorm], tensors: Mapping[str, StoredTensor], order: list[str], in_order: bool
) -> dict[str, BatchNorm]:
    """Weight name to the batch norm after it: by the file's order if it has one, else by names and sizes."""
    placed: dict[str, BatchNorm] = {}
    layers = {name: _Named.of(name) for name in order}
    for norm in norms:
        before = _before_in_file(norm, tensors, order) if in_order else None
        fitting = [name for name in order if tensors[name].shape[0] == tensors[norm.mean].shape[0]]
        layer = before if before in fitting else _before_by_name(norm, [layers[name] for name in fitting])
        if layer is None or layer in placed:
            raise StructureError(
                f"Batch norm {quote(norm.stem)} of size {tensors[norm.mean].shape[0]} could not be matched "
                f"to the one layer before it. Supported: batch norm right after a layer, numbered like it."
            )
        placed[layer] = norm
    return placed


def _before_in_file(norm: BatchNorm, tensors: Mapping[str, StoredTensor], order: list[str]) -> str | None:
    names, weights = list(tensors), set(order)
    earlier = [name for name in names[: names.index(norm.mean)] if name in weights]
    return earlier[-1] if earlier else None


@dataclass(frozen=True)
class _Named:
    """A layer's name, taken apart once: there may be as many comparisons as layers times batch norms."""

    name: str
    module: str
    numbers: list[str]
    template: str
    key: tuple

    @classmethod
    def of(cls, name: str) -> "_Named":
        return cls(name, _module_of(name), numbers_of(name), template_of(name), natural_key(name))


def _before_by_name(norm: BatchNorm, fitting: list[_Named]) -> str | None:
    """The only layer of its size or in its module, or the one with its numbers (`conv2`, `bn2`), or the one before."""
    module, numbers, key = _module_of(norm.mean), numbers_of(norm.stem), natural_key(norm.stem)
    template = template_of(norm.stem + ".weight")
    beside = [layer for layer in fitting if layer.module == module != ""]
    same = [layer for layer in fitting if layer.numbers == numbers != []]
    for only in (fitting, beside, same):
        if len(only) == 1:
            return only[0].name
    earlier = [layer for layer in fitting if layer.template == template and layer.key < key]
    return max(earlier, key=lambda layer: layer.key).name if earlier else None


def _module_of(name: str) -> str:
    """The module that holds a layer: `stem` of `stem.conv.weight`, `` of `conv.weight`."""
    return ".".join(name.split(".")[:-2])


def stands_after_activation(norm: BatchNorm, layer: str) -> bool:
    """Whether the numbers of a Sequential leave room between the two: 0 (layer), 1 (activation), 2 (batch norm)."""
    ours, theirs = _last_number(norm.stem), _last_number(layer.removesuffix(".weight"))
    if not ours[1] or not theirs[1] or ours[0] != theirs[0]:
        return False
    return int(ours[1][:18]) - int(theirs[1][:18]) > 1


def _last_number(name: str) -> tuple[str, str]:
    """What stands before the digits that a name ends in, and these."""
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :]


@np.errstate(over="ignore", invalid="ignore")
def fold_into_next(
    norm: BatchNorm,
    tensors: Mapping[str, StoredTensor],
    weight: np.ndarray,
    bias: np.ndarray,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The weight (out, in[, kh, kw]) and bias (out,) of a layer with the batch norm of its input; as `fold`."""
    mean, variance, gamma, beta = _statistics(norm, tensors, weight.shape[1])
    scale = gamma / np.sqrt(variance + EPS)
    kernels = weight.reshape(*weight.shape[:2], -1)
    moved = bias + np.einsum("oik,i->o", kernels, beta - mean * scale, dtype=np.float64)
    return _scaled(weight, scale.reshape(-1, *[1] * (weight.ndim - 2)), out), moved


@np.errstate(over="ignore", invalid="ignore")
def fold(
    norm: BatchNorm,
    tensors: Mapping[str, StoredTensor],
    weight: np.ndarray,
    bias: np.ndarray,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The weight (out, in[, kh, kw]) and bias (out,) of layer and batch norm together, computed in float64.

    The weight is written to `out` where that is given (it may be the weight itself), else it is a new array.
    """
    mean, variance, gamma, beta = _statistics(norm, tensors, len(weight))
    scale = gamma / np.sqrt(variance + EPS)
    folded = _scaled(weight, scale.reshape(-1, *[1] * (weight.ndim - 1)), out)
    return folded, (bias.astype(np.float64) - mean) * scale + beta


def _scaled(weight: np.ndarray, scale: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """NumPy converts a few thousand values at a time: a large layer is never there in float64 as well."""
    return np.multiply(weight, scale, out=out, dtype=np.float64, casting="same_kind")


def _statistics(norm: BatchNorm, tensors: Mapping[str, StoredTensor], width: int) -> list[np.ndarray]:
    arrays = []
    for name, default in ((norm.mean, 0.0), (norm.variance, 1.0), (norm.weight, 1.0), (norm.bias, 0.0)):
        array = (
            np.full(width, default) if name is None else read_array(name, tensors[name]).astype(np.float64)
        )
        if array.shape != (width,):
            raise NetworkFileError(
                f"Batch norm {quote(name)} has {array.size} values; wanted {width}, as the layer has outputs."
            )
        arrays.append(array)
    if (arrays[1] < 0).any():
        raise NetworkFileError(
            f"Batch norm {quote(norm.variance)} holds a negative variance; wanted running variances."
        )
    return arrays
