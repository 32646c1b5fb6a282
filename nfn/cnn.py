"""Small convolutional classifiers: run many at once on images, and train many at once (grouped convolutions).

The architecture is that of the Small CNN Zoo (arXiv:2002.11448): 3x3 convolutions of stride 2 without padding, an
activation after each, global average pooling, one linear layer. Any number of convolutions and any width will do.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.spec import ArraySpec, NetworkSpec

Activation = Literal["relu", "tanh"]
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
STRIDE = 2
EPS = 1e-5
MOMENTUM = 0.1
MAX_NORM = 5.0
"""Gradients of a network longer than this are shortened to it, so that no training run diverges."""


def small_cnn_spec(width: int = 16, inputs: int = 1, classes: int = 10, depth: int = 3) -> NetworkSpec:
    """The spec of the small CNN: `depth` convolutions of `width` channels and a linear layer; 4,970 parameters."""
    convolutions = [ArraySpec((width, inputs if i == 0 else width, 3, 3)) for i in range(depth)]
    biases = [ArraySpec((width,))] * depth
    return NetworkSpec((*convolutions, ArraySpec((classes, width))), (*biases, ArraySpec((classes,))))


def class_scores(features: WeightSpaceFeatures, images: Tensor, activation: Activation) -> Tensor:
    """Logits `(N, M, classes)` of N networks `(N, 1, ...)` on M images `(M, c, H, W)` that all of them see.

    One network after the other: on a CPU that is two to four times as fast as grouped convolutions. Weights below the
    smallest normal number, which weight decay leaves of dead neurons, count as 0: a CPU is slow at computing with them.
    Raises ValueError where the images are too small for the convolutions, or have other channels.
    """
    _check_images(features, images)
    features = features.map(lambda x: F.hardshrink(x, torch.finfo(x.dtype).tiny))
    return torch.stack([
        _scores_of_one(features.select(i), images, ACTIVATIONS[activation]) for i in range(len(features.weights[0]))
    ])  # fmt: skip


def _scores_of_one(features: WeightSpaceFeatures, x: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
    for weight, bias in features:
        if weight.dim() == 6:
            x = act(F.conv2d(x, weight[0, 0], bias[0, 0], stride=STRIDE))
    return F.linear(x.mean((2, 3)), features.weights[-1][0, 0], features.biases[-1][0, 0])


def _check_images(features: WeightSpaceFeatures, images: Tensor) -> None:
    kinds = [weight.dim() for weight in features.weights]
    if kinds != [6] * (len(kinds) - 1) + [4] or len(kinds) < 2:
        raise ValueError("Wanted convolutions and then one linear layer.")
    channels, size = features.weights[0].shape[3], min(images.shape[2:])
    if images.shape[1] != channels:
        raise ValueError(f"The network takes images of {channels} channels; these have {images.shape[1]}.")
    for weight in features.weights[:-1]:
        size = (size - max(weight.shape[4:])) // STRIDE + 1
    if size < 1:
        raise ValueError(
            f"Images of {tuple(images.shape[2:])} pixels are too small for {len(kinds) - 1} convolutions."
        )


@dataclass(frozen=True)
class CnnRecipe:
    """How to train a group of G networks at once.

    What the group shares: activation, batch norm, biases, steps and batch. What each network has of its own (one
    entry each): optimizer (`sgd` with momentum 0.9, `adam`, `rmsprop`), learning rate, weight decay (L2), channel
    dropout after each convolution, share of the training images, schedule (`constant` or `cosine`), and
    initialisation (`he` or `glorot` normal, times a scale). Every gradient is cut to a norm of 5.
    """

    activation: Activation
    batch_norm: bool
    biases: bool
    steps: int
    optimizer: tuple[str, ...]
    learning_rate: tuple[float, ...]
    weight_decay: tuple[float, ...]
    dropout: tuple[float, ...]
    train_share: tuple[float, ...]
    schedule: tuple[str, ...]
    init: tuple[str, ...]
    init_scale: tuple[float, ...]
    batch: int = 32

    def __len__(self) -> int:
        return len(self.learning_rate)


def init_cnns(recipe: CnnRecipe, spec: NetworkSpec, generator: torch.Generator) -> WeightSpaceFeatures:
    """Untrained networks `(G, 1, ...)`: normal weights by each network's own initialisation, zero biases."""
    scales = torch.tensor(recipe.init_scale)
    he = torch.tensor([name == "he" for name in recipe.init])
    weights, biases = [], []
    for shape in (array.shape for array in spec.weight_spec):
        area = math.prod(shape[2:])
        fan_in, fan_out = shape[1] * area, shape[0] * area
        deviation = torch.where(he, math.sqrt(2 / fan_in), math.sqrt(2 / (fan_in + fan_out))) * scales
        drawn = torch.randn(len(recipe), 1, *shape, generator=generator)
        weights.append(drawn * deviation.view(-1, *[1] * (drawn.dim() - 1)))
        biases.append(torch.zeros(len(recipe), 1, shape[0]))
    return WeightSpaceFeatures(weights, biases)


