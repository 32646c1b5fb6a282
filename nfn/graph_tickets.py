"""A winning ticket for any untrained classifier: weight magnitudes after a short training, ranked per layer.

No learned predictor is used. Within a layer, weights are ranked by their magnitude after some training steps on
labelled images. The fraction that a layer keeps depends on its shape only: it is proportional to
`sum(shape) / prod(shape)`, at most 1 (Erdos-Renyi-kernel, arXiv:1911.11134, section 3).
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
from nfn.tickets import spike_ratio, trained_sentence

Batch = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Row indices to labelled images `(n, *input_shape)` and labels `(n,)`."""

MAX_COST = 8e9
"""Multiply-adds of all forward passes of the short training: with backward about 3 s on one core."""
STEPS, MIN_STEPS = 160, 20
BATCH_SIZES = (64, 32, 16)
LEARNING_RATE = 0.002
MIN_SPIKE_SIZE = 16
"""The least rows and columns of a matrix whose `spike_ratio` says whether it was drawn at random."""
PER_VALUE, PER_PARAMETER, PER_CALL = 4, 10, 30_000
"""The cost of one activation entry, one parameter and one operation, in multiply-adds of convolutions."""
MAX_ACTIVATIONS = 60_000_000
"""Activation entries of one batch, which are kept for backward (240 MB)."""


def fit_recipe(
    architecture: Architecture, max_cost: float = MAX_COST, steps: int = STEPS, min_steps: int = MIN_STEPS
) -> TrainingRecipe:
    """As many Adam steps, up to `steps`, as `max_cost` allows; batches get smaller before steps fall below `min_steps`.

    Raises ValueError, a sentence for the visitor, if the cost of `min_steps` of the smallest batch is too high.
    """
    for batch in BATCH_SIZES:
        count = min(steps, int(max_cost / step_cost(architecture, batch)))
        if count >= min_steps and _activations(architecture) * batch <= MAX_ACTIVATIONS:
            return TrainingRecipe(count, batch, "adam", LEARNING_RATE)
    raise ValueError(
        f"This network takes {architecture.multiplications:,} multiplications for one image, in "
        f"{len(architecture.ops):,} operations on {_activations(architecture):,} values: even {min_steps} training "
        f"steps of {BATCH_SIZES[-1]} images are too much here."
    )


def step_cost(architecture: Architecture, batch: int) -> float:
    """The forward cost of one training step in multiply-adds, activations, parameters and calls included."""
    image = architecture.multiplications + PER_VALUE * _activations(architecture)
    return batch * image + PER_PARAMETER * architecture.parameters + PER_CALL * len(architecture.ops)


def _activations(architecture: Architecture) -> int:
    """Entries of all intermediate values of one image."""
    return sum(map(math.prod, architecture.values))


@dataclass(frozen=True, kw_only=True)
class _TrainingBatchNorm(BatchNorm):
    """Batch norm in training mode: it uses batch statistics and updates the running ones."""

    def run(self, inputs, tensors):
        mean, variance = tensors[self.mean], tensors[self.variance]
        weight = None if self.weight is None else tensors[self.weight]
        bias = None if self.bias is None else tensors[self.bias]
        return F.batch_norm(inputs[0], mean, variance, weight, bias, training=True, eps=self.eps)


def weight_names(architecture: Architecture) -> list[str]:
    """The names of the prunable weights, of convolutions and linear layers, in order of use."""
    return list(dict.fromkeys(op.weight for op in architecture.ops if isinstance(op, Conv | Linear)))


def on_device(graph: Graph, device: torch.device) -> Graph:
    """Move the tensors of a graph to a device."""
    return replace(graph, tensors={name: x.to(device) for name, x in graph.tensors.items()})


