"""Editors of weights alone for the card (arXiv:2302.14040, 3.3): one style, one step: `U + gamma * F(U)`.

    python -m bench.edit_baseline np TRAIN_FOLDER... --test TEST_FOLDER --style dilate
    python -m bench.edit_baseline messages TRAIN_FOLDER... --test TEST_FOLDER --style dilate

Folders are collections of SIRENs. Pixels are clamped to [-1, 1], where pictures end, before they are compared, in
training too: without it the loss is spent on values beyond black and white, and ends half as high again. With
`--turned` the networks are turned and mirrored in weight space, and their targets with them. `--also` averages the
edited weights with those of another editor, whose training on the same folders ended in that folder of checkpoints.
The row of figures is added to `baselines.json` of the editor.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from bench.record import record
from nfn.augment import move_coordinates
from nfn.canonical import canonical_sine
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import LearnedScale
from nfn.layers.messages import UnitEncoder, UnitPool, alternating_sweeps
from nfn.layers.unit_decoder import UnitDecoder
from nfn.models import EquivariantConfig, EquivariantNFN, StackConfig
from nfn.operators import apply_style
from nfn.siren import render
from nfn.space import SpaceLike
from nfn.weight_reader import WAVE_SCALES
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.evaluate_editor import error, true_images
from zoo.train_editor import typical_sizes
from zoo.train_reader import run_batched
from zoo.training import low_precision, run_steps, step_generator

BATCH = 64
RATE = 4e-3
"""The highest learning rate."""


class Messages(nn.Module):
    """Product messages between hidden units, what the whole network holds, messages again, and an update of weights.

    The whole is what a classifier would read: the units' features, pooled (`UnitPool`), through a small MLP; every
    unit gets it.
    """

    def __init__(self, spec: SpaceLike, channels: int):
        super().__init__()
        self.encoder = UnitEncoder(spec, 1, channels, channels, WAVE_SCALES)
        self.before = alternating_sweeps(spec, channels, 3)
        self.pool = UnitPool(spec, 1, channels)
        self.whole = nn.Sequential(
            nn.Linear(self.pool.num_outs, 2 * channels), nn.LayerNorm(2 * channels), nn.SiLU(),
            nn.Linear(2 * channels, 2 * channels), nn.SiLU(),
            nn.Linear(2 * channels, channels * len(self.encoder.places.groups)),
        )  # fmt: skip
        self.after = alternating_sweeps(spec, channels, 2)
        self.decoder = UnitDecoder(spec, channels)

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        units = self.encoder(features)
        for sweep in self.before:
            units = sweep(features, units)
        whole = self.whole(self.pool(features, units)).chunk(len(units), -1)
        units = [unit + part[:, None] for unit, part in zip(units, whole, strict=True)]
        for sweep in self.after:
            units = sweep(features, units)
        return self.decoder(features, units)


class WeightsOnlyEditor(nn.Module):
    """`U + gamma * F(U)` for the canonical copy of a network, in units of its tensors' typical sizes."""

    def __init__(self, layers: str, features: WeightSpaceFeatures, channels: int):
        super().__init__()
        spec = network_spec_from_wsfeat(features)
        self.sizes = typical_sizes([canonical_sine(features)])
        stack = StackConfig("np", channels, 3, io_max_freq=3, io_bands=3)
        self.update = (
            Messages(spec, channels)
            if layers == "messages"
            else EquivariantNFN(spec, EquivariantConfig(stack))
        )
        self.gamma = LearnedScale(spec, 0.1 if layers == "messages" else 0.01)

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """SIRENs `(B, 1, ...)` to edited SIRENs."""
        canonical = canonical_sine(features)
        with low_precision("cpu"):
            update = self.gamma(self.update(self._scaled(canonical, torch.div)))
        return canonical + self._scaled(update.map(lambda x: x.float()), torch.mul)

    def _scaled(self, features: WeightSpaceFeatures, operation) -> WeightSpaceFeatures:
        rows = zip(features, self.sizes, strict=True)
        return WeightSpaceFeatures.from_zipped(
            [(operation(w, s[0]), operation(b, s[1])) for (w, b), s in rows]
        )


def load(collections: Sequence[Collection], style: str) -> tuple[WeightSpaceFeatures, Tensor]:
    """All networks, and the edited pictures `(n, c, H, W)` that they should show."""
    features = WeightSpaceFeatures.cat([c.normalized() for c in collections])
    return features, torch.cat([apply_style(true_images(c, len(c)), style) for c in collections])


