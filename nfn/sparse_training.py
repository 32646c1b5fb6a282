"""Train a batch of masked networks at once: MLPs, or convolutions followed by linear layers, all with ReLU.

Convolutions have stride 2 and no padding; global average pooling comes before the first linear layer after them.
All networks of a batch see the same images in the same order, so that masks can be compared.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.cnn import STRIDE
from nfn.features import WeightSpaceFeatures
from nfn.interrupt import between_steps
from nfn.pruning import Masks
from nfn.spec import NetworkSpec

MOMENTUM = 0.9
BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class TrainingRecipe:
    """SGD with momentum 0.9 or Adam, a cosine learning-rate decay to 0, over `steps` batches of shuffled images."""

    steps: int
    batch: int = 128
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.05


def default_init(spec: NetworkSpec, seeds: Sequence[int]) -> WeightSpaceFeatures:
    """Untrained networks `(N, 1, ...)`, one per seed, uniform on +-1/sqrt(fan_in) (the default of torch's layers).

    The same seed gives the same bits on every machine: the generator is torch's Mersenne Twister on the CPU.
    """
    parts = [_one_init(spec, torch.Generator().manual_seed(seed)) for seed in seeds]
    return WeightSpaceFeatures.cat(parts)


def _one_init(spec: NetworkSpec, generator: torch.Generator) -> WeightSpaceFeatures:
    pairs = []
    for weight, bias in zip(spec.weight_spec, spec.bias_spec, strict=True):
        bound = 1 / math.sqrt(math.prod(weight.shape[1:]))
        pairs.append(
            [(torch.rand(1, 1, *s, generator=generator) * 2 - 1) * bound for s in (weight.shape, bias.shape)]
        )
    return WeightSpaceFeatures.from_zipped(pairs)


def logits(features: WeightSpaceFeatures, images: Tensor) -> Tensor:
    """Logits `(N, M, classes)` of N networks `(N, 1, ...)` on the same M images `(M, c, H, W)`."""
    count = len(features.weights[0])
    linear = features.weights[0].dim() == 4
    x = images.flatten(1).expand(count, -1, -1) if linear else images
    for i, (weight, bias) in enumerate(features):
        weight, bias = weight.squeeze(1), bias.squeeze(1)
        if weight.dim() == 5:
            x = _convolve(x, weight, bias, shared=i == 0)
        else:
            x = _pool(x, count) if x.dim() == 4 else x
            x = _linear(x, weight, bias, shared=i == 0)
        if i < len(features) - 1:
            x = torch.relu(x)
    return x


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, shared: bool) -> Tensor:
    """`(M, c, H, W)` if shared by all networks, else `(M, N * c, H, W)`, to `(M, N * out, H', W')`."""
    if shared:
        return F.conv2d(x, weight.flatten(0, 1), bias.flatten(), STRIDE)
    if x.is_cuda:
        return F.conv2d(x, weight.flatten(0, 1), bias.flatten(), STRIDE, groups=len(weight))
    parts = zip(x.chunk(len(weight), 1), weight, bias, strict=True)  # on a CPU faster than groups
    return torch.cat([F.conv2d(part, w, b, STRIDE) for part, w, b in parts], 1)


def _pool(x: Tensor, count: int) -> Tensor:
    """`(M, N * c, H, W)` to `(N, M, c)`."""
    return x.mean((2, 3)).unflatten(1, (count, -1)).transpose(0, 1)


def _linear(x: Tensor, weight: Tensor, bias: Tensor, shared: bool) -> Tensor:
    """`(N, M, in)` to `(N, M, out)`; one large matrix product where all networks share the input."""
    if not shared:
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
    out = F.linear(x[0], weight.flatten(0, 1), bias.flatten())
    return out.unflatten(1, weight.shape[:2]).transpose(0, 1)


class SparseTraining:
    """The training state of N networks `(N, 1, ...)`; a weight whose mask is False is 0 and stays 0.

    All parameters are views of one flat tensor, and all gradients of another, so that an update takes a few
    operations, however many layers there are.
    """

    def __init__(self, init: WeightSpaceFeatures, masks: Masks | None, recipe: TrainingRecipe):
        self.recipe, self.step_number = recipe, 0
        self._learned = _flat(init)
        self._gradient, self._first, self._second = (torch.zeros_like(self._learned) for _ in range(3))
        self._mask = None
        self._live = _views(self._learned, init).map(lambda x: x.requires_grad_())
        for x, gradient in zip(self._live.tensors, _views(self._gradient, init).tensors, strict=True):
            x.grad = gradient
        if masks is not None:
            self.prune(masks)

    def prune(self, masks: Masks) -> None:
        """From here on keep only the weights whose masks are True."""
        self._mask = _flat(WeightSpaceFeatures(masks, map(torch.ones_like, self._live.biases)))
        for x in (self._learned, self._first):
            self._keep(x)

    @property
    def features(self) -> WeightSpaceFeatures:
        """A copy of the networks in their current state."""
        return self._live.map(lambda x: x.detach().clone())

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Update on images `(M, c, H, W)` and labels `(M,)`; return each network's mean loss `(N,)` before it."""
        between_steps()
        self._gradient.zero_()
        with torch.enable_grad():
            losses = cross_entropies(self._live, images, labels)
            losses.sum().backward()
        self._keep(self._gradient)
        self._learned.sub_(self._direction(), alpha=self._rate())
        self.step_number += 1
        return losses.detach()

    def _keep(self, flat: Tensor) -> None:
        if self._mask is not None:
            flat.mul_(self._mask)

    def _direction(self) -> Tensor:
        """What the optimizer makes of the gradient, as in torch.optim."""
        if self.recipe.optimizer == "sgd":
            return self._first.mul_(MOMENTUM).add_(self._gradient)
        count = self.step_number + 1
        self._first.lerp_(self._gradient, 1 - BETAS[0])
        self._second.mul_(BETAS[1]).addcmul_(self._gradient, self._gradient, value=1 - BETAS[1])
        size = (self._second / (1 - BETAS[1] ** count)).sqrt_().add_(1e-8)
        return (self._first / (1 - BETAS[0] ** count)).div_(size)

    def _rate(self) -> float:
        return (
            self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * self.step_number / self.recipe.steps))
        )


