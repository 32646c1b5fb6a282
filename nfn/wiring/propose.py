"""`Proposal`: the possible architectures of a state_dict, given the names and shapes of its tensors."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Flatten, Shape
from nfn.wiring.batch_norms import UnclearOrderError, WiringError
from nfn.wiring.chain import ACTIVATIONS, NormPlace, Wiring, blocks_of, build_chain
from nfn.wiring.geometry import geometries, other_downs
from nfn.wiring.modules import Layer, deal_norms, find_layers, link
from nfn.wiring.orders import ORDER_ADVICE, TooManyOrders, orders
from nfn.wiring.residual import ResidualNet, ResidualWiring, build_residual, find_residual
from nfn.wiring.skips import SKIPS, inside_skips, named_residual

NORM_PLACES: tuple[NormPlace, ...] = ("before", "after", "after_pool", "before_pooled")
RARER_SKIPS, FEWER_BLOCKS = 2, 20
"""Places that a wiring goes back in the order for a rarer kind of skips, and for each block less than another has."""
MOST_ORDERS = 4
"""Orders of the layers that are tried, if names and widths leave a choice."""
MOST_SKIPPED = 32
"""Wirings with skips that are tried."""

SIZES = (28, 32, 64, 24, 48, 96, 128, 224, 16)
"""Common image sizes, in pixels a side."""

DECLARED = "declared"


@dataclass(frozen=True)
class AsDeclared:
    """The only choice of an architecture that is fully declared."""

    activation: tuple[str, float] = (DECLARED, 1.0)

    def sentences(self) -> list[str]:
        """Nothing is assumed."""
        return []


Choice = Wiring | ResidualWiring | AsDeclared
"""One way to complete a proposal."""


@dataclass(frozen=True)
class Declared:
    """An architecture that the file declares; only image set and normalization are open."""

    architecture: Architecture

    @property
    def channels(self) -> int:
        """Channels of the input image; 0 for a vector."""
        shape = self.architecture.input_shape
        return shape[0] if len(shape) == 3 else 0

    @property
    def inputs(self) -> int:
        """Entries of an input vector."""
        return self.architecture.input_shape[0]

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return self.architecture.output_shape[0]

    def sizes(self, native: int) -> list[int]:
        """The declared image size; a vector may be a flattened image of the native size or of 32 pixels."""
        shape = self.architecture.input_shape
        if len(shape) == 1:
            return sorted({native, 32})
        return [shape[1]] if shape[1] == shape[2] else []

    def starts(self, size: int) -> list[Choice]:
        """The only choice, if it takes images of this size."""
        shape = self.architecture.input_shape
        return [AsDeclared()] if len(shape) == 1 or shape[1:] == (size, size) else []

    def with_skips(self, size: int) -> list[Choice]:
        """There are none."""
        return []

    def neighbours(self, choice: Choice) -> Iterator[Choice]:
        """There are no others."""
        yield from ()

    def same_geometry(self, choice: Choice, other: Choice) -> Choice:
        """The only choice."""
        return choice

    def build(self, choice: Choice, input_shape: Shape) -> Architecture:
        """The architecture; for a vector input, with a flatten before it."""
        shape = self.architecture.input_shape
        if len(shape) == 3 or len(input_shape) == 1:
            return self.architecture
        flat = Flatten(inputs=(0,))
        moved = [replace(op, inputs=tuple(i + 1 for i in op.inputs)) for op in self.architecture.ops]
        return Architecture(input_shape, (flat, *moved), self.architecture.shapes)


@dataclass(frozen=True)
class Proposal:
    """Layers in order. `starts` has initial wirings, `neighbours` those that differ from a given one in one point."""

    shapes: Mapping[str, Shape]
    layers: tuple[Layer, ...]
    residual: ResidualNet | None = None
    assumed: tuple[str, ...] = ()
    settings: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Stride and padding of convolutions by their path, as far as the file has them."""
    others: tuple["Proposal", ...] = ()
    """The same layers in the other orders that names and widths allow, if the file does not keep theirs."""

    @property
    def channels(self) -> int:
        """Channels of the input image; 0 if the first layer is linear (see `inputs`)."""
        first = self._first
        return first.shape[1] if first.is_convolution else 0

    @property
    def inputs(self) -> int:
        """Inputs of a first linear layer."""
        return self._first.shape[1]

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return (self.residual.head if self.residual else self.layers[-1]).shape[0]

    @property
    def _first(self) -> Layer:
        return self.residual.stem if self.residual else self.layers[0]

    @property
    def has_norms(self) -> bool:
        """Whether any layer but the last has batch norm."""
        return any(layer.norm for layer in self.layers[:-1])

    def starts(self, size: int) -> list[Choice]:
        """Wirings for images of `size` pixels a side that differ in geometry, the most common first.

        If names suggest skips, wirings with and without them take turns.
        """
        if self.residual is not None:
            stems = [(1, False), (2, True), (2, False), (1, True)]
            if self.residual.stem.shape[2] > 3:
                stems = [(2, True), *stems]
            return [ResidualWiring(stem_stride=s, stem_pool=p) for s, p in dict.fromkeys(stems)]
        plain = self._plain(size)
        if not any(named_residual(self._convolutions)):
            return list(plain)
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(self._with_skips(plain), plain))
        return [wiring for wiring in in_turn if wiring is not None]

    def with_skips(self, size: int) -> list[Choice]:
        """Wirings with skips over convolutions, the most common first, including those that are in `starts`."""
        return [] if self.residual is not None else list(self._with_skips(self._plain(size)))

    def fits(self, size: int) -> bool:
        """Whether there is a wiring without skips for images of this size."""
        return bool(self._plain(size))

    def _plain(self, size: int) -> list[Wiring]:
        """Wirings without skips."""
        convolutions = self._convolutions
        if not convolutions:
            return [Wiring()]
        declared = [self.settings[layer.path] for layer in convolutions if layer.path in self.settings]
        settings = declared if len(declared) == len(convolutions) else None
        return geometries(convolutions, size, self._area(convolutions), settings)

    def _with_skips(self, plain: Sequence[Wiring]) -> list[Wiring]:
        """Wirings with each kind of skips: rather those that make pictures smaller outside of blocks."""
        ranks: dict[Wiring, int] = {}
        inside = inside_skips(self._convolutions)
        for kind, skips in enumerate(SKIPS):
            wirings = [replace(wiring, skips=skips) for wiring in plain]
            counts = [len(blocks_of(self.layers, wiring, inside)) for wiring in wirings]
            for place, (wiring, count) in enumerate(zip(wirings, counts, strict=True)):
                if count:
                    ranks[wiring] = place + FEWER_BLOCKS * (max(counts) - count) + RARER_SKIPS * kind
        return sorted(ranks, key=lambda wiring: ranks[wiring])[:MOST_SKIPPED]

    @property
    def _convolutions(self) -> list[Layer]:
        return [layer for layer in self.layers if layer.is_convolution]

    def sizes(self, native: int) -> list[int]:
        """Image sizes to try: the native one, and 32 if the first linear layer fixes the size."""
        convolutions = self._convolutions
        any_size = self.residual is not None or (bool(convolutions) and self._area(convolutions) is None)
        return [native] if any_size else sorted({native, 32})

    def _area(self, convolutions: list[Layer]) -> int | None:
        """Pixels per channel that the first linear layer takes; None for one, which may be global pooling."""
        if len(convolutions) == len(self.layers):
            return None
        area = self.layers[len(convolutions)].shape[1] // convolutions[-1].shape[0]
        return area if area > 1 else None

    def neighbours(self, choice: Choice) -> Iterator[Choice]:
        """The choice with other activations, positions of batch norm, skips, and downsampling at one convolution."""
        if isinstance(choice, AsDeclared):
            return
        for activation in ACTIVATIONS:
            if activation != choice.activation:
                yield replace(choice, activation=activation)
        if isinstance(choice, Wiring) and self.has_norms:
            for place in NORM_PLACES:
                if place != choice.norm_place:
                    yield replace(choice, norm_place=place)
        if isinstance(choice, Wiring):
            yield from (replace(choice, skips=skips) for skips in (*SKIPS, None) if skips != choice.skips)
            yield from (
                replace(choice, down=downs) for downs in other_downs(choice.down, bool(self.settings))
            )

    def same_geometry(self, choice: Choice, other: Choice) -> Choice:
        """`choice` with the geometry of `other`."""
        if isinstance(choice, Wiring) and isinstance(other, Wiring):
            return replace(choice, padding=other.padding, down=other.down, head=other.head)
        assert isinstance(other, ResidualWiring)
        return replace(other, activation=choice.activation)

    def build(self, choice: Choice, input_shape: Shape) -> Architecture:
        """The architecture of a choice; ArchitectureError if it does not fit."""
        if self.residual is not None:
            assert isinstance(choice, ResidualWiring)
            return build_residual(self.residual, choice, input_shape, self.shapes)
        assert isinstance(choice, Wiring)
        return build_chain(self.layers, choice, input_shape, self.shapes)


