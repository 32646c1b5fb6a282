"""How the networks of the wild zoo are trained: random training recipes, and the training loop."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn.wiring.pictures import COMMON, MINUS_ONE_ONE, ZERO_ONE, Pixels
from zoo.wild_recipe import Draw, WildRecipe, activations, cost

LEAST_WORK, MOST_WORK = 1e10, 4e11
"""Multiply-adds of a training, forward and backward, counting each activation with `ACTIVATION_WORK`."""
ACTIVATION_WORK = 60
STEP_WORK = 1.5e7
"""The fixed cost of one step, independent of the network's size."""
FEWEST_STEPS = 40
USUAL_WORK = 8e11
"""The largest cost of a usual training; longer ones stop early."""
CHECKPOINTS = (0.03, 0.5)
"""The range of the fraction of steps after which the first checkpoint is kept; the last is at the end."""


@dataclass(frozen=True)
class WildTraining:
    """A training recipe.

    `train_images` of the set are used: the first ones, or random ones (`subset`). `shuffled_labels` is the fraction of
    them with a random label. `keep` are the steps after which the network is stored.
    """

    pixels: Pixels
    train_images: int
    subset: Literal["first", "random"]
    shuffled_labels: float
    flip: bool
    shift: int
    label_smoothing: float
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"]
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Literal["constant", "cosine", "step", "linear", "warmup"]
    init: Literal["torch", "he", "glorot"]
    init_scale: float
    batch: int
    steps: int
    keep: tuple[int, ...]


@dataclass(frozen=True)
class WildPlan:
    """The settings that all trainings of a build have in common.

    `effort` multiplies their length. A fraction of them, `by_heart`, train on the first few thousand pictures only, for
    as many epochs as long trainings have. A fraction of the others, `usual`, train for a few epochs with good settings,
    like networks that people publish.
    """

    effort: float = 1.0
    by_heart: float = 0.0
    usual: float = 0.0


def draw_training(
    recipe: WildRecipe, own: Pixels, available: int, plan: WildPlan, draw: Draw
) -> WildTraining:
    """Draw a training recipe for a network, with as many steps as its work budget allows."""
    batch = draw.weighted({16: 8, 32: 27, 64: 30, 128: 25, 256: 10})
    work = 3 * cost(recipe) + ACTIVATION_WORK * activations(recipe) + STEP_WORK / batch
    pictures = plan.effort * draw.log_uniform(LEAST_WORK, MOST_WORK) / work
    steps = max(FEWEST_STEPS, round(pictures / batch))
    optimizer = draw.weighted({"sgd": 35, "adam": 35, "adamw": 20, "rmsprop": 10})
    fractions = sorted({*(draw.log_uniform(*CHECKPOINTS) for _ in range(draw.choose(1, 2))), 1.0})
    colourful = recipe.size == 32
    memorize = plan.by_heart > 0 and draw.chance(plan.by_heart)
    drawn = WildTraining(
        pixels=_draw_pixels(recipe.channels, own, draw),
        train_images=_few(available, draw) if memorize else _draw_size(available, draw),
        subset="first" if memorize else draw.weighted({"first": 60, "random": 40}),
        shuffled_labels=draw.uniform(0.05, 0.6) if draw.chance(0.12) else 1.0 if draw.chance(0.02) else 0.0,
        flip=draw.chance(0.45 if colourful else 0.1),
        shift=draw.choose(1, 2, 4) if draw.chance(0.35 if colourful else 0.2) else 0,
        label_smoothing=draw.choose(0.05, 0.1, 0.2) if draw.chance(0.2) else 0.0,
        optimizer=optimizer,
        learning_rate=10 ** (draw.uniform(-2.6, -0.6) if optimizer == "sgd" else draw.uniform(-3.8, -2)),
        momentum=draw.choose(0.0, 0.9, 0.9, 0.9) if optimizer == "sgd" else 0.0,
        weight_decay=10 ** draw.uniform(-5, -1.7) if draw.chance(0.6) else 0.0,
        schedule=draw.weighted({"constant": 45, "cosine": 25, "step": 10, "linear": 10, "warmup": 10}),
        init=draw.weighted({"torch": 60, "he": 25, "glorot": 15}),
        init_scale=10 ** draw.uniform(-0.4, 0.2) if draw.chance(0.3) else 1.0,
        batch=batch,
        steps=steps,
        keep=_kept(fractions, steps),
    )
    if not memorize and plan.usual > 0 and draw.chance(plan.usual):
        return _as_usual(drawn, work, available, fractions, draw)
    return drawn


def _kept(fractions: Sequence[float], steps: int) -> tuple[int, ...]:
    return tuple(sorted({max(1, round(fraction * steps)) for fraction in fractions}))