def train_cnns(
    init: WeightSpaceFeatures,
    images: Tensor,
    labels: Tensor,
    recipe: CnnRecipe,
    keep: Sequence[int],
    generator: torch.Generator,
    device: str = "cpu",
) -> Iterator[tuple[int, WeightSpaceFeatures]]:
    """Train a group of networks on images `(n, c, H, W)` in [-1, 1]; give `(step, networks)` at each step of `keep`.

    Every network draws its own batches from its own share of the images. Batch norm is folded into the
    convolutions that are given out (running statistics, as torch's `eval()` has them).
    """
    group = _Group(init, recipe, device)
    subsets = [
        torch.randperm(len(images), generator=generator)[: max(1, round(share * len(images)))]
        for share in recipe.train_share
    ]
    images, labels = images.to(device), labels.to(device)
    for step in range(recipe.steps):
        chosen = torch.stack(
            [rows[torch.randint(len(rows), (recipe.batch,), generator=generator)] for rows in subsets], 1
        ).to(device)
        dropped = group.draw_dropout(generator)
        group.update(images[chosen].flatten(1, 2), labels[chosen], dropped, step)
        if step + 1 in keep:
            yield step + 1, group.folded()


class _Group:
    """The state of a group in training. One flat row of parameters per network, so that one update serves all."""

    def __init__(self, init: WeightSpaceFeatures, recipe: CnnRecipe, device: str):
        self.recipe, self.device = recipe, device
        self.convolutions = len(init) - 1
        tensors = [tensor for pair in init for tensor in pair]
        if recipe.batch_norm:
            tensors += [torch.ones_like(bias) for bias in init.biases[:-1]]
        self.shapes = [tensor.shape[2:] for tensor in tensors]
        self.flat = torch.cat([tensor.flatten(1) for tensor in tensors], 1).to(device)
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        widths = [bias[:, 0].numel() for bias in init.biases[:-1]]
        self.running = [(torch.zeros(n, device=device), torch.ones(n, device=device)) for n in widths]
        self.learns = self._learns()

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=self.device)[:, None]

    def _learns(self) -> Tensor:
        """1 for parameters that learn, 0 for the biases of networks without: `(1, parameters)`."""
        learns = [
            torch.full(
                (math.prod(shape),), float(self.recipe.biases or i % 2 == 0 or i >= 2 * self.convolutions + 2)
            )
            for i, shape in enumerate(self.shapes)
        ]
        return torch.cat(learns)[None].to(self.device)

    def draw_dropout(self, generator: torch.Generator) -> Tensor | None:
        """Per convolution and channel, 0 or what keeps the mean: `(convolutions, batch, G, width)`; None without."""
        if not any(self.recipe.dropout):
            return None
        width, batch = self.shapes[1][0], self.recipe.batch
        kept = 1 - torch.tensor(self.recipe.dropout).view(1, 1, -1, 1)
        drawn = torch.rand(self.convolutions, batch, len(self.recipe), width, generator=generator)
        return ((drawn < kept).float() / kept).to(self.device)

    def update(self, images: Tensor, labels: Tensor, dropped: Tensor | None, step: int) -> None:
        """One step on images `(batch, G * c, H, W)` and labels `(batch, G)`."""
        flat = self.flat.detach().requires_grad_()
        scores = self._scores(self._unflatten(flat), images, dropped)
        loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum") / len(images)
        (gradient,) = torch.autograd.grad(loss, flat)
        with torch.no_grad():
            gradient = gradient * (MAX_NORM / gradient.norm(dim=1, keepdim=True).clamp_min(MAX_NORM))
            gradient = (gradient + self._column(self.recipe.weight_decay) * self.flat) * self.learns
            self.flat = self.flat - self._rates(step) * self._direction(gradient, step)

    def _rates(self, step: int) -> Tensor:
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.recipe.steps))
        factors = [cosine if name == "cosine" else 1.0 for name in self.recipe.schedule]
        return self._column([a * b for a, b in zip(factors, self.recipe.learning_rate, strict=True)])

    def _direction(self, gradient: Tensor, step: int) -> Tensor:
        """What each network's optimizer makes of the gradient, as torch.optim has it."""
        names = self.recipe.optimizer
        sgd, adam = self._column([n == "sgd" for n in names]), self._column([n == "adam" for n in names])
        beta1 = torch.where(sgd | adam, 0.9, 0.0)
        beta2 = torch.where(adam, 0.999, 0.99)
        self.first = beta1 * self.first + torch.where(sgd, 1.0, 1 - beta1) * gradient
        self.second = beta2 * self.second + (1 - beta2) * gradient**2
        bias1 = torch.where(adam, 1 - 0.9 ** (step + 1), 1.0)
        bias2 = torch.where(adam, 1 - 0.999 ** (step + 1), 1.0)
        scaled = (self.first / bias1) / ((self.second / bias2).sqrt() + 1e-8)
        return torch.where(sgd, self.first, scaled)

    def _unflatten(self, flat: Tensor) -> list[Tensor]:
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = flat.split(sizes, 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _scores(self, tensors: list[Tensor], x: Tensor, dropped: Tensor | None) -> Tensor:
        x, act = x.contiguous(memory_format=torch.channels_last), ACTIVATIONS[self.recipe.activation]
        for i in range(self.convolutions):
            weight, bias = tensors[2 * i].flatten(0, 1), tensors[2 * i + 1].flatten()
            if self.recipe.batch_norm:
                x = F.conv2d(x, weight, stride=STRIDE, groups=len(self.recipe))
                gamma = tensors[2 * self.convolutions + 2 + i].flatten()
                x = F.batch_norm(x, *self.running[i], gamma, bias, True, MOMENTUM, EPS)
            else:
                x = F.conv2d(x, weight, bias, stride=STRIDE, groups=len(self.recipe))
            x = act(x)
            if dropped is not None:
                x = x * dropped[i].flatten(1)[:, :, None, None]
        pooled = x.mean((2, 3)).unflatten(1, (len(self.recipe), -1)).transpose(0, 1)
        weight, bias = tensors[2 * self.convolutions], tensors[2 * self.convolutions + 1]
        return torch.baddbmm(bias[:, None], pooled, weight.transpose(1, 2)).transpose(0, 1)

    @torch.no_grad()
    def folded(self) -> WeightSpaceFeatures:
        """The networks `(G, 1, ...)` as they are in evaluation, on the CPU."""
        tensors = self._unflatten(self.flat)
        pairs = [(tensors[2 * i][:, None], tensors[2 * i + 1][:, None]) for i in range(self.convolutions + 1)]
        if self.recipe.batch_norm:
            for i, (mean, variance) in enumerate(self.running):
                scale = (
                    tensors[2 * self.convolutions + 2 + i][:, None]
                    * (variance.view(len(self.recipe), 1, -1) + EPS).rsqrt()
                )
                weight, bias = pairs[i]
                shift = bias - mean.view(len(self.recipe), 1, -1) * scale
                pairs[i] = (weight * scale[..., None, None, None], shift)
        return WeightSpaceFeatures.from_zipped(pairs).map(lambda x: x.cpu().clone())
