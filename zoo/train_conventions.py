"""Train the judges that find a SIREN's convention, on fits of many conventions and wrong readings of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.classifier import InrClassifier
from nfn.network import Network
from nfn.siren_convention.candidates import Candidate, function_candidates, picture_candidates
from nfn.siren_convention.convention import FIELDS, SirenConvention
from nfn.siren_convention.judges import FieldJudge, PictureJudge, fields, standardized
from nfn.siren_convention.search import alike, pictures_in, plausible
from zoo.foreign_fits import ForeignFits, as_network
from zoo.images import load_images, to_float, to_gray
from zoo.train_classifier import roughen, to_grid
from zoo.training import run_steps, step_generator

LEAST_PSNR = 14.0
"""Networks fitted worse than this are excluded: they show nothing recognisable."""


@dataclass(frozen=True)
class ConventionRecipe:
    """Training settings. A step uses `networks` fits, each in at most `readings` conventions, its own among them."""

    field_steps: int = 1200
    networks: int = 16
    readings: int = 12
    field_rate: float = 2e-3
    pictures: int = 9000
    picture_steps: int = 3000
    picture_rate: float = 1.5e-3
    picture_batch: int = 64
    seed: int = 0


def split_fits(fits: Iterable[ForeignFits]) -> list[Network]:
    """All networks that were fitted well enough, one by one, each with the functional part of its convention."""
    return [
        replace(as_network(part, i), convention=function_of(part.recipe.convention))
        for part in fits
        for i in range(len(part.rows))
        if part.psnr[i] > LEAST_PSNR
    ]


def function_of(convention: SirenConvention) -> SirenConvention:
    """A convention without what only rotates a picture or changes its brightness, as in `function_candidates`."""
    output = "sine" if convention.output == "sine" else "linear"
    return replace(
        convention,
        low=-1.0,
        high=1.0,
        coordinates="row_col",
        pixel_centres=None,
        upwards=False,
        output=output,
    )


def train_field_judge(fits: Sequence[Network], recipe: ConventionRecipe, folder: Path) -> FieldJudge:
    """Train to distinguish the fitted function from other readings of the same weights, or to reject all readings."""
    torch.manual_seed(recipe.seed)
    judge = FieldJudge().train()
    optimizer = torch.optim.AdamW(judge.parameters(), recipe.field_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.field_rate, recipe.field_steps)

    def step(i: int) -> float:
        torch.manual_seed(recipe.seed + i)  # dropout
        generator = step_generator(recipe.seed, i)
        chosen = torch.randint(len(fits), (recipe.networks,), generator=generator).tolist()
        groups = [field_group(fits[k], recipe.readings, generator) for k in chosen]
        scores = judge(torch.cat([seen for seen, _ in groups])).split([len(seen) for seen, _ in groups])
        losses = [field_loss(score, allowed) for score, (_, allowed) in zip(scores, groups, strict=True)]
        return _descend(torch.stack(losses).mean(), optimizer, schedule)

    parts = {"judge": judge, "optimizer": optimizer, "schedule": schedule}
    run_steps(step, recipe.field_steps, parts, folder / "fields")
    return judge.eval()


def field_group(fitted: Network, readings: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Fields `(n, 3, SIDE, SIDE)` of one network, the true one first, and a mask of those that count `(n,)`.

    The true one is sometimes left out, so that "none of these" is learned; readings that show the same as it are always
    left out. All are rotated, mirrored and inverted alike.
    """
    usual = function_candidates(fitted.chain, SirenConvention(), FIELDS)
    wrong = _draw_wrong(usual, fitted.siren, readings - 1, generator)
    with torch.no_grad():
        seen = standardized(fields(fitted, [fitted.siren, *wrong]))
    allowed = torch.tensor([_uniform(generator) > 0.08, *(not alike(x, seen[0]) for x in seen[1:])])
    return _rotate_randomly(seen, generator), allowed


