"""Convert named tensors to a chain of layers, by their shapes; names help where shapes are ambiguous.

Weights are the tensors of two or four dimensions, biases the vectors with the same prefix ("net.0" of
"net.0.weight"), batch norm the vectors with running statistics.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nfn.reader import limits
from nfn.reader.architectures import recognise, refuse_residual
from nfn.reader.batch_norm import (
    BatchNorm,
    fold,
    fold_into_next,
    place_batch_norms,
    stands_after_activation,
)
from nfn.reader.chain import LayerShape, check_chain, order_layers
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, StructureError, quote, quote_some
from nfn.reader.tensors import (
    StoredTensor,
    check_finite,
    check_tensor,
    read_array,
    show_count,
    show_shape,
    to_float32,
)
from nfn.wiring.batch_norms import WiringError, find_batch_norms

_WEIGHT_WORD = re.compile(r"(?i)weight|kernel|w(?=s?[\d_.]*$)")
_BIAS_WORDS = {"weight": "bias", "kernel": "bias", "w": "b"}


_RANKS = {
    3: " (it looks like a 1D convolution, or a stack of networks)",
    5: " (it looks like a 3D convolution, or a stack of networks)",
}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer with its batch norm folded in: float32 `weight` (out, in[, kh, kw]) and `bias` (out,)."""

    weight_name: str
    bias_name: str | None
    weight: np.ndarray
    bias: np.ndarray


@dataclass
class _Sorted:
    """The names of a file's weights and vectors."""

    weights: list[str] = field(default_factory=list)
    vectors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chain:
    """Weight names from input to output; by weight, its bias, its batch norm and the batch norm of its input.

    `norms` are folded into the weight of their own layer, `input_norms` into the weight of the next one.
    """

    order: list[str]
    biases: Mapping[str, str]
    norms: Mapping[str, BatchNorm]
    input_norms: Mapping[str, BatchNorm]

    def build(self, tensors: Mapping[str, StoredTensor]) -> list[Layer]:
        """The layers with the values of these tensors; NetworkFileError if one of them is not valid."""
        return [
            _build(tensors, n, self.biases.get(n), self.input_norms.get(n), self.norms.get(n))
            for n in self.order
        ]

    def notes(self, tensors: Mapping[str, StoredTensor]) -> list[str]:
        """Sentences on what `build` does to these tensors."""
        floats = _without_counters(tensors)
        return _notes(floats, self.order, self.biases, self.norms, self.input_norms)


def find_chain(
    tensors: Mapping[str, StoredTensor],
    in_order: bool,
    known_order: list[str] | None = None,
    norm_after: bool | None = None,
) -> Chain:
    """Arrange tensors as a chain of layers, by names and shapes; no values are read.

    `in_order` says that the file keeps the order in which modules were created; `known_order` has the weights
    from input to output, if the file records it; `norm_after` says whether batch norm comes after the activation,
    None if unknown.

    Raises:
        NetworkFileError: a tensor is not valid, or the tensors are not one chain of layers.
    """
    tensors = _without_counters(tensors)
    try:
        return _find_chain(tensors, in_order, known_order, norm_after)
    except StructureError as error:
        raise recognise(tensors, error) from error


def _find_chain(
    tensors: Mapping[str, StoredTensor],
    in_order: bool,
    known_order: list[str] | None,
    norm_after: bool | None,
) -> Chain:
    parts = _sort(tensors)
    refuse_residual(parts.weights)
    norms = _find_norms(parts.vectors)
    of_norms = {name for norm in norms for name in norm.names}
    others = [name for name in parts.vectors if name not in of_norms]
    biases = _match_biases(tensors, parts.weights, others)
    order = _order(tensors, parts.weights, in_order, known_order)
    placed = place_batch_norms(norms, tensors, order, in_order)
    _check_budget(tensors)
    after = {
        name: norm
        for name, norm in placed.items()
        if name != order[-1] and (stands_after_activation(norm, name) if norm_after is None else norm_after)
    }
    own = {name: norm for name, norm in placed.items() if name not in after}
    of_inputs = {next_: after[name] for name, next_ in itertools.pairwise(order) if name in after}
    return Chain(order, biases, own, of_inputs)


