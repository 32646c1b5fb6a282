"""The actions of "How it works": a few neurons of a real network, and what a permutation of them changes. No gradio."""

import json
from dataclasses import dataclass
from functools import cache

import torch

from app.tabs.inr.symmetry import SymmetryCheck, compare_copies
from nfn.network import Network
from nfn.permutation import permute
from zoo.catalog import EMBEDDED, Zoo

NETWORK = "mnist-sirens/test/0"
"""A network of the embedded zoo: two inputs (row and column), two hidden layers, one output (the brightness)."""
SHOWN = 8
"""Hidden neurons per layer that are drawn: those with the largest weights."""

Order = tuple[int, ...]


class InvalidOrder(ValueError):
    """The page sent an invalid order of its neurons."""


@cache
def network() -> Network:
    """The network on the page."""
    return Zoo(EMBEDDED).network(NETWORK)


@cache
def drawn_neurons() -> tuple[Order, Order]:
    """The neurons of the two hidden layers that are drawn: those with the largest weights towards the output."""
    _, middle, last = (weight[0, 0].abs() for weight in network().features.weights)
    second = last[0].topk(SHOWN).indices.sort().values
    first = middle[second].sum(0).topk(SHOWN).indices.sort().values
    return tuple(first.tolist()), tuple(second.tolist())


@dataclass(frozen=True)
class DrawnWeights:
    """The weights between the drawn neurons, `(out, in)`: `(8, 2)`, `(8, 8)` and `(1, 8)`."""

    first: torch.Tensor
    middle: torch.Tensor
    last: torch.Tensor


def drawn_weights() -> DrawnWeights:
    """The weights between the drawn neurons, in the file's order."""
    one, two = (list(neurons) for neurons in drawn_neurons())
    first, middle, last = (weight[0, 0] for weight in network().features.weights)
    return DrawnWeights(first[one], middle[two][:, one], last[:, two])


def parse_order(text: str) -> tuple[Order, Order]:
    """Parse the page's text: for both hidden layers, the drawn neuron at each place. Raises InvalidOrder."""
    try:
        orders = json.loads(text[:200])
        one, two = (tuple(order) for order in orders)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidOrder("not two orders") from error
    for order in (one, two):
        if any(type(place) is not int for place in order) or sorted(order) != list(range(SHOWN)):
            raise InvalidOrder(f"not an order of {SHOWN} neurons")
    return one, two


def shuffle(one: Order, two: Order) -> SymmetryCheck:
    """Compare the network with a copy whose drawn neurons are in these orders."""
    before = network()
    sizes = [bias.shape[-1] for bias in before.features.biases[:-1]]
    permutations = [
        _whole_order(neurons, order, size)
        for neurons, order, size in zip(drawn_neurons(), (one, two), sizes, strict=True)
    ]
    after = before.with_features(permute(before.features, permutations))
    return compare_copies("permute", before, after)


def _whole_order(neurons: Order, order: Order, size: int) -> torch.Tensor:
    """Extend an order of some neurons to a permutation of all `size`; the others stay in place."""
    permutation = torch.arange(size)
    permutation[list(neurons)] = torch.tensor(neurons)[list(order)]
    return permutation