def propose(
    shapes: Mapping[str, Shape], in_order: bool, settings: Mapping[str, tuple[int, int]] | None = None
) -> Proposal:
    """Propose architectures for a state_dict, from names, shapes, and settings of convolutions in the file.

    Raises WiringError, naming the tensor, if no supported wiring fits.
    """
    layers = find_layers(shapes, in_order)
    residual = find_residual(layers)
    if residual is not None:
        return Proposal(shapes, tuple(layers), residual)
    rows = _orders(layers, in_order)
    found = any(row != layers for row in rows)
    assumed = ("the layers' order was found from their names and widths",) * found
    rows = rows if in_order else [deal_norms(row, shapes) for row in rows]
    proposals = [Proposal(shapes, tuple(row), assumed=assumed, settings=settings or {}) for row in rows]
    usable = [one for one in proposals if _has_usual_area(one)]
    if not usable:
        raise _no_usual_area(proposals[0])
    return replace(usable[0], others=tuple(usable[1:]))


def _has_usual_area(proposal: Proposal) -> bool:
    """Whether a common image size leads to the inputs of the first linear layer."""
    return not proposal.channels or any(proposal.fits(size) for size in SIZES)


def _no_usual_area(proposal: Proposal) -> WiringError:
    first = next(layer for layer in proposal.layers if not layer.is_convolution)
    return WiringError(
        f"{first.weight[:60]!r} takes {first.shape[1]:,} inputs, and no usual padding, stride and pooling leaves that "
        f"many of a square picture"
    )


