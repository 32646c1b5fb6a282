"""Train `GeneralizationPredictor`: its heads, on probe answers read once; then the conformal half widths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.cnn import init_cnns, small_cnn_spec
from nfn.features import WeightSpaceFeatures
from nfn.generalization import KINDS, GeneralizationConfig, GeneralizationPredictor
from nfn.permutation import permute_uncoupled
from zoo.build_cnn import CnnBuild, draw_recipe, gray_images
from zoo.collection import Collection
from zoo.training import run_steps, step_generator

CHUNK = 32


@dataclass(frozen=True)
class GeneralizationRecipe:
    """How to train: `steps` of `batch` networks for every member and for the head that tells kinds."""

    steps: int = 4000
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    negatives: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """Networks as the predictor reads them: statistics `(n, 56)`, summaries and answers `(2, n, ...)`, and the facts
    `(n,)`: numbers of image set, activation and training run, accuracy, whether training had ended."""

    statistics: Tensor
    summaries: Tensor
    answers: Tensor
    images: Tensor
    activation: Tensor
    run: Tensor
    accuracy: Tensor
    final: Tensor

    def __len__(self) -> int:
        return len(self.accuracy)

    def inputs(self, model: GeneralizationPredictor) -> Tensor:
        """What the members read, with the true activations."""
        out = torch.empty(len(self), self.summaries.shape[2] + self.answers.shape[2])
        for kind in range(len(KINDS)):
            mine = self.activation == kind
            out[mine] = model.member_input(self.summaries[kind, mine], self.answers[kind, mine], kind)
        return out


def train_generalization(
    collections: Sequence[Path], recipe: GeneralizationRecipe, folder: Path
) -> GeneralizationPredictor:
    """Train on the training splits of `collections`, calibrate on their validation splits; on the CPU.

    Readings of the networks are kept in `folder`, and so are checkpoints.
    """
    torch.manual_seed(recipe.seed)
    model = GeneralizationPredictor(GeneralizationConfig())
    place_probes(model, recipe.seed)
    examples = read_collections(model, collections, "train", folder)
    odd = read_negatives(model, collections, recipe, folder)
    standardize(model, examples)
    _train_members(model, examples, recipe, folder / "members")
    _train_scale(model, examples, recipe, folder / "scale")
    _train_kind(model, examples, odd, recipe, folder / "kind")
    calibrate(model.eval(), read_collections(model, collections, "validation", folder))
    return model


def place_probes(model: GeneralizationPredictor, seed: int) -> None:
    """Random training images as probes."""
    generator = torch.Generator().manual_seed(seed)
    for i, name in enumerate(model.config.sizes):
        images, labels = gray_images(name, "train")
        chosen = torch.randperm(len(images), generator=generator)[: model.config.probes]
        model.probes[i].data = images[chosen]
        model.probe_labels[i] = labels[chosen]


def read_collections(
    model: GeneralizationPredictor, collections: Sequence[Path], split: str, folder: Path
) -> Examples:
    """All networks of a split as examples, from `folder` where they were read before."""
    cache = folder / f"{split}.pt"
    if not cache.exists():
        folder.mkdir(parents=True, exist_ok=True)
        parts = [read_examples(model, Collection(path), split) for path in collections]
        torch.save([vars(part) for part in parts], cache)
    return join([Examples(**part) for part in torch.load(cache, weights_only=True)])


def read_examples(model: GeneralizationPredictor, collection: Collection, split: str) -> Examples:
    """The networks of one split of a collection."""
    table = collection.rows.to_pylist()
    chosen = [i for i, row in enumerate(table) if row["split"] == split]
    rows = [table[i] for i in chosen]
    looked = look(model, collection.features(chosen))
    return Examples(
        *looked,
        images=torch.full((len(rows),), list(model.config.sizes).index(collection.images)),
        activation=torch.tensor([KINDS.index(row["activation"]) for row in rows]),
        run=torch.tensor([row["run"] for row in rows]),
        accuracy=torch.tensor([row["test_accuracy"] for row in rows], dtype=torch.float32),
        final=torch.tensor([row["final"] for row in rows]),
    )


def look(model: GeneralizationPredictor, features: WeightSpaceFeatures) -> tuple[Tensor, Tensor, Tensor]:
    """`model.look` in chunks."""
    count = len(features.weights[0])
    parts = [model.look(features.select(slice(i, i + CHUNK))) for i in range(0, count, CHUNK)]
    statistics, summaries, answers = zip(*parts, strict=True)
    return torch.cat(statistics), torch.cat(summaries, 1), torch.cat(answers, 1)


def join(parts: Sequence[Examples]) -> Examples:
    """All examples as one."""
    axis = {"summaries": 1, "answers": 1}
    return Examples(**{k: torch.cat([vars(p)[k] for p in parts], axis.get(k, 0)) for k in vars(parts[0])})


def read_negatives(
    model: GeneralizationPredictor, collections: Sequence[Path], recipe: GeneralizationRecipe, folder: Path
) -> tuple[Tensor, Tensor]:
    """Statistics and summaries of networks unlike the zoo's, half as many as there are trained ones."""
    cache = folder / "negatives.pt"
    if not cache.exists():
        generator = torch.Generator().manual_seed(recipe.seed + 1)
        parts = []
        for path in collections:
            collection = Collection(path)
            chosen = [i for i, split in enumerate(collection.rows["split"].to_pylist()) if split == "train"]
            features = collection.features(chosen[:: round(1 / recipe.negatives)])
            parts.append(look(model, negatives(features, generator))[:2])
        torch.save((torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts], 1)), cache)
    return torch.load(cache, weights_only=True)