def _as_usual(
    drawn: WildTraining, work: float, available: int, fractions: Sequence[float], draw: Draw
) -> WildTraining:
    """The same recipe with a rate that suits its optimizer, correct labels, many pictures, and two to eight epochs."""
    optimizer = draw.weighted({"adam": 50, "adamw": 20, "sgd": 30})
    images = round(draw.log_uniform(min(10_000, available), available))
    steps = max(FEWEST_STEPS, round(min(draw.uniform(2, 8) * images, USUAL_WORK / work) / drawn.batch))
    return replace(
        drawn,
        train_images=images,
        shuffled_labels=0.0,
        optimizer=optimizer,
        learning_rate=10 ** (draw.uniform(-2.0, -1.0) if optimizer == "sgd" else draw.uniform(-3.3, -2.3)),
        momentum=0.9 if optimizer == "sgd" else 0.0,
        weight_decay=draw.choose(0.0, 0.0, 1e-4, 5e-4),
        init_scale=1.0,
        steps=steps,
        keep=_kept(fractions, steps),
    )


def _draw_pixels(channels: int, own: Pixels, draw: Draw) -> Pixels:
    usual = draw.weighted({0: 28, 1: 28, 2: 24, 3: 20})
    if usual < 3:
        return (MINUS_ONE_ONE, ZERO_ONE, own)[usual]
    return draw.choose(*(pixels for pixels in COMMON if pixels.fits(channels)))


def _few(available: int, draw: Draw) -> int:
    return min(available, round(draw.log_uniform(2_000, 8_000)))


def _draw_size(available: int, draw: Draw) -> int:
    """Often all pictures, sometimes a part of them, sometimes so few that they are memorized."""
    way = draw.weighted({"all": 35, "part": 50, "few": 15})
    if way == "all":
        return available
    drawn = draw.log_uniform(1_000, max(1_000, available)) if way == "part" else draw.log_uniform(300, 2_000)
    return min(available, round(drawn))


def train(
    module: nn.Module, images: Tensor, labels: Tensor, training: WildTraining, generator: torch.Generator
) -> Iterator[tuple[int, nn.Module]]:
    """Train a module on uint8 pictures `(n, c, h, w)`; yield `(step, module in eval mode)` at each step to keep.

    Training ends if the loss is not finite; the initial module is then yielded if no checkpoint was.
    """
    _initialise(module, training, generator)
    before, given = copy.deepcopy(module).eval(), False
    optimizer = _optimizer(module, training)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate_factor(training, step))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(1 << 40, (), generator=generator)))  # dropout has no generator
        order = torch.empty(0, dtype=torch.long)
        for step in range(1, training.steps + 1):
            while len(order) < training.batch:
                order = torch.cat([order, torch.randperm(len(images), generator=generator)])
            rows, order = order[: training.batch], order[training.batch :]
            x = augment(images[rows], training, generator)
            loss = F.cross_entropy(module(x), labels[rows], label_smoothing=training.label_smoothing)
            if not math.isfinite(loss.item()):
                break
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            rate.step()
            if step in training.keep and _finite(module):
                given = True
                yield step, module.eval()
                module.train()
    if not given:
        yield 0, before


def augment(images: Tensor, training: WildTraining, generator: torch.Generator) -> Tensor:
    """A batch of uint8 pictures as network input: randomly shifted and flipped, normalised, channels last."""
    if training.shift:
        images = shifted(images, training.shift, generator)
    if training.flip:
        flips = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(flips[:, None, None, None], images.flip(3), images)
    return training.pixels(images.float() / 255).contiguous(memory_format=torch.channels_last)


def shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shift every picture by up to `most` pixels along each axis, padding with black."""
    n, _, height, width = images.shape
    padded = F.pad(images, (most,) * 4)
    by = torch.randint(0, 2 * most + 1, (2, n), generator=generator)
    rows = by[0][:, None] + torch.arange(height)
    columns = by[1][:, None] + torch.arange(width)
    at = torch.arange(n)[:, None, None]
    return padded.permute(0, 2, 3, 1)[at, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _initialise(module: nn.Module, training: WildTraining, generator: torch.Generator) -> None:
    """Initialise the weights with torch's default, He's or Glorot's scheme, scaled."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(int(torch.randint(1 << 40, (), generator=generator)))
        for layer in module.modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            layer.reset_parameters()
            if training.init == "he":
                nn.init.kaiming_normal_(layer.weight)
            elif training.init == "glorot":
                nn.init.xavier_uniform_(layer.weight)
            layer.weight.mul_(training.init_scale)
            if layer.bias is not None and training.init != "torch":
                layer.bias.zero_()


def _optimizer(module: nn.Module, training: WildTraining) -> torch.optim.Optimizer:
    rate, decay = training.learning_rate, training.weight_decay
    parameters = list(module.parameters())
    match training.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, rate, training.momentum, weight_decay=decay, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, rate, weight_decay=min(decay, 1e-3), fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, weight_decay=min(decay, 1e-3), foreach=True)


def _rate_factor(training: WildTraining, step: int) -> float:
    """The learning rate factor at a step."""
    done = min(1.0, step / training.steps)
    match training.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        case "step":
            return 0.1 ** (math.floor(done * 3))
        case "linear":
            return 1 - done
        case "warmup":
            return min(1.0, done / 0.1) * 0.5 * (1 + math.cos(math.pi * max(0.0, done - 0.1) / 0.9))


def _finite(module: nn.Module) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())
