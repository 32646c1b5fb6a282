"""The field's published folders are imported exactly; the folders here are written, and run, by independent code."""

import csv
import gzip
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from reader_files import Call
from typer.testing import CliRunner

from nfn.cnn import class_scores
from nfn.network import SirenConvention
from nfn.siren import render
from zoo.__main__ import app
from zoo.collection import Collection
from zoo.errors import ZooError

LAYOUT = [
    ("sequential/conv2d/bias:0", (16,)), ("sequential/conv2d/kernel:0", (3, 3, 1, 16)),
    ("sequential/conv2d_1/bias:0", (16,)), ("sequential/conv2d_1/kernel:0", (3, 3, 16, 16)),
    ("sequential/conv2d_2/bias:0", (16,)), ("sequential/conv2d_2/kernel:0", (3, 3, 16, 16)),
    ("sequential/dense/bias:0", (10,)), ("sequential/dense/kernel:0", (16, 10)),
]  # fmt: skip
"""The parameters of a Small CNN Zoo row, in the order of its files."""
EPOCHS = (0, 1, 86)
RUNS = 30


def write_small_cnn_zoo(folder: Path) -> np.ndarray:
    """A folder as published, of random weights: run after run, a row for each of its epochs."""
    folder.mkdir(parents=True)
    places = np.cumsum([0, *(math.prod(shape) for _, shape in LAYOUT)])
    with (folder / "layout.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["varname", "start_idx", "end_idx", "size", "shape"])
        for (name, shape), start, stop in zip(LAYOUT, places, places[1:], strict=False):
            writer.writerow([name, start, stop, stop - start, shape])
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.2, (RUNS * len(EPOCHS), 4970)).astype(np.float32)
    weights[5 * len(EPOCHS) + 2, 17] = np.nan  # a run that diverged
    np.save(folder / "weights.npy", weights)
    with gzip.open(folder / "metrics.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["config.activation", "config.dataset", "config.dropout", "config.epochs", "config.l2reg",
             "config.learning_rate", "config.optimizer", "config.train_fraction", "config.w_init", "modeldir",
             "step", "test_accuracy", "test_loss", "train_accuracy", "train_loss"]
        )  # fmt: skip
        for run in range(RUNS):
            for epoch in EPOCHS:
                writer.writerow(
                    ["tanh" if run % 2 else "relu", "cifar10", 0.25, 86, 1e-4, 0.01, "adam", 0.5, "he_normal",
                     f"/cns/run/{run}", epoch, 0.1 + run / 100, 2.0, 0.2, 1.9]
                )  # fmt: skip
    return weights


def keras_scores(row: np.ndarray, images: np.ndarray, activation) -> np.ndarray:
    """`(M, 10)` of images `(M, H, W, 1)`: the Keras network in plain numpy, patch by patch, in float64."""
    at, parameters = 0, {}
    for name, shape in LAYOUT:
        parameters[name] = row[at : at + math.prod(shape)].reshape(shape).astype(float)
        at += math.prod(shape)
    x = images.astype(float)
    for layer in ("conv2d", "conv2d_1", "conv2d_2"):
        kernel = parameters[f"sequential/{layer}/kernel:0"]
        side = (x.shape[1] - 3) // 2 + 1
        out = np.empty((len(x), side, side, 16))
        for i in range(side):
            for j in range(side):
                out[:, i, j] = np.tensordot(x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], kernel, 3)
        x = activation(out + parameters[f"sequential/{layer}/bias:0"])
    return x.mean((1, 2)) @ parameters["sequential/dense/kernel:0"] + parameters["sequential/dense/bias:0"]


def invoke(*arguments: object) -> str:
    """Run `python -m zoo import ...`; what it printed."""
    result = CliRunner().invoke(app, ["import", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def small_cnn_zoo(tmp_path_factory):
    """The folder, its weights, and the collection made of it."""
    folder = tmp_path_factory.mktemp("published") / "cifar10"
    weights = write_small_cnn_zoo(folder)
    out = tmp_path_factory.mktemp("imported") / "small-cnn-zoo"
    output = invoke("small-cnn-zoo", folder, "--out", out)
    assert "29 networks" in output
    assert "1 left out" in output
    return folder, weights, Collection(out)


def test_an_imported_cnn_scores_as_keras_does(small_cnn_zoo):
    _, weights, collection = small_cnn_zoo
    images = np.random.default_rng(1).uniform(-1, 1, (4, 32, 32, 1)).astype(np.float32)
    activations = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}
    for row in collection.rows.to_pylist()[::7]:
        network = collection.network(row["id"])
        name = "tanh" if row["run"] % 2 else "relu"
        assert network.classifier.activation == name
        wanted = keras_scores(weights[row["run"] * len(EPOCHS) + 2], images, activations[name])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).double()
        found = class_scores(network.normalized.map(torch.Tensor.double), pixels, name)[0]
        assert wanted.std() > 0.01
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-10)


