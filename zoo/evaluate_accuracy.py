"""Measure `AccuracyPredictor` on wild networks held out, on families never trained on, and on another zoo."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn.accuracy.predictor import AccuracyEstimate, AccuracyPredictor
from nfn.architecture.graph import Architecture
from nfn.cnn import class_scores
from zoo.build_wild import GRAY
from zoo.collection import Collection
from zoo.evaluate_generalization import kendall_tau
from zoo.images import to_pixels
from zoo.train_accuracy import Examples, read_folders
from zoo.wild_collection import WildNetwork, wild_networks
from zoo.wild_recipe import UNSEEN, WildRecipe

BATCH = 100
BY_HEART = 0.05
"""How much better on its training pictures than on test pictures is a network that learned by heart."""


def evaluate_accuracy(
    model: AccuracyPredictor, folders: Sequence[Path], small: Sequence[Path], work: Path
) -> dict[str, Any]:
    """All figures of the model card; `small` are collections of small CNNs, which no part of this was trained on."""
    held_out = read_folders(model, folders, work).where(lambda facts: facts["split"] in ("test", "unseen"))
    confidence = read_confidence(model, folders)
    for facts in held_out.facts:
        facts["confidence"] = confidence[facts["collection"], facts["run"], facts["step"]]
        facts["activation"] = WildRecipe.from_json(facts["recipe"]).activation
    rows = [{"which": which, **figures(model, held_out.where(wanted))} for which, wanted in groups(held_out)]
    return {
        "accuracy": rows,
        "fewer_pictures": [
            {"which": which, "pictures": model.config.looks[1].pictures, **figures(model, held_out.where(wanted), 1)}
            for which, wanted in groups(held_out)[:2]
        ],
        "small_cnns": [small_row(model, path) for path in small],
        "pictures": model.config.looks[0].pictures,
        "coverage": model.config.coverage,
        "milliseconds": milliseconds(model, next(wild_networks(folders[0]))),
    }  # fmt: skip


def groups(examples: Examples) -> list[tuple[str, Callable[[dict[str, Any]], bool]]]:
    """The groups of networks that are measured, by name; only those with a network in them."""

    def is_(key: str, value: Any, split: str = "test") -> Callable[[dict[str, Any]], bool]:
        return lambda facts: facts["split"] == split and facts[key] == value

    images = dict.fromkeys(facts["images"] for facts in examples.facts)
    activations = sorted({facts["activation"] for facts in examples.facts})
    found: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
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
        ("learned by heart", learned_by_heart),
    ]
    return [(name, wanted) for name, wanted in found if any(map(wanted, examples.facts))]


def learned_by_heart(facts: dict[str, Any]) -> bool:
    """Whether a held-out network knows its training pictures better than others, all its labels being right."""
    honest = json.loads(facts["training"])["shuffled_labels"] == 0
    return honest and facts["train_accuracy"] - facts["test_accuracy"] > BY_HEART


def figures(model: AccuracyPredictor, examples: Examples, look: int = 0) -> dict[str, Any]:
    """Kendall's tau and its ceiling, R2, mean error, coverage and width; the same of what one would do without it."""
    results = model.explain(examples.read[look], examples.groups, look)
    truth = examples.accuracy
    confidence = torch.tensor([facts["confidence"] for facts in examples.facts], dtype=torch.float64)
    return {
        **compare(results, truth),
        "runs": len(set(examples.runs.tolist())),
        "pictures_tau": round(kendall_tau(seen_of(results), truth), 4),
        "pictures_mae": round(float((seen_of(results) - truth).abs().mean()), 4),
        "confidence_tau": round(kendall_tau(confidence, truth), 4),
        "confidence_mae": round(float((confidence - truth).abs().mean()), 4),
    }


def seen_of(results: list[AccuracyEstimate]) -> Tensor:
    """The accuracy on the stored pictures, the plainest estimate `(n,)`."""
    return torch.tensor([r.seen for r in results], dtype=torch.float64)


def compare(results: list[AccuracyEstimate], truth: Tensor) -> dict[str, Any]:
    """Estimates beside true accuracies `(n,)`."""
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
    """Kendall's tau between accuracies and what is counted of them on so many pictures: no predictor does better."""
    generator = torch.Generator().manual_seed(0)
    deviation = (truth * (1 - truth) / pictures).sqrt()
    counted = [
        truth + deviation * torch.randn(truth.shape, generator=generator, dtype=truth.dtype)
        for _ in range(draws)
    ]
    return sum(kendall_tau(one, truth) for one in counted) / draws


@torch.inference_mode()
def read_confidence(model: AccuracyPredictor, folders: Sequence[Path]) -> dict[tuple[str, int, int], float]:
    """The mean probability that each held-out network gives to its answer on the stored pictures."""
    found = {}
    for folder in folders:
        for network in wild_networks(folder):
            facts = network.facts
            if facts["split"] not in ("test", "unseen"):
                continue
            shape = network.architecture.input_shape
            assert len(shape) == 3, "Wild networks take pictures."
            x = model.pictures(facts["images"].removesuffix(GRAY)).shaped(shape)
            scores = torch.cat([network.scores(part) for part in x.split(BATCH)])
            chances = torch.softmax(scores, 1).amax(1)
            found[folder.name, facts["run"], facts["step"]] = float(chances.mean())
    return found


def small_row(model: AccuracyPredictor, path: Path) -> dict[str, Any]:
    """The held-out networks of a collection of small CNNs in gray, trained by another script."""
    collection = Collection(path)
    table = collection.rows.to_pylist()
    chosen = [i for i, row in enumerate(table) if row["split"] == "test"]
    truth = torch.tensor([table[i]["test_accuracy"] for i in chosen], dtype=torch.float64)
    results = [small_estimate(model, collection, i, table[i]) for i in chosen]
    plain = {"pictures_tau": round(kendall_tau(seen_of(results), truth), 4),
             "pictures_mae": round(float((seen_of(results) - truth).abs().mean()), 4)}  # fmt: skip
    return {"collection": path.name, **compare(results, truth), **plain}


def small_estimate(
    model: AccuracyPredictor, collection: Collection, number: int, row: dict[str, Any]
) -> AccuracyEstimate:
    """The estimate for one network of a collection of small CNNs."""
    features = collection.features([number])
    size = model.config.stored[collection.images].size

    def scores(x: Tensor) -> Tensor:
        return class_scores(features, to_pixels(255 * x), row["activation"])[0]

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
