"""The command line: `python -m zoo`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nfn.classifier import InrClassifier, InrClassifierConfig
from nfn.editor import InrEditor, InrEditorConfig
from nfn.reader import read_network, write_network
from zoo import images
from zoo.__main__ import app
from zoo.build import run_build
from zoo.build_siren import SirenBuild
from zoo.catalog import Zoo
from zoo.errors import ZooError

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data" / "images"


@pytest.fixture(autouse=True)
def local_images(monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def zoo(tmp_path) -> Path:
    """A zoo of two SIRENs and untrained predictors, without a catalog."""
    root = tmp_path / "zoo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))
        run_build(
            SirenBuild("mnist", count=2), root / "collections" / "tiny-sirens", "cpu", 1, lambda count: None
        )
    config = InrClassifierConfig(labels={"mnist": [str(i) for i in range(10)]}, widths=(2, 2, 2, 2))
    InrClassifier(config).save(root / "predictors" / "inr-classifier")
    InrEditor(InrEditorConfig(channels=4)).save(root / "predictors" / "inr-editor")
    run("index", root)
    return root


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_build_makes_a_collection_and_says_how_good_it_is(tmp_path):
    arguments = (
        "build",
        "siren",
        "--images",
        "mnist",
        "--count",
        2,
        "--first",
        5,
        "--device",
        "cpu",
        "--out",
        tmp_path / "c",
    )
    assert "2 SIRENs in" in run(*arguments)
    before = (tmp_path / "c" / "weights-00000.safetensors").read_bytes()
    assert "dB on average" in run(*arguments), "a second run finds it done"
    assert (tmp_path / "c" / "weights-00000.safetensors").read_bytes() == before
    with pytest.raises(ZooError, match="seed is 0 there and 1 here"):
        run(*arguments, "--seed", 1)


def test_list_and_show(zoo):
    listed = run("list", "--zoo", zoo)
    assert "tiny-sirens" in listed and "MNIST digits as SIRENs" in listed and "inr-editor" in listed
    assert "first_omega 30.0" in run("show", "tiny-sirens", "--zoo", zoo)
    assert "label          2" in run("show", "tiny-sirens/test/1", "--zoo", zoo)
    assert "model.safetensors" in run("show", "inr-classifier", "--zoo", zoo)
    with pytest.raises(ZooError, match="Did you mean tiny-sirens"):
        run("show", "tiny-siren", "--zoo", zoo)


def test_predict_inr_gives_the_same_for_an_id_and_its_file(zoo, tmp_path):
    write_network(Zoo(zoo).network("tiny-sirens/test/0"), tmp_path / "a.safetensors")
    by_id, by_file = (
        json.loads(run("predict", "inr", network, "--json", "--zoo", zoo))
        for network in ("tiny-sirens/test/0", tmp_path / "a.safetensors")
    )
    assert by_id.pop("network") == "tiny-sirens/test/0" and by_file.pop("network").endswith("a.safetensors")
    assert by_id == by_file
    assert by_id["domain"] == "mnist" and sum(by_id["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert by_id["label"] in run("predict", "inr", "tiny-sirens/test/0", "--zoo", zoo)


def test_predict_edit_writes_a_network_under_the_names_that_came_in(zoo, tmp_path):
    out = tmp_path / "edited.safetensors"
    said = run("predict", "edit", "tiny-sirens/test/1", "--style", "contrast", "--out", out, "--zoo", zoo)
    assert "contrast at 1" in said
    assert read_network(out).names == Zoo(zoo).network("tiny-sirens/test/1").names


def test_a_name_that_is_both_a_file_and_an_id_is_refused(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny-sirens" / "test").mkdir(parents=True)
    (tmp_path / "tiny-sirens" / "test" / "0").write_bytes(b"x")
    with pytest.raises(ZooError, match=r"is a file and looks like a zoo id: write \./tiny-sirens/test/0"):
        run("predict", "inr", "tiny-sirens/test/0", "--zoo", zoo)


def test_a_mistake_ends_in_one_sentence_and_no_traceback():
    command = [sys.executable, "-m", "zoo", "show", "mnist-siren/test/1"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith("Error: There is no collection 'mnist-siren'")
    assert "Traceback" not in result.stderr
