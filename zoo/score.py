"""Score every network of a collection: its test accuracy or label as predicted, beside what the collection says.

A score is a job of `zoo.executor`: a part is some rows of the collection's table, predicted in batches. Parts are
written as they come into a folder beside the result, and joined at the end; memory does not grow with the collection.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from nfn.classifier import InrClassifier
from nfn.generalization import AT_ONCE, Generalization
from nfn.predictor import WEIGHTS_FILE
from nfn.wiring.identify import NO_NUMBER
from zoo.build import claim_folder
from zoo.catalog import Zoo
from zoo.classifiers import accuracy_predictors, predict_accuracy, zoo_classifier
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.executor import Executor
from zoo.files import read_json, sha256, write_whole
from zoo.remote import CATALOG, open_zoo
from zoo.shards import join_tables
from zoo.table import check_footer, count_rows, read_table

TABLE, STORED = "networks.parquet", "scores.parquet"
SETTINGS = b"weightscope"
"""The key in a result's schema metadata of what it depends on."""
PARTS = {"siren": 64, "classifier": 64, "wild": 8}
"""Networks in a part, seconds of work: what a stopped run loses for each process at most, and the size of a task."""
WORKER_START = 5.0
"""Seconds that processes take at most until they predict: each imports torch and loads the predictors."""
SIRENS_AT_ONCE = 32
ACCURACY = pa.schema({
    "id": pa.string(), "prediction": pa.float64(), "low": pa.float64(), "high": pa.float64(), "typical": pa.bool_(),
    "images": pa.string(), "reason": pa.string(), "measured": pa.float64(),
})  # fmt: skip
LABEL = pa.schema({
    "id": pa.string(), "prediction": pa.string(), "probability": pa.float64(), "typical": pa.bool_(),
    "images": pa.string(), "reason": pa.string(), "measured": pa.string(),
})  # fmt: skip
"""The columns of a result: of image classifiers and of SIRENs. `measured` is what the collection says: the test
accuracy, or the label of the image."""


@dataclass(frozen=True)
class Score:
    """A job: score the networks of a folder, or of the collection `name` of a zoo if `folder` is None.

    `zoo` is an argument of `open_zoo`; its predictors are used.
    """

    name: str
    folder: str | None = None
    zoo: str = ""

    @property
    def path(self) -> Path:
        """The folder of the collection; a zoo on the Hub downloads its table into it."""
        return Path(self.folder) if self.folder else _opened(self.zoo).open_collection(self.name).folder

    def kind(self) -> str:
        """The kind of the networks; ZooError if no predictor says more of them than the collection itself."""
        spec = self.path / "spec.json"
        if not spec.is_file():
            raise ZooError(
                f"{self.name} has no spec.json here: it is not a collection, its build is not finished, or this "
                "machine of a cluster does not have it."
            )
        kind = read_json(spec).get("kind")
        if kind not in SCHEMAS:
            raise ZooError(
                f"{self.name} is a collection of kind {kind!r}: scores are of {', '.join(SCHEMAS)} networks."
            )
        return kind

    def count(self) -> int:
        """The number of networks."""
        return count_rows(self.path / TABLE)

    def parts(self) -> list[range]:
        """The rows of each part."""
        size, count = PARTS[self.kind()], self.count()
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    def settings(self) -> dict[str, Any]:
        """What the result depends on: the networks and the predictors, by checksum."""
        return settings_of(_opened(self.zoo), self.name, self.path, self.kind())

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> "ScoredPart":
        """Score one part, always on the CPU; `on_fit` gets the size of each batch."""
        kind, scored = self.kind(), list[dict[str, Any]]()
        for batch in self._score(kind, self.parts()[shard]):
            scored += batch
            on_fit(len(batch))
        return ScoredPart(pa.Table.from_pylist(scored, SCHEMAS[kind]))

    @torch.no_grad()
    def _score(self, kind: str, rows: range) -> Iterator[list[dict[str, Any]]]:
        zoo = _opened(self.zoo)
        collection = Collection(self.path) if self.folder else zoo.open_collection(self.name)
        score = _score_sirens if kind == "siren" else score_classifiers
        return score(self.name, zoo, collection.part(rows))


