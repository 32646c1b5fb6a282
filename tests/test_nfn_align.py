"""Alignment: assignments against all permutations, disguises undone for chains and graphs, and the path between."""

import itertools

import numpy as np
import pytest
import torch
from architecture_zoo import ZOO, build

from nfn.architecture.axes import axes_of
from nfn.architecture.trace import trace_with_tensors
from nfn.compare.align import Symmetry, align, between, relative_distance
from nfn.compare.assignment import best_assignment
from nfn.space import WeightSpace
from nfn.spec import NetworkSpec


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_assignments_are_the_best_of_all(size):
    rng = np.random.default_rng(size)
    for _ in range(20):
        gain = rng.standard_normal((size, size)) * rng.integers(0, 2, (size, size))
        found = best_assignment(gain)
        best = max(sum(gain[i, p[i]] for i in range(size)) for p in itertools.permutations(range(size)))
        assert sorted(found) == list(range(size)) and gain[np.arange(size), found].sum() == pytest.approx(
            best
        )


def test_a_large_assignment_finds_a_hidden_order():
    rng = np.random.default_rng(0)
    order, units = rng.permutation(300), rng.standard_normal((300, 20))
    gain = units @ (units[order] + 0.1 * rng.standard_normal((300, 20))).T
    assert np.array_equal(order[best_assignment(gain)], np.arange(300))


@pytest.mark.parametrize("gain", [np.zeros((2, 3)), np.full((2, 2), np.nan), np.zeros(4)])
def test_a_matrix_that_is_not_square_is_refused(gain):
    with pytest.raises(ValueError, match="square matrix of finite"):
        best_assignment(gain)


def chain(seed: int) -> tuple[Symmetry, dict[str, torch.Tensor]]:
    space = WeightSpace.of_spec(NetworkSpec.mlp(4, 24, 24, 3))
    generator = torch.Generator().manual_seed(seed)
    return Symmetry.of_space(space), {
        t.name: torch.randn(t.shape, generator=generator) for t in space.tensors
    }


def test_a_permuted_chain_is_aligned():
    symmetry, tensors = chain(0)
    orders = {group: torch.randperm(size) for group, size in symmetry.sizes.items()}
    found = align(symmetry, tensors, symmetry.permute(tensors, orders))
    assert found.distance == 0 < found.before and found.units == 48 and found.moved > 30
    assert all(torch.equal(orders[group][found.orders[group]], torch.arange(24)) for group in orders)


def test_a_permuted_fine_tuned_copy_is_aligned():
    symmetry, tensors = chain(0)
    tuned = {name: t + 0.05 * torch.randn(t.shape) for name, t in tensors.items()}
    found = align(symmetry, tensors, symmetry.permute(tuned, {g: torch.randperm(24) for g in symmetry.sizes}))
    assert found.distance == pytest.approx(0.05, rel=0.3) and found.before > 0.8


def test_unrelated_networks_stay_far_apart_after_alignment():
    (symmetry, a), (_, b) = chain(0), chain(1)
    found = align(symmetry, a, b)
    assert 0.6 < found.distance < found.before


GRAPHS = [
    "lenet5",
    "vgg-bn",
    "resnet20",
    "resnet18",
    "densenet",
    "mobilenet-v2",
    "squeeze-excitation",
    "inception",
]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_permuted_graph_is_aligned(name):
    torch.manual_seed(0)
    traced = trace_with_tensors(build(name), ZOO[name].shape)
    architecture, tensors = traced.architecture, traced.tensors
    axes = axes_of(architecture)
    hidden = axes.permute(tensors, axes.random_permutations(torch.Generator().manual_seed(3)))
    found = align(Symmetry.of_graph(architecture), tensors, hidden)
    assert found.distance == 0 < found.before


def test_the_path_begins_and_ends_at_its_networks():
    (_, a), (_, b) = chain(0), chain(1)
    assert relative_distance(a, between(a, b, 0)) == 0 and relative_distance(b, between(a, b, 1)) < 1e-6
    half = between(a, b, 0.5)
    assert torch.allclose(half["0.weight"], (a["0.weight"] + b["0.weight"]) / 2, atol=1e-6)
