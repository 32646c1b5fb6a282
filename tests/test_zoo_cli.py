"""The command line: `python -m zoo`."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from nfn.classifier import InrClassifier, InrClassifierConfig
from nfn.editor import InrEditor, InrEditorConfig
from nfn.generalization import GeneralizationConfig, GeneralizationPredictor
from nfn.reader import read_network, write_network
from zoo import images
from zoo.__main__ import app
from zoo.build import run_build
from zoo.build_siren import SirenBuild
from zoo.catalog import EMBEDDED, Zoo
from zoo.commands import browse, predict
from zoo.errors import ZooError

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data" / "images"
DECLARED = ("--activation", "relu", "--pixels", "0,1")
"""What need not be searched then, where the search is not what a test is about."""


@pytest.fixture(autouse=True)
def local_images(monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A zoo of two SIRENs and untrained predictors."""
    root = tmp_path_factory.mktemp("built") / "zoo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))
        build = SirenBuild("mnist", count=2)
        run_build(build, root / "collections" / "tiny-sirens", "cpu", 1, lambda count: None)
    config = InrClassifierConfig(labels={"mnist": [str(i) for i in range(10)]}, widths=(2, 2, 2, 2))
    InrClassifier(config).save(root / "predictors" / "inr-classifier")
    InrEditor(InrEditorConfig(channels=4)).save(root / "predictors" / "inr-editor")
    run("index", root)
    return root


@pytest.fixture
def zoo(built, tmp_path) -> Path:
    """A copy of the zoo, to be changed."""
    return shutil.copytree(built, tmp_path / "zoo")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_no_command_writes_into_the_embedded_zoo_unless_it_is_named():
    before = (EMBEDDED / "catalog.json").stat().st_mtime_ns
    for command in (
        ("index",),
        ("spectra",),
        ("bundle",),
        ("build", "siren", "--images", "mnist", "--count", "1"),
    ):
        assert CliRunner().invoke(app, command).exit_code == 2, command
    assert (EMBEDDED / "catalog.json").stat().st_mtime_ns == before


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
    said = run(*arguments)
    assert "dB on average" in said and "Next: python -m zoo evaluate inr-classifier" in said, (
        "a second run finds it done"
    )
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
    with pytest.raises(ZooError, match="is not a folder: name one that contains collections/ or predictors/"):
        run("index", zoo / "nothing")


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


@pytest.fixture
def cnns(zoo, tmp_path) -> Path:
    """A folder with two CNNs, a stack of both, and a file that is none; their predictor is in the zoo."""
    config = GeneralizationConfig(
        probes=4, width=4, members=1, half_widths={"cifar10": 1.0, "fashion_mnist": 1.0}
    )
    GeneralizationPredictor(config).save(zoo / "predictors" / "generalization")
    run("index", zoo)
    nets = []
    for i, name in enumerate(("fashion_unit.pt", "fashion_copied_stats.pt")):
        nets.append(torch.load(Path(__file__).parent / "data" / "foreign_cnns" / name))
        torch.save({"model": nets[i], "activation": "relu"}, tmp_path / f"{i}.pt")
    torch.save({name: torch.stack([net[name] for net in nets]) for name in nets[0]}, tmp_path / "both.pt")
    (tmp_path / "page[b].pt").write_bytes(b"<!doctype html>")
    return tmp_path


def test_predict_generalization_of_files_and_stacks_in_one_table(zoo, cnns):
    names = ("0.pt", "1.pt", "both.pt")
    said = run("predict", "generalization", *(cnns / name for name in names), "--zoo", zoo)
    lines = [line for line in said.splitlines() if "%" in line]
    assert len(lines) == 4 and "both.pt[1]" in lines[3] and "relu" in lines[0]


def test_predict_generalization_as_json_is_a_line_each(zoo, cnns):
    arguments = ["predict", "generalization", cnns / "0.pt", "--zoo", zoo, "--json"]
    (row,) = map(json.loads, run(*arguments).splitlines())
    assert row["network"] == "0.pt" and row["activation"] == "relu" and 0 <= row["test_accuracy"] <= 1
    (other,) = map(json.loads, run(*arguments, "--activation", "gelu", "--pixels", "0,1").splitlines())
    assert other["activation"] == "gelu"
    with pytest.raises(ValueError, match="such as 0,1"):
        run(*arguments, "--pixels", "gray")