def negatives(features: WeightSpaceFeatures, generator: torch.Generator) -> WeightSpaceFeatures:
    """A quarter each: untrained networks, rows and columns permuted without regard to each other, entries shuffled
    within each tensor, noise of the same mean and spread."""
    quarters = torch.arange(len(features.weights[0])).chunk(4)
    parts = [
        untrained(len(quarters[0]), generator),
        uncouple(features.select(quarters[1]), generator),
        features.select(quarters[2]).map(lambda x: shuffle(x, generator)),
        features.select(quarters[3]).map(lambda x: noise_like(x, generator)),
    ]
    return WeightSpaceFeatures.cat(parts)


def untrained(count: int, generator: torch.Generator) -> WeightSpaceFeatures:
    """Freshly initialised networks of random recipes."""
    build, spec = CnnBuild("mnist"), small_cnn_spec()
    groups = [init_cnns(draw_recipe(build, generator), spec, generator) for _ in range(math.ceil(count / 8))]
    return WeightSpaceFeatures.cat(groups).select(slice(0, count))


def uncouple(features: WeightSpaceFeatures, generator: torch.Generator) -> WeightSpaceFeatures:
    """Each network with its rows permuted, and not the columns that belong to them."""
    networks = []
    for i in range(len(features.weights[0])):
        rows = [torch.randperm(weight.shape[2], generator=generator) for weight in features.weights]
        networks.append(permute_uncoupled(features.select(i), [*rows[:-1], None], [None] * len(rows)))
    return WeightSpaceFeatures.cat(networks)


def shuffle(x: Tensor, generator: torch.Generator) -> Tensor:
    """The entries of each network's tensor in random order."""
    order = torch.rand(x.flatten(1).shape, generator=generator).argsort(1)
    return x.flatten(1).gather(1, order).view_as(x)


def noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise with each tensor's mean and spread."""
    entries = x.flatten(1)
    drawn = torch.randn(entries.shape, generator=generator)
    return (entries.mean(1, True) + entries.std(1, keepdim=True) * drawn).view_as(x)


def standardize(model: GeneralizationPredictor, examples: Examples) -> None:
    """Set the means and spreads that inputs are measured in."""
    raw = torch.cat([examples.statistics, *examples.summaries], 1)
    model.center.copy_(raw.mean(0))
    model.spread.copy_(raw.std(0) + 1e-3)
    for kind in range(len(KINDS)):
        model.answer_center[kind] = examples.answers[kind, examples.activation == kind].mean(0)


def left_out(examples: Examples, members: int) -> Tensor:
    """Which member does not train on each network: all checkpoints of a run have the same one."""
    return examples.run % members


