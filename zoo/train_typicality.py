"""Teach a trained classifier of SIRENs what shows none of its classes; its answers stay as they are.

    python -m zoo train typicality COLLECTION... --validation COLLECTION --folder PREDICTOR

A small head learns to tell what the classifier sees in the zoo's own from what it sees in pictures of other things
(`zoo.foreign_pictures`), made rough as fits are, and in networks that are read wrongly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.classifier import InrClassification, InrClassifier, seen_at
from nfn.features import WeightSpaceFeatures
from nfn.siren import NATIVE_SIZES
from nfn.typicality import TypicalityHead
from zoo.collection import Collection
from zoo.foreign_pictures import DRAWN_DIGITS, KINDS, foreign_pictures
from zoo.foreign_sirens import misread
from zoo.images import load_images, to_float
from zoo.train_classifier import roughen, to_grid
from zoo.training import step_generator

BATCH = 500
LEARNED = tuple(kind for kind in KINDS.values() if not kind.held_out)


@dataclass(frozen=True)
class TypicalityRecipe:
    """AdamW with a cosine decay. `pictures` of each kind are learned from, `images` of each set and `networks` of each
    collection, of which the first are `misread`; so many of the validation networks of each domain as `kept` says stay
    typical.
    """

    images: int = 10_000
    pictures: int = 1_500
    networks: int = 3_000
    misread: int = 500
    steps: int = 4_000
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    kept: float = 0.985
    seed: int = 0


def train_typicality(
    model: InrClassifier, collections: Sequence[Path], validation: Sequence[Path], recipe: TypicalityRecipe
) -> InrClassifier:
    """The classifier with a new head that knows what shows none of its classes, calibrated on `validation`."""
    typical, other = examples(model, [Collection(path) for path in collections], recipe)
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("typicality.")}
    model = InrClassifier(replace(model.config, rejects=True)).eval()
    model.load_state_dict({**model.state_dict(), **kept})
    model.typicality = fit_head(typical, other, recipe)
    thresholds = thresholds_of(model, [Collection(path) for path in validation], recipe.kept)
    model.config = replace(model.config, typical_from=thresholds)
    return model


def examples(
    model: InrClassifier, collections: Sequence[Collection], recipe: TypicalityRecipe
) -> tuple[Tensor, Tensor]:
    """What the classifier sees of known things and of others, `(n, inputs)` each."""
    generator = torch.Generator().manual_seed(recipe.seed)

    def rough(pictures: Tensor) -> Tensor:
        return seen_in_pictures(model, roughen(to_grid(pictures), generator))

    typical = [rough(foreign_pictures(DRAWN_DIGITS, recipe.pictures, 1, recipe.seed))]
    for name in model.config.labels:
        typical.append(rough(to_float(load_images(name, "train", slice(0, recipe.images))[0])))
    other = [
        rough(foreign_pictures(kind, recipe.pictures, channels, recipe.seed))
        for kind in LEARNED
        for channels in NATIVE_SIZES
    ]
    for features in map(lambda c: c.normalized(slice(0, recipe.networks)), collections):
        typical.append(seen(model, features))
        other += [
            seen(model, wrong) for _, wrong in misread(features.select(slice(0, recipe.misread)), False)
        ]
    return torch.cat(typical), torch.cat(other)


@torch.no_grad()
def seen(model: InrClassifier, features: WeightSpaceFeatures) -> Tensor:
    """What the classifier sees of networks in our convention, `(n, inputs)`: what its head of typicality takes."""
    return torch.cat([seen_in_pictures(model, model.probe(part)) for part in in_batches(features)])


@torch.no_grad()
def seen_in_pictures(model: InrClassifier, pictures: Tensor) -> Tensor:
    """The same for pictures `(n, c, size, size)`."""
    return torch.cat([seen_at(model.stages(part)) for part in pictures.split(BATCH)])


def fit_head(typical: Tensor, other: Tensor, recipe: TypicalityRecipe) -> TypicalityHead:
    """Train the head to tell what is typical from what is not."""
    torch.manual_seed(recipe.seed)
    inputs = torch.cat([typical, other])
    truth = torch.cat([torch.ones(len(typical)), torch.zeros(len(other))])
    head = TypicalityHead(inputs.shape[1]).train()
    head.fit_scale(inputs)
    optimizer = torch.optim.AdamW(head.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    for i in range(recipe.steps):
        chosen = torch.randint(len(inputs), (recipe.batch,), generator=step_generator(recipe.seed, i))
        loss = F.binary_cross_entropy_with_logits(head(inputs[chosen]), truth[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.eval()


def thresholds_of(model: InrClassifier, collections: Sequence[Collection], kept: float) -> dict[str, float]:
    """Of each domain the typicality that this share of these networks reach, of those that are taken for it."""
    by_domain: dict[str, list[float]] = {}
    for collection in collections:
        for answer in answers(model, collection.normalized()):
            by_domain.setdefault(answer.domain, []).append(answer.typicality)
    return {
        name: round(float(torch.tensor(values).quantile(1 - kept)), 4)
        for name, values in sorted(by_domain.items())
    }


def answers(model: InrClassifier, features: WeightSpaceFeatures) -> list[InrClassification]:
    """What the classifier says of each network."""
    return [model.explain(row) for part in in_batches(features) for row in model.probabilities(part)]


def in_batches(features: WeightSpaceFeatures) -> Iterator[WeightSpaceFeatures]:
    """Networks, a few hundred at a time."""
    for i in range(0, len(features.tensors[0]), BATCH):
        yield features.select(slice(i, i + BATCH))