def field_loss(scores: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy of the first score, or of a score of 0 for "none of these" if the first is masked."""
    scores = torch.cat([scores.masked_fill(~allowed, -math.inf), scores.new_zeros(1)])
    return F.cross_entropy(scores[None], torch.tensor([0 if allowed[0] else len(scores) - 1]))


def _draw_wrong(
    usual: list[Candidate], true: SirenConvention, count: int, generator: torch.Generator
) -> list[SirenConvention]:
    """Draw other conventions; common ones are likelier, and so are those with the true omegas or coordinates."""
    others = [candidate for candidate in usual if candidate.convention != true]
    weights = [math.exp(c.prior / 2) * (4 if _is_close(c.convention, true) else 1) for c in others]
    order = torch.multinomial(torch.tensor(weights), min(count, len(others)), generator=generator)
    return [others[i].convention for i in order.tolist()]


def _is_close(one: SirenConvention, other: SirenConvention) -> bool:
    same_omegas = (one.first_omega, one.hidden_omega) == (other.first_omega, other.hidden_omega)
    same_places = (one.start, one.end, one.hidden_omega) == (other.start, other.end, other.hidden_omega)
    return same_omegas or same_places


def _rotate_randomly(seen: Tensor, generator: torch.Generator) -> Tensor:
    seen = seen.transpose(2, 3) if _uniform(generator) < 0.5 else seen
    seen = seen.flip(2) if _uniform(generator) < 0.5 else seen
    seen = seen.flip(3) if _uniform(generator) < 0.5 else seen
    return -seen if _uniform(generator) < 0.5 else seen


def train_picture_judge(
    classifier: InrClassifier, shares: Sequence[tuple[str, float]], recipe: ConventionRecipe, folder: Path
) -> PictureJudge:
    """Train to distinguish a picture from the same one rotated or in another range, by the classifier head's maps."""
    inputs, priors = picture_examples(classifier, shares, recipe)
    judge = PictureJudge(classifier.config.widths[-1]).train()
    judge.fit_scale(inputs.flatten(0, 1)[: 2**16].float())
    optimizer = torch.optim.AdamW(judge.parameters(), recipe.picture_rate, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.picture_steps)

    def step(i: int) -> float:
        torch.manual_seed(recipe.seed + i)
        chosen = torch.randint(len(inputs), (recipe.picture_batch,), generator=step_generator(recipe.seed, i))
        scores = judge(inputs[chosen].float()) + priors[chosen]
        loss = F.cross_entropy(scores, torch.zeros(len(chosen), dtype=torch.int64))
        return _descend(loss, optimizer, schedule)

    parts = {"judge": judge, "optimizer": optimizer, "schedule": schedule}
    run_steps(step, recipe.picture_steps, parts, folder / "pictures")
    return judge.eval()


@torch.no_grad()
def picture_examples(
    classifier: InrClassifier,
    shares: Sequence[tuple[str, float]],
    recipe: ConventionRecipe,
    readings: int = 8,
) -> tuple[Tensor, Tensor]:
    """The judge's inputs for each picture, the right reading first, `(n, readings, inputs)`, and the priors.

    Slots for which a picture has no further plausible reading have a prior of minus infinity.
    """
    inputs, priors = [], []
    for name, share in shares:
        for start in range(0, round(recipe.pictures * share), 250):
            generator = step_generator(recipe.seed + 1, start)
            images, _ = load_images(name, "train", range(start, start + 250))
            images = images.flip(3) if name != "mnist" and start % 500 else images
            images = to_gray(images) if start % 1000 < 500 else images
            order = torch.randperm(len(images), generator=generator)
            pictures = roughen(to_grid(to_float(images[order])), generator)
            groups = [picture_group(picture[None], readings, generator) for picture in pictures]
            maps = classifier.maps(torch.cat([group for group, _ in groups]).to(classifier.device))
            seen = PictureJudge.inputs(maps).half().cpu()
            inputs.append(seen.unflatten(0, (len(groups), readings)))
            priors.append(torch.stack([prior for _, prior in groups]))
    return torch.cat(inputs), torch.cat(priors)


def picture_group(picture: Tensor, readings: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A right picture `(1, c, size, size)` as a random convention writes it, read in that one and in others."""
    function = replace(SirenConvention(), output="sine" if _uniform(generator) < 0.08 else "linear")
    tried = picture_candidates(function, picture.shape[1], SirenConvention(), FIELDS)
    weights = torch.tensor([candidate.prior for candidate in tried]).exp()
    true = int(torch.multinomial(weights, 1, generator=generator))
    raw = written(picture, tried[true].convention, generator)
    pictures = pictures_in(raw, [candidate.convention for candidate in tried])
    others = [i for i in plausible(pictures) if i != true and not _alike(pictures[i], pictures[true])]
    count = min(readings - 1, len(others))
    if count:
        drawn = torch.multinomial(weights[others].sqrt(), count, generator=generator).tolist()
        others = [others[i] for i in drawn]
    chosen = [true, *others]
    priors = torch.full((readings,), -math.inf)
    priors[: len(chosen)] = torch.tensor([tried[i].prior for i in chosen])
    filled = pictures[chosen + [true] * (readings - len(chosen))]
    return filled.expand(-1, 3, -1, -1), priors


def _alike(one: Tensor, other: Tensor) -> bool:
    return bool((one.clamp(-1.5, 1.5) - other.clamp(-1.5, 1.5)).abs().mean() < 0.03)


def written(picture: Tensor, convention: SirenConvention, generator: torch.Generator) -> Tensor:
    """The output of a network's last layer if it shows `picture` in a convention: the inverse of `pictures_in`.

    A saturated pixel of a sigmoid or tanh gets a random value beyond the saturation.
    """
    turned = picture.flip(2) if convention.upwards else picture
    turned = turned.transpose(2, 3) if convention.coordinates == "col_row" else turned
    outputs = convention.unfinished(turned)
    margin = 5e-4 * 20 ** _uniform(generator)
    match convention.output:
        case "sigmoid":
            return torch.logit(outputs.clamp(margin, 1 - margin))
        case "tanh":
            return torch.atanh(outputs.clamp(-1 + margin, 1 - margin))
        case "sine":
            return torch.asin(outputs.clamp(-0.999, 0.999))
        case _:
            return outputs


def _descend(loss: Tensor, optimizer: torch.optim.Optimizer, schedule) -> float:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    return float(loss.detach())


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
