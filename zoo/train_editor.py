"""Train `InrEditor`: on SIRENs of all image sets, all styles and strengths, through all of its steps at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nfn.editor import InrEditor, InrEditorConfig
from nfn.features import WeightSpaceFeatures
from nfn.operators import STYLES, apply_style
from nfn.siren import render
from zoo.collection import Collection
from zoo.training import run_steps, step_generator


@dataclass(frozen=True)
class EditorRecipe:
    """Training settings: every step edits `batch` SIRENs of one collection, divided among the styles."""

    steps: int = 1800
    batch: int = 40
    learning_rate: float = 3e-3
    seed: int = 0


def train_editor(
    collections: Sequence[Path], config: InrEditorConfig, recipe: EditorRecipe, folder: Path, device: str
) -> InrEditor:
    """Train on `collections` of SIRENs fitted to training images; checkpoints are in `folder`."""
    torch.manual_seed(recipe.seed)
    pools = [(c.normalized(), c.spec.images["size"]) for c in map(Collection, collections)]
    model = InrEditor(config)
    model.scales.copy_(typical_sizes([features for features, _ in pools]))
    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1
    )

    def step(i: int) -> float:
        features, targets = editing_batch(
            *pools[i % len(pools)], recipe.batch, step_generator(recipe.seed, i)
        )
        loss = trajectory_loss(model(features.to(device), targets.to(device)), targets.to(device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    run_steps(step, recipe.steps, {"model": model, "optimizer": optimizer, "schedule": schedule}, folder)
    return model.eval()


def editing_batch(pool: WeightSpaceFeatures, size: int, count: int, generator: torch.Generator):
    """SIRENs `(count, 1, ...)` and their target pictures: each style for an equal part, at random strengths."""
    features = pool.select(torch.randint(len(pool.weights[0]), (count,), generator=generator))
    with torch.no_grad():
        pictures = render(features, size, size).clamp(-1, 1)
    parts = pictures.tensor_split(len(STYLES))
    strengths = (0.2 + 1.5 * torch.rand(len(STYLES), generator=generator)).tolist()
    edited = [apply_style(x, style, s) for x, style, s in zip(parts, STYLES, strengths, strict=True)]
    return features, torch.cat(edited)


def trajectory_loss(states: list[WeightSpaceFeatures], targets: torch.Tensor) -> torch.Tensor:
    """The mean log error over networks: of the last step, plus that of earlier steps with a lower weight."""
    errors = [(render(s, *targets.shape[2:]) - targets).square().flatten(1).mean(1) for s in states]
    logs = torch.stack([(e + 1e-4).log().mean() for e in errors])
    return 0.7 * logs[-1] + 0.3 * logs.mean()


def typical_sizes(pools: Sequence[WeightSpaceFeatures]) -> torch.Tensor:
    """Root mean square of each layer's weights and biases `(layers, 2)` over all pools, which may differ in outputs."""
    sizes = [torch.tensor([[w.square().mean(), b.square().mean()] for w, b in pool]) for pool in pools]
    return torch.stack(sizes).mean(0).sqrt()
