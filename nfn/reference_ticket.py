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
from nfn.tickets import canonical_order

SWEEPS = 2
OWN = 0.3
"""How much an initial weight counts beside the reference's weight, both in units of their layer's root mean square."""


class ReferenceTicket:
    """Scores initializations by a reference's trained `weights` `(out, in[, kh, kw])`, 0 where pruned.

    Equivariant to permutations of hidden units.
    """

    def __init__(self, weights: Sequence[Tensor], own: float = OWN):
        self.weights, self.own = [weight.float() for weight in weights], own

    @torch.no_grad()
    def scores(self, features: WeightSpaceFeatures) -> list[Tensor]:
        """Networks `(N, 1, ...)` to a score per weight, a list of `(N, 1, out, in[, kh, kw])`.

        Raises ValueError where the shapes differ from the reference's.
        """
        self._check(features)
        count = len(features.weights[0])
        rows = [self._scores_of(features.select(i)) for i in range(count)]
        return [torch.cat(layer) for layer in zip(*rows, strict=True)]

    def _check(self, features: WeightSpaceFeatures) -> None:
        shapes, own = ([tuple(x.shape) for x in part] for part in (features.weights, self.weights))
        if [shape[2:] for shape in shapes] != own:
            raise ValueError(
                f"Got networks with weights {shapes}; the reference's are {own}: give networks of the same widths."
            )

    def _scores_of(self, network: WeightSpaceFeatures) -> list[Tensor]:
        """Units are put in a canonical order first, so that permuted copies have the same rounding errors."""
        first = canonical_order(network)
        ordered = apply_order(network, first)
        orders = match(self.weights, [weight[0, 0] for weight in ordered.weights])
        like = apply_order(ordered, [order[None] for order in orders])
        pairs = zip(self.weights, like.weights, strict=True)
        scores = WeightSpaceFeatures([self._score(a, b) for a, b in pairs], like.biases)
        for places in (orders, [order[0] for order in first]):
            scores = apply_order(scores, [place.argsort()[None] for place in places])
        return list(scores.weights)

    def _score(self, reference: Tensor, initial: Tensor) -> Tensor:
        """At least 1 for as many weights as the reference has."""
        kept = reference[reference != 0]
        sizes = (reference / _rms(kept) + self.own * initial / _rms(initial)).abs()
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
