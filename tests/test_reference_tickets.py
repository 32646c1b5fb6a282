"""Tickets of a matched reference: equivariant, with its number of weights per layer, and pruned while it learns."""

import pytest
import torch

from bench.ticket_baseline import add_row, train_reference
from nfn.features import WeightSpaceFeatures
from nfn.permutation import permute, random_permutations
from nfn.pruning import kept_per_layer, top_masks
from nfn.reference_ticket import ReferenceTicket, match
from nfn.sparse_training import SparseTraining, TrainingRecipe, default_init
from nfn.spec import ArraySpec, NetworkSpec

MLP = ((12, 16), (9, 12), (4, 9))
CNN = ((5, 3, 3, 3), (6, 5, 3, 3), (7, 6), (4, 7))
KEPT = {MLP: [40, 30, 12], CNN: [30, 60, 20, 10]}


def spec_of(shapes):
    return NetworkSpec(tuple(map(ArraySpec, shapes)), tuple(ArraySpec(shape[:1]) for shape in shapes))


def reference_of(shapes, seed=0):
    """Another initialization, with the largest weights of each layer."""
    weights = default_init(spec_of(shapes), [seed]).weights
    masks = [top_masks([w.abs()], 1 - k / w.numel())[0] for w, k in zip(weights, KEPT[shapes], strict=True)]
    return [(w * m)[0, 0] for w, m in zip(weights, masks, strict=True)]


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_scores_are_equivariant_bit_for_bit(shapes):
    ticket, init = ReferenceTicket(reference_of(shapes)), default_init(spec_of(shapes), [3])
    orders = random_permutations(spec_of(shapes), torch.Generator().manual_seed(9))
    expected = permute(WeightSpaceFeatures(ticket.scores(init), init.biases), orders).weights
    for one, other in zip(expected, ticket.scores(permute(init, orders)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_a_ticket_keeps_as_many_weights_of_each_layer_as_the_reference(shapes):
    init, kept = default_init(spec_of(shapes), [3, 4]), KEPT[shapes]
    scores = ReferenceTicket(reference_of(shapes)).scores(init)
    total = sum(score[0].numel() for score in scores)
    assert kept_per_layer(top_masks(scores, 1 - sum(kept) / total)).tolist() == [kept, kept]


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_a_permuted_copy_of_the_reference_gets_its_own_mask(shapes):
    reference = default_init(spec_of(shapes), [0])
    orders = random_permutations(spec_of(shapes), torch.Generator().manual_seed(2))
    copy = permute(reference, orders)
    found = match([w[0, 0] for w in reference.weights], [w[0, 0] for w in copy.weights])
    for order, wanted in zip(found, orders, strict=True):
        assert torch.equal(wanted[order], torch.arange(len(order)))
    sparse = ReferenceTicket(reference_of(shapes), own=0)
    masks = [weight >= 1 for weight in sparse.scores(copy)]
    expected = permute(
        WeightSpaceFeatures([(w != 0)[None, None].float() for w in sparse.weights], reference.biases), orders
    )
    assert all(torch.equal(a, b.bool()) for a, b in zip(masks, expected.weights, strict=True))


def test_other_widths_are_refused():
    ticket = ReferenceTicket(reference_of(MLP))
    with pytest.raises(ValueError, match="same widths"):
        ticket.scores(default_init(spec_of(((10, 16), (9, 10), (4, 9))), [0]))


def test_a_training_can_be_pruned_on_the_way():
    init, generator = default_init(spec_of(MLP), [0]), torch.Generator().manual_seed(0)
    images, labels = torch.randn(20, 1, 4, 4, generator=generator), torch.arange(20) % 4
    training = SparseTraining(init, None, TrainingRecipe(4, 20))
    training.step(images, labels)
    masks = top_masks([w.abs() for w in training.features.weights], 0.8)
    training.prune(masks)
    training.step(images, labels)
    for weight, mask in zip(training.features.weights, masks, strict=True):
        assert not weight[~mask].any() and weight[mask].all()


def test_the_reference_keeps_what_it_is_told():
    init, generator = default_init(spec_of(MLP), [0]), torch.Generator().manual_seed(0)
    images, labels = torch.randn(20, 1, 4, 4, generator=generator), torch.arange(20) % 4
    weights = train_reference(init, KEPT[MLP], TrainingRecipe(100, 20), images, labels)
    assert [int((weight != 0).sum()) for weight in weights] == KEPT[MLP]


def test_a_row_of_figures_replaces_its_predecessor():
    methods = [
        {"mask": "random, Bernoulli", "accuracy": 0.5},
        {"mask": "IMP", "accuracy": 0.9},
        {"mask": "x", "accuracy": 1},
    ]
    found = add_row({"networks": 1, "methods": methods}, {"mask": "x", "accuracy": 0.7})["methods"]
    assert [row["mask"] for row in found] == ["random, Bernoulli", "IMP", "x"]
    assert found[-1]["gap_closed"] == pytest.approx(0.5)