@dataclass(frozen=True)
class ScoredPart:
    """The rows of one part of a result."""

    table: pa.Table

    def write(self, folder: Path, number: int) -> None:
        """Write them atomically."""
        write_whole(part_path(folder, number), lambda part: pq.write_table(self.table, part))


def settings_of(zoo: Zoo, name: str, folder: Path, kind: str) -> dict[str, Any]:
    """What the scores of a collection depend on; a result has them as metadata of its schema."""
    predictors = [
        (zoo if any(info.name == predictor for info in zoo.predictors()) else Zoo(), predictor)
        for predictor in PREDICTORS_OF[kind]
    ]
    return {
        "name": name,
        "networks": sha256(folder / TABLE),
        "part": PARTS[kind],
        **{predictor: weights_checksum(owner, predictor) for owner, predictor in predictors},
    }


def scores_of(zoo: Zoo, name: str) -> list[dict[str, Any]]:
    """The scores of a collection of classifiers in a zoo: the stored ones, or computed now.

    Stored scores are the result of `python -m zoo score` as `scores.parquet` in the collection's folder. They are used
    if they are of these networks and predictors.
    """
    opened, path = zoo.collection(name), zoo.collection_file(name, STORED)
    if path is not None and _metadata(path) == settings_of(zoo, name, opened.folder, opened.spec.kind):
        return read_table(path, zoo.files.limits).to_pylist()
    return [row for batch in score_classifiers(name, zoo, opened) for row in batch]


def _metadata(path: Path) -> object:
    check_footer(path)
    return json.loads((pq.read_schema(path).metadata or {}).get(SETTINGS, b"null"))


def find_score(what: str, zoo: str | None = None) -> Score:
    """The job for a collection's folder, a collection's name in `zoo`, or `owner/name` of a zoo with one collection."""
    opened = open_zoo(zoo)
    if Path(what).is_dir() and not (Path(what) / CATALOG).exists():
        if what in [info.name for info in opened.collections()]:
            raise ZooError(
                f"{what!r} is a folder and a collection of the zoo: write ./{what} for the folder."
            )
        return Score(Path(what).resolve().name, str(Path(what).resolve()), opened.source.where)
    if "/" not in what:
        opened.open_collection(what)
        return Score(what, None, opened.source.where)
    other = open_zoo(what)
    names = [info.name for info in other.collections()]
    if len(names) != 1:
        raise ZooError(
            f"{what} has {len(names)} collections ({', '.join(names)}): name one, such as "
            f"`python -m zoo score {names[0] if names else 'NAME'} --zoo {what}`."
        )
    return Score(names[0], None, other.source.where)


def run_score(job: Score, out: Path, executor: Executor, on_fit: Callable[[int], None]) -> None:
    """Score the parts that do not exist yet, and join all into the parquet file `out`.

    `on_fit` is called with the number of networks that each step adds, starting with those of an earlier run.
    Raises ZooError for networks that cannot be scored, and for parts of a score of something else.
    """
    folder, parts = out.with_name(f"{out.name}.parts"), job.parts()
    claim_folder(job.settings(), folder)
    todo = [number for number in range(len(parts)) if not part_path(folder, number).exists()]
    on_fit(sum(map(len, parts)) - sum(len(parts[number]) for number in todo))
    _run_parts(job, folder, todo, executor, on_fit)
    metadata = {SETTINGS: json.dumps(job.settings())}
    tables = (pq.read_table(part_path(folder, number)) for number in range(len(parts)))
    join_tables((table.replace_schema_metadata(metadata) for table in tables), out)
    shutil.rmtree(folder)


