"""Property checks for modules on weight spaces: equivariance, invariance, and sensitivity to other permutations.

Features of a chain of layers need no `space`; for others give their `WeightSpace`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.permutation import permute
from nfn.space import WeightSpace

Layer = Callable[[WeightSpaceFeatures], "WeightSpaceFeatures | Tensor"]
Permutations = Sequence[Tensor] | Mapping[int, Tensor]
"""As for `nfn.permutation.permute`; on a `WeightSpace` as for its `permute`, by group."""
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5}
"""The largest relative error that counts as rounding."""


def equivariance_error(
    layer: Layer, features: WeightSpaceFeatures, permutations: Permutations, space: WeightSpace | None = None
) -> float:
    """`max |layer(p x) - p layer(x)| / max |layer(x)|` of the worst tensor (absolute if `layer(x)` is 0).

    For a layer that returns a tensor this is the invariance error.
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
    """Raise AssertionError unless `layer` commutes with permutations of hidden neurons.

    Permutations are random unless given. The default tolerance depends on the features' dtype (`TOLERANCE`).
    """
    _assert_symmetric(layer, features, permutations, tolerance, space, WeightSpaceFeatures, "equivariant")


def assert_invariant(
    layer: Layer,
    features: WeightSpaceFeatures,
    permutations: Permutations | None = None,
    tolerance: float | None = None,
    space: WeightSpace | None = None,
) -> None:
    """Raise AssertionError unless permuting hidden neurons leaves the tensor that `layer` returns unchanged."""
    _assert_symmetric(layer, features, permutations, tolerance, space, Tensor, "invariant")


def assert_sensitive(
    layer: Layer,
    features: WeightSpaceFeatures,
    tolerance: float | None = None,
    generator: torch.Generator | None = None,
    space: WeightSpace | None = None,
) -> None:
    """Raise AssertionError if `layer` also commutes with permutations that change the network's function.

    For each hidden group, only its rows (with the bias) or only its columns are permuted; with a `space`, each
    single axis of each tensor. The error must exceed a hundred tolerances each time. Groups of one neuron are
    skipped.
    """
    limit = 100 * (tolerance or TOLERANCE[features.tensors[0].dtype])
    where = _space(features, space)
    for words, group, places in _single_axes(where) if space else _rows_and_columns(where):
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
                f"{error:.1e}, expected more than {limit:.1e}."
            )


Places = Sequence[tuple[int, int]]


def _rows_and_columns(chain: WeightSpace) -> Iterator[tuple[str, int, Places]]:
    """Rows, then columns, of each hidden group of a chain."""
    groups = sorted(chain.permuting)
    yield from (("the rows", group, chain.places(group)[:2]) for group in groups)
    yield from (("the columns", group, chain.places(group)[2:]) for group in groups)


def _single_axes(space: WeightSpace) -> Iterator[tuple[str, int, Places]]:
    """Each axis of each hidden group with more than one axis; ValueError if there is none."""
    groups = [group for group in sorted(space.permuting) if len(space.places(group)) > 1]
    if not any(space.groups[group] > 1 for group in groups):
        raise ValueError("No hidden group of two or more units has two axes: there is nothing to check.")
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
        raise AssertionError(f"Not {word}: the error is {error:.1e}, expected at most {limit:.1e}.")