def _find_norms(vectors: list[str]) -> list[BatchNorm]:
    try:
        return find_batch_norms(vectors)
    except WiringError as error:
        raise NetworkFileError(str(error)) from error


def _order(
    tensors: Mapping[str, StoredTensor], weights: list[str], in_order: bool, known_order: list[str] | None
) -> list[str]:
    if known_order is None:
        return order_layers(_shapes(tensors, weights), in_order)
    check_chain(_shapes(tensors, known_order))
    return known_order


def _without_counters(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Drop single integers, such as batch norm's `num_batches_tracked`."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not (tensor.is_integer and (tensor.shape == () or name.endswith("num_batches_tracked")))
    }


def _sort(tensors: Mapping[str, StoredTensor]) -> _Sorted:
    parts = _Sorted()
    for name in tensors:
        _check_name(name)
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
        rank = len(tensor.shape)
        if rank not in (1, 2, 4):
            raise StructureError(
                f"Tensor {quote(name)} of shape {show_shape(tensor.shape)} is of no supported layer"
                f"{_RANKS.get(rank, '')}. "
                f"Supported: linear weights [out, in], 2D convolutions [out, in, h, w], biases, batch norm."
            )
        (parts.vectors if rank == 1 else parts.weights).append(name)
    if not parts.weights:
        raise NetworkFileError(
            f"No weights found, only vectors ({quote_some(parts.vectors)}). {EXPORT_ADVICE}"
        )
    if len(parts.weights) > limits.LAYERS:
        raise NetworkFileError(
            f"The network has {len(parts.weights)} layers; at most {limits.LAYERS} are supported."
        )
    return parts


def _check_name(name: str) -> None:
    if len(name) > limits.NAME_CHARACTERS:
        raise NetworkFileError(
            f"The tensor name {quote(name)} is {len(name):,} characters long; at most "
            f"{limits.NAME_CHARACTERS:,} are read. {EXPORT_ADVICE}"
        )


def _shapes(tensors: Mapping[str, StoredTensor], names: list[str]) -> list[LayerShape]:
    for name in names:
        widest = max(tensors[name].shape[:2])
        if widest > limits.LAYER_WIDTH:
            raise NetworkFileError(
                f"Layer {quote(name)} is {widest:,} wide; at most {limits.LAYER_WIDTH:,} are supported."
            )
    return [LayerShape(name, tensors[name].shape) for name in names]


def _match_biases(
    tensors: Mapping[str, StoredTensor], weights: list[str], vectors: list[str]
) -> dict[str, str]:
    """Weight name to bias name: names that differ in one word, and the rest by length."""
    matched, free = {}, dict.fromkeys(vectors)
    for weight in weights:
        bias = next((name for name in _bias_names(weight) if name in free), None)
        if bias is not None:
            matched[weight] = bias
            del free[bias]
    _match_by_length(tensors, [w for w in weights if w not in matched], list(free), matched)
    for weight, bias in matched.items():
        _check_bias(weight, tensors[weight].shape, bias, tensors[bias].shape)
    return matched


def _bias_names(weight: str) -> list[str]:
    """`net.0.weight` -> `net.0.bias`; `weights.0` -> `biases.0`; `W1` -> `b1`."""
    names = [weight + ".bias"]
    for match in _WEIGHT_WORD.finditer(weight):
        word = _BIAS_WORDS[match[0].lower()]
        word = word.upper() if match[0].isupper() and len(word) > 1 else word
        plural = re.sub(r"^s", "es", weight[match.end() :])
        names += [weight[: match.start()] + word + end for end in (weight[match.end() :], plural)]
    return names


