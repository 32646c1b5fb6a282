"""Permutations and sign flips of hidden neurons, which do not change a network's function.

Neuron group 0 is the inputs, group i + 1 the outputs of layer i. A permutation `p` of a group moves entry
`p[k]` to index `k`. Hidden groups are 1 to L - 1 for L layers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.spec import ANY, NetworkSpec


def group_sizes(spec: NetworkSpec) -> tuple[int, ...]:
    """The number of neurons in each group, inputs and outputs included; ValueError if one is unknown."""
    sizes = (spec.weight_spec[0].shape[1], *(weight.shape[0] for weight in spec.weight_spec))
    if ANY in sizes:
        raise ValueError(
            f"Neuron counts {sizes} are unknown (-1); use network_spec_from_wsfeat(features, set_all_dims=True)."
        )
    return sizes


def random_permutations(
    spec: NetworkSpec, generator: torch.Generator | None = None, ends: bool = False
) -> tuple[Tensor, ...]:
    """One random permutation per hidden layer; with `ends` also one of the inputs (first) and outputs (last)."""
    sizes = group_sizes(spec)
    return tuple(torch.randperm(size, generator=generator) for size in (sizes if ends else sizes[1:-1]))


def permute(features: WeightSpaceFeatures, permutations: Sequence[Tensor]) -> WeightSpaceFeatures:
    """Reorder neurons: `W'(i) = W(i)[p(i+1)][:, p(i)]`, `v'(i) = v(i)[p(i+1)]`.

    `permutations` has one per hidden layer (the network's function stays the same), or one per group
    including inputs and outputs (the NP group). Raises ValueError for any other number and for wrong sizes.
    """
    groups = _groups(len(features), permutations)
    return permute_uncoupled(features, groups[1:], groups[:-1])


def _groups(layers: int, permutations: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    if len(permutations) == layers + 1:
        return tuple(permutations)
    if len(permutations) == layers - 1:
        return (None, *permutations, None)
    raise ValueError(
        f"Got {len(permutations)} permutations for {layers} layers: expected {layers - 1} (hidden neurons) "
        f"or {layers + 1} (inputs and outputs too)."
    )


def permute_uncoupled(
    features: WeightSpaceFeatures, rows: Sequence[Tensor | None], columns: Sequence[Tensor | None]
) -> WeightSpaceFeatures:
    """Permute the rows (and bias) and the columns of each weight independently; None leaves an axis unchanged.

    Unless `columns[i + 1]` equals `rows[i]` this changes the network's function; used to test that a layer is
    sensitive to such changes.
    """
    pairs = []
    for i, ((weight, bias), row, column) in enumerate(zip(features, rows, columns, strict=True)):
        weight = _take(_take(weight, 2, row, i), 3, column, i)
        pairs.append((weight, _take(bias, 2, row, i)))
    return WeightSpaceFeatures.from_zipped(pairs)


def _take(x: Tensor, dim: int, permutation: Tensor | None, layer: int) -> Tensor:
    if permutation is None:
        return x
    if len(permutation) != x.shape[dim]:
        raise ValueError(
            f"Layer {layer}: a permutation of {len(permutation)} for axis {dim} of a tensor {tuple(x.shape)}."
        )
    return x.index_select(dim, permutation.to(x.device))


def random_signs(spec: NetworkSpec, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
    """A random +1 or -1 per hidden neuron, one tensor per hidden layer."""
    return tuple(
        torch.randint(0, 2, (size,), generator=generator) * 2 - 1 for size in group_sizes(spec)[1:-1]
    )


def flip_signs(features: WeightSpaceFeatures, signs: Sequence[Tensor]) -> WeightSpaceFeatures:
    """Flip signs of hidden neurons; the function of a network with an odd activation (sine, tanh) stays the same.

    `signs` has one tensor of +1 and -1 per hidden layer: `W'(i) = s(i+1) W(i) s(i)`, `v'(i) = s(i+1) v(i)`.
    Raises ValueError for a wrong number or size.
    """
    groups = (None, *signs, None)
    if len(groups) != len(features) + 1:
        raise ValueError(
            f"Got {len(signs)} sign vectors for {len(features)} layers: expected {len(features) - 1}."
        )
    pairs = []
    for i, (weight, bias) in enumerate(features):
        row, column = groups[i + 1], groups[i]
        weight = _scale(_scale(weight, 2, row, i), 3, column, i)
        pairs.append((weight, _scale(bias, 2, row, i)))
    return WeightSpaceFeatures.from_zipped(pairs)


def _scale(x: Tensor, dim: int, signs: Tensor | None, layer: int) -> Tensor:
    if signs is None:
        return x
    if len(signs) != x.shape[dim]:
        raise ValueError(f"Layer {layer}: {len(signs)} signs for axis {dim} of a tensor {tuple(x.shape)}.")
    return x * signs.to(x).view(-1, *(1,) * (x.dim() - dim - 1))


def apply_order(features: WeightSpaceFeatures, orders: Sequence[Tensor]) -> WeightSpaceFeatures:
    """Reorder the hidden neurons of each network by its own permutation, `(B, n)` per hidden layer.

    The inverse is `[order.argsort(1) for order in orders]`.
    """
    pairs = []
    for i, (weight, bias) in enumerate(features):
        rest = (1,) * (weight.dim() - 4)
        if i < len(orders):
            weight = weight.take_along_dim(orders[i][:, None].unflatten(2, (-1, 1, *rest)), 2)
            bias = bias.take_along_dim(orders[i][:, None], 2)
        if i > 0:
            weight = weight.take_along_dim(orders[i - 1][:, None, None].unflatten(3, (-1, *rest)), 3)
        pairs.append((weight, bias))
    return WeightSpaceFeatures.from_zipped(pairs)