def _flat(features: WeightSpaceFeatures) -> Tensor:
    """All tensors concatenated into one dimension."""
    return torch.cat([x.float().flatten() for x in features.tensors])


def _views(flat: Tensor, like: WeightSpaceFeatures) -> WeightSpaceFeatures:
    """Views of a flat tensor in the shapes of `like`; the inverse of `_flat`."""
    parts = zip(flat.split([x.numel() for x in like.tensors]), like.tensors, strict=True)
    return like.with_tensors(part.view(x.shape).detach() for part, x in parts)


def cross_entropies(features: WeightSpaceFeatures, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy `(N,)` of each network on images `(M, c, H, W)` with labels `(M,)`."""
    scores = logits(features, images).transpose(1, 2)
    return F.cross_entropy(scores, labels.expand(len(scores), -1), reduction="none").mean(1)


def gradients(features: WeightSpaceFeatures, images: Tensor, labels: Tensor) -> WeightSpaceFeatures:
    """Gradient `(N, 1, ...)` of each network's mean cross entropy with respect to its weights and biases."""
    with torch.enable_grad():
        leaves = features.map(lambda x: x.detach().requires_grad_())
        loss = cross_entropies(leaves, images, labels).sum()
        return leaves.with_tensors(torch.autograd.grad(loss, leaves.tensors))


def batches(count: int, recipe: TrainingRecipe, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the row indices of each step's batch: `count` images, reshuffled every epoch; no partial batches."""
    size, left = min(recipe.batch, count), torch.empty(0, dtype=torch.int64)
    for _ in range(recipe.steps):
        if len(left) < size:
            left = torch.randperm(count, generator=generator)
        yield left[:size]
        left = left[size:]


def train(
    training: SparseTraining, images: Tensor, labels: Tensor, generator: torch.Generator
) -> WeightSpaceFeatures:
    """Run all steps on images `(M, c, H, W)` with labels `(M,)`; return the trained networks."""
    for rows in batches(len(images), training.recipe, generator):
        training.step(images[rows], labels[rows])
    return training.features


@torch.no_grad()
def accuracies(features: WeightSpaceFeatures, images: Tensor, labels: Tensor, batch: int = 500) -> Tensor:
    """Top-1 accuracy `(N,)`, from 0 to 1, of each network `(N, 1, ...)`."""
    correct = torch.zeros(len(features.weights[0]))
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        correct += (logits(features, x).argmax(2) == y).sum(1).cpu()
    return correct / len(labels)