def test_facts_are_imported_and_diverged_runs_are_not(small_cnn_zoo):
    _, _, collection = small_cnn_zoo
    rows = {row["run"]: row for row in collection.rows.to_pylist()}
    assert sorted(rows) == [run for run in range(RUNS) if run != 5]
    assert {row["split"] for row in rows.values()} == {"train", "validation", "test"}
    assert all(row["final"] and row["step"] == row["steps"] == 86 for row in rows.values())
    assert rows[7]["test_accuracy"] == pytest.approx(0.17)
    facts = {
        "optimizer": "adam",
        "dropout": 0.25,
        "train_share": 0.5,
        "weight_decay": 1e-4,
        "init": "he_normal",
    }
    assert rows[7].items() >= facts.items()
    assert collection.spec.images["name"] == "cifar10"
    assert "CC BY 4.0" in collection.spec.build["source"]


def test_chosen_steps_of_a_run_share_its_split(small_cnn_zoo, tmp_path):
    folder, weights, _ = small_cnn_zoo
    invoke("small-cnn-zoo", folder, "--out", tmp_path / "zoo", "--step", 0, "--step", 86, "--limit", 9)
    collection = Collection(tmp_path / "zoo")
    rows = collection.rows.to_pylist()
    found = [(row["run"], row["step"], row["final"]) for row in rows]
    assert found[:3] == [(0, 0, False), (0, 86, True), (1, 0, False)]
    assert len(rows) == 9
    assert all(len({row["split"] for row in rows if row["run"] == run}) == 1 for run in range(5))
    found = collection.network(rows[2]["id"]).features.biases[0][0, 0]
    np.testing.assert_array_equal(found.numpy(), weights[len(EPOCHS)][:16])


def damage_layout(folder: Path) -> None:
    text = (folder / "layout.csv").read_text()
    (folder / "layout.csv").write_text(text.replace('"(16, 10)"', '"(16, 11)"'))


def truncate_metrics(folder: Path) -> None:
    lines = gzip.decompress((folder / "metrics.csv.gz").read_bytes()).splitlines(keepends=True)
    (folder / "metrics.csv.gz").write_bytes(gzip.compress(b"".join(lines[:-1])))


def pickle_weights(folder: Path) -> None:
    np.save(folder / "weights.npy", np.array([{}], dtype=object), allow_pickle=True)