def test_predict_generalization_goes_on_after_a_bad_file_and_says_so(zoo, cnns):
    bad, good = str(cnns / "page[b].pt"), str(cnns / "0.pt")
    arguments = ["predict", "generalization", bad, good, "--zoo", str(zoo), *DECLARED]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "page[b].pt: This is an HTML page" in result.output and "0.pt" in result.output
    result = CliRunner().invoke(app, [*arguments, "--json"])
    first, second = map(json.loads, result.output.splitlines())
    assert "HTML" in first["error"] and "error" not in second
    result = CliRunner().invoke(app, [*arguments, "--csv"])
    first, second = csv.DictReader(result.output.splitlines())
    assert "HTML" in first["error"] and float(second["test_accuracy"]) >= 0 and second["activation"] == "relu"
    with pytest.raises(ZooError, match="--json or --csv, not both"):
        run(*arguments, "--json", "--csv")


def test_tables_fit_into_80_columns_and_cut_no_name(zoo, cnns, monkeypatch):
    for module in (predict, browse):
        monkeypatch.setattr(module.console, "width", 80)
    long = cnns / "a checkpoint with a name of more than thirty letters.pt"
    (cnns / "0.pt").rename(long)
    said = run("predict", "generalization", long, cnns / "both.pt", "--zoo", zoo, *DECLARED)
    assert "both.pt[1]" in said and "…" not in said and max(map(len, said.splitlines())) <= 80
    said = run("list", "--zoo", zoo)
    assert "tiny-sirens" in said and "…" not in said and max(map(len, said.splitlines())) <= 80


def test_predict_inr_of_a_stack_is_a_line_each(zoo, tmp_path):
    sirens = [Zoo(zoo).network(f"tiny-sirens/test/{i}").tensors() for i in range(2)]
    torch.save(
        {name: torch.stack([siren[name] for siren in sirens]) for name in sirens[0]}, tmp_path / "both.pt"
    )
    arguments = ["predict", "inr", tmp_path / "both.pt", "--zoo", zoo]
    rows = [json.loads(line) for line in run(*arguments, "--json").splitlines()]
    assert [row["network"] for row in rows] == ["both.pt[0]", "both.pt[1]"]
    lines = [line.split() for line in run(*arguments).splitlines() if "both.pt" in line]
    assert [line[1] for line in lines] == [row["label"] for row in rows]


def test_an_existing_file_is_replaced_only_with_overwrite(zoo, tmp_path):
    out = tmp_path / "out.safetensors"
    out.write_text("mine")
    for arguments in (["edit", "tiny-sirens/test/1", "--style", "neon"], ["ticket", "mnist-inits/test/3"]):
        with pytest.raises(
            ZooError, match="already exists: name another file with --out, or add --overwrite"
        ):
            run("predict", *arguments, "--out", out)
    assert out.read_text() == "mine"
    run("predict", "ticket", "mnist-inits/test/3", "--out", out, "--overwrite")
    assert out.read_bytes() != b"mine"


def test_logging_is_on_stderr_with_the_requested_verbosity(tmp_path, monkeypatch):
    arguments = [
        "build",
        "siren",
        "--images",
        "mnist",
        "--count",
        "1",
        "--recipe",
        "quick",
        "--device",
        "cpu",
    ]
    said = {}
    for option in ("-v", "-q"):
        result = CliRunner().invoke(app, [option, *arguments, "--out", str(tmp_path / option)])
        assert result.exit_code == 0 and "1 SIRENs in" in result.stdout, result.output
        said[option] = result.stderr
    assert "images from" in said["-v"] and "1/1" in said["-v"] and said["-q"] == ""
    with pytest.raises(ValueError, match="--verbose or --quiet"):
        run("-v", "-q", "list")


def test_predict_generalization_refuses_a_picture(zoo, cnns):
    result = CliRunner().invoke(app, ["predict", "generalization", "tiny-sirens/test/0", "--zoo", str(zoo)])
    assert result.exit_code == 1 and "not an image classifier" in result.output


def test_bundle_writes_the_images_that_ship(tmp_path):
    assert "cifar10.parquet" in run("bundle", "--out", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md",
        "cifar10-colour.parquet",
        *(f"{n}.parquet" for n in images.IMAGE_SETS),
    }


def test_a_name_that_is_both_a_file_and_an_id_is_refused(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny-sirens" / "test").mkdir(parents=True)
    (tmp_path / "tiny-sirens" / "test" / "0").write_bytes(b"x")
    with pytest.raises(ZooError, match=r"is a file and looks like a zoo id: write \./tiny-sirens/test/0"):
        run("predict", "inr", "tiny-sirens/test/0", "--zoo", zoo)


def test_a_name_that_is_neither_is_refused():
    with pytest.raises(ZooError, match=r"There is no such file, and 'net\.pt' is not a zoo id"):
        run("predict", "inr", "net.pt")


def test_a_mistake_ends_in_one_sentence_and_no_traceback():
    command = [sys.executable, "-m", "zoo", "show", "mnist-siren/test/1"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith("Error: There is no collection 'mnist-siren'")
    assert "Traceback" not in result.stderr
