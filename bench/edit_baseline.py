"""The paper's editor for the card (arXiv:2302.14040, 3.3): one style, one step, weights alone: `U + gamma * NFN(U)`.

    python -m bench.edit_baseline TRAIN_FOLDER TEST_FOLDER --style dilate --steps 4000

Folders are collections of SIRENs. The row of figures is added to `baselines.json` beside the editor.
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

from bench.record import record
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import LearnedScale
from nfn.models import EquivariantConfig, EquivariantNFN, StackConfig
from nfn.operators import apply_style
from nfn.siren import apply_signs, canonical_signs, render
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.evaluate_editor import error, true_images
from zoo.train_editor import typical_sizes
from zoo.training import run_steps, step_generator


class WeightsOnlyEditor(nn.Module):
    """`U + gamma * NFN(U)` on unit-size weights with canonical signs."""

    def __init__(self, features: WeightSpaceFeatures, channels: int):
        super().__init__()
        spec = network_spec_from_wsfeat(features)
        self.sizes = typical_sizes([features])
        stack = StackConfig("np", channels, 3, io_max_freq=3, io_bands=3)
        self.nfn = EquivariantNFN(spec, EquivariantConfig(stack))
        self.gamma = LearnedScale(spec, 0.01)

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """SIRENs `(B, 1, ...)` to edited SIRENs."""
        signs = canonical_signs(features)
        unit = self._scaled(apply_signs(features, signs), torch.div)
        update = self._scaled(self.gamma(self.nfn(unit)), torch.mul)
        return features + apply_signs(update, signs)

    def _scaled(self, features: WeightSpaceFeatures, operation) -> WeightSpaceFeatures:
        rows = zip(features, self.sizes, strict=True)
        return WeightSpaceFeatures.from_zipped(
            [(operation(w, s[0]), operation(b, s[1])) for (w, b), s in rows]
        )


def main(
    train: Path,
    test: Path,
    style: Annotated[str, typer.Option(help="the style to learn")] = "dilate",
    steps: Annotated[int, typer.Option(help="training steps of 32 networks")] = 4000,
    channels: Annotated[int, typer.Option(help="width of the NFN")] = 32,
    out: Annotated[Path, typer.Option(help="file of baselines")] = EMBEDDED
    / "predictors/inr-editor/baselines.json",
    work: Annotated[Path, typer.Option(help="folder for checkpoints")] = Path("work/edit-baseline"),
) -> None:
    """Train on one collection, measure on another, record."""
    torch.manual_seed(0)
    collection, start = Collection(train), time.time()
    features, size = collection.features(), collection.spec.images["size"]
    targets = apply_style(true_images(collection, len(collection)), style)
    model = WeightsOnlyEditor(features, channels)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.1)

    def step(i: int) -> float:
        index = torch.randint(len(targets), (32,), generator=step_generator(0, i))
        loss = (render(model(features.select(index)), size, size) - targets[index]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    run_steps(step, steps, {"model": model, "optimizer": optimizer, "schedule": schedule}, work)
    held_out = Collection(test)
    with torch.no_grad():
        pictures = render(model(held_out.features()), size, size).clamp(-1, 1)
    row = {
        "model": f"U + gamma * NFN(U): 3 x NPLinear, {channels} channels, {style} only",
        "train": f"{len(collection):,} of {collection.folder.name}", "test": f"{len(held_out):,} of {test.name}",
        "steps": steps, "mse": error(pictures, apply_style(true_images(held_out, len(held_out)), style)),
        "seconds": round(time.time() - start), "device": f"CPU, {torch.get_num_threads()} threads",
    }  # fmt: skip
    print(row)
    record(out, row, ("model",))


if __name__ == "__main__":
    typer.run(main)
