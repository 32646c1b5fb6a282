"""Property checks for modules on weight spaces: what must and must not change with the order of neurons.

Features of a chain of layers need no `space`; others are checked on the `WeightSpace` that is given.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.permutation import permute
from nfn.space import WeightSpace

Layer = Callable[[WeightSpaceFeatures], "WeightSpaceFeatures | Tensor"]
Permutations = Sequence[Tensor] | Mapping[int, Tensor]
"""As `nfn.permutation.permute` takes them; on a `WeightSpace`, as its `permute` does: by group."""
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5}
"""Relative error that rounding explains; anything above it is a broken symmetry."""


def equivariance_error(
    layer: Layer, features: WeightSpaceFeatures, permutations: Permutations, space: WeightSpace | None = None
) -> float:
    """`max |layer(p x) - p layer(x)| / max |layer(x)|`, of the worst tensor (absolute for a zero one).

    A layer that returns a tensor is compared as it is: then this is its invariance error.
    """

    def moved(x: WeightSpaceFeatures) -> WeightSpaceFeatures:
        if isinstance(permutations, Mapping):
            return x.with_tensors(_space(x, space).permute(x.tensors, permutations))
        return permute(x, permutations)

    return _commutator(layer, features, moved)


def assert_equivariant(
    layer: Layer,
    features: WeightSpaceFeatures,
    permutations: Permutations | None = None,
    tolerance: float | None = None,
    space: WeightSpace | None = None,
) -> None:
    """AssertionError unless reordering hidden neurons before `layer` and after it come to the same.

    Permutations are drawn at random unless given. The tolerance is that of the features' dtype unless given.
    """
    _assert_symmetric(layer, features, permutations, tolerance, space, WeightSpaceFeatures, "equivariant")


def assert_invariant(
    layer: Layer,
    features: WeightSpaceFeatures,
    permutations: Permutations | None = None,
    tolerance: float | None = None,
    space: WeightSpace | None = None,
) -> None:
    """AssertionError unless the tensor that `layer` returns is the same for every order of hidden neurons."""
    _assert_symmetric(layer, features, permutations, tolerance, space, Tensor, "invariant")


def assert_sensitive(
    layer: Layer,
    features: WeightSpaceFeatures,
    tolerance: float | None = None,
    generator: torch.Generator | None = None,
    space: WeightSpace | None = None,
) -> None:
    """AssertionError if `layer` also commutes with reorderings that change what the network computes.

    For each hidden group in turn, its rows (with the bias) or its columns alone are permuted, on a given `space`
    each single axis of each tensor; the error must exceed a hundred tolerances each time. Groups of one neuron
    are left out.
    """
    limit = 100 * (tolerance or TOLERANCE[features.tensors[0].dtype])
    where = _space(features, space)
    for words, group, places in _alone(where) if space else _sides(where):
        size = where.groups[group]
        if size == 1:
            continue
        order = _derangement(size, generator)

        def moved(x: WeightSpaceFeatures, places=places, order=order) -> WeightSpaceFeatures:
            return x.with_tensors(where.permute_axes(x.tensors, dict.fromkeys(places, order)))

        error = _commutator(layer, features, moved)
        if not error > limit:
            raise AssertionError(
                f"Not sensitive: permuting only {words} of hidden group {group} gives an error of "
                f"{error:.1e}, wanted more than {limit:.1e}."
            )


Places = Sequence[tuple[int, int]]


def _sides(chain: WeightSpace) -> Iterator[tuple[str, int, Places]]:
    """Rows, then columns, of each hidden group of a chain."""
    groups = sorted(chain.permuting)
    yield from (("the rows", group, chain.places(group)[:2]) for group in groups)
    yield from (("the columns", group, chain.places(group)[2:]) for group in groups)


def _alone(space: WeightSpace) -> Iterator[tuple[str, int, Places]]:
    """Each axis of each hidden group that is met in more than one place; ValueError if there is none."""
    groups = [group for group in sorted(space.permuting) if len(space.places(group)) > 1]
    if not any(space.groups[group] > 1 for group in groups):
        raise ValueError(
            "No hidden group of two or more units is met in two places: there is nothing to check."
        )
    for group in groups:
        for i, axis in space.places(group):
            yield f"axis {axis} of {space.tensors[i].name!r}", group, [(i, axis)]


def _space(features: WeightSpaceFeatures, space: WeightSpace | None) -> WeightSpace:
    return space or WeightSpace.of_spec(network_spec_from_wsfeat(features, set_all_dims=True))


def _commutator(
    layer: Layer, features: WeightSpaceFeatures, moved: Callable[[WeightSpaceFeatures], WeightSpaceFeatures]
) -> float:
    want, got = _evaluate(layer, features), _evaluate(layer, moved(features))
    return _error(got, moved(want) if isinstance(want, WeightSpaceFeatures) else want)


def _derangement(size: int, generator: torch.Generator | None) -> Tensor:
    """A permutation that moves every neuron."""
    order = torch.randperm(size, generator=generator)
    moved = torch.empty_like(order)
    moved[order] = order.roll(1)
    return moved


@torch.no_grad()
def _evaluate(layer: Layer, features: WeightSpaceFeatures) -> WeightSpaceFeatures | Tensor:
    return layer(features)


def _error(got: WeightSpaceFeatures | Tensor, want: WeightSpaceFeatures | Tensor) -> float:
    if isinstance(got, WeightSpaceFeatures) and isinstance(want, WeightSpaceFeatures):
        return max(_tensor_error(g, w) for g, w in zip(got.tensors, want.tensors, strict=True))
    if isinstance(got, Tensor) and isinstance(want, Tensor):
        return _tensor_error(got, want)
    raise TypeError(f"The layer returned {type(got).__name__} once and {type(want).__name__} once.")


def _tensor_error(got: Tensor, want: Tensor) -> float:
    scale = want.abs().max().item()
    difference = (got - want).abs().max().item()
    return difference / scale if scale > 0 else difference


def _assert_symmetric(
    layer: Layer,
    features: WeightSpaceFeatures,
    permutations: Permutations | None,
    tolerance: float | None,
    space: WeightSpace | None,
    kind: type,
    word: str,
) -> None:
    if permutations is None:
        permutations = _space(features, space).random_permutations()
    limit = tolerance or TOLERANCE[features.tensors[0].dtype]
    out = _evaluate(layer, features)
    if not isinstance(out, kind):
        raise TypeError(f"An {word} layer returns {kind.__name__}, this one {type(out).__name__}.")
    error = equivariance_error(layer, features, permutations, space)
    if not error <= limit:
        raise AssertionError(f"Not {word}: the error is {error:.1e}, wanted at most {limit:.1e}.")
