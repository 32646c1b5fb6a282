"""The linear map with one matrix per level (`levels.py`), at little more than the cost of its matrix products.

Averages are taken one axis at a time, for all tensors of a level at once, and output terms are added up the same way
in reverse. The transpose of such a map has the same form, with sums for averages, which `LinearMap.backward` uses.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nfn.layers.folding import diagonal
from nfn.layers.levels import Level, Levels
from nfn.layers.products import outer, product, product_plus


def gather(
    levels: Levels,
    side: Sequence[Level],
    tensors: Sequence[Tensor],
    average: bool,
    averages: Sequence[Tensor | None] = (),
) -> list[Tensor]:
    """All tensors reduced to each level and concatenated, `(B, *axes of the level, D)`.

    `side` is `levels.inputs` or `levels.outputs`; D is the level's width times the number of channels. Results in
    `averages` are not computed again.
    """
    channels = tensors[0].shape[-1] // levels.copies[0]
    faces = [diagonal(tensors[face.tensor], face.blocks) for face in levels.faces]
    joined: list[Tensor] = []
    for level, result in itertools.zip_longest(side, averages):
        if result is not None:
            joined.append(result)
            continue
        parts = [_reordered(faces[own.face], own.order) for own in level.own]
        for drop in level.drops:
            source = _slice(joined[drop.parent], drop.source[0], drop.source[1], channels)
            parts.append(_reduced(source, 1 + drop.slot, average))
        joined.append(parts[0] if len(parts) == 1 else torch.cat(parts, -1))
    return joined


def scatter(
    levels: Levels,
    side: Sequence[Level],
    joined: Sequence[Tensor],
    maps: Sequence[Tensor],
    bias: Tensor | None,
    average: bool,
    layouts: Sequence[Tensor] = (),
) -> list[Tensor]:
    """`joined[l] @ maps[l]^T` of every level, summed per tensor; the transpose of `gather`.

    The bias is added at the level without axes. With `average`, terms are divided by the sizes of the axes along
    which they are repeated. In memory channels are last; results of two axes or more have them first if those of
    `layouts`, tensors of the same shapes, have.
    """
    channels = maps[0].shape[0] // side[0].width
    repeated: list[list[_Repeated]] = [[] for _ in side]
    faces: dict[int, Tensor] = {}
    for number in reversed(range(len(side))):
        level, x = side[number], joined[number]
        terms = _Terms(x, maps[number], None if level.groups else bias, repeated[number], channels)
        for own in level.own:
            channels_first = own.face < len(layouts) and layouts[own.face].stride(-1) != 1
            term = _restored(terms.total(own.start, own.stop, channels_first), own.order)
            faces[own.face] = faces[own.face] + term if own.face in faces else term
        for drop in level.drops:
            term = terms.total(drop.start, drop.stop).unsqueeze(1 + drop.slot)
            if average:
                term = term / joined[drop.parent].shape[1 + drop.slot]
            repeated[drop.parent].append(_Repeated(*drop.source, term))
    return _with_diagonals(levels, faces)


@dataclass(frozen=True, eq=False)
class _Repeated:
    """A term for channels `start:stop` (in copies) of a level, of size 1 along the axis that it is repeated on."""

    start: int
    stop: int
    term: Tensor


class _Terms:
    """The terms of one level: its product `x @ weight^T`, and terms of lower levels repeated along its axes."""

    def __init__(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, repeated: Sequence[_Repeated], channels: int
    ):
        self.x, self.weight, self.repeated, self.channels = x, weight, repeated, channels
        self.product = None
        if x.dim() == 2:
            self.product = F.linear(x, weight, bias)
        elif x.dim() == 3:
            self.product = product(x, weight)

    def total(self, start: int, stop: int, channels_first: bool = False) -> Tensor:
        """The sum of all terms of channels `start:stop` (in copies), as (a slice of) a new tensor."""
        here = [r for r in self.repeated if r.start < stop and start < r.stop]
        whole = [r for r in here if r.start <= start and stop <= r.stop]
        out = self._plus(start, stop, [self._cut(r, start, stop) for r in whole], channels_first)
        for r in here:
            if r not in whole:
                first, last = max(start, r.start), min(stop, r.stop)
                _slice(out, first - start, last - start, self.channels).add_(self._cut(r, first, last))
        return out

    def _plus(self, start: int, stop: int, terms: Sequence[Tensor], channels_first: bool) -> Tensor:
        if self.product is None:
            rows = self.weight[start * self.channels : stop * self.channels]
            return product_plus(self.x, rows, terms, channels_first)
        out = _slice(self.product, start, stop, self.channels)
        for term in terms:
            out = out + term
        return out

    def _cut(self, repeated: _Repeated, start: int, stop: int) -> Tensor:
        return _slice(repeated.term, start - repeated.start, stop - repeated.start, self.channels)


def _slice(x: Tensor, start: int, stop: int, channels: int) -> Tensor:
    """Channels `start:stop` (in copies) of `x`."""
    start, width = start * channels, (stop - start) * channels
    return x if width == x.shape[-1] else x.narrow(-1, start, width)


def _reduced(x: Tensor, axis: int, average: bool) -> Tensor:
    """The mean or sum over an axis, contiguous; axes are read as they lie in memory, which is several times as fast."""
    order = sorted(range(x.dim()), key=x.stride, reverse=True)
    reduce = torch.mean if average else torch.sum
    reduced = reduce(x.permute(order), order.index(axis), keepdim=True)
    return reduced.permute([order.index(i) for i in range(x.dim())]).squeeze(axis).contiguous()


def _reordered(x: Tensor, order: Sequence[int]) -> Tensor:
    """`x` (B, *axes, D) with its axes permuted to the order of a level."""
    return x if len(order) < 2 else x.permute(0, *(1 + axis for axis in order), -1)


def _restored(x: Tensor, order: Sequence[int]) -> Tensor:
    """The inverse of `_reordered`, for an output: a new tensor."""
    if len(order) < 2:
        return x.contiguous()
    return x.permute(0, *(1 + order.index(axis) for axis in range(len(order))), -1)


def _with_diagonals(levels: Levels, faces: dict[int, Tensor]) -> list[Tensor]:
    """The tensors, with the terms of diagonals added to the diagonals."""
    out: list[Tensor] = []
    for number, face in enumerate(levels.faces):
        if face.tensor == number:
            out.append(faces[number])
        else:
            diagonal(out[face.tensor], face.blocks).add_(faces[number])
    return out


def linear_map(
    levels: Levels, tensors: Sequence[Tensor], maps: Sequence[Tensor], bias: Tensor
) -> list[Tensor]:
    """The equivariant map of folded tensors under one matrix `(channels out, channels in)` per level."""
    joined = gather(levels, levels.inputs, tensors, average=True)
    return scatter(levels, levels.outputs, joined, maps, bias, average=False)


class LinearMap(torch.autograd.Function):
    """`linear_map` with a custom backward pass that avoids extra products and full-size temporaries.

    Call as `LinearMap.apply(levels, bias, *maps, *tensors)`. Twice differentiable.
    """

    @staticmethod
    def forward(ctx, levels: Levels, bias: Tensor, *rest: Tensor):
        maps, tensors = rest[: len(levels.inputs)], rest[len(levels.inputs) :]
        joined = gather(levels, levels.inputs, tensors, average=True)
        # Averages are small and saved; levels of two axes are as large as the tensors, and cheap to recompute.
        ctx.levels, ctx.averages = levels, [x if x.dim() < 4 else None for x in joined]
        ctx.save_for_backward(*rest)
        return tuple(scatter(levels, levels.outputs, joined, maps, bias, average=False))

    @staticmethod
    def backward(ctx, *grads: Tensor):
        levels, rest = ctx.levels, ctx.saved_tensors
        maps, tensors = rest[: len(levels.inputs)], rest[len(levels.inputs) :]
        # For a second derivative the averages must be part of the graph; otherwise those of forward are used.
        averages = () if torch.is_grad_enabled() else ctx.averages
        joined = gather(levels, levels.inputs, tensors, average=True, averages=averages)
        sums = gather(levels, levels.outputs, [_dense(grad) for grad in grads], average=False)
        map_grads = [outer(grad, x) for grad, x in zip(sums, joined, strict=True)]
        inputs: list[Tensor | None] = [None] * len(tensors)
        if any(ctx.needs_input_grad[-len(tensors) :]):
            inputs[:] = scatter(
                levels, levels.inputs, sums, [m.t() for m in maps], None, average=True, layouts=tensors
            )
        return None, sums[-1].sum(0), *map_grads, *inputs


def _dense(x: Tensor) -> Tensor:
    """`x` if channels are last or first in memory, else a contiguous copy (of an expanded gradient)."""
    return x if x.movedim(-1, 1).is_contiguous() else x.contiguous()
