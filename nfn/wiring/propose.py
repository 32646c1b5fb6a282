"""Every architecture that a state_dict may be: what its names and shapes fix, and what they leave open."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Flatten, Shape
from nfn.wiring.batch_norms import WiringError
from nfn.wiring.chain import ACTIVATIONS, NormPlace, Wiring, build_chain
from nfn.wiring.geometry import geometries
from nfn.wiring.modules import Layer, find_layers, link
from nfn.wiring.residual import ResidualNet, ResidualWiring, build_residual, find_residual

NORM_PLACES: tuple[NormPlace, ...] = ("before", "after", "after_pool", "before_pooled")


SIZES = (28, 32, 64, 24, 48, 96, 128, 224, 16)
"""Pixels a side of usual pictures."""

DECLARED = "declared"


@dataclass(frozen=True)
class AsDeclared:
    """Nothing is left open."""

    activation: tuple[str, float] = (DECLARED, 1.0)

    def sentences(self) -> list[str]:
        """Nothing is assumed of the wiring."""
        return []


Choice = Wiring | ResidualWiring | AsDeclared
"""What a proposal leaves open, decided in one way."""


@dataclass(frozen=True)
class Declared:
    """An architecture that the file declares: there is nothing to choose but the pictures."""

    architecture: Architecture

    @property
    def channels(self) -> int:
        """Channels of the input picture; 0 for a vector."""
        shape = self.architecture.input_shape
        return shape[0] if len(shape) == 3 else 0

    @property
    def inputs(self) -> int:
        """Entries of an input vector."""
        return self.architecture.input_shape[0]

    @property
    def classes(self) -> int:
        """Outputs."""
        return self.architecture.output_shape[0]

    def sizes(self, native: int) -> list[int]:
        """The size that is declared; a vector may be a picture of the native size or of 32 pixels."""
        shape = self.architecture.input_shape
        if len(shape) == 1:
            return sorted({native, 32})
        return [shape[1]] if shape[1] == shape[2] else []

    def starts(self, size: int) -> list[Choice]:
        """The one choice, if pictures have this size."""
        shape = self.architecture.input_shape
        return [AsDeclared()] if len(shape) == 1 or shape[1:] == (size, size) else []

    def neighbours(self, choice: Choice) -> Iterator[Choice]:
        """None."""
        yield from ()

    def same_geometry(self, choice: Choice, other: Choice) -> Choice:
        """The one choice."""
        return choice

    def build(self, choice: Choice, input_shape: Shape) -> Architecture:
        """The architecture; of a vector, with the picture flattened before it."""
        shape = self.architecture.input_shape
        if len(shape) == 3 or len(input_shape) == 1:
            return self.architecture
        flat = Flatten(inputs=(0,))
        moved = [replace(op, inputs=tuple(i + 1 for i in op.inputs)) for op in self.architecture.ops]
        return Architecture(input_shape, (flat, *moved), self.architecture.shapes)


@dataclass(frozen=True)
class Proposal:
    """Layers in order. `starts` gives wirings to begin with, `neighbours` those that differ from one in one point."""

    shapes: Mapping[str, Shape]
    layers: tuple[Layer, ...]
    residual: ResidualNet | None = None
    assumed: tuple[str, ...] = ()
    settings: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Stride and padding of convolutions by their path, where the file tells them."""

    @property
    def channels(self) -> int:
        """Channels of the input picture; 0 where the first layer is linear, see `inputs`."""
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
        """Whether some layer but the last has batch norm."""
        return any(layer.norm for layer in self.layers[:-1])

    def starts(self, size: int) -> list[Choice]:
        """Wirings for pictures of `size` pixels a side that differ in geometry, the usual first."""
        if self.residual is not None:
            stems = [(1, False), (2, True), (2, False), (1, True)]
            if self.residual.stem.shape[2] > 3:
                stems = [(2, True), *stems]
            return [ResidualWiring(stem_stride=s, stem_pool=p) for s, p in dict.fromkeys(stems)]
        convolutions = [layer for layer in self.layers if layer.is_convolution]
        if not convolutions:
            return [Wiring()]
        known = [self.settings[layer.path] for layer in convolutions if layer.path in self.settings]
        told = known if len(known) == len(convolutions) else None
        return list(geometries(convolutions, size, self._area(convolutions), told))

    def sizes(self, native: int) -> list[int]:
        """Pixels a side of the pictures to try: their own, and 32 where the first linear layer fixes a size."""
        convolutions = [layer for layer in self.layers if layer.is_convolution]
        any_size = self.residual is not None or (bool(convolutions) and self._area(convolutions) is None)
        return [native] if any_size else sorted({native, 32})

    def _area(self, convolutions: list[Layer]) -> int | None:
        """Places per channel that the first linear layer takes; None for one: that may be global pooling."""
        if len(convolutions) == len(self.layers):
            return None
        area = self.layers[len(convolutions)].shape[1] // convolutions[-1].shape[0]
        return area if area > 1 else None

    def neighbours(self, choice: Choice) -> Iterator[Choice]:
        """Other activations, and other places of batch norm."""
        if isinstance(choice, AsDeclared):
            return
        for activation in ACTIVATIONS:
            if activation != choice.activation:
                yield replace(choice, activation=activation)
        if isinstance(choice, Wiring) and self.has_norms:
            for place in NORM_PLACES:
                if place != choice.norm_place:
                    yield replace(choice, norm_place=place)

    def same_geometry(self, choice: Choice, other: Choice) -> Choice:
        """The geometry of another choice with this one's activation and place of batch norm."""
        if isinstance(choice, Wiring) and isinstance(other, Wiring):
            return replace(choice, padding=other.padding, down=other.down, head=other.head)
        assert isinstance(other, ResidualWiring)
        return replace(other, activation=choice.activation)

    def build(self, choice: Choice, input_shape: Shape) -> Architecture:
        """The architecture of a choice; ArchitectureError where it does not fit."""
        if self.residual is not None:
            assert isinstance(choice, ResidualWiring)
            return build_residual(self.residual, choice, input_shape, self.shapes)
        assert isinstance(choice, Wiring)
        return build_chain(self.layers, choice, input_shape, self.shapes)


