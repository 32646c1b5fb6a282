"""Fold batch norm, in evaluation mode, into an adjacent layer (arXiv:1502.03167, section 3.1).

Before the activation, `gamma * (W x + b - mean) / sqrt(var + eps) + beta` is a layer with weight `scale * W` and
bias `scale * (b - mean) + beta`, with `scale = gamma / sqrt(var + eps)` per output. After the activation, batch norm
is folded into the next layer: `W (scale * x + shift) + b` with `shift = beta - scale * mean` per input, which is
exact if that layer has no padding; average pooling in between makes no difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nfn.reader.errors import NetworkFileError, StructureError, quote
from nfn.reader.tensors import StoredTensor, read_array
from nfn.wiring.batch_norms import BatchNorm
from nfn.wiring.names import natural_key, numbers_of, template_of

EPS = 1e-5
"""The default of `torch.nn.BatchNorm2d`; it is not in a state_dict."""


def place_batch_norms(
    norms: list[BatchNorm], tensors: Mapping[str, StoredTensor], order: list[str], in_order: bool
) -> dict[str, BatchNorm]:
    """Weight name to the batch norm after it: by the file's order if `in_order`, else by names and sizes."""
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
    """A layer's name, parsed once, as it is compared with every batch norm."""

    name: str
    module: str
    numbers: list[str]
    template: str
    key: tuple

    @classmethod
    def of(cls, name: str) -> "_Named":
        return cls(name, _module_of(name), numbers_of(name), template_of(name), natural_key(name))


def _before_by_name(norm: BatchNorm, fitting: list[_Named]) -> str | None:
    """The only layer of its size or in its module, or with its numbers (`conv2`, `bn2`), or the last one before."""
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
    """The parent module of a layer: `stem` for `stem.conv.weight`, "" for `conv.weight`."""
    return ".".join(name.split(".")[:-2])


def stands_after_activation(norm: BatchNorm, layer: str) -> bool:
    """Whether an index between the two in a Sequential is missing: 0 (layer), 1 (activation), 2 (batch norm)."""
    (norm_stem, norm_index), (stem, index) = (
        _last_number(norm.stem),
        _last_number(layer.removesuffix(".weight")),
    )
    if not norm_index or not index or norm_stem != stem:
        return False
    return int(norm_index[:18]) - int(index[:18]) > 1


def _last_number(name: str) -> tuple[str, str]:
    """A name without its trailing digits, and these digits."""
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
    """Fold a batch norm of the inputs into a layer's weight (out, in[, kh, kw]) and bias (out,); see `fold`."""
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
    """Fold a batch norm of the outputs into a layer's weight (out, in[, kh, kw]) and bias (out,), in float64.

    The weight is written to `out` if given (which may be `weight`), else to a new array.
    """
    mean, variance, gamma, beta = _statistics(norm, tensors, len(weight))
    scale = gamma / np.sqrt(variance + EPS)
    folded = _scaled(weight, scale.reshape(-1, *[1] * (weight.ndim - 1)), out)
    return folded, (bias.astype(np.float64) - mean) * scale + beta


def _scaled(weight: np.ndarray, scale: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """`weight * scale` in float64; NumPy converts in small blocks, without a float64 copy of the weight."""
    return np.multiply(weight, scale, out=out, dtype=np.float64, casting="same_kind")


def _statistics(norm: BatchNorm, tensors: Mapping[str, StoredTensor], width: int) -> list[np.ndarray]:
    arrays = []
    for name, default in ((norm.mean, 0.0), (norm.variance, 1.0), (norm.weight, 1.0), (norm.bias, 0.0)):
        array = (
            np.full(width, default) if name is None else read_array(name, tensors[name]).astype(np.float64)
        )
        if array.shape != (width,):
            raise NetworkFileError(
                f"Batch norm {quote(name)} has {array.size} values; expected {width}, as the layer has outputs."
            )
        arrays.append(array)
    if (arrays[1] < 0).any():
        raise NetworkFileError(
            f"Batch norm {quote(norm.variance)} holds a negative variance; expected running variances."
        )
    return arrays
