"""`bench.scale`: the collections that it makes, what it records of a job, and its page."""

import json
from pathlib import Path

import pytest
import torch

from bench.scale import Run, repeat, report
from bench.timed import Record, TimedExecutor
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.executor import Executor
from zoo.files import sha256
from zoo.score import PARTS, find_score


@pytest.fixture(scope="module")
def repeated(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repeated") / "sirens"
    repeat(EMBEDDED / "collections" / "mnist-sirens", folder, 2)
    return folder


def test_a_repeated_collection_holds_every_network_several_times(repeated):
    once, twice = Collection(EMBEDDED / "collections" / "mnist-sirens"), Collection(repeated)
    assert len(twice) == 2 * len(once) and len(set(twice.rows["id"].to_pylist())) == len(twice)
    assert set(twice.rows["shard"].to_pylist()) == {0, 1}
    first, second = once.features([5]), twice.features([len(once) + 5])
    assert all(map(torch.equal, first.weights, second.weights))


def test_a_timed_job_writes_the_same_files_and_a_record_of_each_shard(tmp_path):
    job = find_score("mnist-sirens")
    for name in ("log", "timed", "plain"):
        (tmp_path / name).mkdir()
    TimedExecutor(log=str(tmp_path / "log")).run(job, tmp_path / "timed", [1], lambda count: None)
    Executor().run(job, tmp_path / "plain", [1], lambda count: None)
    (timed,), (plain,) = ((tmp_path / name).iterdir() for name in ("timed", "plain"))
    assert timed.name == plain.name and sha256(timed) == sha256(plain)
    record = Record(**json.loads((tmp_path / "log" / "1.json").read_text()))
    assert record.networks == job.count() - PARTS["siren"]
    assert record.making > record.writing > 0 and record.memory > 100


def test_the_page_computes_a_million_from_what_was_measured(repeated):
    record = Record(240, 0.9, 0.06, 0.0, 1, 400.0)
    runs = {
        title: [Run(title, "1 process", 4.0, 1.5, 410.0, (record,), repeated)]
        for title in ("build of SIRENs", "score of small CNNs")
    }
    few = Run("score of few CNNs", "1 process", 1.0, 1.5, 405.0, (record,), repeated)
    page = report(runs, {title: 0.24 for title in runs}, few, (3.0, 4.0))
    assert "| build of SIRENs | 1 process | 240 | 4 | 60.0 | 4.0 | 250.0 |" in page
    assert "| build of SIRENs | 1.5 s | 1.00 ms | 2.8 ms | 0.25 ms |" in page
    assert "| 4,167 | 1.1 | 0.1 |" in page, "hours of 4 ms a network, and of a shard for 240"
    assert page.count("| build of SIRENs | Ray | ") == 1 and "+5 MiB" in page
