"""The training loop and both recipes: an interrupted run ends where an uninterrupted one does; learning happens."""

import inspect
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from nfn.editor import InrEditorConfig
from zoo import images
from zoo.__main__ import app
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.commands import conventions, evaluate, train
from zoo.errors import ZooError
from zoo.train_classifier import ClassifierRecipe, calibrate, negatives, roughen, scramble, train_classifier
from zoo.train_editor import EditorRecipe, editing_batch, train_editor
from zoo.training import low_precision, run_steps, step_generator

IMAGES = Path(__file__).parent / "data/images"


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def counting_run(folder: Path, stop_at: int | None) -> torch.Tensor:
    """A tiny regression of 20 steps, saved every 5; interrupted before step `stop_at`."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), 0.1)

    def step(i: int) -> float:
        if i == stop_at:
            raise Interrupted
        x = torch.randn(8, 3, generator=step_generator(7, i))
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    run_steps(step, 20, {"model": model, "optimizer": optimizer}, folder, save_every=5)
    return model.weight.detach()


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path):
    whole = counting_run(tmp_path / "whole", None)
    with pytest.raises(Interrupted):
        counting_run(tmp_path / "cut", stop_at=13)
    assert torch.equal(counting_run(tmp_path / "cut", None), whole)


def test_a_finished_run_is_not_repeated(tmp_path):
    whole = counting_run(tmp_path, None)
    assert torch.equal(counting_run(tmp_path, stop_at=0), whole)


def test_the_editor_learns_to_edit(digits, tmp_path):
    config = InrEditorConfig(channels=8, depth=2, steps=3)
    model = train_editor(
        [digits], config, EditorRecipe(steps=40, batch=10, learning_rate=1e-2), tmp_path, "cpu"
    )
    features, targets = editing_batch(Collection(digits).features(), 28, 10, torch.Generator().manual_seed(5))
    with torch.no_grad():
        untouched = features_error(features, targets)
        edited = features_error(model.best(features, targets), targets)
    assert edited < 0.7 * untouched


def features_error(features, targets) -> float:
    from nfn.siren import render

    return float((render(features, 28, 28).clamp(-1, 1) - targets).square().mean())


def test_the_classifier_learns_and_calibrates(digits, tmp_path, monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))
    shares = (("mnist", 0.4), ("cifar10", 0.4))
    recipe = ClassifierRecipe(steps=50, batch=40, learning_rate=0.05, shares=shares, siren_share=0.5)
    model = train_classifier([digits], recipe, tmp_path, "cpu")
    calibrate(model, [digits])
    answers = [model.explain(p) for p in model.probabilities(Collection(digits).features())]
    assert sum(result.domain == "mnist" for result in answers) >= 12
    assert 0 < model.config.typical_from["mnist"] < 1
    assert sum(result.typical for result in answers) >= 15


@pytest.mark.parametrize(("capability", "expected"), [("AVX512", torch.bfloat16), ("AVX2", torch.float32)])
def test_products_are_in_bfloat16_where_the_processor_is_fast_at_it(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    x = torch.ones(2, 2)
    with low_precision("cpu"):
        assert (x @ x).dtype == expected
    assert (x @ x).dtype == torch.float32


def test_roughened_pictures_keep_their_subject_and_negatives_have_none():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(30, 3, 32, 32, generator=generator) * 0.1
    pictures[:, :, 8:24, 8:24] += 0.8
    assert (roughen(pictures, generator) - pictures).abs().mean() < 0.15
    nothing = negatives(20, pictures, generator)
    assert nothing.shape == (20, 3, 32, 32) and nothing.isfinite().all()


def test_scrambling_only_permutes_pixels():
    pictures = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).view(2, 3, 32, 32)
    mixed = scramble(pictures, torch.Generator().manual_seed(1))
    assert torch.equal(mixed.flatten().sort().values, pictures.flatten()) and not torch.equal(mixed, pictures)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_predictor_that_is_there_is_replaced_only_if_asked(digits, tmp_path):
    out, options = tmp_path / "editor", ("--steps", 2, "--work", tmp_path / "work")
    first = run("train", "inr-editor", digits, "--out", out, *options)
    assert first.exit_code == 0 and "Next: python -m zoo evaluate" in first.output
    weights = (out / "model.safetensors").read_bytes()
    again = run("train", "inr-editor", digits, "--out", out, "--steps", 3, "--work", tmp_path / "other")
    assert isinstance(again.exception, ZooError) and "add --overwrite" in str(again.exception)
    assert (out / "model.safetensors").read_bytes() == weights
    assert run("train", "inr-editor", digits, "--out", out, *options, "--overwrite").exit_code == 0


def test_test_images_are_not_learned_from(tmp_path):
    refused = run("train", "inr-editor", EMBEDDED / "collections/mnist-sirens", "--out", tmp_path / "editor")
    assert isinstance(refused.exception, ZooError) and "--split train" in str(refused.exception)
    assert not (tmp_path / "editor").exists()


@pytest.mark.parametrize("module", [train, evaluate, conventions])
def test_no_command_writes_into_the_zoo_that_ships_by_default(module):
    commands = [
        f for name, f in vars(module).items() if name.startswith(("train_", "evaluate_")) and callable(f)
    ]
    defaults = [p.default for f in commands for p in inspect.signature(f).parameters.values()]
    assert commands and not [
        d for d in defaults if isinstance(d, Path) and d.resolve().is_relative_to(EMBEDDED)
    ]