class GraphTraining:
    """The training state of one network: Adam with cosine decay; a weight whose mask is False is 0 and stays 0."""

    def __init__(self, graph: Graph, masks: Mapping[str, Tensor] | None, recipe: TrainingRecipe):
        self.recipe, self.masks, self.step_number = recipe, masks or {}, 0
        self._eval = _without_softmax(graph.architecture)
        self._train = replace(self._eval, ops=tuple(map(_in_training_mode, self._eval.ops)))
        self.tensors = {name: x.detach().float().clone() for name, x in graph.tensors.items()}
        for name, mask in self.masks.items():
            self.tensors[name].mul_(mask)
        buffers = {n for op in self._eval.ops if isinstance(op, BatchNorm) for n in (op.mean, op.variance)}
        parameters = [
            x.requires_grad_()
            for name, x in self.tensors.items()
            if name in self._eval.shapes and name not in buffers
        ]
        self._optimizer = torch.optim.Adam(parameters, recipe.learning_rate, fused=True)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Update once; return the loss before it."""
        between_steps()
        self._optimizer.param_groups[0]["lr"] = self._rate()
        self._optimizer.zero_grad()
        with torch.enable_grad():
            loss = F.cross_entropy(self._train.run(self.tensors, images), labels)
            loss.backward()
        for name, mask in self.masks.items():
            gradient = self.tensors[name].grad
            assert gradient is not None, "a layer's weight has a gradient"
            gradient.mul_(mask)
        self._optimizer.step()
        self.step_number += 1
        return float(loss.detach())

    @torch.no_grad()
    def measure(self, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """Accuracy (0 to 1) and mean cross entropy on labelled images, in evaluation mode."""
        batch = max(1, min(100, MAX_ACTIVATIONS // _activations(self._eval)))
        logits = torch.cat([self._eval.run(self.tensors, part) for part in images.split(batch)])
        return float((logits.argmax(1) == labels).float().mean()), float(F.cross_entropy(logits, labels))

    def _rate(self) -> float:
        progress = self.step_number / self.recipe.steps
        return self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def _without_softmax(architecture: Architecture) -> Architecture:
    """The architecture up to the logits, which is what the loss takes."""
    ops = architecture.ops
    return (
        replace(architecture, ops=ops[:-1]) if len(ops) > 1 and isinstance(ops[-1], Softmax) else architecture
    )


def _in_training_mode(op: Op) -> Op:
    if not isinstance(op, BatchNorm):
        return op
    return _TrainingBatchNorm(**{field.name: getattr(op, field.name) for field in fields(op)})


def graph_ticket(graph: Graph, batch_of: Batch, count: int, recipe: TrainingRecipe) -> dict[str, Tensor]:
    """A score for every entry of every weight, by tensor name; a ticket keeps the weights with the highest scores.

    The short training runs on `count` stored images, of which `batch_of` returns rows. Equivariant to permutations of
    hidden neurons, which are put in a canonical order first (see `canonical_order`).

    Raises ValueError, a sentence for the visitor, if the training diverges.
    """
    axes = axes_of(graph.architecture)
    orders = canonical_order(axes, graph.tensors)
    training = GraphTraining(replace(graph, tensors=axes.permute(graph.tensors, orders)), None, recipe)
    for rows in batches(count, recipe, torch.Generator().manual_seed(0)):
        training.step(*batch_of(rows))
    names = weight_names(graph.architecture)
    sizes = {name: training.tensors[name].detach().abs() for name in names}
    if not all(size.isfinite().all() for size in sizes.values()):
        raise ValueError("The short training of this network diverges: some weights are NaN or infinite.")
    scores = {name: layer_scores(size) for name, size in sizes.items()}
    inverse = {group: order.argsort() for group, order in orders.items()}
    restored = axes.permute({**graph.tensors, **scores}, inverse)
    return {name: restored[name] for name in names}


def layer_scores(sizes: Tensor) -> Tensor:
    """Scores by rank in the layer: any global threshold keeps a fraction `min(1, c * sum(shape) / prod(shape))`."""
    flat = sizes.flatten()
    order = flat.argsort(descending=True, stable=True)
    steps = torch.arange(len(flat), dtype=torch.float32, device=flat.device).add(0.5)
    return torch.empty_like(steps).scatter_(0, order, -steps / sum(sizes.shape)).view_as(sizes)


def canonical_order(axes: Axes, tensors: Mapping[str, Tensor]) -> dict[int, np.ndarray]:
    """For each hidden group the order of its units by their largest absolute entry in the group's first weight.

    Applying it makes all permuted copies of a network identical, bit for bit.
    """
    orders = {}
    for group in axes.hidden:
        first = _first_weight(axes, group)
        if first is not None:
            piece, dim = first
            weight = tensors[piece.name][piece.rows].detach().abs()
            largest = weight.movedim(dim, 0).flatten(1).amax(1).cpu().numpy()
            keys = _by_unit(np.maximum, piece.axes[dim], group, axes, largest)
            orders[group] = keys.argsort(kind="stable")
    return orders


def _first_weight(axes: Axes, group: int) -> tuple[Piece, int] | None:
    """The first weight, and its axis, that runs over the units of a group."""
    for piece in axes.pieces:
        for dim, labels in enumerate(piece.axes):
            if len(piece.axes) > 1 and labels is not None and (labels.group == group).any():
                return piece, dim
    return None


def _by_unit(
    join: np.ufunc, labels: AxisLabels | None, group: int, axes: Axes, values: np.ndarray
) -> np.ndarray:
    """One value per unit of a group: the values of its entries along an axis, reduced by `join`."""
    assert labels is not None, "_first_weight returns only axes that have labels"
    here = labels.group == group
    out = np.zeros(axes.groups[group].size, values.dtype)
    join.at(out, labels.unit[here], values[here])
    return out


def dead_outputs(architecture: Architecture, masks: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """For each weight, by name: the number of dead hidden units among its outputs, and of all hidden units there.

    A unit is dead if none of its incoming or none of its outgoing weights is kept. The network's outputs do not
    count: an output layer has 0 of 0.
    """
    axes = axes_of(architecture)
    used: list[np.ndarray] = [np.full(group.size, group.side in ("output", "fixed")) for group in axes.groups]
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
                    used[group] |= _by_unit(np.logical_or, labels, int(group), axes, kept)
    counts: dict[str, tuple[int, int]] = {}
    for name, labels, kept in rows:
        hidden = np.array([axes.groups[g].side != "output" for g in labels.group])
        alive = kept & np.array([used[g][u] for g, u in zip(labels.group, labels.unit, strict=True)])
        dead, total = counts.get(name, (0, 0))
        counts[name] = (dead + int((hidden & ~alive).sum()), total + int(hidden.sum()))
    return counts


def signs_of_training(graph: Graph, images: Tensor, labels: Tensor) -> str:
    """A sentence that says why a network looks trained, from images `(n, *input_shape)`; "" if it does not."""
    accuracy, _ = GraphTraining(graph, None, TrainingRecipe(1)).measure(images, labels)
    weights = (graph.tensors[name] for name in weight_names(graph.architecture))
    ratios = [spike_ratio(x) for x in weights if min(len(x), x[0].numel()) >= MIN_SPIKE_SIZE]
    return trained_sentence(accuracy, graph.architecture.output_shape[0], max(ratios, default=0.0))
