"""What the Hub's viewer and `datasets` find in a pushed zoo, and the embedded one; cards, whose code runs."""

import io
import json
import re

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open

from zoo.card import classifier_card
from zoo.catalog import EMBEDDED, Zoo
from zoo.dataset_card import dataset_card
from zoo.front_matter import size_category
from zoo.viewer import viewer_tables

CARDS = {info.name: EMBEDDED / "predictors" / info.name / "README.md" for info in Zoo().predictors()}


@pytest.fixture(scope="module")
def tables() -> dict[str, pq.ParquetFile]:
    return {path: pq.ParquetFile(io.BytesIO(content)) for path, content in viewer_tables(Zoo()).items()}


def test_a_row_has_a_picture_that_the_viewer_shows(tables):
    assert set(tables) == {
        f"data/{info.name}/{split}.parquet" for info in Zoo().collections() for split in info.splits
    }
    for path, file in tables.items():
        table = file.read()
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features == {"picture": {"_type": "Image"}} and table.schema.names[0] == "picture"
        _, collection, split = path.removesuffix(".parquet").split("/")
        rows = [row for row in Zoo().rows(collection) if row["split"] == split]
        assert table["id"].to_pylist() == [row["id"] for row in rows]
        pictures = [
            Image.open(io.BytesIO(cell["bytes"])) for cell in table["picture"].slice(0, 5).to_pylist()
        ]
        assert all(min(picture.size) >= 28 and picture.getextrema() != (0, 0) for picture in pictures)


def test_a_siren_row_shows_its_picture(tables, real_images):
    first = tables["data/mnist-sirens/test.parquet"].read()["picture"][0].as_py()
    seven = torch.tensor(list(Image.open(io.BytesIO(first["bytes"])).tobytes())).view(28, 28)
    assert (seven - real_images("mnist", 0)[0][0]).abs().float().mean() < 8


@pytest.mark.parametrize(
    ("collection", "split", "number"), [("cifar10-cnns", "test", 17), ("mnist-wild", "unseen", 4)]
)
def test_the_weights_of_a_row_are_read_without_our_code(tables, collection, split, number):
    card = dataset_card(Zoo(), "someone/zoo", {info.name: "someone/x" for info in Zoo().predictors()})
    code = re.search(r"def weights.*?\n\n", card, re.S)
    names: dict = {"hf_hub_download": lambda repo, path, repo_type: EMBEDDED / path, "safe_open": safe_open}
    assert code
    exec(code[0], names)
    row = tables[f"data/{collection}/{split}.parquet"].read().slice(number, 1).to_pylist()[0]
    tensors, network = names["weights"](row), Zoo().network(row["id"]).tensors()
    assert tensors.keys() == network.keys()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.items())


def test_the_embedded_zoo_says_where_its_tables_are():
    configs = yaml.safe_load((EMBEDDED / "README.md").read_text().split("---")[1])["configs"]
    assert [config["config_name"] for config in configs] == [info.name for info in Zoo().collections()]
    for config, info in zip(configs, Zoo().collections(), strict=True):
        (file,) = config["data_files"]
        assert (EMBEDDED / file["path"]).parts[-2:] == (info.name, "networks.parquet")
        assert file["split"] == "test" and set(info.splits) <= {"test", "unseen"}, "all are held out"


def test_front_matter_of_cards_is_valid_on_the_hub():
    for path in CARDS.values():
        head = yaml.safe_load(path.read_text().split("---")[1])
        assert head["pipeline_tag"] in ("image-classification", "image-to-image", "graph-ml")
        assert set(head["datasets"]) <= {"ylecun/mnist", "zalando-datasets/fashion_mnist", "uoft-cs/cifar10"}
        results = head.get("model-index", [{"results": []}])[0]["results"]
        assert all(len(result["metrics"]) == 1 and result["dataset"]["split"] == "test" for result in results)
        keys = [(result["dataset"]["name"], result["dataset"].get("config")) for result in results]
        assert len(set(keys)) == len(keys), "recipes stand apart"


def test_a_new_card_has_valid_front_matter():
    folder = CARDS["inr-classifier"].parent
    training, metrics = (
        json.loads((folder / name).read_text()) for name in ("training.json", "metrics.json")
    )
    today = classifier_card(training, metrics, json.loads((folder / "baselines.json").read_text()))
    assert today == CARDS["inr-classifier"].read_text()


@pytest.mark.parametrize("name", CARDS)
def test_the_code_of_cards_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", CARDS[name].read_text(), re.S)
    exec(compile(code, str(CARDS[name]), "exec"), {})
    assert capsys.readouterr().out.strip()


def test_sizes_have_the_hubs_names():
    assert [size_category(n) for n in (999, 1000, 55_000, 10**6)] == [
        "n<1K",
        "1K<n<10K",
        "10K<n<100K",
        "1M<n<10M",
    ]
