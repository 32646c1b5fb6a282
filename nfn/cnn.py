"""Small convolutional classifiers: evaluate and train batches of them (grouped convolutions).

The architecture is that of the Small CNN Zoo (arXiv:2002.11448): 3x3 convolutions of stride 2 without padding, an
activation after each, global average pooling, one linear layer; with any number and width of convolutions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.flat import flat_rows, unflat_rows
from nfn.spec import ArraySpec, NetworkSpec

Activation = Literal["relu", "tanh"]
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
STRIDE = 2
EPS = 1e-5
MOMENTUM = 0.1
MAX_NORM = 5.0
"""Each network's gradient is clipped to this norm."""


def small_cnn_spec(width: int = 16, inputs: int = 1, classes: int = 10, depth: int = 3) -> NetworkSpec:
    """The spec of the small CNN: `depth` convolutions of `width` channels and a linear layer (4,970 parameters)."""
    convolutions = [ArraySpec((width, inputs if i == 0 else width, 3, 3)) for i in range(depth)]
    biases = [ArraySpec((width,))] * depth
    return NetworkSpec((*convolutions, ArraySpec((classes, width))), (*biases, ArraySpec((classes,))))


def class_scores(features: WeightSpaceFeatures, images: Tensor, activation: Activation) -> Tensor:
    """Logits `(N, M, classes)` of N networks `(N, 1, ...)` on the same M images `(M, c, H, W)`.

    Networks run one by one, which on a CPU is two to four times as fast as grouped convolutions. Subnormal weights,
    which weight decay leaves in dead neurons and CPUs compute with slowly, are set to 0.
    Raises ValueError if the images are too small for the convolutions, or have other channels.
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
        raise ValueError("Expected convolutions followed by one linear layer.")
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

    Common to the group: activation, batch norm, biases, steps and batch. Per network (one entry each): optimizer
    (`sgd` with momentum 0.9, `adam`, `rmsprop`), learning rate, weight decay (L2), channel dropout after each
    convolution, fraction of the training images (`train_share`), schedule (`constant` or `cosine`), and
    initialization (`he` or `glorot` normal, times a scale). Gradients are clipped to a norm of 5.
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
    """Untrained networks `(G, 1, ...)`: normal weights by each network's initialization, zero biases."""
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
    """Train a group of networks on images `(n, c, H, W)` in [-1, 1]; yield `(step, networks)` at each step of `keep`.

    Every network draws its own batches from its own subset of the images. Batch norm, with its running statistics, is
    folded into the convolutions of the yielded networks.
    """
    group = _Group(init, recipe, device)
    subsets = [
        torch.randperm(len(images), generator=generator)[: max(1, round(share * len(images)))]
        for share in recipe.train_share
    ]
    images, labels = images.to(device), labels.to(device)
    for step in range(recipe.steps):
        rows = torch.stack(
            [part[torch.randint(len(part), (recipe.batch,), generator=generator)] for part in subsets], 1
        ).to(device)
        dropout = group.draw_dropout(generator)
        group.update(images[rows].flatten(1, 2), labels[rows], dropout, step)
        if step + 1 in keep:
            yield step + 1, group.folded()


class _Group:
    """The training state of a group: one flat row of parameters per network, updated together."""

    def __init__(self, init: WeightSpaceFeatures, recipe: CnnRecipe, device: str):
        self.recipe, self.device = recipe, device
        self.convolutions = len(init) - 1
        tensors = [tensor for pair in init for tensor in pair]
        if recipe.batch_norm:
            tensors += [torch.ones_like(bias) for bias in init.biases[:-1]]
        self.shapes = [tensor.shape[2:] for tensor in tensors]
        self.flat = flat_rows(tensors).to(device)
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        widths = [bias[:, 0].numel() for bias in init.biases[:-1]]
        self.running = [(torch.zeros(n, device=device), torch.ones(n, device=device)) for n in widths]
        self.trainable = self._trainable()

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=self.device)[:, None]

    def _trainable(self) -> Tensor:
        """1 for trained parameters, 0 for biases if `recipe.biases` is False: `(1, parameters)`."""
        trainable = [
            torch.full(
                (math.prod(shape),), float(self.recipe.biases or i % 2 == 0 or i >= 2 * self.convolutions + 2)
            )
            for i, shape in enumerate(self.shapes)
        ]
        return torch.cat(trainable)[None].to(self.device)

    def draw_dropout(self, generator: torch.Generator) -> Tensor | None:
        """Random dropout factors, 0 or 1 / (1 - p): `(convolutions, batch, G, width)`; None if no network has any."""
        if not any(self.recipe.dropout):
            return None
        width, batch = self.shapes[1][0], self.recipe.batch
        kept = 1 - torch.tensor(self.recipe.dropout).view(1, 1, -1, 1)
        drawn = torch.rand(self.convolutions, batch, len(self.recipe), width, generator=generator)
        return ((drawn < kept).float() / kept).to(self.device)

    def update(self, images: Tensor, labels: Tensor, dropout: Tensor | None, step: int) -> None:
        """One step on images `(batch, G * c, H, W)` and labels `(batch, G)`."""
        flat = self.flat.detach().requires_grad_()
        scores = self._scores(unflat_rows(flat, self.shapes), images, dropout)
        loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum") / len(images)
        (gradient,) = torch.autograd.grad(loss, flat)
        with torch.no_grad():
            gradient = gradient * (MAX_NORM / gradient.norm(dim=1, keepdim=True).clamp_min(MAX_NORM))
            gradient = (gradient + self._column(self.recipe.weight_decay) * self.flat) * self.trainable
            self.flat = self.flat - self._rates(step) * self._direction(gradient, step)

    def _rates(self, step: int) -> Tensor:
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.recipe.steps))
        factors = [cosine if name == "cosine" else 1.0 for name in self.recipe.schedule]
        return self._column([a * b for a, b in zip(factors, self.recipe.learning_rate, strict=True)])

    def _direction(self, gradient: Tensor, step: int) -> Tensor:
        """The update direction of each network's optimizer, as in `torch.optim`."""
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

    def _scores(self, tensors: list[Tensor], x: Tensor, dropout: Tensor | None) -> Tensor:
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
            if dropout is not None:
                x = x * dropout[i].flatten(1)[:, :, None, None]
        pooled = x.mean((2, 3)).unflatten(1, (len(self.recipe), -1)).transpose(0, 1)
        weight, bias = tensors[2 * self.convolutions], tensors[2 * self.convolutions + 1]
        return torch.baddbmm(bias[:, None], pooled, weight.transpose(1, 2)).transpose(0, 1)

    @torch.no_grad()
    def folded(self) -> WeightSpaceFeatures:
        """The networks `(G, 1, ...)` in evaluation mode, batch norm folded in, on the CPU."""
        tensors = unflat_rows(self.flat, self.shapes)
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