DAMAGE = {
    "no layout": (
        lambda f: (f / "layout.csv").unlink(),
        "layout.csv is missing: a folder of the Small CNN Zoo has",
    ),
    "no weights": (lambda f: (f / "weights.npy").unlink(), "weights.npy is missing"),
    "no metrics": (lambda f: (f / "metrics.csv.gz").unlink(), "metrics.csv.gz is missing"),
    "layout": (
        damage_layout,
        "layout.csv: the row .*dense/kernel.* is not a kernel or bias whose shape fits",
    ),
    "rows": (truncate_metrics, "90 rows of weights and 89 rows of metrics"),
    "width": (
        lambda f: np.save(f / "weights.npy", np.zeros((90, 7), "f4")),
        r"\(90, 7\).*expected .*\(n, 4970\)",
    ),
    "pickle": (pickle_weights, "weights.npy is not an array of numbers"),
    "columns": (
        lambda f: (f / "metrics.csv.gz").write_bytes(gzip.compress(b"step,test_accuracy\n1,0.5\n")),
        "no column modeldir, config.dataset, config.activation",
    ),
    "no gzip": (lambda f: (f / "metrics.csv.gz").write_bytes(b"hello"), "metrics.csv.gz is damaged"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_small_cnn_zoo_is_refused_with_what_is_wrong(small_cnn_zoo, tmp_path, damage, message):
    folder = tmp_path / "cifar10"
    shutil.copytree(small_cnn_zoo[0], folder)
    damage(folder)
    with pytest.raises(ZooError, match=message):
        invoke("small-cnn-zoo", folder, "--out", tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_steps_that_are_not_there_are_refused_with_those_that_are(small_cnn_zoo, tmp_path):
    with pytest.raises(ZooError, match=r"steps \[85\]: choose among \[0, 1, 86\]"):
        invoke("small-cnn-zoo", small_cnn_zoo[0], "--out", tmp_path / "zoo", "--step", 85)


def random_siren(seed: int, zero_bias: bool = False, width: int = 8, outputs: int = 1) -> list[torch.Tensor]:
    """Weight and bias of each layer, by a SIREN's usual initialisation."""
    generator = torch.Generator().manual_seed(seed)
    tensors = []
    for inputs, n, bound in ((2, width, 0.5), (width, width, 0.03), (width, outputs, 0.3)):
        for shape in ((n, inputs), (n,)):
            drawn = (torch.rand(shape, generator=generator) * 2 - 1) * bound
            tensors.append(drawn * 0 if zero_bias and len(shape) == 1 and n != outputs else drawn)
    return tensors


def draw(tensors: list[torch.Tensor], first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The output at coordinates: two sine layers of omega 30, one linear one."""
    h = torch.stack([first, second], -1).double()
    for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
        h = torch.sin(30 * (h @ weight.double().T + bias.double()))
    return (h @ tensors[-2].double().T + tensors[-1].double())[..., 0]


def save(path: Path, tensors: list[torch.Tensor], stems: tuple[str, ...], **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{stem}.{part}" for stem in stems for part in ("weight", "bias")]
    torch.save({**dict(zip(names, tensors, strict=True)), **more}, path)


NFN_STEMS = ("net.0.linear", "net.1.linear", "net.2")
DWS_STEMS = ("seq.0", "seq.1", "seq.2")


def drawn_by_us(collection: Collection, network_id: str, size: int) -> torch.Tensor:
    """The picture `(size, size)`, black at -1, white at 1."""
    features = collection.network(network_id).normalized
    return render(features.map(torch.Tensor.double), size, size)[0, 0]


def test_nfn_sirens_draw_the_pictures_that_nfn_draws(tmp_path):
    folder, sirens = tmp_path / "siren_mnist_wts", {}
    for seed, (image, label) in enumerate([(7, 3), (45_000, 1), (69_999, 9), (12, 0)]):
        sirens[image] = random_siren(seed)
        save(folder / f"randinit_smaller_{label}s" / f"net{image}.pth", sirens[image], NFN_STEMS)
    save(folder / "randinit_smaller_aug4_3s" / "net7.pth", random_siren(99), NFN_STEMS)
    invoke("nfn-sirens", folder, "--images", "mnist", "--out", tmp_path / "zoo")
    collection = Collection(tmp_path / "zoo")
    rows = {(row["image_row"], row["copy"]): row for row in collection.rows.to_pylist()}
    assert {key: (row["split"], row["label"]) for key, row in rows.items()} == {
        (7, 0): ("train", 3), (7, 5): ("train", 3), (12, 0): ("train", 0),
        (45_000, 0): ("validation", 1), (69_999, 0): ("test", 9),
    }  # fmt: skip
    assert collection.spec.siren == SirenConvention()
    line = torch.linspace(-1, 1, 28, dtype=torch.float64)
    row, column = torch.meshgrid(line, line, indexing="ij")
    for image, tensors in sirens.items():
        found = drawn_by_us(collection, rows[image, 0]["id"], 28)
        torch.testing.assert_close(found, draw(tensors, row, column), atol=1e-9, rtol=1e-9)


def dws_picture(tensors: list[torch.Tensor], size: int) -> np.ndarray:
    """Pixels from 0 to 1, as DWS draws them: numpy's meshgrid gives (x, y), and 0.5 is added."""
    line = np.linspace(-1, 1, size)
    x, y = np.meshgrid(line, line)
    return draw(tensors, torch.from_numpy(x), torch.from_numpy(y)).numpy() + 0.5


def test_dws_sirens_draw_the_pictures_that_dws_draws(tmp_path):
    folder, sirens = tmp_path / "mnist-inrs", {}
    for seed, (split, label, image) in enumerate(
        [("training", 2, 24), ("training", 5, 25), ("testing", 9, 3)]
    ):
        sirens[image] = random_siren(seed, zero_bias=True)
        name = f"mnist_png_{split}_{label}_{image}"
        save(folder / name / "checkpoints" / "model_final.pth", sirens[image], DWS_STEMS)
    (folder / "__MACOSX" / "mnist_png_training_1_1").mkdir(parents=True)
    invoke("dws-sirens", folder, "--images", "mnist", "--out", tmp_path / "zoo")
    collection = Collection(tmp_path / "zoo")
    rows = {row["image_row"]: row for row in collection.rows.to_pylist()}
    assert {image: (row["split"], row["label"]) for image, row in rows.items()} == {
        24: ("validation", 2), 25: ("train", 5), 3: ("test", 9)
    }  # fmt: skip
    assert collection.spec.siren == SirenConvention(low=-0.5, high=0.5, coordinates="col_row")
    assert [names.weight for names in collection.spec.names] == [
        "seq.0.weight",
        "seq.1.weight",
        "seq.2.weight",
    ]
    for image, tensors in sirens.items():
        found = (drawn_by_us(collection, rows[image]["id"], 28) + 1) / 2
        wanted = dws_picture(tensors, 28)
        assert np.abs(wanted - wanted.T).max() > 0.01
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)


def test_dws_sirens_with_splits_and_labels_inside_are_imported(tmp_path):
    folder = tmp_path / "fmnist_inrs"
    sirens = [random_siren(seed) for seed in range(3)]
    save(folder / "train" / "model_0.pth", sirens[0], DWS_STEMS, label=7)
    save(folder / "train" / "model_1.pth", sirens[1], DWS_STEMS, label=torch.tensor(4))
    save(folder / "test" / "model_1.pth", sirens[2], DWS_STEMS, label=torch.tensor(9, dtype=torch.uint8))
    splits = {"train": ["/home/them/train/model_0.pth"], "val": ["/x/train/model_1.pth"]}
    splits["test"] = ["/test/model_1.pth"]
    (folder / "splits.json").write_text(json.dumps(splits))
    invoke("dws-sirens", folder, "--images", "fashion_mnist", "--out", tmp_path / "zoo")
    collection = Collection(tmp_path / "zoo")
    rows = {row["split"]: row for row in collection.rows.to_pylist()}
    assert {split: row["label"] for split, row in rows.items()} == {"train": 7, "validation": 4, "test": 9}
    found = (drawn_by_us(collection, rows["test"]["id"], 28) + 1) / 2
    np.testing.assert_allclose(found.numpy(), dws_picture(sirens[2], 28), atol=1e-9)


def refuse(folder: Path, layout: str, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        invoke(f"{layout}-sirens", folder, "--images", "mnist", "--out", folder.parent / "zoo")


def test_folders_of_sirens_that_are_not_as_published_are_refused(tmp_path):
    refuse(tmp_path / "nowhere", "nfn", "There is no folder nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    refuse(empty, "nfn", r"empty has no such file: expected randinit_smaller_7s/net123\.pth")
    refuse(empty, "dws", "empty has no such file: expected mnist_png_training_7_123")
    for name in ("unlabelled", "damaged"):
        save(tmp_path / name / "train" / "model_0.pth", random_siren(0), DWS_STEMS)
    refuse(tmp_path / "unlabelled", "dws", r"train/model_0\.pth has the label 'None'; expected 0 to 9")
    (tmp_path / "damaged" / "splits.json").write_text("[]")
    refuse(tmp_path / "damaged", "dws", r"splits\.json is damaged: expected lists of files")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (random_siren(1, width=9), r"7s/net1\.pth has another shape than 7s/net0\.pth"),
        ([torch.full_like(t, math.nan) for t in random_siren(1)], r"7s/net1\.pth cannot be imported: .*NaN"),
    ],
    ids=["shape", "NaN"],
)
def test_a_siren_that_does_not_fit_is_named(tmp_path, tensors, message):
    folder = tmp_path / "wts"
    save(folder / "7s" / "net0.pth", random_siren(0), NFN_STEMS)
    save(folder / "7s" / "net1.pth", tensors, NFN_STEMS)
    refuse(folder, "nfn", message)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    folder = tmp_path / "wts"
    (folder / "7s").mkdir(parents=True)
    torch.save({"0.weight": Call(os.system, "true")}, folder / "7s" / "net0.pth")
    refuse(folder, "nfn", r"7s/net0\.pth cannot be imported: .*tries to run")
