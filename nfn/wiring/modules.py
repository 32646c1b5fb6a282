"""Find the layers of a state_dict, in order of execution, by names and shapes."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nfn.wiring.batch_norms import BatchNorm, WiringError, find_batch_norms
from nfn.wiring.names import natural_key, numbers_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A convolution `(out, in, kh, kw)` or a linear layer `(out, in)`, its bias, and the batch norm after it."""

    weight: str
    bias: str | None
    shape: Shape
    norm: BatchNorm | None = None
    slopes: str | None = None
    """A PReLU's weight."""

    @property
    def is_convolution(self) -> bool:
        """Whether it is a 2D convolution."""
        return len(self.shape) == 4

    @property
    def path(self) -> str:
        """The module's name: "features.0" of "features.0.weight"."""
        return self.weight.rpartition(".")[0] or self.weight

    @property
    def parent(self) -> str:
        """The module that the layer is in."""
        return self.path.rpartition(".")[0]


def find_layers(shapes: Mapping[str, Shape], in_order: bool) -> list[Layer]:
    """The layers by their names; `in_order` says whether the file keeps the order in which modules were created.

    Raises WiringError for a tensor that is of no layer.
    """
    weights = [name for name, shape in shapes.items() if len(shape) in (2, 4)]
    vectors = [name for name, shape in shapes.items() if len(shape) == 1]
    strange = [name for name, shape in shapes.items() if len(shape) not in (1, 2, 4)]
    if strange:
        raise WiringError(
            f"{strange[0][:60]!r} of shape {shapes[strange[0]]} is no convolution or linear layer"
        )
    if not in_order:
        weights = sorted(weights, key=natural_key)
    norms = find_batch_norms(vectors)
    taken = {name for norm in norms for name in norm.names}
    biases = {name: _bias_of(name, shapes) for name in weights}
    taken |= {name for name in biases.values() if name}
    free = [name for name in vectors if name not in taken]
    layers = [Layer(name, biases[name], shapes[name]) for name in weights]
    layers = _with_norms(layers, norms, shapes, list(shapes), in_order)
    return _with_slopes(layers, free, shapes, list(shapes), in_order)


def deal_norms(layers: Sequence[Layer], shapes: Mapping[str, Shape]) -> list[Layer]:
    """Layers in order of execution: in modules with as many norms as convolutions, norms are in this order by name."""
    dealt = {layer.weight: layer.norm for layer in layers}
    for parent in {layer.parent for layer in layers}:
        inside = [layer for layer in layers if layer.is_convolution and layer.parent == parent]
        norms = [layer.norm for layer in inside if layer.norm is not None and layer.norm.parent == parent]
        pairs = list(zip(inside, sorted(norms, key=lambda norm: natural_key(norm.stem)), strict=False))
        if len(norms) == len(inside) and all(shapes[norm.mean] == layer.shape[:1] for layer, norm in pairs):
            dealt |= {layer.weight: norm for layer, norm in pairs}
    return [replace(layer, norm=dealt[layer.weight]) for layer in layers]


def _bias_of(weight: str, shapes: Mapping[str, Shape]) -> str | None:
    """The bias of a weight, by name and size: `a.bias` for `a.weight`, `b1` for `w1`; None if there is none."""
    out = shapes[weight][0]
    for pattern, word in (("weight", "bias"), ("kernel", "bias"), ("W", "b"), ("w", "b")):
        for match in re.finditer(pattern, weight):
            name = weight[: match.start()] + word + weight[match.end() :]
            if shapes.get(name) == (out,):
                return name
    return None


def _with_norms(
    layers: list[Layer], norms: list[BatchNorm], shapes: Mapping[str, Shape], order: list[str], in_order: bool
) -> list[Layer]:
    """The layers with their norms: that of the same number, or the next one in the file."""
    place: dict[str, BatchNorm] = {}
    in_a_row = _norms_in_a_row(layers, norms, order) if in_order else set()
    beside = set() if in_order else _norms_beside_convolutions(layers, norms)
    for norm in norms:
        size = shapes[norm.mean][0]
        fitting = [layer for layer in layers if layer.shape[0] == size and layer.weight not in place]
        if norm in in_a_row:
            layer = _counted(norm, fitting)
        else:
            layer = _last_before(norm, fitting, order) if in_order else _by_name(norm, fitting)
            if layer is None and norm in beside:
                layer = next((x for x in fitting if x.is_convolution and x.parent == norm.parent), None)
        if layer is None:
            raise WiringError(
                f"batch norm {norm.stem[:60]!r} of {size} channels stands beside no layer of that width"
            )
        place[layer.weight] = norm
    return [Layer(x.weight, x.bias, x.shape, place.get(x.weight)) for x in layers]


