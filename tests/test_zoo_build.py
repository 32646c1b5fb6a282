"""Builds: a shard depends on its settings alone, whatever stopped the run, however many workers made it."""

import json
import signal
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nfn.siren import render
from zoo import images
from zoo.build import find_device, grow, run_build
from zoo.build_siren import SirenBuild, draw_recipe
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.executor import _run_futures
from zoo.images import load_images, to_float

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data" / "images"
BUILD = SirenBuild("mnist", count=6, copies=2, seed=3, shard_size=2)
KILLED = """
import os, signal
from pathlib import Path
from zoo.build import run_build
from zoo.build_siren import SirenBuild
made = 0
def on_fit(count):
    global made
    made += count
    if made == 4:
        os.kill(os.getpid(), signal.SIGKILL)  # the second shard is fitted, but not yet written
run_build(SirenBuild("mnist", count=6, copies=2, seed=3, shard_size=2), Path({folder!r}), "cpu", 1, on_fit)
"""


@pytest.fixture(autouse=True)
def local_images(monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The files of an uninterrupted build in one process."""
    folder = tmp_path_factory.mktemp("whole") / "collection"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))
        run_build(BUILD, folder, "cpu", 1, lambda count: None)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def finished_shards(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("weights-*.safetensors"))


def test_a_build_leaves_spec_rows_and_shards(whole):
    shards = [f"weights-{shard:05d}.safetensors" for shard in range(6)]
    assert sorted(whole) == ["networks.parquet", "spec.json", *shards]
    spec = json.loads(whole["spec.json"])
    assert spec["layers"] == [2, 32, 32, 1]
    assert spec["images"] == {"name": "mnist", "repo": "ylecun/mnist", "size": 28, "licence": "MIT"}


def test_a_killed_build_resumes_to_the_same_bytes(whole, tmp_path):
    folder = tmp_path / "collection"
    run = subprocess.run(
        [sys.executable, "-c", KILLED.format(folder=str(folder))], cwd=ROOT, capture_output=True
    )
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    assert finished_shards(folder) == ["weights-00000.safetensors"]
    assert not (folder / "spec.json").exists()
    first = folder / "weights-00000.safetensors"
    before, reports = first.stat().st_mtime_ns, []
    run_build(BUILD, folder, "cpu", 1, reports.append)
    assert first.stat().st_mtime_ns == before, "a finished shard is left alone"
    assert reports == [2] * 6, "what was there already counts as progress"
    assert contents(folder) == whole


def test_two_workers_make_the_same_bytes_as_one(whole, tmp_path):
    folder, reports = tmp_path / "collection", []
    run_build(BUILD, folder, "cpu", 2, reports.append)
    assert sum(reports) == 12
    assert contents(folder) == whole


def test_interrupted_workers_leave_whole_shards_that_one_process_completes(whole, tmp_path):
    folder = tmp_path / "collection"

    def press_ctrl_c(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_build(BUILD, folder, "cpu", 2, press_ctrl_c)
    assert not (folder / "spec.json").exists()
    assert all((folder / name).read_bytes() == whole[name] for name in finished_shards(folder))
    run_build(BUILD, folder, "cpu", 1, lambda count: None)
    assert contents(folder) == whole


def test_a_workers_error_reaches_the_caller():
    going_on, failed = Future(), Future()
    failed.set_exception(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        _run_futures(iter([going_on, failed]), 2, lambda: 0, lambda count: None)


def test_workers_get_a_few_shards_at_a_time():
    submitted: list[Future] = []

    def submit():
        for _ in range(100):
            assert sum(not future.done() for future in submitted) < 3
            submitted.append(Future())
            yield submitted[-1]

    def finish_one() -> int:
        for future in [future for future in submitted if not future.done()][:1]:
            future.set_result(None)
        return sum(future.done() for future in submitted)

    counts: list[int] = []
    _run_futures(submit(), 3, finish_one, counts.append)
    assert len(submitted) == sum(counts) == 100


def test_a_finished_build_is_not_made_again(tmp_path):
    folder, reports = tmp_path / "collection", []
    build = replace(BUILD, count=1)
    run_build(build, folder, "cpu", 1, lambda count: None)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run_build(build, folder, "cpu", 1, reports.append)
    assert reports == [2]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(ZooError, match="seed is 3 there and 4 here"):
        run_build(replace(build, seed=4), folder, "cpu", 1, reports.append)


def test_a_folder_of_other_settings_is_refused(tmp_path):
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_build(BUILD, tmp_path, "cpu", 1, stop)
    before = contents(tmp_path)
    with pytest.raises(ZooError, match=r"recipe is 'fixed' there and 'varied' here.*Use the same settings"):
        run_build(replace(BUILD, recipe="varied"), tmp_path, "cpu", 1, lambda count: None)
    assert contents(tmp_path) == before


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ZooError, match=r"holds files, but no build\.json"):
        run_build(BUILD, tmp_path, "cpu", 1, lambda count: None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": 30, "count": 3}, "test split of mnist has 32 images; rows 30 to 32 were requested"),
        ({"count": 0}, "copies must be at least 1"),
        ({"copies": -1}, "copies must be at least 1"),
        ({"first": -1}, "the first row and the seed at least 0"),
        ({"recipe": "best"}, "Unknown recipe 'best': choose one of fixed, varied, quick"),
        ({"images": "svhn"}, "Unknown images 'svhn'"),
        ({"split": "dev"}, "Unknown split 'dev'"),
    ],
)
def test_rows_that_do_not_exist_are_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_build(replace(BUILD, **changes), tmp_path / "new", "cpu", 1, lambda count: None)
    assert not (tmp_path / "new").exists()


def test_networks_show_the_images_of_their_rows(tmp_path):
    run_build(
        SirenBuild("cifar10", count=3, copies=2, first=4, shard_size=4),
        tmp_path,
        "cpu",
        1,
        lambda count: None,
    )
    collection = Collection(tmp_path)
    rows = collection.rows.to_pylist()
    assert [(row["image_row"], row["copy"]) for row in rows] == [
        (4, 0),
        (4, 1),
        (5, 0),
        (5, 1),
        (6, 0),
        (6, 1),
    ]
    pixels, labels = load_images("cifar10", "test", collection.rows["image_row"].to_pylist())
    error = (render(collection.features(), 32, 32) - to_float(pixels)).square().mean((1, 2, 3))
    assert torch.allclose(
        10 * torch.log10(4 / error), torch.tensor(collection.rows["psnr"].to_numpy()).float(), atol=2e-2
    )
    assert min(row["psnr"] for row in rows) > 27
    assert torch.equal(collection.labels, labels)
    weights = collection.features().weights[0]
    assert not torch.allclose(weights[0], weights[1], atol=0.01), "copies start from other random numbers"


def test_varied_recipes_stay_in_their_range_and_fill_it():
    generator = torch.Generator().manual_seed(0)
    recipes = [draw_recipe("varied", generator) for _ in range(200)]
    rates, steps = [r.learning_rate for r in recipes], [r.steps for r in recipes]
    assert 5e-4 <= min(rates) < 7e-4 and 4e-3 < max(rates) <= 5e-3
    assert 100 <= min(steps) < 130 and 470 < max(steps) <= 500


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == "cpu"
    with pytest.raises(ZooError, match="There is no CUDA device here"):
        find_device("cuda")
    with pytest.raises(ZooError, match="Unknown device 'tpu'"):
        find_device("tpu")


def test_a_larger_count_extends_a_build_to_the_files_of_a_whole_one(tmp_path):
    small = replace(BUILD, count=2, copies=1, shard_size=4)
    large = replace(small, count=6)
    for build in (small, large):
        grow(build, tmp_path / "grown")
        run_build(build, tmp_path / "grown", "cpu", 1, lambda count: None)
    run_build(large, tmp_path / "whole", "cpu", 1, lambda count: None)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole"), "its last shard was not full"