def _orders(layers: list[Layer], in_order: bool) -> list[list[Layer]]:
    """The orders in which the layers are a chain: the given one, or convolutions first, if it is the file's, and else
    those that names and widths allow.

    The file's order is used if pictures come in first; by names, "stem" would be last.
    """
    by_kind = sorted(layers, key=lambda layer: not layer.is_convolution)
    rows = [order for order in (layers, by_kind) if _break(order) is None]
    with_pictures = [row for row in rows if in_order and _takes_pictures(row[0])]
    chains = with_pictures[:1] or _by_width(layers) or rows[:1]
    if chains:
        return chains
    at = _break(layers)
    assert at is not None, "an order without a break is returned above"
    before, after = layers[at - 1], layers[at]
    raise WiringError(
        f"{after.weight[:60]!r} takes {after.shape[1]:,} inputs, and {before.weight[:60]!r} before it gives "
        f"{before.shape[0]:,}: the layers are not one chain"
    )


def _takes_pictures(layer: Layer) -> bool:
    """Whether a picture in gray or colour, or a flattened one, may be its input."""
    return not layer.is_convolution or layer.shape[1] in (1, 3)


def _break(layers: list[Layer]) -> int | None:
    """The index of the first layer that cannot take the previous one's outputs; None if there is none."""
    for i in range(1, len(layers)):
        before, after = layers[i - 1], layers[i]
        if after.is_convolution and not before.is_convolution:
            return i
        kind = link(before.shape[0], after)
        if kind == "break" or (kind == "flatten" and not before.is_convolution):
            return i
    return None


def _by_width(layers: list[Layer]) -> list[list[Layer]]:
    """The orders in which pictures come in, and every layer fits the previous one, the first by names first.

    Raises UnclearOrderError if there are more than `MOST_ORDERS`.
    """
    most_axes = max(len(layer.shape) for layer in layers)
    colour = any(layer.is_convolution and layer.shape[1] == 3 for layer in layers)

    def fits(before: Layer | None, layer: Layer) -> bool:
        if before is not None:
            return _break([before, layer]) is None
        takes_colour = not layer.is_convolution or layer.shape[1] == 3
        return len(layer.shape) == most_axes and (takes_colour if colour else _takes_pictures(layer))

    searched = orders(layers, lambda layer: layer.path, fits, modules=True)
    try:
        found = list(itertools.islice(searched, MOST_ORDERS + 1))
    except TooManyOrders as error:
        raise UnclearOrderError(UNCLEAR) from error
    if len(found) > MOST_ORDERS:
        raise UnclearOrderError(UNCLEAR)
    return found


UNCLEAR = (
    f"Neither names nor widths tell the order of the layers, and this file does not keep it. {ORDER_ADVICE}"
)