def _run_parts(
    job: Score, folder: Path, todo: list[int], executor: Executor, on_fit: Callable[[int], None]
) -> None:
    """Score the first part here; if the others take less time than workers need to start, score them here too."""
    if executor.ray is None:
        start, here = perf_counter(), replace(executor, workers=1)
        here.run(job, folder, todo[:1], on_fit)
        todo = todo[1:]
        if (perf_counter() - start) * len(todo) < WORKER_START:
            executor = here
    executor.run(job, folder, todo, on_fit)


def part_path(folder: Path, number: int) -> Path:
    """The path of one part of a result in progress."""
    return folder / f"part-{number:06d}.parquet"


def weights_checksum(zoo: Zoo, predictor: str) -> str:
    """The SHA-256 of a predictor's weights, as the catalog lists it."""
    (info,) = [info for info in zoo.predictors() if info.name == predictor]
    return next(file.sha256 for file in info.files if file.name == WEIGHTS_FILE)


@lru_cache(1)
def _opened(zoo: str) -> Zoo:
    """The zoo, opened once in each process."""
    return open_zoo(zoo)


def _score_sirens(name: str, zoo: Zoo, sirens: Collection) -> Iterator[list[dict[str, Any]]]:
    classifier = zoo.predictor("inr-classifier", InrClassifier)
    labels, table = sirens.spec.label_names, sirens.rows.select(["id", "label"]).to_pylist()
    for rows in _batches(len(table), SIRENS_AT_ONCE):
        probabilities = classifier.probabilities(sirens.normalized(rows))
        yield [
            {
                "id": f"{name}/{facts['id']}",
                "prediction": result.label,
                "probability": result.probabilities[result.label],
                "typical": result.typical,
                "images": result.domain,
                "reason": result.reason,
                "measured": labels[facts["label"]] if 0 <= facts["label"] < len(labels) else None,
            }
            for facts, result in zip(table[rows], map(classifier.explain, probabilities), strict=True)
        ]


def score_classifiers(name: str, zoo: Zoo, networks: Collection) -> Iterator[list[dict[str, Any]]]:
    """In batches by the predictor of small CNNs, if they are such, it knows their images and calls them typical; else
    one by one."""
    predictors, table = accuracy_predictors(zoo), networks.rows.to_pylist()
    small = networks.spec.layers is not None and networks.images in predictors.small.config.sizes

    def alone(row: dict[str, Any]) -> Generalization:
        size = networks.spec.images.get("size", 32)
        return predict_accuracy(
            zoo_classifier(networks.network(row["id"]), networks.images, size), predictors
        )

    for rows in _batches(len(table), AT_ONCE if small else 1):
        facts, results = table[rows], [None] * len(table[rows])
        if small:
            activations = [row["activation"] for row in facts]
            results = predictors.small.predict_features(networks.normalized(rows), activations)
        pairs = zip(facts, results, strict=True)
        yield [_accuracy_row(name, row, one if one and one.typical else alone(row)) for row, one in pairs]


def _accuracy_row(name: str, facts: dict[str, Any], result: Generalization) -> dict[str, Any]:
    known = math.isfinite(result.test_accuracy)
    return {
        "id": f"{name}/{facts['id']}",
        "prediction": result.test_accuracy if known else None,
        "low": result.low if known else None,
        "high": result.high if known else None,
        "typical": result.typical and known,
        "images": result.images,
        "reason": result.reason if known else NO_NUMBER,
        "measured": facts["test_accuracy"],
    }


def _batches(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


SCHEMAS = {"siren": LABEL, "classifier": ACCURACY, "wild": ACCURACY}
PREDICTORS_OF = {
    "siren": ("inr-classifier",),
    "classifier": ("generalization", "accuracy"),
    "wild": ("generalization", "accuracy"),
}
"""The columns of a result, and the predictors that it depends on, for each kind of network."""