def _norms_beside_convolutions(layers: list[Layer], norms: list[BatchNorm]) -> set[BatchNorm]:
    """Norms of modules that have as many convolutions: these and their norms are probably named in the same order."""
    convolutions = Counter(layer.parent for layer in layers if layer.is_convolution)
    counts = Counter(norm.parent for norm in norms)
    return {norm for norm in norms if counts[norm.parent] == convolutions[norm.parent]}


def _norms_in_a_row(layers: list[Layer], norms: list[BatchNorm], order: list[str]) -> set[BatchNorm]:
    """Norms next to another norm in the file, as if a module defines all layers first and then all norms."""
    at = {layer.weight: None for layer in layers} | {norm.mean: norm for norm in norms}
    modules = [at[name] for name in order if name in at]
    pairs = [
        (one, other) for one, other in itertools.pairwise(modules) if one is not None and other is not None
    ]
    return {norm for pair in pairs for norm in pair}


def _counted(norm: BatchNorm, fitting: Sequence[Layer]) -> Layer | None:
    """The layer of the same number, or the first that has no norm yet."""
    siblings, same = _of_same_number(norm, fitting)
    return next((x[0] for x in (siblings, same) if len(x) == 1), fitting[0] if fitting else None)


def _last_before(norm: BatchNorm, fitting: Sequence[Layer], order: list[str]) -> Layer | None:
    at = order.index(norm.mean)
    earlier = [layer for layer in fitting if order.index(layer.weight) < at]
    return earlier[-1] if earlier else (fitting[0] if fitting else None)


def _of_same_number(norm: BatchNorm, fitting: Sequence[Layer]) -> tuple[list[Layer], list[Layer]]:
    """Layers with the numbers of the norm's name: those of the same parent module, and all."""
    numbers = numbers_of(norm.stem)
    same = [layer for layer in fitting if numbers_of(layer.path) == numbers != []]
    return [layer for layer in same if layer.parent == norm.parent], same


def _by_name(norm: BatchNorm, fitting: Sequence[Layer]) -> Layer | None:
    key, parent = natural_key(norm.stem), norm.parent
    siblings, same = _of_same_number(norm, fitting)
    earlier = [layer for layer in fitting if natural_key(layer.path) < key]
    near = [layer for layer in earlier if layer.parent == parent]
    counted = near[-1:] if parent or norm.stem.isdecimal() else []
    return next((x[0] for x in (siblings, same, counted, fitting) if len(x) == 1), None)


def _with_slopes(
    layers: list[Layer], free: list[str], shapes: Mapping[str, Shape], order: list[str], in_order: bool
) -> list[Layer]:
    """Assign the remaining vectors as PReLU slopes, one or as many as channels, to the layers before them."""
    out = {layer.weight: layer for layer in layers}
    for name in free:
        size = shapes[name][0]
        before = (
            set(order[: order.index(name)])
            if in_order
            else {n for n in order if natural_key(n) < natural_key(name)}
        )
        earlier = [x for x in out.values() if x.weight in before and x.slopes is None]
        fitting = [layer for layer in earlier if size in (1, layer.shape[0])]
        if not fitting or not name.endswith("weight"):
            raise WiringError(f"{name[:60]!r} of shape {shapes[name]} is of no supported layer")
        last = fitting[-1]
        out[last.weight] = Layer(last.weight, last.bias, last.shape, last.norm, name)
    return list(out.values())


Link = Literal["same", "depthwise", "flatten", "break"]


def link(channels: int, layer: Layer) -> Link:
    """How a layer takes the previous layer's `channels`: directly, depthwise, or flattened; "break" if it cannot."""
    takes = layer.shape[1]
    if layer.is_convolution and takes == 1 < channels and layer.shape[0] % channels == 0:
        return "depthwise"
    if takes == channels:
        return "same"
    if not layer.is_convolution and takes % channels == 0:
        return "flatten"
    return "break"
