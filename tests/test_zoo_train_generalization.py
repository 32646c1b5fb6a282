"""Training `GeneralizationPredictor` on the networks of the embedded zoo: its members learn, its intervals hold."""

import math
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from nfn.generalization import GeneralizationConfig
from zoo import build_cnn, train_generalization
from zoo.catalog import EMBEDDED
from zoo.train_generalization import GeneralizationRecipe, left_out, read_collections

CONFIG = GeneralizationConfig(probes=16, members=2, width=8)
RECIPE = GeneralizationRecipe(steps=100, batch=32)


def split_by_run(name: str, folder: Path) -> Path:
    """A copy of an embedded collection: every second training run is there to train on, the others to calibrate on.

    Every third of the others is a checkpoint by chance accuracy: such say nothing of the intervals.
    """
    shutil.copytree(EMBEDDED / "collections" / name, folder / name)
    table = pq.read_table(folder / name / "networks.parquet")
    runs = sorted(set(table["run"].to_pylist()))
    split = [("train", "validation")[runs.index(run) % 2] for run in table["run"].to_pylist()]
    final = [where == "train" or i % 3 > 0 for i, where in enumerate(split)]
    accuracy = [a if f else 0.1 for a, f in zip(table["test_accuracy"].to_pylist(), final, strict=True)]
    for column, values in {"split": split, "final": final, "test_accuracy": accuracy}.items():
        table = table.set_column(table.schema.get_field_index(column), column, pa.array(values))
    pq.write_table(table, folder / name / "networks.parquet")
    return folder / name


@pytest.fixture(scope="module")
def trained(local_images, tmp_path_factory):
    """A small predictor, and the validation networks that it was calibrated on."""
    folder = tmp_path_factory.mktemp("generalization")
    collections = [split_by_run(name, folder) for name in ("cifar10-cnns", "fashion-mnist-cnns")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_generalization, "GeneralizationConfig", lambda: CONFIG)
        patch.setattr(train_generalization, "gray_images", build_cnn.gray_images.__wrapped__)
        model = train_generalization.train_generalization(collections, RECIPE, folder / "work")
    return model, read_collections(model, collections, "validation", folder / "work")


@torch.no_grad()
def errors(model, examples, number: int):
    """Of the finished networks of an image set: how wrong the members are, in units of the scale, and in accuracy."""
    mine = examples.select(examples.final & (examples.images == number))
    inputs, ensemble = mine.inputs(model, number), model.ensemble(number)
    error = (ensemble.accuracy(inputs) - mine.accuracy).abs()
    return error / ensemble.error_scale(inputs), error, (mine.accuracy - mine.accuracy.mean()).abs()


@pytest.mark.parametrize("number", [0, 1])
def test_intervals_are_the_narrowest_with_their_coverage_on_validation_networks(trained, number):
    model, examples = trained
    ratios, _, _ = errors(model, examples, number)
    width = model.config.half_widths[list(model.config.sizes)[number]]
    rank = math.ceil((len(ratios) + 1) * model.config.coverage)
    assert len(ratios) > 20 and rank <= len(ratios)
    assert int((ratios <= width + 1e-6).sum()) == rank, (
        "one more than a share of 90% of them, for the next to come"
    )
    assert int((ratios < width - 1e-6).sum()) == rank - 1


@pytest.mark.parametrize("number", [0, 1])
def test_ensemble_members_learn_to_predict_accuracy(trained, number):
    model, examples = trained
    _, error, spread = errors(model, examples, number)
    assert error.mean() < 0.75 * spread.mean(), "less than who always says the mean"


def test_zoo_networks_are_typical_and_their_kinds_are_predicted(trained):
    model, examples = trained
    with torch.no_grad():
        kinds = model.kind(model.kind_input(examples.statistics, examples.summaries))
    assert (kinds[examples.final, -1].sigmoid() < model.config.typical_from).float().mean() <= 0.02
    assert (kinds[:, :2].argmax(1) == examples.images).float().mean() > 0.9


def test_a_run_is_left_out_whole(trained):
    _, examples = trained
    outside = left_out(examples, members=2)
    assert all(len(outside[examples.run == run].unique()) == 1 for run in examples.run.unique())
    assert len(outside.unique()) == 2


def test_a_member_learns_from_none_of_the_runs_that_it_leaves_out(trained, tmp_path):
    model, examples = trained
    ensemble, inputs = deepcopy(model.ensemble(0)), examples.inputs(model, 0)
    inputs[left_out(examples, members=2) == 0] = math.nan
    train_generalization._train_members(ensemble, inputs, examples, replace(RECIPE, steps=2), tmp_path)
    finite = [all(bool(p.isfinite().all()) for p in member.parameters()) for member in ensemble.members]
    assert finite == [True, False]


def test_the_scale_learns_from_the_errors_of_members_on_what_they_left_out(trained, tmp_path, monkeypatch):
    """Members that know what they learned from by heart would call every error small."""
    model, examples = trained
    ensemble, inputs = deepcopy(model.ensemble(0)), examples.inputs(model, 0)
    outside = left_out(examples, members=2)
    for number, member in enumerate(ensemble.members):
        right = torch.where(outside == number, examples.accuracy + 0.5, examples.accuracy)
        monkeypatch.setattr(member, "forward", lambda _, right=right: right)
    train_generalization._train_scale(ensemble, inputs, examples, replace(RECIPE, steps=400), tmp_path)
    with torch.no_grad():
        assert ensemble.error_scale(inputs).median() > 0.4
