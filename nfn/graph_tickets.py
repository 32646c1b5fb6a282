"""A winning ticket for any untrained classifier: the sizes of its weights after a short training, layer by layer.

Nothing is learned beforehand. Within a layer weights are ranked by their size after some steps on labelled images, as
the rule that ships for two families does. How much a layer keeps is fixed by its shape: a share proportional to
`sum(shape) / prod(shape)`, at most all of it (Erdos-Renyi-kernel, arXiv:1911.11134, section 3).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.architecture.axes import Axes, AxisLabels, Piece, axes_of
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import BatchNorm, Conv, Linear, Op, Softmax
from nfn.interrupt import between_steps
from nfn.network import Graph
from nfn.sparse_training import TrainingRecipe, batches
from nfn.tickets import CLEAR, TRAINED, spike

Batch = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Rows to labelled images `(n, *input_shape)` and labels `(n,)`."""

EFFORT = 8e9
"""Multiply-adds, forwards, of the short training: with the way back some 3 s of one core."""
STEPS, FEWEST_STEPS = 160, 20
BATCHES = (64, 32, 16)
RATE = 0.002
SMALLEST_JUDGED = 16
"""Rows and columns from which on a matrix's largest singular value tells whether it was drawn at random."""
PER_VALUE, PER_PARAMETER, PER_CALL = 4, 10, 30_000
"""What an entry of a value, a parameter, and an operation cost at most, in multiply-adds of convolutions."""
MAX_HELD = 60_000_000
"""Entries of all values of one batch, which the way back needs (240 MB)."""


def fit_recipe(
    architecture: Architecture, effort: float = EFFORT, steps: int = STEPS, fewest: int = FEWEST_STEPS
) -> TrainingRecipe:
    """As many of `steps` with Adam as `effort` allows, in smaller batches before there are fewer than `fewest`.

    Raises ValueError, a sentence for the visitor, where not even those fit.
    """
    for batch in BATCHES:
        count = min(steps, int(effort / step_effort(architecture, batch)))
        if count >= fewest and _held(architecture) * batch <= MAX_HELD:
            return TrainingRecipe(count, batch, "adam", RATE)
    raise ValueError(
        f"This network takes {architecture.multiplications:,} multiplications for one image, in "
        f"{len(architecture.ops):,} operations on {_held(architecture):,} values: even {fewest} training steps of "
        f"{BATCHES[-1]} images are too much here."
    )


def step_effort(architecture: Architecture, batch: int) -> float:
    """What one training step costs, in multiply-adds forwards: of values, parameters and calls too."""
    image = architecture.multiplications + PER_VALUE * _held(architecture)
    return batch * image + PER_PARAMETER * architecture.parameters + PER_CALL * len(architecture.ops)


def _held(architecture: Architecture) -> int:
    """Entries of all values of one image."""
    return sum(map(math.prod, architecture.values))


@dataclass(frozen=True, kw_only=True)
class _LearningNorm(BatchNorm):
    """Batch norm in training: by the batch's own statistics, which move the running ones."""

    def run(self, inputs, tensors):
        mean, variance = tensors[self.mean], tensors[self.variance]
        weight = None if self.weight is None else tensors[self.weight]
        bias = None if self.bias is None else tensors[self.bias]
        return F.batch_norm(inputs[0], mean, variance, weight, bias, training=True, eps=self.eps)


def weight_names(architecture: Architecture) -> list[str]:
    """The weights of convolutions and linear layers, in order of use: what is pruned."""
    return list(dict.fromkeys(op.weight for op in architecture.ops if isinstance(op, Conv | Linear)))


def on_device(graph: Graph, device: torch.device) -> Graph:
    """The graph with its tensors on a device."""
    return replace(graph, tensors={name: x.to(device) for name, x in graph.tensors.items()})


