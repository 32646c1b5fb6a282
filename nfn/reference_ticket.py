"""Winning tickets from initial weights alone: a network gets the ticket of a reference with matched hidden units.

The reference is a network of the same shapes that was pruned while it was trained. Its hidden units are matched with
those of an initialization by their weights, as in Git Re-Basin (arXiv:2209.04836, section 3.2). No gradient is needed.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from nfn.compare.assignment import best_assignment
from nfn.features import WeightSpaceFeatures
from nfn.permutation import apply_order

SWEEPS = 2
OWN = 0.3
"""How much an initial weight counts beside the reference's weight, both in units of their layer's root mean square."""


@torch.no_grad()
def reference_scores(
    reference: Sequence[Tensor], features: WeightSpaceFeatures, own: float = OWN
) -> list[Tensor]:
    """Networks `(N, 1, ...)` to a score per weight, a list of `(N, 1, out, in[, kh, kw])`.

    `reference` has weights `(out, in[, kh, kw])`, 0 where pruned. A score of at least 1 is given to as many weights of
    a layer as the reference has. Equivariant to permutations of hidden units, up to rounding errors.

    Raises ValueError where the shapes differ from the reference's, or it has no weights.
    """
    reference = [weight.float() for weight in reference]
    _check(reference, features)
    rows = [_scores_of(reference, features.select(i), own) for i in range(len(features.weights[0]))]
    return [torch.cat(layer) for layer in zip(*rows, strict=True)]


def _check(reference: Sequence[Tensor], features: WeightSpaceFeatures) -> None:
    shapes, wanted = ([tuple(x.shape) for x in part] for part in (features.weights, reference))
    if [shape[2:] for shape in shapes] != wanted:
        raise ValueError(
            f"Got networks with weights {shapes}; the reference's are {wanted}: give networks of the same widths."
        )
    if not all(weight.any() and weight.isfinite().all() for weight in reference):
        raise ValueError("The reference has a layer without weights, or with infinite ones: train another.")


def _scores_of(reference: Sequence[Tensor], network: WeightSpaceFeatures, own: float) -> list[Tensor]:
    orders = match(reference, [weight[0, 0] for weight in network.weights])
    alike = apply_order(network, [order[None] for order in orders])
    scores = [_score(a, b, own) for a, b in zip(reference, alike.weights, strict=True)]
    inverse = [order.argsort()[None] for order in orders]
    return list(apply_order(WeightSpaceFeatures(scores, alike.biases), inverse).weights)


def _score(reference: Tensor, initial: Tensor, own: float) -> Tensor:
    kept = reference[reference != 0]
    sizes = (reference / _rms(kept) + own * initial / _rms(initial)).abs()
    return sizes / sizes.flatten().topk(len(kept)).values[-1]


def match(reference: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """For each hidden layer the network's units in the order of the reference's units that they are most like.

    Layer by layer from the inputs, the sum of the products of both networks' weights is maximized exactly; the next
    sweep also uses the weights to the following layer.
    """
    a = [_unit_norm(x) for x in reference]
    b = [_unit_norm(x) for x in weights]
    orders: list[Tensor | None] = [None] * len(a)
    orders[-1] = torch.arange(len(b[-1]))  # the outputs stay
    for _, i in itertools.product(range(SWEEPS), range(len(a) - 1)):
        gain = _gain(a[i], b[i] if i == 0 else b[i][:, orders[i - 1]])
        if orders[i + 1] is not None:
            gain = gain + _gain(a[i + 1].transpose(0, 1), b[i + 1][orders[i + 1]].transpose(0, 1))
        orders[i] = torch.from_numpy(best_assignment(gain.double().numpy()))
    return [order for order in orders[:-1] if order is not None]


def _gain(a: Tensor, b: Tensor) -> Tensor:
    return a.flatten(1) @ b.flatten(1).T


def _unit_norm(x: Tensor) -> Tensor:
    return x / x.norm().clamp_min(1e-12)


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt().clamp_min(1e-12)
