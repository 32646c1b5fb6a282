"""Train `GeneralizationPredictor`: its heads, on probe answers read once; then calibrate the conformal half widths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn.cnn import init_cnns, small_cnn_spec
from nfn.features import WeightSpaceFeatures
from nfn.generalization import KINDS, Ensemble, GeneralizationConfig, GeneralizationPredictor
from nfn.permutation import permute_uncoupled
from zoo.build_cnn import CnnBuild, draw_recipe, gray_images
from zoo.collection import Collection
from zoo.training import run_steps, step_generator

CHUNK = 32


@dataclass(frozen=True)
class GeneralizationRecipe:
    """Training settings: `steps` of `batch` networks for every member and for the head that classifies kinds."""

    steps: int = 3000
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    negatives: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """Networks as inputs of the predictor: statistics `(n, 56)`, summaries and answers `(n, 2, sets, ...)`; and facts
    `(n,)`: indices of image set, activation and training run, accuracy, whether training had ended."""

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

    def select(self, index: Tensor) -> "Examples":
        """The examples at `index`, integers or a mask."""
        return Examples(**{name: values[index] for name, values in vars(self).items()})

    def inputs(self, model: GeneralizationPredictor, images: int) -> Tensor:
        """The inputs of the members of an image set, with the true activations."""
        parts = [model.member_input(self.summaries, self.answers, kind, images) for kind in range(len(KINDS))]
        return torch.where(self.activation[:, None] == 0, *parts)


def train_generalization(
    collections: Sequence[Path], recipe: GeneralizationRecipe, folder: Path
) -> GeneralizationPredictor:
    """Train on the training splits of `collections`, calibrate on their validation splits; on the CPU.

    Checkpoints and the examples read from the networks are cached in `folder`.
    """
    torch.manual_seed(recipe.seed)
    model = GeneralizationPredictor(GeneralizationConfig())
    place_probes(model, recipe.seed)
    examples = read_collections(model, collections, "train", folder)
    odd = read_negatives(model, collections, recipe, folder)
    standardize(model, examples)
    for number, name in enumerate(model.config.sizes):
        selected = examples.select(examples.images == number)
        inputs, ensemble = selected.inputs(model, number), model.ensemble(number)
        _train_members(ensemble, inputs, selected, recipe, folder / f"{name}-members")
        _train_scale(ensemble, inputs, selected, recipe, folder / f"{name}-scale")
    _train_kind(model, examples, odd, recipe, folder / "kind")
    calibrate(model.eval(), read_collections(model, collections, "validation", folder))
    return model


def place_probes(model: GeneralizationPredictor, seed: int) -> None:
    """Use random training images as probes."""
    generator = torch.Generator().manual_seed(seed)
    for i, name in enumerate(model.config.sizes):
        images, labels = gray_images(name, "train")
        chosen = torch.randperm(len(images), generator=generator)[: model.config.probes]
        model.probes[i].data = images[chosen]
        model.probe_labels[i] = labels[chosen]


def read_collections(
    model: GeneralizationPredictor, collections: Sequence[Path], split: str, folder: Path
) -> Examples:
    """All networks of a split as examples, from the cache in `folder` if they were read before."""
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
    parts = [model.probe_features(features.select(slice(i, i + CHUNK))) for i in range(0, count, CHUNK)]
    statistics, summaries, answers = zip(*parts, strict=True)
    return torch.cat(statistics), torch.cat(summaries), torch.cat(answers)


def join(parts: Sequence[Examples]) -> Examples:
    """All examples as one."""
    return Examples(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def read_negatives(
    model: GeneralizationPredictor, collections: Sequence[Path], recipe: GeneralizationRecipe, folder: Path
) -> tuple[Tensor, Tensor]:
    """Statistics and summaries of networks unlike the zoo's, half as many as there are training networks."""
    cache = folder / "negatives.pt"
    if not cache.exists():
        generator = torch.Generator().manual_seed(recipe.seed + 1)
        parts = []
        for path in collections:
            collection = Collection(path)
            chosen = [i for i, split in enumerate(collection.rows["split"].to_pylist()) if split == "train"]
            features = collection.features(chosen[:: round(1 / recipe.negatives)])
            parts.append(look(model, negatives(features, generator))[:2])
        torch.save(tuple(torch.cat(part) for part in zip(*parts, strict=True)), cache)
    return torch.load(cache, weights_only=True)


