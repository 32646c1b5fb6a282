"""All linear maps that commute with neuron permutations, at the cost of little more than one matrix product.

Tensors here are folded (`folding.py`): `(B, D)` with no permuting axis, `(B, n, D)` with one, `(B, n, m, D)`
with two. No tensor has the same group twice, so the equivariant maps from one tensor to another are exactly:
average over some axes, always over those that the output lacks; multiply channels by a matrix; repeat along
the axes that the output has in addition (arXiv:2302.14040, section 2 and appendices B, C). Maps that keep the
same axes share their input, so each *level* (which axes are kept) is one matrix product:

    point:  keeps none     all tensors, averaged to (B, D)           -> a term for every tensor
    line g: keeps group g  all tensors with that axis, (B, n_g, D)   -> a term for each of these
    pair:   keeps both     one weight, (B, n, m, D)                  -> a term for itself

The transpose of such a map is again one of this form, with sums for averages; `LinearMap.backward` uses that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nfn.layers.folding import Fold
from nfn.layers.products import outer, product, product_plus


@dataclass(frozen=True)
class Group:
    """The tensors along one group of neurons, by index.

    `lines` have no other axis; `rows` is the weight whose first axis this is, `columns` the weight whose
    second.
    """

    lines: tuple[int, ...]
    rows: int | None
    columns: int | None

    @property
    def own(self) -> tuple[int, ...]:
        """The tensors that pass their average on to the point level here; a pair does so with its rows."""
        return self.lines if self.rows is None else (*self.lines, self.rows)

    @property
    def members(self) -> tuple[int, ...]:
        """All tensors on this line, in the order in which their channels are joined."""
        return self.own if self.columns is None else (*self.own, self.columns)


@dataclass(frozen=True)
class Levels:
    """Which tensors meet on which level."""

    points: tuple[int, ...]
    groups: tuple[Group, ...]
    pairs: tuple[int, ...]

    @classmethod
    def of(cls, folds: Sequence[Fold]) -> "Levels":
        axes = [fold.axes for fold in folds]
        numbers = sorted({group for pair in axes for group in pair})
        return cls(
            points=tuple(i for i, a in enumerate(axes) if not a),
            groups=tuple(
                Group(
                    lines=tuple(i for i, a in enumerate(axes) if a == (group,)),
                    rows=next((i for i, a in enumerate(axes) if len(a) == 2 and a[0] == group), None),
                    columns=next((i for i, a in enumerate(axes) if len(a) == 2 and a[1] == group), None),
                )
                for group in numbers
            ),
            pairs=tuple(i for i, a in enumerate(axes) if len(a) == 2),
        )

    @property
    def order(self) -> tuple[int, ...]:
        """All tensors, in the order in which the point level joins their channels."""
        return (*self.points, *(i for group in self.groups for i in group.own))


def gather(levels: Levels, tensors: Sequence[Tensor], average: bool) -> tuple[list[Tensor], Tensor]:
    """Reduce all tensors to the line levels, a `(B, n_g, D_g)` each, and to the point level `(B, D)`."""
    reduce = torch.mean if average else torch.sum
    lines, point = [], [tensors[i] for i in levels.points]
    for group in levels.groups:
        parts = [tensors[i] for i in group.lines]
        if group.rows is not None:
            parts.append(reduce(tensors[group.rows], 2))
        if group.columns is not None:
            parts.append(reduce(tensors[group.columns], 1))
        lines.append(torch.cat(parts, -1))
        own = sum(tensors[i].shape[-1] for i in group.own)
        if own:
            point.append(reduce(lines[-1][..., :own], 1))
    return lines, torch.cat(point, -1)


def scatter(
    levels: Levels,
    widths: Sequence[int],
    sources: Sequence[Tensor],
    pair_maps: Sequence[Tensor],
    lines: Sequence[Tensor],
    point: Tensor,
    average: bool,
) -> list[Tensor]:
    """Add up the levels per tensor, the transpose of `gather`, and `sources[i] @ pair_map^T` for each pair `i`.

    `widths[i]` is the width D of output tensor `i`. With `average`, terms are divided by
    the number of entries along each axis on which they are repeated.
    """
    out: dict[int, Tensor] = {}
    terms = dict(zip(levels.order, point.split([widths[i] for i in levels.order], -1), strict=True))
    columns: dict[int, Tensor] = {}
    for group, line in zip(levels.groups, lines, strict=True):
        parts = dict(zip(group.members, line.split([widths[i] for i in group.members], -1), strict=True))
        scale = 1 / line.shape[1] if average else 1
        for i in group.own:
            out[i] = torch.add(parts[i], terms[i].unsqueeze(1), alpha=scale)
        if group.columns is not None:
            columns[group.columns] = parts[group.columns]
    for i in levels.points:
        out[i] = terms[i].contiguous()
    for i, pair_map in zip(levels.pairs, pair_maps, strict=True):
        rows, cols = out[i], columns[i]
        if average:
            rows, cols = rows / cols.shape[1], cols / rows.shape[1]
        out[i] = product_plus(sources[i], pair_map, rows, cols)
    return [out[i] for i in range(len(widths))]


def linear_map(
    levels: Levels,
    tensors: Sequence[Tensor],
    pair_maps: Sequence[Tensor],
    line_maps: Sequence[Tensor],
    point_map: Tensor,
    bias: Tensor,
    gathered: tuple[list[Tensor], Tensor] | None = None,
) -> list[Tensor]:
    """The equivariant map of folded tensors under the given matrices, each `(channels out, channels in)`."""
    lines, point = gathered or gather(levels, tensors, average=True)
    line_terms = [product(line, m) for line, m in zip(lines, line_maps, strict=True)]
    widths = _widths(levels, [t.shape[-1] for t in tensors], point_map)
    return scatter(
        levels, widths, tensors, pair_maps, line_terms, F.linear(point, point_map, bias), average=False
    )


def _widths(levels: Levels, widths: Sequence[int], point_map: Tensor) -> list[int]:
    """Output widths: every tensor's width grows by the same ratio, channels out to channels in."""
    out, total = point_map.shape
    return [width * out // total for width in widths]


class LinearMap(torch.autograd.Function):
    """`linear_map` with a backward pass of as many products as it needs, and no full-size temporaries.

    Call as `LinearMap.apply(levels, bias, point_map, *line_maps, *pair_maps, *tensors)`. Twice
    differentiable.
    """

    @staticmethod
    def forward(ctx, levels: Levels, bias: Tensor, point_map: Tensor, *rest: Tensor):
        line_maps, pair_maps, tensors = _split(levels, rest)
        ctx.levels, ctx.gathered = levels, gather(levels, tensors, average=True)
        ctx.save_for_backward(point_map, *rest)
        return tuple(linear_map(levels, tensors, pair_maps, line_maps, point_map, bias, ctx.gathered))

    @staticmethod
    def backward(ctx, *grads: Tensor):
        levels, (point_map, *rest) = ctx.levels, ctx.saved_tensors
        line_maps, pair_maps, tensors = _split(levels, rest)
        # For a second derivative the averages must hang on the inputs; else those of forward serve.
        lines, point = gather(levels, tensors, average=True) if torch.is_grad_enabled() else ctx.gathered
        grads = tuple(_dense(grad) for grad in grads)
        line_grads, point_grad = gather(levels, grads, average=False)
        map_grads = [
            point_grad.sum(0),
            outer(point_grad, point),
            *(outer(grad, line) for grad, line in zip(line_grads, lines, strict=True)),
            *(outer(grads[i], tensors[i]) for i in levels.pairs),
        ]
        inputs: list[Tensor | None] = [None] * len(tensors)
        if any(ctx.needs_input_grad[-len(tensors) :]):
            line_terms = [product(grad, m.t()) for grad, m in zip(line_grads, line_maps, strict=True)]
            pair_maps = [m.t() for m in pair_maps]
            widths = [t.shape[-1] for t in tensors]
            inputs[:] = scatter(
                levels, widths, grads, pair_maps, line_terms, point_grad @ point_map, average=True
            )
        return None, *map_grads, *inputs


def _split(levels: Levels, rest: Sequence[Tensor]):
    lines, pairs = len(levels.groups), len(levels.pairs)
    return rest[:lines], rest[lines : lines + pairs], rest[lines + pairs :]


def _dense(x: Tensor) -> Tensor:
    """`x` as it is where channels are last or first in memory, else a contiguous copy (an expanded gradient)."""
    return x if x.movedim(-1, 1).is_contiguous() else x.contiguous()
