"""Measure `AccuracyPredictor` on held-out wild networks, on families never trained on, and on another zoo."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn.accuracy.answers import angle
from nfn.accuracy.predictor import AccuracyEstimate, AccuracyPredictor
from nfn.architecture.graph import Architecture
from nfn.cnn import class_scores
from zoo.build_wild import GRAY
from zoo.collection import Collection
from zoo.evaluate_generalization import kendall_tau
from zoo.images import to_float
from zoo.train_accuracy import (
    AccuracyRecipe,
    Examples,
    describe_wild,
    group_quantiles,
    left_out_errors,
    read_folders,
    relative_errors,
)
from zoo.wild_collection import WildNetwork, wild_networks
from zoo.wild_recipe import UNSEEN, WildRecipe

BATCH = 100
LEVELS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""The nominal coverages of the reliability plot."""
SPLITS = {"test": "held out", "unseen": "families never trained on"}
BY_HEART = 0.05
"""How much better than on test pictures a memorizing network is on its training pictures."""


def evaluate_accuracy(
    model: AccuracyPredictor,
    folders: Sequence[Path],
    small: Sequence[Path],
    work: Path,
    trained: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """All figures of the model card; `small` are collections of small CNNs, none of which was trained on.

    `trained` are the builds that the model was trained on (`describe_wild`), whose training split is left out.
    """
    held_out = read_held_out(model, folders, work, trained)
    confidence = read_confidence(model, folders, held_out)
    for facts in held_out.facts:
        facts["confidence"] = confidence[facts["collection"], facts["run"], facts["step"]]
        facts["activation"] = WildRecipe.from_json(facts["recipe"]).activation
    rows = [
        {"which": which, **figures(model, held_out.where(belongs))} for which, belongs in groups(held_out)
    ]
    return {
        "accuracy": rows,
        "reliability": reliability(model, held_out),
        "fewer_pictures": [
            {"which": which, "pictures": model.config.looks[1].pictures, **figures(model, held_out.where(belongs), 1)}
            for which, belongs in groups(held_out)[:2]
        ],
        "wild": [describe_wild(folder) for folder in folders],
        "small_cnns": [small_row(model, path) for path in small],
        "pictures": model.config.looks[0].pictures,
        "coverage": model.config.coverage,
        "correction_error": model.config.looks[0].correction_error,
        "milliseconds": milliseconds(model, next(wild_networks(folders[0]))),
    }  # fmt: skip


def read_held_out(
    model: AccuracyPredictor, folders: Sequence[Path], work: Path, trained: Sequence[dict[str, Any]]
) -> Examples:
    """The networks that the model was not trained on: held-out splits, and all of builds that it has not seen.

    Those of a training split that it has not seen get the split "test".
    """
    examples = read_folders(model, folders, work)
    seen = {
        folder.name: any(_same_build(describe_wild(folder), one) for one in trained) for folder in folders
    }
    for facts in examples.facts:
        if facts["split"] == "train" and not seen[facts["collection"]]:
            facts["split"] = "test"
    return examples.where(lambda facts: facts["split"] in SPLITS)


def _same_build(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two builds draw the same runs: a run depends on images, seed and number alone."""
    return all(one[key] == other[key] for key in ("images", "seed"))


def groups(examples: Examples) -> list[tuple[str, Callable[[dict[str, Any]], bool]]]:
    """The groups of networks to measure, by name, without empty groups."""

    def is_(key: str, value: Any, split: str = "test") -> Callable[[dict[str, Any]], bool]:
        return lambda facts: facts["split"] == split and facts[key] == value

    images = dict.fromkeys(facts["images"] for facts in examples.facts)
    activations = sorted({facts["activation"] for facts in examples.facts})
    result: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
        ("all held out", lambda facts: facts["split"] == "test"),
        ("all of families never trained on", lambda facts: facts["split"] == "unseen"),
        *((name, is_("images", name)) for name in images),
        *((f"family {name}", is_("family", name)) for name in ("cnn", "mlp")),
        *((f"family {name}, never trained on", is_("family", name, "unseen")) for name in UNSEEN),
        *((f"activation {name}", is_("activation", name)) for name in activations),
        (
            "at the end of training",
            lambda facts: facts["split"] == "test" and facts["step"] == facts["steps"],
        ),
        ("learned by heart", memorized),
    ]
    return [(name, belongs) for name, belongs in result if any(map(belongs, examples.facts))]


def memorized(facts: dict[str, Any]) -> bool:
    """Whether a network with correct training labels is far more accurate on training pictures than on test ones."""
    correct_labels = json.loads(facts["training"])["shuffled_labels"] == 0
    return correct_labels and facts["train_accuracy"] - facts["test_accuracy"] > BY_HEART


def figures(model: AccuracyPredictor, examples: Examples, look: int = 0) -> dict[str, Any]:
    """Kendall's tau and its ceiling, R2, mean error, coverage and width; the same for two simpler estimates."""
    results = model.explain(examples.read[look], examples.groups, look)
    truth, predicted = (
        examples.accuracy,
        torch.tensor([r.test_accuracy for r in results], dtype=torch.float64),
    )
    confidence = torch.tensor([facts["confidence"] for facts in examples.facts], dtype=torch.float64)
    return {
        **compare(results, truth),
        "runs": len(set(examples.runs.tolist())),
        "tau_error": round(tau_error(predicted, truth, examples.runs), 4),
        "pictures_tau": round(kendall_tau(picture_accuracies(results), truth), 4),
        "pictures_mae": round(float((picture_accuracies(results) - truth).abs().mean()), 4),
        "confidence_tau": round(kendall_tau(confidence, truth), 4),
        "confidence_mae": round(float((confidence - truth).abs().mean()), 4),
    }


def reliability(model: AccuracyPredictor, held_out: Examples) -> list[dict[str, Any]]:
    """For held-out runs and for families never trained on: how many networks lie in the intervals of each of `LEVELS`,
    without those that are not called typical, and the predicted and measured accuracies of all."""
    errors = left_out_errors(model, 0, AccuracyRecipe().folds)
    quantiles = {level: group_quantiles(model, 0, errors, level) for level in LEVELS}
    rows = []
    for split, which in SPLITS.items():
        examples = held_out.where(lambda facts, split=split: facts["split"] == split)
        results = model.explain(examples.read[0], examples.groups)
        rows.append({
            "which": which,
            "levels": {str(level): observed(model, examples, of_level) for level, of_level in quantiles.items()},
            "predicted": [round(result.test_accuracy, 4) for result in results],
            "measured": [round(accuracy, 4) for accuracy in examples.accuracy.tolist()],
        })  # fmt: skip
    return rows


def observed(model: AccuracyPredictor, examples: Examples, quantiles: dict[str, float]) -> float:
    """The fraction of the typical examples that lie in the intervals of these quantiles, one for each group."""
    features, groups = model.features(examples.read[0]), examples.groups
    shift, deviation = model.processes[0](features, groups)
    errors = relative_errors(model, 0, shift, deviation, angle(examples.accuracy) - features[:, 0])
    largest = torch.tensor([quantiles.get(model.config.groups[group], 0.0) for group in groups.tolist()])
    typical = deviation <= model.config.looks[0].farthest
    return round(float((errors <= largest)[typical].double().mean()), 4)


def picture_accuracies(results: list[AccuracyEstimate]) -> Tensor:
    """The accuracies on the stored pictures `(n,)`, the simplest estimate."""
    return torch.tensor([r.seen for r in results], dtype=torch.float64)


def compare(results: list[AccuracyEstimate], truth: Tensor) -> dict[str, Any]:
    """Figures of estimates compared with the true accuracies `(n,)`."""
    predicted = torch.tensor([r.test_accuracy for r in results], dtype=torch.float64)
    inside = [r.low <= t <= r.high for r, t in zip(results, truth.tolist(), strict=True) if r.typical]
    widths = torch.tensor([r.high - r.low for r in results if r.typical] or [1.0])
    error = (predicted - truth).abs()
    varied = float((truth - truth.mean()).square().sum()) or 1.0
    return {
        "networks": len(results),
        "accuracy_spread": [
            round(float(q), 3) for q in truth.quantile(torch.tensor([0.1, 0.5, 0.9]).double())
        ],
        "tau": round(kendall_tau(predicted, truth), 4),
        "tau_ceiling": round(noise_ceiling(truth), 4),
        "r2": round(1 - float(error.square().sum()) / varied, 4),
        "mae": round(float(error.mean()), 4),
        "coverage": round(sum(inside) / max(1, len(inside)), 4),
        "width": round(float(widths.mean()), 4),
        "typical": round(sum(r.typical for r in results) / len(results), 4),
    }


def noise_ceiling(truth: Tensor, pictures: int = 5_000, draws: int = 20) -> float:
    """Kendall's tau between accuracies and their measurement on `pictures` images: the best any predictor can do."""
    generator = torch.Generator().manual_seed(0)
    deviation = (truth * (1 - truth) / pictures).sqrt()
    counted = [
        truth + deviation * torch.randn(truth.shape, generator=generator, dtype=truth.dtype)
        for _ in range(draws)
    ]
    return sum(kendall_tau(one, truth) for one in counted) / draws


def tau_error(predicted: Tensor, truth: Tensor, runs: Tensor, draws: int = 200) -> float:
    """The standard error of Kendall's tau: its deviation over `draws` bootstrap samples of whole training runs.

    All are `(n,)`; the networks of a run are checkpoints of one training, and not independent.
    """
    generator = torch.Generator().manual_seed(0)
    members = [(runs == run).nonzero()[:, 0] for run in runs.unique()]
    taus = []
    for _ in range(draws):
        drawn = torch.randint(len(members), (len(members),), generator=generator)
        rows = torch.cat([members[i] for i in drawn.tolist()])
        taus.append(kendall_tau(predicted[rows], truth[rows]))
    return float(torch.tensor(taus).std())


@torch.inference_mode()
def read_confidence(
    model: AccuracyPredictor, folders: Sequence[Path], examples: Examples
) -> dict[tuple[str, int, int], float]:
    """The mean confidence on the stored pictures of each of these networks, by folder, run and step."""
    wanted = {(facts["collection"], facts["run"], facts["step"]) for facts in examples.facts}
    result = {}
    for folder in folders:
        for network in wild_networks(folder):
            facts = network.facts
            key = folder.name, facts["run"], facts["step"]
            if key not in wanted:
                continue
            shape = network.architecture.input_shape
            assert len(shape) == 3, "Wild networks take pictures."
            x = model.pictures(facts["images"].removesuffix(GRAY)).shaped(shape)
            scores = torch.cat([network.scores(part) for part in x.split(BATCH)])
            chances = torch.softmax(scores, 1).amax(1)
            result[key] = float(chances.mean())
    return result


def small_row(model: AccuracyPredictor, path: Path) -> dict[str, Any]:
    """Figures on the held-out networks of a collection of small grayscale CNNs, trained by another script."""
    collection = Collection(path)
    table = collection.rows.to_pylist()
    chosen = [i for i, row in enumerate(table) if row["split"] == "test"]
    truth = torch.tensor([table[i]["test_accuracy"] for i in chosen], dtype=torch.float64)
    results = [small_estimate(model, collection, i, table[i]) for i in chosen]
    plain = {"pictures_tau": round(kendall_tau(picture_accuracies(results), truth), 4),
             "pictures_mae": round(float((picture_accuracies(results) - truth).abs().mean()), 4)}  # fmt: skip
    return {"collection": path.name, **compare(results, truth), **plain}


def small_estimate(
    model: AccuracyPredictor, collection: Collection, number: int, row: dict[str, Any]
) -> AccuracyEstimate:
    """The estimate for one network of a collection of small CNNs."""
    features = collection.features([number])
    size = model.config.stored[collection.images].size

    def scores(x: Tensor) -> Tensor:
        return class_scores(features, to_float(255 * x), row["activation"])[0]

    return model.estimate(collection.images, (1, size, size), scores)


def milliseconds(model: AccuracyPredictor, network: WildNetwork) -> float:
    """Median time of one estimate, in milliseconds."""
    architecture: Architecture = network.architecture
    shape = architecture.input_shape
    assert len(shape) == 3, "Wild networks take pictures."
    times = []
    for _ in range(6):
        start = time.perf_counter()
        model.estimate(network.facts["images"].removesuffix(GRAY), shape, network.scores)
        times.append(time.perf_counter() - start)
    return round(1000 * sorted(times[1:])[2], 1)