class GraphTraining:
    """A network in training by Adam with a falling rate; where a mask is False the weight is 0 and stays so."""

    def __init__(self, graph: Graph, masks: Mapping[str, Tensor] | None, recipe: TrainingRecipe):
        self.recipe, self.masks, self.step_number = recipe, masks or {}, 0
        self._judged = _without_softmax(graph.architecture)
        self._learning = replace(self._judged, ops=tuple(map(_learning, self._judged.ops)))
        self.tensors = {name: x.detach().float().clone() for name, x in graph.tensors.items()}
        for name, mask in self.masks.items():
            self.tensors[name].mul_(mask)
        still = {n for op in self._judged.ops if isinstance(op, BatchNorm) for n in (op.mean, op.variance)}
        learned = [
            x.requires_grad_()
            for name, x in self.tensors.items()
            if name in self._judged.shapes and name not in still
        ]
        self._optimizer = torch.optim.Adam(learned, recipe.learning_rate, fused=True)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """One update; the loss before it."""
        between_steps()
        self._optimizer.param_groups[0]["lr"] = self._rate()
        self._optimizer.zero_grad()
        with torch.enable_grad():
            loss = F.cross_entropy(self._learning.run(self.tensors, images), labels)
            loss.backward()
        for name, mask in self.masks.items():
            gradient = self.tensors[name].grad
            assert gradient is not None, "a weight of a layer is learned"
            gradient.mul_(mask)
        self._optimizer.step()
        self.step_number += 1
        return float(loss.detach())

    @torch.no_grad()
    def measure(self, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """Accuracy (0 to 1) and mean cross entropy on labelled images, batch norm by its running statistics."""
        batch = max(1, min(100, MAX_HELD // _held(self._judged)))
        logits = torch.cat([self._judged.run(self.tensors, part) for part in images.split(batch)])
        return float((logits.argmax(1) == labels).float().mean()), float(F.cross_entropy(logits, labels))

    def _rate(self) -> float:
        done = self.step_number / self.recipe.steps
        return self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _without_softmax(architecture: Architecture) -> Architecture:
    """Up to the logits: the loss has the softmax."""
    ops = architecture.ops
    return (
        replace(architecture, ops=ops[:-1]) if len(ops) > 1 and isinstance(ops[-1], Softmax) else architecture
    )


def _learning(op: Op) -> Op:
    if not isinstance(op, BatchNorm):
        return op
    return _LearningNorm(**{field.name: getattr(op, field.name) for field in fields(op)})


def graph_ticket(graph: Graph, batch_of: Batch, count: int, recipe: TrainingRecipe) -> dict[str, Tensor]:
    """A score for every entry of every weight, by tensor name: of n weights the ticket keeps the k highest.

    The short training runs on `count` stored images, from which `batch_of` takes rows. Permuting hidden neurons
    permutes the scores, for they are put in a canonical order first (see `canonical_order`).

    Raises ValueError, a sentence for the visitor, where the training ends in no numbers.
    """
    axes = axes_of(graph.architecture)
    orders = canonical_order(axes, graph.tensors)
    training = GraphTraining(replace(graph, tensors=axes.permute(graph.tensors, orders)), None, recipe)
    for rows in batches(count, recipe, torch.Generator().manual_seed(0)):
        training.step(*batch_of(rows))
    names = weight_names(graph.architecture)
    sizes = {name: training.tensors[name].detach().abs() for name in names}
    if not all(size.isfinite().all() for size in sizes.values()):
        raise ValueError("The short training of this network ends in weights that are no numbers.")
    found = {name: layer_scores(size) for name, size in sizes.items()}
    back = {group: order.argsort() for group, order in orders.items()}
    moved = axes.permute({**graph.tensors, **found}, back)
    return {name: moved[name] for name in names}


def layer_scores(sizes: Tensor) -> Tensor:
    """Scores whose every global cut keeps the largest of a layer, a share `min(1, c * sum(shape) / prod(shape))`."""
    flat = sizes.flatten()
    order = flat.argsort(descending=True, stable=True)
    steps = torch.arange(len(flat), dtype=torch.float32, device=flat.device).add(0.5)
    return torch.empty_like(steps).scatter_(0, order, -steps / sum(sizes.shape)).view_as(sizes)


def canonical_order(axes: Axes, tensors: Mapping[str, Tensor]) -> dict[int, np.ndarray]:
    """For each hidden group the order of its units by their largest entry in the first weight that has them.

    Applying it takes all permuted copies of a network to one and the same, bit for bit.
    """
    orders = {}
    for group in axes.hidden:
        met = _first_met(axes, group)
        if met is not None:
            piece, dim = met
            part = (
                tensors[piece.name][piece.rows]
                .detach()
                .abs()
                .movedim(dim, 0)
                .flatten(1)
                .amax(1)
                .cpu()
                .numpy()
            )
            keys = _by_unit(np.maximum, piece.axes[dim], group, axes, part)
            orders[group] = keys.argsort(kind="stable")
    return orders


def _first_met(axes: Axes, group: int) -> tuple[Piece, int] | None:
    """The first weight, and its axis, that runs over units of a group."""
    for piece in axes.pieces:
        for dim, labels in enumerate(piece.axes):
            if len(piece.axes) > 1 and labels is not None and (labels.group == group).any():
                return piece, dim
    return None


def _by_unit(
    join: np.ufunc, labels: AxisLabels | None, group: int, axes: Axes, values: np.ndarray
) -> np.ndarray:
    """One value for each unit of a group, joined over its entries along an axis."""
    assert labels is not None, "an axis that was chosen has labels"
    here = labels.group == group
    out = np.zeros(axes.groups[group].size, values.dtype)
    join.at(out, labels.unit[here], values[here])
    return out


def dead_outputs(architecture: Architecture, masks: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Of each weight, by name: how many of its outputs hear nothing or are heard by none, and how many it has.

    The network's outputs are heard by whoever asks: a layer that gives them has 0 of 0.
    """
    axes = axes_of(architecture)
    heard: list[np.ndarray] = [
        np.full(group.size, group.side in ("output", "fixed")) for group in axes.groups
    ]
    rows: list[tuple[str, AxisLabels, np.ndarray]] = []
    transposed = {op.weight for op in architecture.ops if isinstance(op, Linear) and op.transposed}
    for piece in axes.pieces:
        if piece.name not in masks:
            continue
        mask = masks[piece.name][piece.rows].cpu().bool().numpy()
        for dim, labels in enumerate(piece.axes):
            if labels is None:
                continue
            kept = np.moveaxis(mask, dim, 0).reshape(mask.shape[dim], -1).max(1)
            if dim == (piece.name in transposed):
                rows.append((piece.name, labels, kept))
            if dim != (piece.name in transposed) or piece.axes[1] is None:  # depthwise: both ends are one
                for group in np.unique(labels.group):
                    heard[group] |= _by_unit(np.logical_or, labels, int(group), axes, kept)
    counts: dict[str, tuple[int, int]] = {}
    for name, labels, kept in rows:
        hidden = np.array([axes.groups[g].side != "output" for g in labels.group])
        alive = kept & np.array([heard[g][u] for g, u in zip(labels.group, labels.unit, strict=True)])
        dead, all_ = counts.get(name, (0, 0))
        counts[name] = (dead + int((hidden & ~alive).sum()), all_ + int(hidden.sum()))
    return counts


def signs_of_training(graph: Graph, images: Tensor, labels: Tensor) -> str:
    """A sentence on why a network looks trained, by labelled images `(n, *input_shape)`; "" where it does not."""
    accuracy, _ = GraphTraining(graph, None, TrainingRecipe(1)).measure(images, labels)
    if accuracy >= TRAINED / graph.architecture.output_shape[0]:
        return f"It already names {accuracy:.0%} of the stored images rightly."
    large = (graph.tensors[name] for name in weight_names(graph.architecture))
    ratios = [spike(x) for x in large if min(len(x), x[0].numel()) >= SMALLEST_JUDGED]
    return "Its weights have structure that no random draw has." if max(ratios, default=0.0) > CLEAR else ""
