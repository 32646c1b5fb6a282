"""Measure masks for held-out initializations by training every network under every mask with the zoo's own recipe."""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.permutation import permute, random_permutations
from nfn.predictor import CONFIG_FILE
from nfn.pruning import (
    Masks,
    bernoulli_masks,
    dead_neurons,
    kept_per_layer,
    magnitude_scores,
    overlap,
    shuffled_masks,
    snip_scores,
    top_masks,
)
from nfn.sparse_training import gradients
from nfn.ticket_vae import TicketVae
from nfn.tickets import TicketPredictor, TicketReader
from zoo.build_ticket import GROUP, TASKS, pixels_of, test_accuracies, train_networks
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.files import read_json, write_json
from zoo.train_tickets import rows_of
from zoo.training import progress_bar

SNIP_IMAGES = 1024
SPARSITY = 0.95
EARLY = "magnitude after the short training"
"""The baseline that uses the first predictor's short training, but not the predictor."""
READERS: dict[TicketReader, str] = {"weights": "weights alone", "training": "short training"}
"""The readers of a predictor, and what the table calls them."""


def evaluate_tickets(
    folder: Path,
    predictors: dict[str, Path],
    work: Path,
    workers: int = 1,
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Figures of every pruning method on the held-out networks of a collection.

    `predictors` are folders by their name in the table, the shipped one first; a predictor with two readers has a row
    for each (see `reader_rows`). A results file per group of networks is stored in `work`, so that an interrupted run
    can resume. Figures of other masks in `earlier` are reused; raises ZooError if they belong to other networks.
    """
    collection = Collection(folder)
    rows = rows_of(collection, "test")
    about = {
        "images": collection.images,
        "networks": len(rows),
        "sparsity": SPARSITY,
        "recipe": asdict(TASKS[collection.images].recipe),
    }
    measured = (*predictors, EARLY)
    reused = [row for row in _rows_about(about, earlier) if not row["mask"].startswith(measured)]
    groups = [rows[i : i + GROUP] for i in range(0, len(rows), GROUP)]
    skipped = frozenset(row["mask"] for row in reused)
    results = _measure_all(folder, predictors, groups, skipped, work, workers)
    methods = {name: join([result[name] for result in results]) for name in results[0]}
    name, model = next(iter(predictors)), _load(next(iter(predictors.values())))
    table = _table(reused, methods)
    readers = ranked(name, model.config.readers, table)
    return {
        **about,
        "readers": readers,
        "shipped": reader_rows(name, readers)[readers[0]],
        "methods": table,
        "symmetry": _symmetry(model, collection.features(rows[:2]), readers[0]),
        "seconds": _seconds(model, collection.features(rows[:1]), readers[0]),
        "called_trained": _called_trained(model, collection, rows),
    }


def reader_rows(name: str, readers: Sequence[TicketReader]) -> dict[TicketReader, str]:
    """The row of each reader of the predictor `name`: its name, with the reader's if it has two."""
    return {reader: name if len(readers) == 1 else f"{name}, {READERS[reader]}" for reader in readers}


def ranked(name: str, readers: Sequence[TicketReader], table: list[dict[str, Any]]) -> list[TicketReader]:
    """The readers of a predictor by the test accuracy of their tickets, the best first."""
    rows, accuracy = reader_rows(name, readers), {row["mask"]: row["accuracy"] for row in table}
    return sorted(readers, key=lambda reader: -accuracy[rows[reader]])


def _rows_about(about: dict[str, Any], earlier: dict[str, Any] | None) -> list[dict[str, Any]]:
    if earlier is None:
        return []
    if any(earlier[key] != value for key, value in about.items()):
        raise ZooError(
            "The earlier figures are of other networks, or of another recipe: measure all masks again."
        )
    return earlier["methods"]


def _measure_all(
    folder: Path,
    predictors: dict[str, Path],
    groups: list[list[int]],
    skipped: frozenset[str],
    work: Path,
    workers: int,
) -> list[dict[str, Any]]:
    work.mkdir(parents=True, exist_ok=True)
    paths = [work / f"group-{group[0]}.json" for group in groups]
    todo = [(path, group) for path, group in zip(paths, groups, strict=True) if not path.exists()]
    with progress_bar() as bar:
        task = bar.add_task("groups of networks", total=len(groups), completed=len(groups) - len(todo))
        for _ in _run([(folder, predictors, skipped, group, path) for path, group in todo], workers):
            bar.advance(task)
    return [read_json(path) for path in paths]


def _run(jobs: list[tuple], workers: int) -> Iterator[None]:
    """Run the jobs here, or in processes of one thread each; yield after each job."""
    if workers == 1:
        for job in jobs:
            yield _measure_group(*job)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for future in as_completed([pool.submit(_measure_group, *job) for job in jobs]):
            yield future.result()


def _measure_group(
    folder: Path, predictors: dict[str, Path], skipped: frozenset[str], rows: list[int], path: Path
) -> None:
    """Train one group under the masks and write the results; the build has already trained it dense and under IMP's."""
    collection = Collection(folder)
    init, order = collection.features(rows), collection.rows["batch_order"][rows[0]].as_py()
    imp = collection.masks(rows)
    facts = collection.rows.take(rows)
    result: dict[str, Any] = {"dense": {"accuracy": facts["dense_accuracy"].to_pylist()}}
    models = {name: _load(folder_) for name, folder_ in predictors.items()}
    measured: dict[str, tuple[Masks, list[float]]] = {"IMP": (imp, facts["ticket_accuracy"].to_pylist())}
    for name, masks in all_masks(init, imp, models).items():
        if name in skipped:
            continue
        same = (accuracies for other, accuracies in measured.values() if _equal(other, masks))
        accuracy = next(same, None) or train_under(init, masks, collection, order)
        measured[name] = masks, accuracy
        result[name] = mask_figures(masks, imp, accuracy)
    write_json(path, result)


def _equal(one: Masks, other: Masks) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def train_under(init: WeightSpaceFeatures, masks: Masks, collection: Collection, order: int) -> list[float]:
    """The test accuracy of each network, trained under its mask on the batches that `order` seeds."""
    return test_accuracies(train_networks(init, masks, collection.images, order), collection.images).tolist()


def mask_figures(masks: Masks, imp: Masks, accuracy: list[float]) -> dict[str, list]:
    """What is stored of the masks of some networks, a list with an entry per network for each figure."""
    return {
        "accuracy": accuracy, "overlap": overlap(imp, masks).tolist(),
        "kept": kept_per_layer(masks).tolist(), "dead": dead_neurons(masks).tolist(),
    }  # fmt: skip


@cache
def _load(folder: Path) -> TicketPredictor:
    """Load a predictor of either kind."""
    name = read_json(folder / CONFIG_FILE)["predictor"]
    return (TicketVae if name == TicketVae.name else TicketPredictor).load(folder)


def all_masks(init: WeightSpaceFeatures, imp: Masks, models: dict[str, TicketPredictor]) -> dict[str, Masks]:
    """The masks of every pruning method for networks `(N, 1, ...)`, by name."""
    first, generator = next(iter(models.values())), torch.Generator().manual_seed(0)
    pixels, labels = pixels_of(first.config.task, "train", "cpu")
    snip = gradients(init, pixels[:SNIP_IMAGES], labels[:SNIP_IMAGES])
    return {
        "IMP": imp,
        "random, Bernoulli": bernoulli_masks(init.weights, SPARSITY, generator),
        "random, counts of IMP per layer": shuffled_masks(imp, generator),
        "magnitude of the initialization": top_masks(magnitude_scores(init), SPARSITY),
        "SNIP": top_masks(snip_scores(init, snip), SPARSITY),
        EARLY: top_masks(_early(init, first), SPARSITY),
        **{
            row: top_masks(model.scores(init, reader), SPARSITY)
            for name, model in models.items()
            for reader, row in reader_rows(name, model.config.readers).items()
        },
    }


def _early(init: WeightSpaceFeatures, model: TicketPredictor) -> list[Tensor]:
    """The weights' magnitudes after the predictor's short training, without the predictor itself."""
    trained = init + model.training_deltas(init)[-1]
    return [weight.abs() for weight in trained.weights]


def join(parts: Sequence[dict[str, list]]) -> dict[str, Tensor]:
    """The figures of all networks from those of some."""
    return {key: torch.cat([torch.tensor(part[key]) for part in parts]) for key in parts[0]}


def _table(reused: list[dict[str, Any]], methods: dict[str, dict[str, Tensor]]) -> list[dict[str, Any]]:
    """A row per method: mean and standard error over the networks, and the fraction of the gap closed."""
    rows = {row["mask"]: row for row in reused} | {
        name: mask_row(name, figures) for name, figures in methods.items()
    }
    low, high = (rows[name]["accuracy"] for name in ("random, Bernoulli", "IMP"))
    return [{**row, "gap_closed": (row["accuracy"] - low) / (high - low)} for row in rows.values()]


def mask_row(name: str, figures: dict[str, Tensor]) -> dict[str, Any]:
    """The row of a method in the card's table."""
    accuracy = figures["accuracy"]
    row = {
        "mask": name,
        "accuracy": float(accuracy.mean()),
        "standard_error": float(accuracy.std()) / math.sqrt(len(accuracy)),
    }
    if "overlap" in figures:
        row |= {
            "overlap": float(figures["overlap"].mean()),
            "kept": [round(x) for x in figures["kept"].float().mean(0).tolist()],
            "dead": [round(x, 1) for x in figures["dead"].float().mean(0).tolist()],
        }
    return row


def _symmetry(model: TicketPredictor, init: WeightSpaceFeatures, reader: TicketReader) -> dict[str, Any]:
    """The number of scores of permuted copies that differ from the permuted scores."""
    network = init.select(0)
    spec = network_spec_from_wsfeat(network, set_all_dims=True)
    orders = random_permutations(spec, torch.Generator().manual_seed(1))
    expected = permute(WeightSpaceFeatures(model.scores(network, reader), network.biases), orders)
    scores = model.scores(permute(network, orders), reader)
    different = sum(int((a != b).sum()) for a, b in zip(expected.weights, scores, strict=True))
    return {"weights": sum(w.numel() for w in scores), "different": different}


def _seconds(model: TicketPredictor, init: WeightSpaceFeatures, reader: TicketReader) -> float:
    """The median time of five predictions, in seconds."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        model.scores(init, reader)
        times.append(time.perf_counter() - start)
    return sorted(times)[2]


def _called_trained(model: TicketPredictor, collection: Collection, rows: list[int]) -> dict[str, Any]:
    """The fraction of initializations, and of the same networks after full training, that are called trained."""
    chosen = rows[:GROUP]
    init = collection.features(chosen)
    order = collection.rows["batch_order"][rows[0]].as_py()
    trained = train_networks(init, None, collection.images, order)
    all_inits = collection.features(rows)

    def fraction(networks: WeightSpaceFeatures) -> float:
        count = len(networks.weights[0])
        return sum(bool(model.signs_of_training(networks.select(i))) for i in range(count)) / count

    return {
        "initializations": fraction(all_inits),
        "trained": fraction(trained),
        "networks": [len(rows), len(chosen)],
    }
