"""The learning curve of a reader: which networks it is trained on, and where its figures go."""

import sys

import pytest
import torch

from bench import reader_curve
from bench.reader_curve import main, rows_of_runs
from nfn.weight_reader import WeightReader
from zoo import train_reader
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.files import read_json, write_json
from zoo.train_reader import ReaderSize, reader_config

FOLDER = EMBEDDED / "collections/cifar10-cnns"


@pytest.fixture(autouse=True)
def _train_on_test_networks(monkeypatch):
    """The embedded zoo has no training networks: the first of its test networks are taken for them."""
    for module in (reader_curve, train_reader):
        monkeypatch.setattr(
            module, "split_rows", lambda collection: (torch.arange(90), torch.arange(90, 120))
        )


def test_the_first_runs_are_taken_with_all_their_checkpoints():
    collection = Collection(FOLDER)
    run_of = collection.rows["run"].to_pylist()
    few, more = rows_of_runs(collection, 4).tolist(), rows_of_runs(collection, 8).tolist()
    assert set(few) < set(more) and len({run_of[row] for row in few}) == 4
    assert few == [row for row in range(90) if run_of[row] in {run_of[taken] for taken in few}]
    with pytest.raises(SystemExit, match="training runs, and 1000 were requested"):
        rows_of_runs(collection, 1000)


def test_the_figures_are_stored_beside_the_reader(tmp_path, monkeypatch):
    WeightReader(reader_config("accuracy", [Collection(FOLDER)], ReaderSize(4))).save(tmp_path)
    training = {"recipe": {"samples": 64, "batch": 16, "seed": 0}, "task": "accuracy", "seconds": 1}
    write_json(tmp_path / "training.json", training)
    monkeypatch.setattr(sys, "argv", ["", str(FOLDER), "--folder", str(tmp_path), "--runs", "4", "8"])
    main()
    found = read_json(tmp_path / "training.json")
    assert {key: found[key] for key in training} == training
    assert [row["runs"] for row in found["learning_curve"]] == [4, 8]
    assert all(-1 <= row["tau"] <= 1 and row["error"] > 0 for row in found["learning_curve"])
