"""What "How it works" shows: a few neurons of a real network, and what happens when they are shuffled. No gradio."""

import json
from dataclasses import dataclass
from functools import cache

import torch

from app.actions import SymmetryCheck, compare_copies
from nfn.network import Network
from nfn.permutation import permute
from zoo.catalog import EMBEDDED, Zoo

NETWORK = "mnist-sirens/test/0"
"""A network of the embedded zoo: two inputs (row and column), two hidden layers, one output (the brightness)."""
SHOWN = 8
"""Hidden neurons per layer that are drawn: those that matter most."""

Order = tuple[int, ...]


class BadOrder(ValueError):
    """What the page sent is no order of the neurons that it shows."""


@cache
def network() -> Network:
    """The network that is shown."""
    return Zoo(EMBEDDED).network(NETWORK)


@cache
def shown_neurons() -> tuple[Order, Order]:
    """Which neurons of the two hidden layers are drawn: those with the heaviest ways to the output."""
    _, middle, last = (weight[0, 0].abs() for weight in network().features.weights)
    second = last[0].topk(SHOWN).indices.sort().values
    first = middle[second].sum(0).topk(SHOWN).indices.sort().values
    return tuple(first.tolist()), tuple(second.tolist())


@dataclass(frozen=True)
class Drawn:
    """The weights between what is drawn, a row per neuron that they lead to: `(8, 2)`, `(8, 8)` and `(1, 8)`."""

    first: torch.Tensor
    middle: torch.Tensor
    last: torch.Tensor


def drawn_weights() -> Drawn:
    """The weights between the shown neurons, in the file's order."""
    one, two = (list(neurons) for neurons in shown_neurons())
    first, middle, last = (weight[0, 0] for weight in network().features.weights)
    return Drawn(first[one], middle[two][:, one], last[:, two])


def parse_order(text: str) -> tuple[Order, Order]:
    """What the page says: for both hidden layers, which of the shown neurons stands in each place. BadOrder if not."""
    try:
        orders = json.loads(text[:200])
        one, two = (tuple(order) for order in orders)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadOrder("not two orders") from error
    for order in (one, two):
        if any(type(place) is not int for place in order) or sorted(order) != list(range(SHOWN)):
            raise BadOrder(f"not an order of {SHOWN} neurons")
    return one, two


def shuffle(one: Order, two: Order) -> SymmetryCheck:
    """The whole network with the shown neurons in these orders, beside the network as it came."""
    before = network()
    permutations = [
        _whole_order(neurons, order, size)
        for neurons, order, size in zip(shown_neurons(), (one, two), _hidden_sizes(before), strict=True)
    ]
    after = before.with_features(permute(before.features, permutations))
    return compare_copies("permute", before, after)


def _hidden_sizes(network: Network) -> list[int]:
    return [bias.shape[-1] for bias in network.features.biases[:-1]]


def _whole_order(neurons: Order, order: Order, size: int) -> torch.Tensor:
    """An order of some neurons as a permutation of all `size`: the others stay where they are."""
    whole = torch.arange(size)
    whole[list(neurons)] = torch.tensor(neurons)[list(order)]
    return whole
