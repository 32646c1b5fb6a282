"""Collections whose networks have an architecture each: read, sampled, scored and shown like others; hostile ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from app.networks.source import Source
from app.tabs.generalization import actions, html, zoo_html, zoo_points
from nfn.architecture.trace import trace
from nfn.architecture.words import architecture_words
from nfn.network import Graph
from zoo import score
from zoo.__main__ import app
from zoo.catalog import EMBEDDED, Zoo, write_catalog
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.images import find_image_set
from zoo.limits import UNTRUSTED
from zoo.own_architectures import GraphShard, read_architecture, write_pixels
from zoo.sample import Sample, sample_collection
from zoo.shards import complete
from zoo.stacked import RemoteStacked
from zoo.thumbnails import thumbnails
from zoo.wild_module import build_module
from zoo.wild_recipe import FAMILIES, UNSEEN, Draw, draw_recipe
from zoo.wild_training import MINUS_ONE_ONE

WILD = ("mnist-wild", "fashion-mnist-wild", "cifar10-wild")


def graph_of(family: str, number: int = 3) -> Graph:
    recipe = draw_recipe(family, 3, 32, Draw(number))  # pyright: ignore[reportArgumentType]
    module = build_module(recipe).eval()
    architecture = trace(module, (3, 32, 32))
    state = module.state_dict()
    return Graph(architecture, {name: state[name] for name in architecture.shapes})


def write_collection(folder: Path, graphs: list[tuple[str, Graph]]) -> Path:
    folder.mkdir(parents=True)
    rows = [
        {
            "split": "unseen" if family in UNSEEN else "test",
            "family": family,
            "architecture": graph.architecture.to_json(),
            "test_accuracy": 0.1 * number,
            "final": number != 1,
            **write_pixels(MINUS_ONE_ONE),
        }
        for number, (family, graph) in enumerate(graphs)
    ]
    GraphShard([graph for _, graph in graphs], rows).write(folder, 0)
    labels = [str(number) for number in range(10)]
    spec = {"format": 1, "kind": "wild", "labels": labels, "build": {}, "title": "Many architectures",
            "images": find_image_set("cifar10").facts()}  # fmt: skip
    complete(folder, 1, spec)
    return folder


@pytest.fixture(scope="module")
def graphs() -> list[tuple[str, Graph]]:
    torch.manual_seed(0)
    return [(family, graph_of(family)) for family in (*FAMILIES, "cnn")]


@pytest.fixture(scope="module")
def built(graphs, tmp_path_factory) -> Path:
    return write_collection(tmp_path_factory.mktemp("zoo") / "collections" / "many", graphs)


def test_a_network_is_its_graph_in_half_precision_and_computes_the_same(built, graphs):
    collection, x = Collection(built), torch.rand(2, 3, 32, 32)
    for network_id, (_, graph) in zip(collection.rows["id"].to_pylist(), graphs, strict=True):
        network = collection.network(network_id)
        assert network.graph is not None and network.graph.architecture == graph.architecture
        assert network.classifier.pixel_mean == 0.5 and network.parameters == graph.architecture.parameters
        torch.testing.assert_close(network.graph.run(x), graph.run(x), rtol=0.02, atol=0.02)
    assert len(list(thumbnails(collection))) == len(graphs)
    with pytest.raises(ZooError, match="one by one"):
        collection.features()


def test_a_catalog_lists_it_and_rows_say_the_architecture_in_words(built, graphs):
    write_catalog(built.parents[1])
    zoo = Zoo(built.parents[1])
    rows = zoo.rows("many")
    assert [row["architecture"] for row in rows] == [architecture_words(g.architecture) for _, g in graphs]
    assert zoo.collection("many").splits == {"test": 3, "unseen": 3}
    assert zoo.network("many/unseen/0").graph is not None


@pytest.mark.parametrize(("family", "words"), [
    ("mlp", "MLP, "), ("resnet", "ResNet, "), ("depthwise", "Depthwise CNN, "), ("cnn", "CNN, "),
])  # fmt: skip
def test_an_architecture_is_named_by_its_kind(family, words):
    architecture = graph_of(family, 1).architecture
    said = architecture_words(architecture)
    assert said.startswith(words) and said.endswith(f", {architecture.parameters:,} weights")


def test_the_smallest_are_sampled_with_at_least_one_of_each_group(built, graphs, tmp_path):
    sample_collection([built], tmp_path / "few", Sample(("test", "unseen"), 5, smallest=True))
    few = Collection(tmp_path / "few")
    assert set(few.rows["family"].to_pylist()) == set(FAMILIES)
    cnns = [graph.architecture.parameters for family, graph in graphs if family == "cnn"]
    (chosen,) = [row for row in few.rows.to_pylist() if row["family"] == "cnn"]
    assert few.parameters(chosen) == min(cnns)
    with pytest.raises(ZooError, match="only 3 such networks"):
        sample_collection([built], tmp_path / "none", Sample(("test",), 4, final_only=True))
    with pytest.raises(ZooError, match="The sources differ"):
        sample_collection(
            [built, EMBEDDED / "collections" / "mnist-wild"], tmp_path / "none", Sample(count=1)
        )


def test_byte_ranges_of_a_remote_file_give_the_same_network(built):
    data = (built / "weights-00000.safetensors").read_bytes()

    def open_remote(path, indices):
        return RemoteStacked(path.name, len(data), lambda start, stop: data[start:stop])

    near, far = (
        Collection(built).network("test/0").graph,
        Collection(built, open_remote).network("test/0").graph,
    )
    assert near is not None and far is not None
    assert all(torch.equal(near.tensors[name], far.tensors[name]) for name in near.tensors)


Damage = Callable[[dict], None]


def of_column(name: str, value: str) -> Damage:
    return lambda row: row.update({name: value})


def of_architecture(**changes: object) -> Damage:
    return lambda row: row.update(architecture=json.dumps({**json.loads(row["architecture"]), **changes}))


def wider(row: dict) -> None:
    document = json.loads(row["architecture"])
    (first, shape), *_ = ((name, shape) for name, shape in document["shapes"].items() if len(shape) == 2)
    of_architecture(shapes={**document["shapes"], first: [shape[0], shape[1] + 1]})(row)


DAMAGES: dict[str, Damage] = {
    "no JSON": of_column("architecture", "x" * 10_000),
    "too long": of_column("architecture", "[" * (1 << 20) + "]"),
    "deep": of_column("architecture", "[" * 100_000),
    "no ops": of_architecture(ops=[]),
    "many ops": of_architecture(ops=[{"kind": "flatten", "inputs": [0]}] * 3_000),
    "another input": of_architecture(input_shape=[3, 10**6, 10**6]),
    "another shape": wider,
    "no pixels": of_column("pixel_mean", "<b>" * 200),
    "no number": of_column("pixel_std", "nan"),
    "a std of zero": of_column("pixel_std", "0"),
    "another row": lambda row: row.update(row=2**62),
    "another shard": lambda row: row.update(shard=7),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_hostile_row_is_refused_in_a_sentence(built, tmp_path, name):
    rows = pq.read_table(built / "networks.parquet").to_pylist()
    DAMAGES[name](rows[0])
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "networks.parquet")
    for file in ("spec.json", "weights-00000.safetensors"):
        (tmp_path / file).symlink_to(built / file)
    collection = Collection(tmp_path, limits=UNTRUSTED)
    with pytest.raises(ZooError) as caught:
        collection.network("test/0")
    assert str(caught.value).isprintable() and len(str(caught.value)) <= 601
    assert collection.network("test/1").graph is not None


def test_a_network_of_too_many_weights_or_of_none_finite_is_refused(built, tmp_path, monkeypatch):
    few = type(UNTRUSTED)(**{**vars(UNTRUSTED), "values": 1_000})
    with pytest.raises(ZooError, match="at most 1,000"):
        Collection(built, limits=few).network("test/0")
    tensors = {
        name: t.fill_(float("inf")) for name, t in load_file(built / "weights-00000.safetensors").items()
    }
    for file in ("spec.json", "networks.parquet"):
        (tmp_path / file).symlink_to(built / file)
    save_file(tensors, tmp_path / "weights-00000.safetensors")
    with pytest.raises(ZooError, match="finite"):
        Collection(tmp_path).network("test/0")


def test_the_embedded_samples_are_held_out_networks_of_every_family_with_current_scores():
    zoo = Zoo(EMBEDDED)
    for name in WILD:
        opened = zoo.collection(name)
        splits = {(row["split"], row["family"]) for row in opened.rows.to_pylist()}
        assert {family for _, family in splits} == set(FAMILIES)
        assert all((split == "unseen") == (family in UNSEEN) for split, family in splits)
        stored = zoo.collection_file(name, score.STORED)
        assert stored is not None
        settings = score.settings_of(zoo, name, opened.folder, "wild")
        assert score._metadata(stored) == settings, "run `python -m zoo score` again, see the README"


def test_stored_scores_are_used_while_they_are_of_these_networks_and_predictors(monkeypatch):
    zoo = Zoo(EMBEDDED)
    computed = [[{"id": "computed"}]]
    monkeypatch.setattr(score, "score_classifiers", lambda *_: iter(computed))
    assert [row["id"] for row in score.scores_of(zoo, "mnist-wild")] == [
        r["id"] for r in zoo.rows("mnist-wild")
    ]
    monkeypatch.setattr(score, "weights_checksum", lambda *_: "another predictor")
    assert score.scores_of(zoo, "mnist-wild") == computed[0]


def test_the_app_predicts_a_resnet_of_the_zoo_as_it_is_scored():
    point = next(p for p in zoo_points._points("cifar10-wild") if "ResNet" in p.row["architecture"])
    source = Source(zoo_id=point.zoo_id)
    predicted, classifier = actions.predict(source), actions.classifier_of(source)
    assert predicted.result.test_accuracy == pytest.approx(point.predicted, abs=1e-3)
    assert predicted.measured == point.measured and classifier.fault is None
    facts = html.network_facts(source, classifier, predicted.result, point.row)
    assert point.row["architecture"] in facts and "probably trained on CIFAR-10" in facts
    table = zoo_html.networks_table([point])
    assert "ResNet No. " in table and point.row["architecture"].partition(", ")[2] in table


def test_a_command_predicts_it_and_refuses_to_read_it_otherwise():
    command = ["predict", "generalization", "mnist-wild/unseen/4"]
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0 and json.loads(result.output)["images"] == "mnist"
    refused = CliRunner().invoke(app, [*command, "--pixels", "0,1"])
    assert "is known" in str(refused.exception)


def test_its_architecture_can_be_read_by_anyone():
    row = Zoo(EMBEDDED).collection("mnist-wild").rows.slice(0, 1).to_pylist()[0]
    assert read_architecture(row).output_shape == (10,)
