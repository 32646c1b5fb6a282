"""Reading collections: one network equals its row of the bulk, and damage is named."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from nfn.features import WeightSpaceFeatures
from nfn.siren import coordinate_grid, evaluate
from zoo import images
from zoo.build import run_build
from zoo.build_siren import SirenBuild
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.errors import ZooError

DATA = Path(__file__).parent / "data" / "images"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Seven colour SIRENs in shards of three."""
    folder = tmp_path_factory.mktemp("zoo") / "some-sirens"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))
        run_build(SirenBuild("cifar10", count=7, shard_size=3), folder, "cpu", 1, lambda count: None)
    return folder


@pytest.fixture
def folder(built, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(built, tmp_path / "some-sirens"))


def equal(a: WeightSpaceFeatures, b: WeightSpaceFeatures) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip([*a.weights, *a.biases], [*b.weights, *b.biases], strict=True)
    )


def test_one_network_equals_its_row_of_the_bulk(built):
    collection = Collection(built)
    bulk = collection.features()
    assert bulk.weights[0].shape == (7, 1, 32, 2) and bulk.biases[2].shape == (7, 1, 3)
    for i in range(7):
        network = collection.network(f"test/{i}")
        assert equal(network.features, bulk.select(i))
        assert network.kind == "siren" and network.siren == collection.spec.siren


def test_the_bulk_is_what_the_files_hold(built):
    collection = Collection(built)
    shards = [load_file(path)["net.1.linear.weight"] for path in sorted(built.glob("weights-*.safetensors"))]
    assert [len(shard) for shard in shards] == [3, 3, 1]
    assert torch.equal(collection.features().weights[1][:, 0], torch.cat(shards))


@pytest.mark.parametrize("rows", [[6, 0, 3, 3], [4], [], slice(2, 5), slice(None)])
def test_features_follow_the_order_of_the_rows(built, rows):
    collection = Collection(built)
    expected = collection.features().select(rows)
    assert equal(collection.features(rows), expected)


def test_tensors_keep_the_names_of_the_files(built):
    tensors = Collection(built).network("test/5").tensors()
    stacked = load_file(built / "weights-00001.safetensors")
    assert list(tensors) == ["net.0.linear.weight", "net.0.linear.bias", "net.1.linear.weight",
                             "net.1.linear.bias", "net.2.weight", "net.2.bias"]  # fmt: skip
    assert all(torch.equal(tensor, stacked[name][2]) for name, tensor in tensors.items())


def test_rows_contain_the_facts(built):
    collection = Collection(built)
    assert len(collection) == 7 and collection.splits == {"test": 7} and collection.images == "cifar10"
    row = collection.row("test/4")
    assert (row["id"], row["shard"], row["row"], row["label"]) == ("test/4", 1, 1, int(collection.labels[4]))
    assert collection.spec.label_names[row["label"]] == "deer"


@pytest.mark.parametrize("network_id", ["test/7", "test/-1", "train/0", "test/00", "", "../../x", "test/٣"])
def test_an_unknown_id_names_the_choices(built, network_id):
    with pytest.raises(ZooError, match="choose one of test/0 to test/6"):
        Collection(built).network(network_id)


def remove(name):
    return lambda folder: (folder / name).unlink()


def overwrite(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def truncate(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-50])


def set_spec(**changes):
    def damage(folder):
        spec = json.loads((folder / "spec.json").read_text())
        (folder / "spec.json").write_text(json.dumps({**spec, **changes}))

    return damage


def set_tensor(name, change):
    def damage(folder):
        path = folder / "weights-00000.safetensors"
        tensors = load_file(path)
        tensors[name] = change(tensors[name])
        save_file(tensors, path)

    return damage


def drop_column(name):
    def damage(folder):
        table = pq.read_table(folder / "networks.parquet")
        pq.write_table(table.drop_columns([name]), folder / "networks.parquet")

    return damage


def with_nan(tensor):
    return tensor.index_fill(0, torch.arange(len(tensor)), float("nan"))


DAMAGE = {
    "no spec": (remove("spec.json"), "some-sirens has no spec.json"),
    "spec is no JSON": (overwrite("spec.json", b"{"), "spec.json is damaged: it is not JSON"),
    "spec is deep": (overwrite("spec.json", b"[" * 100_000), "spec.json is damaged: it is not JSON"),
    "spec is a list": (overwrite("spec.json", b"[]"), "expected a JSON object, got list"),
    "later format": (set_spec(format=2), "has format 2 of kind 'siren'; this version reads format 1"),
    "another kind": (set_spec(kind="novel"), "of kind 'novel'"),
    "layers and names": (
        set_spec(layers=[2, 32, 3]),
        r"layers \[2, 32, 3\] and 3 pairs of tensor names do not match",
    ),
    "huge layer": (set_spec(layers=[2, 10**9, 32, 3]), "are not whole numbers"),
    "no labels": (set_spec(labels=None), "spec.json is damaged"),
    "wrong widths": (
        set_spec(layers=[2, 32, 32, 1]),
        r"net.2.weight holds .* \(3, 32\), spec.json says \(1, 32\)",
    ),
    "unknown convention": (set_spec(siren={"omega": 30}), "spec.json is damaged.*omega"),
    "no rows": (remove("networks.parquet"), "networks.parquet is missing"),
    "rows are no parquet": (overwrite("networks.parquet", b"PAR1"), "networks.parquet is damaged"),
    "missing column": (drop_column("shard"), "expected a full column 'shard' of int64"),
    "no shard": (remove("weights-00000.safetensors"), "weights-00000.safetensors is missing"),
    "shard cut short": (truncate("weights-00000.safetensors"), "weights-00000.safetensors is damaged"),
    "shard is text": (
        overwrite("weights-00000.safetensors", b"hello"),
        "weights-00000.safetensors is damaged",
    ),
    "too few networks": (set_tensor("net.2.bias", lambda x: x[:0]), "holds 0 networks"),
    "scalar": (set_tensor("net.2.bias", lambda x: x[0, 0]), r"shape \(\), spec.json says \(3,\)"),
    "another name": (set_spec(tensor_names=[["a", "b"], ["c", "d"], ["e", "f"]]), "damaged.* a"),
    "not a number": (set_tensor("net.2.bias", with_nan), "net.2.bias must hold finite float32 or float16"),
    "integers": (
        set_tensor("net.2.bias", torch.Tensor.int),
        "net.2.bias must hold finite float32 or float16",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("read", [lambda c: c.network("test/0"), lambda c: c.features()], ids=["one", "bulk"])
def test_damage_is_named_without_server_paths(folder, damage, message, read):
    damage(folder)
    with pytest.raises(ZooError, match=message) as caught:
        read(Collection(folder))
    assert str(folder.parent) not in str(caught.value)


def test_many_networks_come_in_our_convention_whatever_theirs_is(tmp_path):
    """A collection that draws white at 0.5 and black at -0.5 (DWS) trains predictors as pictures from -1 to 1."""
    folder = tmp_path / "theirs"
    shutil.copytree(EMBEDDED / "collections" / "mnist-sirens", folder)
    spec = json.loads((folder / "spec.json").read_text())
    spec["siren"].update(low=-0.5, high=0.5)
    (folder / "spec.json").write_text(json.dumps(spec))
    raw, ours = Collection(folder).features([0, 5]), Collection(folder).normalized([0, 5])
    grid = coordinate_grid(4, 4)
    torch.testing.assert_close(evaluate(ours, grid), 2 * evaluate(raw, grid), atol=1e-4, rtol=1e-4)
