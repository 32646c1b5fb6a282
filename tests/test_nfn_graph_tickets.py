"""Tickets for networks of any wiring: the same for permuted copies, exact in number, and better than chance."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn.architecture.axes import axes_of
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Activation, Linear
from nfn.architecture.trace import trace_with_tensors
from nfn.graph_tickets import (
    GraphTraining,
    dead_outputs,
    fit_recipe,
    graph_ticket,
    layer_scores,
    step_cost,
    weight_names,
)
from nfn.network import Graph
from nfn.pruning import shuffled_masks, top_masks
from nfn.reader import read_network
from nfn.save import save
from nfn.sparse_training import TrainingRecipe, batches
from nfn.tickets import TicketPredictor
from zoo.catalog import Zoo
from zoo.graph_tickets import set_up

SHORT = TrainingRecipe(60, 32, "adam", 0.003)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 5, stride=2), nn.Conv2d(4, 8, 5, stride=2)
        self.fc1, self.fc2 = nn.Linear(128, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x)))).flatten(1)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), 1)


class ResNet(nn.Module):
    """Grouped and plain convolutions, batch norm, a skip and a projection."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 4, 4, bias=False), nn.BatchNorm2d(8)
        self.conv1, self.norm1 = nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16)
        self.skip, self.fc = nn.Conv2d(8, 16, 1, 2), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = x + F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)) + self.skip(x))
        return self.fc(x.mean((2, 3)))


class Stored:
    """A tiny network as `nfn.save` writes it, and the stored images that fit it."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...], folder: Path):
        save(module, folder / "net.safetensors", shape)
        self.setup = set_up(read_network(folder / "net.safetensors"))
        self.graph, self.model = self.setup.graph, Zoo().predictor(self.setup.predictor, TicketPredictor)
        self.names = weight_names(self.graph.architecture)

    def batch_of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.setup.stored(self.model, rows)

    def scores(self, graph: Graph | None = None) -> dict[str, Tensor]:
        return graph_ticket(graph or self.graph, self.batch_of, 2000, SHORT)

    def masks(self, scores: dict[str, Tensor], sparsity: float) -> list[Tensor]:
        return top_masks([scores[name][None, None] for name in self.names], sparsity)

    def reached(self, masks: list[Tensor], steps: int) -> float:
        """Accuracy on other stored images after training under the masks."""
        named = {name: mask[0, 0] for name, mask in zip(self.names, masks, strict=True)}
        training = GraphTraining(self.graph, named, TrainingRecipe(steps, 32, "adam", 0.005))
        for rows in batches(2000, training.recipe, torch.Generator().manual_seed(3)):
            training.step(*self.batch_of(rows))
        assert not any((training.tensors[name][mask == 0] != 0).any() for name, mask in named.items())
        return training.measure(*self.batch_of(torch.arange(3000, 4000)))[0]


@pytest.fixture(scope="module", params=[(LeNet, (1, 28, 28)), (ResNet, (1, 28, 28))], ids=["lenet", "resnet"])
def stored(request, tmp_path_factory):
    torch.manual_seed(0)
    module, shape = request.param
    return Stored(module(), shape, tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def scores(stored):
    return stored.scores()


def test_every_weight_and_nothing_else_has_scores(stored, scores):
    tensors = stored.graph.tensors
    assert set(scores) == {name for name, x in tensors.items() if x.dim() > 1}
    assert all(scores[name].shape == tensors[name].shape for name in scores)


def test_permuting_hidden_groups_permutes_the_scores(stored, scores):
    axes = axes_of(stored.graph.architecture)
    orders = axes.random_permutations(torch.Generator().manual_seed(1))
    assert len(orders) >= 3
    moved = stored.scores(Graph(stored.graph.architecture, axes.permute(stored.graph.tensors, orders)))
    expected = axes.permute({**stored.graph.tensors, **scores}, orders)
    assert all(torch.equal(moved[name], expected[name]) for name in scores)
    assert not all(torch.equal(moved[name], scores[name]) for name in scores)


def test_masks_keep_exactly_as_many_as_asked_for(stored, scores):
    total = sum(x.numel() for x in scores.values())
    for sparsity in (0.5, 0.9, 0.97):
        kept = sum(int(mask.sum()) for mask in stored.masks(scores, sparsity))
        assert kept == total - round(sparsity * total)


def test_a_ticket_beats_random_masks_of_the_same_densities(stored, scores):
    masks, generator = stored.masks(scores, 0.9), torch.Generator().manual_seed(2)
    ticket = stored.reached(masks, 100)
    random = [stored.reached(shuffled_masks(masks, generator), 100) for _ in range(3)]
    assert ticket > sum(random) / len(random) + 0.03, (ticket, random)


def test_a_layer_keeps_its_largest_in_the_share_of_its_shape():
    shapes, generator = [(40, 30, 3, 3), (50, 20), (10, 50)], torch.Generator().manual_seed(0)
    sizes = [torch.rand(shape, generator=generator) for shape in shapes]
    masks = top_masks([layer_scores(size)[None, None] for size in sizes], 0.99)
    kept = [int(mask.sum()) for mask in masks]
    for size, shape, mask, count in zip(sizes, shapes, masks, kept, strict=True):
        assert size[mask[0, 0]].min() > size[~mask[0, 0]].max()
        assert count / sum(shape) == pytest.approx(sum(kept) / sum(map(sum, shapes)), rel=0.05)


def test_neurons_without_input_or_output_are_counted(stored):
    masks = {name: torch.ones_like(stored.graph.tensors[name], dtype=torch.bool) for name in stored.names}
    before = dead_outputs(stored.graph.architecture, masks)
    assert all(dead == 0 for dead, _ in before.values()) and before[stored.names[-1]] == (0, 0)
    first = stored.names[0]
    masks[first][0] = False
    after = dead_outputs(stored.graph.architecture, masks)
    assert after[first][0] == 1 and sum(dead for dead, _ in after.values()) == 1
    masks[stored.names[-1]][:, 3] = False
    assert dead_outputs(stored.graph.architecture, masks)[stored.names[-2]][0] == 1


def test_batch_norm_learns_by_the_batch_and_is_measured_by_what_it_keeps():
    net = nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))
    traced = trace_with_tensors(net.eval(), (6,))
    training = GraphTraining(
        Graph(traced.architecture, traced.tensors), None, TrainingRecipe(1, 16, "adam", 0.0)
    )
    x, y = 3 + 2 * torch.randn(16, 6), torch.arange(16) % 10
    loss = training.step(x, y)
    assert loss == pytest.approx(F.cross_entropy(net.train()(x), y).item(), abs=1e-5)
    assert training.measure(x, y)[1] == pytest.approx(F.cross_entropy(net.eval()(x), y).item(), abs=1e-5)


def test_a_network_too_large_for_a_short_training_is_refused_and_others_fit():
    small = trace_with_tensors(LeNet(), (1, 28, 28)).architecture
    assert fit_recipe(small).batch == 64
    assert fit_recipe(small, max_cost=20 * step_cost(small, 16)).batch == 16
    with pytest.raises(ValueError, match="too much here"):
        fit_recipe(small, max_cost=19 * step_cost(small, 16))


def test_many_cheap_operations_add_up():
    op = Activation(inputs=(0,), function="abs")
    ops = (Linear(inputs=(0,), weight="w"), *(replace(op, inputs=(i,)) for i in range(1, 1900)))
    with pytest.raises(ValueError, match="1,900 operations"):
        fit_recipe(Architecture((10,), ops, {"w": (10, 10)}), max_cost=1e9)
