"""A family of collections and a predictor are one record each: scratch ones are built, listed, shown and run."""

import dataclasses
import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from torch import Tensor
from typer.testing import CliRunner

from app.networks import zoos
from app.tabs.zoo import views as zoo_views
from app.tabs.zoo.browse import View
from app.ui import TABS
from nfn.network import Network
from nfn.predictor import CLASSES, Predictor
from nfn.reader import write_network
from nfn.sparse_training import default_init
from nfn.spec import ArraySpec, NetworkSpec
from zoo.__main__ import app, build_commands
from zoo.catalog import Zoo, write_catalog
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.families import FAMILIES, Family
from zoo.families.building import Out, run
from zoo.families.drawing import mosaic
from zoo.families.family import Measure
from zoo.front_matter import dataset_header
from zoo.sample import Sample, sample_collection
from zoo.shards import Shard, shard_numbers
from zoo.viewer import viewer_tables

SHAPES = ((8, 4), (2, 8))
NAMES = (("0.weight", "0.bias"), ("2.weight", "2.bias"))


@dataclass(frozen=True)
class PolicyBuild:
    total: int
    shard_size: int = 4

    def check(self) -> None: ...

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> Shard:
        numbers = shard_numbers(self, shard)
        spec = NetworkSpec(tuple(map(ArraySpec, SHAPES)), tuple(ArraySpec(shape[:1]) for shape in SHAPES))
        rows = [
            {"split": "test", "robot": ("arm", "leg")[number % 2], "reward": 1.5 * number}
            for number in numbers
        ]
        return Shard(default_init(spec, numbers), rows, NAMES)

    def describe(self) -> dict:
        images = {"name": "none", "repo": "", "licence": "mit"}
        return {"format": 1, "title": "Policies of a robot", "kind": "policy", "shapes": SHAPES, "images": images,
                "tensor_names": NAMES, "labels": [], "build": asdict(self)}  # fmt: skip


def draw(collection: Collection, rows: range) -> Iterator[Tensor]:
    return map(mosaic, collection.features(rows).weights[0][:, 0].clamp(-1, 1))


def build(out: Out, count: int = 6) -> None:
    rows, _ = run(PolicyBuild(count), out, "cpu")
    print(f"{len(rows)} policies.")


FAMILY = Family(
    kind="policy",
    title="Policies",
    network="classifier",
    columns={"robot": pa.string(), "reward": pa.float64()},
    group="robot",
    measure=Measure("reward", "Reward", " points", 1.0),
    hub_task="graph-ml",
    draw=draw,
    describe=lambda collection: {"networks": len(collection)},
    command="policy",
    build=build,
)


@dataclass(frozen=True)
class RewardConfig:
    factor: float = 2.0


@dataclass(frozen=True)
class Reward:
    reward: float
    weights: list[Tensor]


class RewardReader(Predictor[RewardConfig, Reward]):
    name = "reward"
    config_class = RewardConfig
    task = "reward prediction"
    title = "The reward of a policy"

    def fault(self, network: Network) -> str | None:
        return None if network.chain is not None and len(network.chain) == 2 else "It has not two layers."

    def predict(self, network: Network) -> Reward:
        weights = network.features.weights
        return Reward(self.config.factor * sum(float(w.sum()) for w in weights), list(weights))


def command(typed: typer.Typer, *arguments: object, exit_code: int = 0) -> str:
    result = CliRunner().invoke(typed, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.output


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A zoo of a scratch family and a scratch predictor, each registered by one entry."""
    monkeypatch.setitem(FAMILIES, FAMILY.kind, FAMILY)
    monkeypatch.setitem(CLASSES, RewardReader.name, f"{__name__}:RewardReader")
    monkeypatch.setattr("zoo.families.building.usable_cores", lambda: 1)
    root = tmp_path / "zoo"
    out = root / "collections" / "policies"
    assert "6 policies" in command(build_commands(), "policy", "--out", out)
    RewardReader(RewardConfig()).save_pretrained(root / "predictors" / "rewards")
    command(app, "index", root)
    return root


def test_a_new_family_and_a_new_predictor_need_one_record_each(root, tmp_path, monkeypatch):
    listed = command(app, "list", "--zoo", root)
    assert all(text in listed for text in ("policies", "Policies of a robot", "rewards", RewardReader.title))
    assert "3.8 points on average, 0.0 points to 7.5 points" in command(
        app, "show", "policies", "--zoo", root
    )
    zoo = Zoo(root)
    network, rewards = zoo.network("policies/test/3"), zoo.predictor("rewards", RewardReader)
    write_network(network, tmp_path / "policy.safetensors")
    write_network(Zoo().network("mnist-sirens/test/0"), tmp_path / "picture.safetensors")
    files = [tmp_path / name for name in ("policy.safetensors", "picture.safetensors")]
    arguments = ("predict", "with", "rewards", "policies/test/3", *files, "--zoo", root)
    rows = list(map(json.loads, command(app, *arguments, "--json", exit_code=1).splitlines()))
    assert [row.get("reward") for row in rows] == [rewards.predict(network).reward] * 2 + [None]
    assert rows[2]["error"] == "It has not two layers." and "weights" not in rows[0]
    assert "not two layers" in command(app, *arguments, exit_code=1)
    for module in (zoos, zoo_views):
        monkeypatch.setattr(module, "own_zoo", lambda: zoos.OwnZoo(zoo))
    view = View(entry="policies", network="policies/test/3")
    shown = [getattr(one, "value", one) for one in zoo_views.show(TABS, lambda: view, 16)]
    page = "".join(map(str, shown))
    assert shown[-1] == "" and "<h3>Policies</h3>" in page and "Reward: from 0.0 points to 7.5 points" in page
    assert "<span>4.5 points</span>" in page and "rewards" in page
    assert "No tab here takes networks of this kind" in page


def test_a_new_family_is_sampled_described_and_published(root, tmp_path):
    sample_collection([root / "collections" / "policies"], tmp_path / "few", Sample(count=2))
    few = Collection(tmp_path / "few")
    assert few.describe() == {"networks": 2} and len(few.features().weights[0]) == 2
    zoo = Zoo(root)
    (table,) = viewer_tables(zoo).values()
    assert b"reward" in table and "graph-ml" in dataset_header("Robots", zoo.collections())


def test_the_zoo_of_the_app_needs_what_the_embedded_zoo_has(root, tmp_path, monkeypatch):
    monkeypatch.setattr(zoos, "EMBEDDED", root)
    assert zoos._check_zoo(Zoo(root)).root == root
    with pytest.raises(ZooError, match="rewards"):
        zoos._check_zoo(Zoo())
    shutil.copytree(root / "predictors", tmp_path / "readers" / "predictors")
    write_catalog(tmp_path / "readers")
    with pytest.raises(ZooError, match="no collection of kind 'policy'"):
        zoos._check_zoo(Zoo(tmp_path / "readers"))


@pytest.mark.parametrize("name", CLASSES)
def test_every_predictor_keeps_the_contract(name):
    module, cls = CLASSES[name].split(":")
    predictor = getattr(importlib.import_module(module, "nfn"), cls)
    assert predictor.name == name and predictor.task and predictor.title
    assert dataclasses.is_dataclass(predictor.config_class)
    assert predictor.fault is not Predictor.fault and predictor.predict is not Predictor.predict