def negatives(features: WeightSpaceFeatures, generator: torch.Generator) -> WeightSpaceFeatures:
    """A quarter each: untrained networks, rows and columns permuted independently, entries shuffled within each tensor,
    noise of the same mean and standard deviation."""
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
    """Permute the rows of each network without the corresponding columns."""
    networks = []
    for i in range(len(features.weights[0])):
        rows = [torch.randperm(weight.shape[2], generator=generator) for weight in features.weights]
        networks.append(permute_uncoupled(features.select(i), [*rows[:-1], None], [None] * len(rows)))
    return WeightSpaceFeatures.cat(networks)


def shuffle(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffle the entries of each network's tensor."""
    order = torch.rand(x.flatten(1).shape, generator=generator).argsort(1)
    return x.flatten(1).gather(1, order).view_as(x)


def noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise with each tensor's mean and standard deviation."""
    entries = x.flatten(1)
    drawn = torch.randn(entries.shape, generator=generator)
    return (entries.mean(1, True) + entries.std(1, keepdim=True) * drawn).view_as(x)


def standardize(model: GeneralizationPredictor, examples: Examples) -> None:
    """Set the means and standard deviations that standardise the inputs."""
    raw = torch.cat([examples.statistics, examples.summaries.flatten(1)], 1)
    model.center.copy_(raw.mean(0))
    model.spread.copy_(raw.std(0) + 1e-3)
    for kind in range(len(KINDS)):
        model.answer_center[kind] = examples.answers[examples.activation == kind, kind].mean(0)


def left_out(examples: Examples, members: int) -> Tensor:
    """The member that does not train on each network: the same for all checkpoints of a run."""
    return examples.run % members


def _train_members(
    ensemble: Ensemble, inputs: Tensor, examples: Examples, recipe: GeneralizationRecipe, folder: Path
) -> None:
    outside = left_out(examples, len(ensemble.members))
    selected = [(outside != i).nonzero()[:, 0] for i in range(len(ensemble.members))]
    ensemble.start_from(float(examples.accuracy.mean()))

    def step(i: int) -> Tensor:
        generator = step_generator(recipe.seed, i)
        total = torch.zeros(())
        for member, rows in zip(ensemble.members, selected, strict=True):
            chosen = rows[torch.randint(len(rows), (recipe.batch,), generator=generator)]
            loss = F.smooth_l1_loss(member(inputs[chosen]), examples.accuracy[chosen], beta=0.02)
            total = total + 10 * loss
        return total

    _fit(ensemble.members, step, recipe, folder)


def _train_scale(
    ensemble: Ensemble, inputs: Tensor, examples: Examples, recipe: GeneralizationRecipe, folder: Path
) -> None:
    """Fit the Laplace likelihood of the error of each network's left-out member, which was not trained on it."""
    outside = left_out(examples, len(ensemble.members))
    with torch.no_grad():
        predicted = torch.stack([member(inputs) for member in ensemble.members], 1)
    error = (predicted.gather(1, outside[:, None])[:, 0] - examples.accuracy).abs()

    def step(i: int) -> Tensor:
        chosen = torch.randint(len(examples), (recipe.batch,), generator=step_generator(recipe.seed, i))
        scale = ensemble.error_scale(inputs[chosen])
        return (error[chosen] / scale + scale.log()).mean()

    _fit(ensemble.scale, step, replace(recipe, steps=recipe.steps // 4), folder)


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
        selected = outputs[: recipe.batch]
        typical = torch.cat([torch.ones(recipe.batch), torch.zeros(len(others))])
        return (
            F.cross_entropy(selected[:, :sets], examples.images[chosen])
            + F.binary_cross_entropy_with_logits(selected[:, sets], examples.activation[chosen].float())
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
    half_widths = {}
    for number, name in enumerate(model.config.sizes):
        selected = examples.select(examples.final & (examples.images == number))
        inputs, ensemble = selected.inputs(model, number), model.ensemble(number)
        error = (ensemble.accuracy(inputs) - selected.accuracy).abs() / ensemble.error_scale(inputs)
        rank = math.ceil((len(error) + 1) * model.config.coverage)
        half_widths[name] = float(error.sort().values[min(rank, len(error)) - 1])
    typicality = model.kind(model.kind_input(examples.statistics, examples.summaries))[:, -1].sigmoid()
    threshold = float(typicality[examples.final].quantile(0.01))
    model.config = replace(model.config, half_widths=half_widths, typical_from=round(threshold, 4))
