"""`python -m zoo score`: every network of a collection in one file, the same bytes from any executor, resumable."""

import importlib.util
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from zoo import score as zoo_score
from zoo import table
from zoo.__main__ import app
from zoo.catalog import EMBEDDED, Zoo, write_catalog
from zoo.errors import ZooError
from zoo.evaluate_generalization import kendall_tau
from zoo.executor import Executor
from zoo.files import sha256
from zoo.limits import UNTRUSTED
from zoo.score import PARTS, find_score, run_score
from zoo.shards import ROW_GROUP, join_tables
from zoo.table import count_rows, read_rows


def score(name: str, out, executor: Executor | None = None, on_fit=lambda count: None) -> pa.Table:
    run_score(find_score(name), out, executor or Executor(), on_fit)
    return pq.read_table(out)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The scores of the embedded small CNNs by one process: the file and its table."""
    out = tmp_path_factory.mktemp("scores") / "cnns.parquet"
    return out, score("cifar10-cnns", out)


def test_a_score_is_the_prediction_of_every_network_beside_its_measured_accuracy(scored):
    out, scores = scored
    rows = Zoo(EMBEDDED).collection("cifar10-cnns").rows
    assert scores["id"].to_pylist() == [f"cifar10-cnns/{row}" for row in rows["id"].to_pylist()]
    assert scores["measured"].to_pylist() == rows["test_accuracy"].to_pylist()
    assert kendall_tau(*(torch.tensor(scores[name].to_numpy()) for name in ("prediction", "measured"))) > 0.85
    inside = [row["low"] <= row["measured"] <= row["high"] for row in scores.to_pylist() if row["typical"]]
    assert sum(inside) > 0.8 * len(inside) > 100
    command = ["predict", "generalization", "cifar10-cnns/test/70"]
    alone = CliRunner().invoke(app, [*command, "--json"]).output
    assert f"{scores['prediction'][70].as_py():.4f}"[:5] in alone
    assert not out.with_name("cnns.parquet.parts").exists()


def test_two_processes_write_the_same_bytes(scored, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo_score, "WORKER_START", 0.0)
    score("cifar10-cnns", tmp_path / "two.parquet", Executor(workers=2))
    assert sha256(tmp_path / "two.parquet") == sha256(scored[0])


def test_a_named_collection_is_read_part_by_part(scored, tmp_path, monkeypatch):
    """The table of a collection 60 times as large is never read whole, so that memory does not grow."""
    for path in ("collections/cifar10-cnns", "predictors/generalization"):
        (tmp_path / path).parent.mkdir()
        shutil.copytree(EMBEDDED / path, tmp_path / path)
    networks = tmp_path / "collections" / "cifar10-cnns" / "networks.parquet"
    join_tables([pq.read_table(networks)] * 60, networks)
    write_catalog(tmp_path)
    read, original = [], table._read_groups

    def record(path, groups, limits):
        read.append(original(path, groups, limits))
        return read[-1]

    monkeypatch.setattr(table, "_read_groups", record)
    job = find_score("cifar10-cnns", str(tmp_path))
    assert job.count() == 60 * 180 and job.settings()["networks"] == sha256(networks)
    rows = job.make_shard(len(job.parts()) - 1, "cpu", lambda count: None).table
    assert list(map(len, read)) == [60 * 180 - ROW_GROUP]
    assert rows.equals(scored[1].slice(180 - len(rows)))


def test_an_interrupted_score_resumes_from_its_last_part(scored, tmp_path, monkeypatch):
    """And without other processes, where the rest takes less time than their start."""
    monkeypatch.setattr(zoo_score, "WORKER_START", 1000.0)
    monkeypatch.setattr("zoo.executor._run_in_processes", None)
    seen = []

    def stop(count: int) -> None:
        seen.append(count)
        if sum(seen) > PARTS["classifier"]:
            raise KeyboardInterrupt

    out = tmp_path / "again.parquet"
    with pytest.raises(KeyboardInterrupt):
        score("cifar10-cnns", out, on_fit=stop)
    assert not out.exists()
    with pytest.raises(ZooError, match="settings"):
        score("mnist-sirens", out)
    counts = []
    score("cifar10-cnns", out, Executor(workers=2), counts.append)
    assert counts[0] == PARTS["classifier"] and sum(counts) == count_rows(out)
    assert sha256(out) == sha256(scored[0])


def test_sirens_are_scored_by_their_classification(tmp_path):
    command = ["score", "mnist-sirens", "--out", str(tmp_path / "labels.parquet"), "--workers", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "120 networks of mnist-sirens" in result.output
    scores = pq.read_table(tmp_path / "labels.parquet").to_pylist()
    assert sum(row["prediction"] == row["measured"] for row in scores) > 0.9 * len(scores)
    assert all(0 < row["probability"] <= 1 for row in scores)
    again = CliRunner().invoke(app, command)
    assert again.exit_code != 0 and "--overwrite" in str(again.exception or again.output)


@pytest.mark.parametrize(("what", "words"), [
    ("mnist-inits", "kind 'init'"), ("nothing-here", "nothing-here"), (".", "no spec.json"),
])  # fmt: skip
def test_unscorable_collections_are_refused(tmp_path, monkeypatch, what, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZooError, match=words):
        score(what, tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()


def test_rows_are_read_from_the_row_groups_that_hold_them(tmp_path, monkeypatch):
    path = tmp_path / "networks.parquet"
    whole = pa.table({"id": [f"test/{n}" for n in range(100)], "value": list(range(100))})
    pq.write_table(whole, path, row_group_size=10)
    read, original = [], table._read_groups

    def record(path, groups, limits):
        read.append(list(groups))
        return original(path, groups, limits)

    monkeypatch.setattr(table, "_read_groups", record)
    assert read_rows(path, range(35, 52)).equals(whole.slice(35, 17))
    assert read == [[3], [4], [5]] and count_rows(path) == 100


def test_a_row_group_of_repeated_text_is_refused_before_it_is_expanded(tmp_path):
    path = tmp_path / "networks.parquet"
    pq.write_table(pa.table({"id": ["x" * 2**16] * 4096}), path, row_group_size=4096)
    assert path.stat().st_size < 2**21
    with pytest.raises(ZooError, match="too large"):
        read_rows(path, range(10), UNTRUSTED)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_command_that_installs_it_is_named(tmp_path):
    with pytest.raises(ZooError, match=r"pip install '\.\[ray\]'"):
        score("cifar10-cnns", tmp_path / "ray.parquet", Executor(ray="local"))
