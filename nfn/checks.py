"""Property checks for modules on weight spaces: what must and must not change with the order of neurons."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.permutation import permute, permute_uncoupled, random_permutations

Layer = Callable[[WeightSpaceFeatures], "WeightSpaceFeatures | Tensor"]
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5}
"""Relative error that rounding explains; anything above it is a broken symmetry."""


def equivariance_error(layer: Layer, features: WeightSpaceFeatures, permutations: Sequence[Tensor]) -> float:
    """`max |layer(p x) - p layer(x)| / max |layer(x)|`, of the worst tensor (absolute for a zero one).

    A layer that returns a tensor is compared as it is: then this is its invariance error. `permutations` are
    as `nfn.permutation.permute` takes them.
    """
    want, got = _evaluate(layer, features), _evaluate(layer, permute(features, permutations))
    if isinstance(want, WeightSpaceFeatures):
        want = permute(want, permutations)
    return _error(got, want)


def assert_equivariant(
    layer: Layer,
    features: WeightSpaceFeatures,
    permutations: Sequence[Tensor] | None = None,
    tolerance: float | None = None,
) -> None:
    """AssertionError unless reordering hidden neurons before `layer` and after it come to the same.

    Permutations are drawn at random unless given. The tolerance is that of the features' dtype unless given.
    """
    _assert_symmetric(layer, features, permutations, tolerance, WeightSpaceFeatures, "equivariant")


def assert_invariant(
    layer: Layer,
    features: WeightSpaceFeatures,
    permutations: Sequence[Tensor] | None = None,
    tolerance: float | None = None,
) -> None:
    """AssertionError unless the tensor that `layer` returns is the same for every order of hidden neurons."""
    _assert_symmetric(layer, features, permutations, tolerance, Tensor, "invariant")


def assert_sensitive(
    layer: Layer,
    features: WeightSpaceFeatures,
    tolerance: float | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """AssertionError if `layer` also commutes with reorderings that change what the network computes.

    For each hidden group in turn, its rows (with the bias) or its columns alone are permuted; the error must
    exceed a hundred tolerances each time. Groups of one neuron are left out.
    """
    limit = 100 * (tolerance or TOLERANCE[features.weights[0].dtype])
    for side in ("rows", "columns"):
        for group in range(1, len(features)):
            size = features.weights[group].shape[3]
            if size == 1:
                continue
            error = _uncoupled_error(layer, features, group, side, _derangement(size, generator))
            if not error > limit:
                raise AssertionError(
                    f"Not sensitive: permuting only the {side} of hidden group {group} gives an error of "
                    f"{error:.1e}, wanted more than {limit:.1e}."
                )


def _uncoupled_error(
    layer: Layer, features: WeightSpaceFeatures, group: int, side: str, order: Tensor
) -> float:
    rows: list[Tensor | None] = [None] * len(features)
    columns: list[Tensor | None] = [None] * len(features)
    if side == "rows":
        rows[group - 1] = order
    else:
        columns[group] = order
    want, got = _evaluate(layer, features), _evaluate(layer, permute_uncoupled(features, rows, columns))
    if isinstance(want, WeightSpaceFeatures):
        want = permute_uncoupled(want, rows, columns)
    return _error(got, want)


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
        pairs = [(g, w) for a, b in zip(got, want, strict=True) for g, w in zip(a, b, strict=True)]
        return max(_tensor_error(g, w) for g, w in pairs)
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
    permutations: Sequence[Tensor] | None,
    tolerance: float | None,
    kind: type,
    word: str,
) -> None:
    if permutations is None:
        permutations = random_permutations(network_spec_from_wsfeat(features, set_all_dims=True))
    limit = tolerance or TOLERANCE[features.weights[0].dtype]
    out = _evaluate(layer, features)
    if not isinstance(out, kind):
        raise TypeError(f"An {word} layer returns {kind.__name__}, this one {type(out).__name__}.")
    error = equivariance_error(layer, features, permutations)
    if not error <= limit:
        raise AssertionError(f"Not {word}: the error is {error:.1e}, wanted at most {limit:.1e}.")
