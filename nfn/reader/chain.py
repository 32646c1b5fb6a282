"""Find the order of a network's layers from their shapes: each layer's outputs are the next one's inputs."""

import itertools
import math
from dataclasses import dataclass

from nfn.reader.errors import NetworkFileError, StructureError, quote, quote_some
from nfn.reader.tensors import show_shape
from nfn.wiring.names import natural_key
from nfn.wiring.orders import ORDER_ADVICE, TooManyOrders, orders

SUPPORTED = (
    "Supported: a chain of linear layers, or of 2D convolutions and linear layers, with common pooling, batch norm and "
    "skips"
)


@dataclass(frozen=True)
class LayerShape:
    """A weight's name and shape (out, in[, kh, kw])."""

    name: str
    shape: tuple[int, ...]

    def fits_before(self, other: "LayerShape") -> bool:
        """Whether `other` can follow: it has as many inputs, and is no convolution after a linear layer."""
        return self.shape[0] == other.shape[1] and len(self.shape) >= len(other.shape)


def order_layers(layers: list[LayerShape], in_order: bool) -> list[str]:
    """The layers' names from input to output.

    With `in_order` the file's order is used if it is a chain. Otherwise layers whose names first differ in a number
    are in this order, if any order of them is a chain, and shapes decide the rest.

    Raises:
        NetworkFileError: no order is a chain, or more than one is.
    """
    if in_order and _first_break(layers) is None:
        return [layer.name for layer in layers]
    by_number = sorted(layers, key=lambda layer: natural_key(layer.name))
    chains = _chains(by_number)
    if not chains:
        raise _no_chain(layers if in_order else by_number)
    if len(chains) > 1:
        raise _ambiguous(*chains)
    return [layer.name for layer in chains[0]]


def check_chain(layers: list[LayerShape]) -> None:
    """Raise NetworkFileError unless the layers, in this order, are a chain."""
    if _first_break(layers) is not None:
        raise _no_chain(layers)


def _first_break(layers: list[LayerShape]) -> int | None:
    pairs = enumerate(itertools.pairwise(layers), start=1)
    return next((i for i, (before, after) in pairs if not before.fits_before(after)), None)


def _chains(layers: list[LayerShape]) -> list[list[LayerShape]]:
    """Up to two chains of all layers, in the order of numbers in their names if there are any."""

    def fits(before: LayerShape | None, layer: LayerShape) -> bool:
        return before is None or before.fits_before(layer)

    try:
        return list(itertools.islice(orders(layers, lambda layer: layer.name, fits), 2))
    except TooManyOrders:
        raise _too_many(layers) from None


def _ambiguous(one: list[LayerShape], other: list[LayerShape]) -> NetworkFileError:
    a, b = next((a, b) for a, b in zip(one, other, strict=True) if a.name != b.name)
    return _unclear(
        one,
        f"The order of the layers is unclear: {quote(a.name)} {show_shape(a.shape)} and {quote(b.name)} "
        f"{show_shape(b.shape)} could each come first, and this file does not keep their order. {ORDER_ADVICE}",
    )


def _too_many(layers: list[LayerShape]) -> NetworkFileError:
    return _unclear(
        layers,
        f"The order of the {len(layers)} layers could not be found from their shapes. "
        f"Number the layers in their names.",
    )


def _unclear(layers: list[LayerShape], sentence: str) -> NetworkFileError:
    """A StructureError if there are convolutions: of a classifier, pictures show whether an order is right."""
    convolutions = any(len(layer.shape) == 4 for layer in layers)
    return (StructureError if convolutions else NetworkFileError)(sentence)


def _no_chain(layers: list[LayerShape]) -> StructureError:
    at = _first_break(layers)
    assert at is not None, "the search finds layers that are a chain in this order"
    before, after = layers[at - 1], layers[at]
    shapes = " ".join(show_shape(layer.shape) for layer in layers[:6]) + (" …" if len(layers) > 6 else "")
    return StructureError(
        f"{SUPPORTED}. Found {len(layers)} layers that do not form a chain: {shapes}. "
        f"First mismatch at layer {at} ({quote(after.name)}): {_explain(before, after)}."
    )


def _explain(before: LayerShape, after: LayerShape) -> str:
    outputs, inputs = before.shape[0], after.shape[1]
    if len(before.shape) < len(after.shape):
        return "a convolution after a linear layer"
    if len(before.shape) == 4 and len(after.shape) == 2 and inputs % outputs == 0:
        return _explain_flattening(outputs, inputs)
    if len(after.shape) == 4 and inputs == 1:
        return f"1 input channel after {outputs:,}, a grouped (depthwise) convolution"
    return f"it takes {inputs:,} inputs, but {quote_some([before.name])} before it gives {outputs:,} outputs"


def _explain_flattening(channels: int, inputs: int) -> str:
    pixels, side = inputs // channels, math.isqrt(inputs // channels)
    size = f"{side}x{side}" if side * side == pixels else f"{pixels:,}"
    return f"{inputs:,} inputs after {channels:,} channels, which is flattening (of {size} pixels)"
