"""Permute or rescale the hidden units of a classifier and predict again. No gradio."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch

from app.networks.source import Source
from app.runtime.errors import RequestError
from app.tabs.generalization.actions import classifier_of, predict_classifier, require_graph
from nfn.architecture.axes import axes_of
from nfn.generalization import Generalization
from nfn.network import Graph
from zoo.classifiers import Classifier

Symmetry = Literal["permute", "rescale"]
SAME = 1e-3
"""Outputs are equal up to rounding if they differ by at most this fraction of the largest output."""
NOT_SCALED = (
    "Rescaling would change what this network computes. It works only for ReLU units, without a batch norm or another "
    "activation in between."
)


@dataclass(frozen=True, eq=False)
class SymmetryCheck:
    """One network and a copy that computes the same, and the difference of the two predictions (0 to 1).

    `output_difference` is the largest difference of their outputs for random inputs, relative to the largest output.
    """

    how: Symmetry
    before: Classifier
    after: Classifier
    moved: int
    total: int
    prediction_before: Generalization
    prediction_after: Generalization
    difference: float
    output_difference: float


@torch.no_grad()
def check_symmetry(source: Source, seed: int, how: Symmetry = "permute") -> SymmetryCheck:
    """Permute or rescale the hidden units, predict again, and compare accuracy and interval.

    Raises RequestError if rescaling would change what the network computes.
    """
    before = classifier_of(source)
    graph = require_graph(before)
    tensors = _transformed_tensors(graph, torch.Generator().manual_seed(seed), how)
    after = replace(before, graph=replace(graph, tensors=tensors), identified=None)
    output_difference = _output_difference(graph, require_graph(after))
    if how == "rescale" and not output_difference < SAME:
        raise RequestError(NOT_SCALED)
    first, second = (predict_classifier(replace(one, identified=None)) for one in (before, after))
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("test_accuracy", "low", "high")]
    return SymmetryCheck(
        how=how,
        before=before,
        after=after,
        moved=sum(
            int((graph.tensors[name] != moved).sum()) for name, moved in require_graph(after).tensors.items()
        ),
        total=sum(tensor.numel() for tensor in graph.tensors.values()),
        prediction_before=first,
        prediction_after=second,
        difference=max(abs(a - b) for a, b in pairs if math.isfinite(a)),
        output_difference=output_difference,
    )


def _transformed_tensors(graph: Graph, generator: torch.Generator, how: Symmetry) -> dict[str, torch.Tensor]:
    """The tensors with hidden units permuted, or rescaled by factors from 0.1 to 10."""
    axes = axes_of(graph.architecture)
    if how == "permute":
        return axes.permute(graph.tensors, axes.random_permutations(generator))
    factors = {g: 10 ** (2 * torch.rand(axes.groups[g].size, generator=generator) - 1) for g in axes.hidden}
    return axes.rescale(graph.tensors, factors)


def _output_difference(graph: Graph, other: Graph) -> float:
    """The largest difference of outputs for a few random inputs, relative to the largest output."""
    x = torch.randn(8, *graph.architecture.input_shape, generator=torch.Generator().manual_seed(0))
    first, second = graph.run(x), other.run(x)
    return float((first - second).abs().max() / first.abs().max().clamp_min(1e-12))
