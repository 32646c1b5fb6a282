"""Symmetric copies of a SIREN, which compute the same: permuted neurons, flipped signs. No gradio."""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from app.networks.source import Source
from app.runtime.errors import RequestError
from app.tabs.inr.actions import classify_network, draw, open_network
from nfn.architecture.axes import axes_of
from nfn.classifier import InrClassification
from nfn.network import Network
from nfn.permutation import flip_signs, permute, random_permutations, random_signs

Symmetry = Literal["permute", "flip"]


@dataclass(frozen=True)
class SymmetryCheck:
    """Two copies of one network, and the differences between their pictures and their labels."""

    how: Symmetry
    before: Network
    after: Network
    moved: int
    total: int
    pixel_difference: float
    probability_difference: float
    verdict_before: InrClassification
    verdict_after: InrClassification


def check_symmetry(source: Source, how: Symmetry, seed: int, domain: str = "auto") -> SymmetryCheck:
    """Permute the hidden neurons, or flip their signs (sine is odd), and compare the copies."""
    before = replace(open_network(source), undeclared=())  # both in the convention that was found
    after = _transformed(before, how, torch.Generator().manual_seed(seed))
    return compare_copies(how, before, after, domain)


def compare_copies(how: Symmetry, before: Network, after: Network, domain: str = "auto") -> SymmetryCheck:
    """Compare two copies of one network: their weights, pictures and labels."""
    first, second = classify_network(before, domain).result, classify_network(after, domain).result
    return SymmetryCheck(
        how=how,
        before=before,
        after=after,
        moved=count_moved(before, after),
        total=before.parameters,
        pixel_difference=float((draw(before) - draw(after)).abs().max()),
        probability_difference=max(
            abs(p - second.probabilities.get(k, 0.0)) for k, p in first.probabilities.items()
        ),
        verdict_before=first,
        verdict_after=second,
    )


def count_moved(before: Network, after: Network) -> int:
    """How many weights and biases differ between two networks of one architecture."""
    if before.chain is not None:
        pairs = zip(before.chain.tensors, after.features.tensors, strict=True)
    else:
        after_by_name = after.tensors()
        pairs = ((tensor, after_by_name[name]) for name, tensor in before.tensors().items())
    return sum(int((x != y).sum()) for x, y in pairs)


def _transformed(network: Network, how: Symmetry, generator: torch.Generator) -> Network:
    if network.chain is None:
        return _permuted_graph(network, how, generator)
    if how == "permute":
        return network.with_features(permute(network.chain, random_permutations(network.spec, generator)))
    return network.with_features(flip_signs(network.chain, random_signs(network.spec, generator)))


def _permuted_graph(network: Network, how: Symmetry, generator: torch.Generator) -> Network:
    graph = network.graph
    if how == "flip" or graph is None:
        raise RequestError(
            "Signs can only be flipped in SIRENs, whose hidden layers are all sines; this network has other layers "
            "too. Its neurons can be permuted."
        )
    axes = axes_of(graph.architecture)
    tensors = axes.permute(graph.tensors, axes.random_permutations(generator))
    return replace(network, graph=replace(graph, tensors=tensors))
