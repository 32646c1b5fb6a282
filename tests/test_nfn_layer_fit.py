"""How adjacent layers fit each other: the Mantel test of any architecture, and the correlations of chains."""

import statistics
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.views import small_cnn_graph
from nfn.cnn import small_cnn_spec
from nfn.compare.align import Symmetry
from nfn.features import WeightSpaceFeatures
from nfn.layer_fit import chain_fit, layer_fit
from nfn.network import Graph
from nfn.permutation import permute, random_permutations
from zoo.catalog import Zoo
from zoo.train_generalization import uncouple, untrained

COLLECTIONS = ("mnist-wild", "fashion-mnist-wild", "cifar10-wild")


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    """Trained networks, of every family: every third that is better than half of what is usual."""
    found = []
    for name in COLLECTIONS:
        collection = Zoo().collection(name)
        rows = [row for row in collection.rows.to_pylist() if row["test_accuracy"] > 0.3]
        found += [collection.network(row["id"]).graph for row in rows[::3]]
    return found


def rows_permuted(architecture: Architecture, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rows of every tensor of a hidden group in one other order, columns as they are."""
    symmetry = Symmetry.of_graph(architecture)
    rows = {group: tuple(p for p in places if p.axis == 0) for group, places in symmetry.places.items()}
    return Symmetry(symmetry.sizes, rows).permute(tensors, random_orders(symmetry))


def random_orders(symmetry: Symmetry) -> dict[int, Tensor]:
    """A random order of each group's units."""
    generator = torch.Generator().manual_seed(0)
    return {group: torch.randperm(size, generator=generator) for group, size in symmetry.sizes.items()}


def test_trained_layers_fit_each_other(graphs):
    assert len(graphs) > 25
    scores = [layer_fit(graph.architecture, graph.tensors) for graph in graphs]
    assert statistics.median(scores) > 5 and min(scores) > -3


def test_layers_whose_rows_were_permuted_do_not(graphs):
    scores = [layer_fit(g.architecture, rows_permuted(g.architecture, g.tensors)) for g in graphs]
    assert max(scores) < 3 and abs(statistics.mean(scores)) < 0.6


def test_permuting_rows_and_columns_changes_little(graphs):
    """The random orders differ: the score is the same up to its own noise."""
    for graph in graphs[:6]:
        symmetry = Symmetry.of_graph(graph.architecture)
        moved = symmetry.permute(graph.tensors, random_orders(symmetry))
        before, after = (layer_fit(graph.architecture, x) for x in (graph.tensors, moved))
        assert after == pytest.approx(before, rel=0.3, abs=1.5)


def test_constant_layers_score_zero():
    features = Zoo().collection("cifar10-cnns").features([0]).map(torch.zeros_like)
    assert layer_fit(*small_cnn_graph(features, "relu", 32)) == 0.0


@pytest.fixture(scope="module", params=["cifar10-cnns", "fashion-mnist-cnns"])
def chains(request) -> WeightSpaceFeatures:
    """Sixty trained networks of one architecture."""
    return Zoo().collection(request.param).features(range(60))


def test_chains_fit_if_trained_and_not_if_untrained_or_taken_apart(chains):
    generator = torch.Generator().manual_seed(0)
    assert chain_fit(chains).mean() > 0.25
    for others in (uncouple(chains, generator), untrained(60, generator)):
        assert chain_fit(others).mean().abs() < 0.05


def test_permuting_units_keeps_the_fit_of_chains(chains):
    orders = random_permutations(small_cnn_spec(), torch.Generator().manual_seed(0))
    torch.testing.assert_close(chain_fit(permute(chains, orders)), chain_fit(chains), atol=1e-5, rtol=1e-4)