def turn(
    features: WeightSpaceFeatures, pictures: Tensor, generator: torch.Generator
) -> tuple[WeightSpaceFeatures, Tensor]:
    """SIRENs and pictures `(B, c, n, n)`, all in the same of the eight symmetries of a square."""
    swapped, *flipped = (torch.rand(3, generator=generator) < 0.5).tolist()
    signs = torch.tensor([-1.0 if flip else 1.0 for flip in flipped])
    matrix = signs.diag().flip(1) if swapped else signs.diag()
    pictures = pictures.flip([2 + axis for axis in range(2) if flipped[axis]])
    moved = move_coordinates(features, matrix.expand(len(pictures), 2, 2), torch.zeros(len(pictures), 2))
    return moved, pictures.transpose(2, 3) if swapped else pictures


def train(
    model: WeightsOnlyEditor,
    features: WeightSpaceFeatures,
    targets: Tensor,
    steps: int,
    work: Path,
    turned: bool,
) -> None:
    """AdamW with one cycle of the learning rate; resumes from the checkpoint in `work`."""
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.05)

    def step(i: int) -> float:
        generator = step_generator(0, i)
        index = torch.randint(len(targets), (BATCH,), generator=generator)
        networks, wanted = features.select(index), targets[index]
        if turned:
            networks, wanted = turn(networks, wanted, generator)
        loss = (render(model(networks), *targets.shape[2:]).clamp(-1, 1) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    run_steps(step, steps, {"model": model, "optimizer": optimizer, "schedule": schedule}, work)


class MeanEditor(nn.Module):
    """The mean of the weights that several editors give, which all edit the same canonical copy."""

    def __init__(self, editors: Sequence[nn.Module]):
        super().__init__()
        self.editors = nn.ModuleList(editors)

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """SIRENs `(B, 1, ...)` to edited SIRENs."""
        first, *others = (editor(features) for editor in self.editors)
        for other in others:
            first = first + other
        return first.map(lambda x: x / len(self.editors))


def edited(model: nn.Module, features: WeightSpaceFeatures, size: int) -> Tensor:
    """The pictures `(n, c, H, W)` of the edited networks."""
    return run_batched(lambda part, _: render(model(part), size, size), features).clamp(-1, 1)


def main(
    layers: Annotated[str, typer.Argument(help="np (the paper's) or messages")],
    folders: Annotated[list[Path], typer.Argument(help="collections to train on")],
    test: Annotated[Path, typer.Option(help="collection to measure on")],
    style: Annotated[str, typer.Option(help="the style to learn")] = "dilate",
    steps: Annotated[int, typer.Option(help=f"training steps of {BATCH} networks")] = 10_000,
    channels: Annotated[int, typer.Option(help="width of the editor")] = 64,
    turned: Annotated[bool, typer.Option(help="turn and mirror the training networks")] = False,
    out: Annotated[Path, typer.Option(help="file of baselines")] = EMBEDDED
    / "predictors/inr-editor/baselines.json",
    also: Annotated[
        list[Path] | None, typer.Option(help="checkpoints of another editor to average with")
    ] = None,
    work: Annotated[Path, typer.Option(help="folder for checkpoints")] = Path("work/edit-baseline"),
) -> None:
    """Train on some collections, measure on another, and record the figures."""
    if layers not in ("np", "messages"):
        raise typer.BadParameter(f"{layers}: choose np or messages.")
    torch.manual_seed(0)
    features, targets = load([Collection(folder) for folder in folders], style)
    model, start = WeightsOnlyEditor(layers, features, channels), time.process_time()
    train(model, features, targets, steps, work, turned)
    editors = [model, *(_trained(layers, features, channels, folder) for folder in also or [])]
    held_out, wanted = load([Collection(test)], style)
    names = {"np": "3 x NPLinear", "messages": "product messages"}
    parameters = sum(p.numel() for p in model.parameters())
    how = ", turned and mirrored" if turned else ""
    row = {
        "model": f"U + gamma * F(U), F: {names[layers]}, {channels} channels, {parameters:,} parameters; {style} only"
        + f"; mean of {len(editors)} editors" * (len(editors) > 1),
        "train": f"{len(targets):,} of {Collection(folders[0]).images}{how}", "test": f"{len(wanted):,} of {test.name}",
        "steps": steps, "mse": error(edited(MeanEditor(editors), held_out, targets.shape[-1]), wanted),
        "seconds": round(time.process_time() - start), "device": f"CPU, {torch.get_num_threads()} threads",
    }  # fmt: skip
    print(row)
    record(out, row, ("model",))


def _trained(layers: str, features: WeightSpaceFeatures, channels: int, work: Path) -> WeightsOnlyEditor:
    """An editor from its last checkpoint."""
    editor = WeightsOnlyEditor(layers, features, channels)
    editor.load_state_dict(torch.load(work / "checkpoint.pt", weights_only=True)["model"])
    return editor


if __name__ == "__main__":
    typer.run(main)