def propose(
    shapes: Mapping[str, Shape], in_order: bool, settings: Mapping[str, tuple[int, int]] | None = None
) -> Proposal:
    """What a state_dict may be, from names and shapes, and from the convolutions' settings where the file tells them.

    Raises WiringError where no wiring that is known here fits: the message says at which tensor.
    """
    layers = find_layers(shapes, in_order)
    residual = find_residual(layers)
    if residual is not None:
        return Proposal(shapes, tuple(layers), residual)
    ordered = _ordered(layers)
    settings = settings or {}
    _check_area(Proposal(shapes, tuple(ordered), settings=settings))
    moved = [layer.weight for layer in ordered] != [layer.weight for layer in layers]
    assumed = ("the layers' order was found from their widths",) * moved
    return Proposal(shapes, tuple(ordered), assumed=assumed, settings=settings)


def _check_area(proposal: Proposal) -> None:
    """WiringError where a first linear layer takes more places per channel than any usual picture leaves."""
    if not proposal.channels or any(proposal.starts(size) for size in SIZES):
        return
    first = next(layer for layer in proposal.layers if not layer.is_convolution)
    raise WiringError(
        f"{first.weight[:60]!r} takes {first.shape[1]:,} inputs, and no usual padding, stride and pooling leaves that "
        f"many of a square picture"
    )


def _ordered(layers: list[Layer]) -> list[Layer]:
    """Layers in a row: as they come, else convolutions first, else as their widths have it.

    A row that begins with pictures, of one or three channels, comes before one that does not: by name "stem" is last.
    """
    by_kind = sorted(layers, key=lambda layer: not layer.is_convolution)
    orders = (layers, by_kind, sorted(by_kind, key=lambda layer: not _takes_pictures(layer)))
    rows = [order for order in orders if _break(order) is None]
    if rows:
        return next((row for row in rows if _takes_pictures(row[0])), rows[0])
    found = _by_width(layers)
    if found is not None:
        return found
    at = _break(layers)
    assert at is not None, "an order without a break was not taken"
    before, after = layers[at - 1], layers[at]
    raise WiringError(
        f"{after.weight[:60]!r} takes {after.shape[1]:,} inputs, and {before.weight[:60]!r} before it gives "
        f"{before.shape[0]:,}: the layers do not stand in one row"
    )


def _takes_pictures(layer: Layer) -> bool:
    return layer.is_convolution and layer.shape[1] in (1, 3)


def _break(layers: list[Layer]) -> int | None:
    """The first layer that cannot take what the one before gives."""
    for i in range(1, len(layers)):
        before, after = layers[i - 1], layers[i]
        if after.is_convolution and not before.is_convolution:
            return i
        kind = link(before.shape[0], after)
        if kind == "break" or (kind == "flatten" and not before.is_convolution):
            return i
    return None


def _by_width(layers: list[Layer]) -> list[Layer] | None:
    """The one order in which every layer fits behind the one before; None where there is none, or several."""
    chains: list[list[Layer]] = [[]]
    for _ in layers:
        longer = [[*chain, x] for chain in chains for x in layers if x not in chain]
        chains = [chain for chain in longer if len(chain) < 2 or _break(chain[-2:]) is None][:64]
    return chains[0] if len(chains) == 1 else None
