"""Collections of small CNNs: seeded, measured as torch measures, split by training run; samples of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from nfn.cnn import class_scores
from nfn.reader import read_network, write_network
from zoo import images
from zoo.build import grow, run_build
from zoo.build_cnn import GROUP, CnnBuild, gray_images
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.images import load_images, to_gray
from zoo.sample import Sample, sample_collection

BUILD = CnnBuild("cifar10", count=16, min_steps=4, max_steps=12, shard_size=8)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from conftest import IMAGES

    folder = tmp_path_factory.mktemp("cnns") / "tiny-cnns"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))
        gray_images.cache_clear()
        run_build(BUILD, folder, "cpu", 1, lambda count: None)
        yield folder
    gray_images.cache_clear()


def test_every_network_is_kept_along_its_training(built):
    rows = Collection(built).rows.to_pylist()
    assert len({row["run"] for row in rows}) == BUILD.count
    for run in range(BUILD.count):
        mine = [row for row in rows if row["run"] == run]
        steps = [row["step"] for row in mine]
        assert steps == sorted(set(steps))
        assert [row["final"] for row in mine] == [False] * (len(mine) - 1) + [True]
        assert mine[-1]["step"] == mine[-1]["steps"]
        assert len({row["split"] for row in mine}) == 1, "a run is in one split"


def test_accuracy_is_what_the_network_has_on_the_test_images(built):
    collection = Collection(built)
    pixels, labels = gray_images("cifar10", "test")
    for number in (0, 7, len(collection) - 1):
        row = collection.rows.slice(number, 1).to_pylist()[0]
        network = collection.network(row["id"])
        scores = class_scores(network.features, pixels, row["activation"])[0]
        assert float((scores.argmax(1) == labels).float().mean()) == pytest.approx(row["test_accuracy"])
        loss = torch.nn.functional.cross_entropy(scores, labels)
        assert float(loss) == pytest.approx(row["test_loss"], rel=1e-4)
        assert network.kind == "classifier"
        assert network.classifier.activation == row["activation"]


def test_the_same_seed_makes_the_same_bytes_and_another_does_not(built, tmp_path):
    run_build(BUILD, tmp_path / "again", "cpu", 1, lambda count: None)
    run_build(replace(BUILD, seed=1), tmp_path / "other", "cpu", 1, lambda count: None)
    first = "weights-00000.safetensors"
    assert (tmp_path / "again" / first).read_bytes() == (built / first).read_bytes()
    assert (tmp_path / "other" / first).read_bytes() != (built / first).read_bytes()


def test_a_larger_count_extends_a_build_and_keeps_full_shards(built, tmp_path):
    run_build(replace(BUILD, count=8), tmp_path / "grown", "cpu", 1, lambda count: None)
    first = tmp_path / "grown" / "weights-00000.safetensors"
    before = first.stat().st_mtime_ns
    grow(BUILD, tmp_path / "grown")
    run_build(BUILD, tmp_path / "grown", "cpu", 1, lambda count: None)
    assert first.stat().st_mtime_ns == before
    for path in built.iterdir():
        assert (tmp_path / "grown" / path.name).read_bytes() == path.read_bytes()


def test_hyperparameters_differ_between_networks_of_a_group(built):
    rows = Collection(built).rows.to_pylist()
    group = [row for row in rows if row["run"] < GROUP and row["final"]]
    assert len({row["learning_rate"] for row in group}) == GROUP
    assert len({row["activation"] for row in group}) == 1, "a group shares its activation"


@pytest.mark.parametrize(("changes", "message"), [
    ({"count": 12}, "8 at a time"), ({"seed": -1}, "seed"), ({"min_steps": 0}, "steps"),
    ({"min_steps": 9, "max_steps": 8}, "steps"),
])  # fmt: skip
def test_impossible_settings_are_refused(changes, message, tmp_path):
    with pytest.raises(ZooError, match=message):
        run_build(replace(BUILD, **changes), tmp_path / "new", "cpu", 1, lambda count: None)


def test_a_sample_holds_networks_of_its_sources_with_their_facts(built, tmp_path):
    out = tmp_path / "few-cnns"
    whole = Collection(built)
    split = next(iter(whole.splits))
    sample_collection([built], out, Sample((split,), 4, final_only=True))
    few = Collection(out)
    assert few.splits == {split: 4}
    sources = {(row["run"], row["step"]): row for row in whole.rows.to_pylist()}
    for number, row in enumerate(few.rows.to_pylist()):
        source = sources[row["run"], row["step"]]
        assert row["final"]
        assert row["test_accuracy"] == source["test_accuracy"]
        mine = few.features([number]).weights[0]
        assert torch.equal(mine, whole.network(source["id"]).features.weights[0])
    assert json.loads((out / "spec.json").read_text())["build"]["sample_of"] == [whole.spec.build]


def test_a_sample_in_half_precision_holds_rounded_weights(built, tmp_path):
    for name, half in (("whole", False), ("half", True)):
        sample_collection([built], tmp_path / name, Sample(("train",), 4, half=half))
    whole, rounded = Collection(tmp_path / "whole"), Collection(tmp_path / "half")
    sizes = [(c.folder / "weights-00000.safetensors").stat().st_size for c in (whole, rounded)]
    assert sizes[1] < 0.6 * sizes[0]
    for exact, stored in zip(whole.features().tensors, rounded.features().tensors, strict=True):
        assert torch.equal(stored, exact.half().float())
    inits = EMBEDDED / "collections/mnist-inits"
    with pytest.raises(ZooError, match="is for collections of networks of one shape; init is none"):
        sample_collection([inits], tmp_path / "none", Sample(("test",), 4, half=True))


def test_too_few_networks_for_a_sample_are_counted(built, tmp_path):
    with pytest.raises(ZooError, match="100 were requested"):
        sample_collection([built], tmp_path / "none", Sample(("train",), 100))


def test_gray_is_the_luma_of_pil(monkeypatch):
    from conftest import IMAGES
    from PIL import Image

    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))
    colour, _ = load_images("cifar10", "test", [3])
    theirs = torch.from_numpy(
        np.asarray(Image.fromarray(colour[0].movedim(0, 2).numpy()).convert("L")).copy()
    )
    assert (to_gray(colour)[0, 0].int() - theirs.int()).abs().max() <= 1


def test_a_network_keeps_its_activation_through_a_file(built, tmp_path):
    collection = Collection(built)
    network = collection.network(collection.rows["id"][0].as_py())
    write_network(network, tmp_path / "net.safetensors")
    back = read_network(tmp_path / "net.safetensors")
    assert back.kind == "classifier"
    assert back.classifier == network.classifier
    assert all(
        torch.equal(a, b) for a, b in zip(back.features.weights, network.features.weights, strict=True)
    )