def _train_members(
    model: GeneralizationPredictor, examples: Examples, recipe: GeneralizationRecipe, folder: Path
) -> None:
    inputs, outside = examples.inputs(model), left_out(examples, len(model.members))
    mine = [(outside != i).nonzero()[:, 0] for i in range(len(model.members))]

    def step(i: int) -> Tensor:
        generator = step_generator(recipe.seed, i)
        total = torch.zeros(())
        for member, rows in zip(model.members, mine, strict=True):
            chosen = rows[torch.randint(len(rows), (recipe.batch,), generator=generator)]
            predicted = member(inputs[chosen])[:, 0].sigmoid()
            total = total + 10 * F.smooth_l1_loss(predicted, examples.accuracy[chosen], beta=0.02)
        return total / len(model.members)

    _fit(model.members, step, recipe, folder)


def _train_scale(
    model: GeneralizationPredictor, examples: Examples, recipe: GeneralizationRecipe, folder: Path
) -> None:
    """Laplace likelihood of the error that each network's left-out member makes: an honest one, out of its training."""
    inputs, outside = examples.inputs(model), left_out(examples, len(model.members))
    with torch.no_grad():
        predicted = torch.cat([member(inputs) for member in model.members], 1).sigmoid()
    error = (predicted.gather(1, outside[:, None])[:, 0] - examples.accuracy).abs()

    def step(i: int) -> Tensor:
        chosen = torch.randint(len(examples), (recipe.batch,), generator=step_generator(recipe.seed, i))
        scale = model.error_scale(inputs[chosen])
        return (error[chosen] / scale + scale.log()).mean()

    _fit(model.scale, step, replace(recipe, steps=recipe.steps // 4), folder)


def _train_kind(
    model: GeneralizationPredictor,
    examples: Examples,
    odd: tuple[Tensor, Tensor],
    recipe: GeneralizationRecipe,
    folder: Path,
) -> None:
    good, bad = model.kind_input(examples.statistics, examples.summaries), model.kind_input(*odd)
    sets = len(model.config.sizes)

    def step(i: int) -> Tensor:
        generator = step_generator(recipe.seed + 1, i)
        chosen = torch.randint(len(good), (recipe.batch,), generator=generator)
        others = torch.randint(len(bad), (recipe.batch // 2,), generator=generator)
        outputs = model.kind(torch.cat([good[chosen], bad[others]]))
        mine = outputs[: recipe.batch]
        typical = torch.cat([torch.ones(recipe.batch), torch.zeros(len(others))])
        return (
            F.cross_entropy(mine[:, :sets], examples.images[chosen])
            + F.binary_cross_entropy_with_logits(mine[:, sets], examples.activation[chosen].float())
            + F.binary_cross_entropy_with_logits(outputs[:, -1], typical)
        )

    _fit(model.kind, step, recipe, folder)


def _fit(part: torch.nn.Module, loss_of, recipe: GeneralizationRecipe, folder: Path) -> None:
    part.train()
    optimizer = torch.optim.AdamW(part.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps)

    def step(i: int) -> float:
        torch.manual_seed(recipe.seed + i)  # dropout
        loss = loss_of(i)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    run_steps(step, recipe.steps, {"part": part, "optimizer": optimizer, "schedule": schedule}, folder)
    part.eval()


@torch.no_grad()
def calibrate(model: GeneralizationPredictor, examples: Examples) -> None:
    """Split conformal prediction per image set, and the typicality threshold, on finished validation networks."""
    accuracy, scale = model.accuracy_and_scale(examples.inputs(model))
    surprise = (accuracy - examples.accuracy).abs() / scale
    half_widths = {}
    for number, name in enumerate(model.config.sizes):
        mine = surprise[examples.final & (examples.images == number)].sort().values
        rank = math.ceil((len(mine) + 1) * model.config.coverage)
        half_widths[name] = float(mine[min(rank, len(mine)) - 1])
    typicality = model.kind(model.kind_input(examples.statistics, examples.summaries))[:, -1].sigmoid()
    threshold = float(typicality[examples.final].quantile(0.01))
    model.config = replace(model.config, half_widths=half_widths, typical_from=round(threshold, 4))


def describe(collection: Collection) -> dict:
    """What a card says of a collection of small CNNs."""
    rows = collection.rows.select(["split", "run"]).to_pylist()
    runs = {(row["split"], row["run"]) for row in rows}
    counts = [sum(split == name for split, _ in runs) for name in ("train", "validation", "test")]
    return {"collection": collection.folder.name, "images": collection.images, "networks": len(rows),
            "runs": len(runs), "split": ", ".join(map(str, counts))}  # fmt: skip