def _match_by_length(
    tensors: Mapping[str, StoredTensor], weights: list[str], free: list[str], matched: dict[str, str]
) -> None:
    """Match each other vector to the only layer of its length without a bias."""
    for vector in free:
        fitting = [w for w in weights if w not in matched and tensors[w].shape[0] == tensors[vector].shape[0]]
        same_length = [v for v in free if tensors[v].shape == tensors[vector].shape]
        if len(fitting) != 1 or len(same_length) != 1:
            raise StructureError(
                f"Tensor {quote(vector)} of shape {show_shape(tensors[vector].shape)} is of no "
                f"supported layer{_guess_vector(vector, free)}. Supported: a bias with its weight, and batch norm "
                f"with running statistics. Export a network of linear layers and convolutions."
            )
        matched[fitting[0]] = vector


def _guess_vector(name: str, vectors: list[str]) -> str:
    """A hint on what a vector named weight may be: a norm if there is a bias, else PReLU."""
    stem = re.sub(r"(weight|bias)$", "", name)
    if stem == name or stem + "weight" not in vectors:
        return ""
    if stem + "bias" in vectors:
        return (
            " (it looks like layer norm or group norm, which depend on the image and cannot be folded away)"
        )
    return " (it looks like PReLU, an activation with parameters)"


def _check_bias(weight: str, weight_shape: tuple[int, ...], bias: str, bias_shape: tuple[int, ...]) -> None:
    if bias_shape[0] != weight_shape[0]:
        looks = "like a transposed convolution" if len(weight_shape) == 4 else "transposed"
        hint = f" The weight looks {looks}." if bias_shape[0] == weight_shape[1] else ""
        raise StructureError(
            f"The bias {quote(bias)} has {show_count(bias_shape[0])} values, but its weight {quote(weight)} "
            f"of shape {show_shape(weight_shape)} has {show_count(weight_shape[0])} outputs. "
            f"Expected weights stored as [out, in], as torch.nn.Linear does.{hint}"
        )


def _check_budget(tensors: Mapping[str, StoredTensor]) -> None:
    total = sum(tensor.numel for tensor in tensors.values())
    if total > limits.ELEMENTS:
        raise NetworkFileError(
            f"The network has {total:,} values; at most {limits.ELEMENTS:,} are supported."
        )


def _build(
    tensors: Mapping[str, StoredTensor],
    name: str,
    bias_name: str | None,
    input_norm: BatchNorm | None,
    norm: BatchNorm | None,
) -> Layer:
    weight = read_array(name, tensors[name])
    bias = (
        np.zeros(len(weight), weight.dtype)
        if bias_name is None
        else read_array(bias_name, tensors[bias_name])
    )
    for batch_norm, fold_in in ((input_norm, fold_into_next), (norm, fold)):
        if batch_norm is not None:
            weight, bias = fold_in(batch_norm, tensors, weight, bias, weight)
            check_finite(batch_norm.names[0], weight)
            check_finite(batch_norm.names[0], bias)
    layer = Layer(name, bias_name, weight, bias)
    return replace(layer, weight=to_float32(name, weight), bias=to_float32(bias_name or name, bias))


def _notes(
    tensors: Mapping[str, StoredTensor],
    order: list[str],
    biases: Mapping[str, str],
    norms: Mapping[str, BatchNorm],
    input_norms: Mapping[str, BatchNorm],
) -> list[str]:
    notes = []
    cast = sorted({tensor.dtype for tensor in tensors.values()} - {"float32"})
    if cast:
        notes.append(f"Values of type {' and '.join(cast)} were read as float32.")
    bare = [name for name in order if name not in {*biases, *norms, *input_norms}]
    if bare:
        notes.append(f"No bias for {quote_some(bare)}: zeros are used.")
    if norms:
        notes.append(
            f"Batch norm was folded into the layer right before it, with eps 1e-5 ({_pairs(norms)}); "
            f"a written copy has the folded weights and no batch norm. This is correct if batch norm comes "
            f"before the activation; if it comes after, set batch_norm = 'after' in the file's metadata."
        )
    if input_norms:
        notes.append(
            f"Batch norm after the activation was folded into the next layer, with eps 1e-5 "
            f"({_pairs(input_norms)}); a written copy has the folded weights and no batch norm."
        )
    return notes


def _pairs(folded: Mapping[str, BatchNorm]) -> str:
    return quote_some([f"{norm.stem} into {name}" for name, norm in folded.items()])
