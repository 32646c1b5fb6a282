"""The catalog, the ids and `Zoo`, on a tiny zoo and on the embedded one."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from nfn.classifier import InrClassifier, InrClassifierConfig
from nfn.editor import InrEditor, InrEditorConfig
from nfn.predictor import Predictor
from nfn.siren import render
from zoo import images
from zoo.build import run_build
from zoo.build_siren import SirenBuild
from zoo.catalog import EMBEDDED, Zoo, ZooId, parse_zoo_id, write_catalog
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.files import sha256

DATA = Path(__file__).parent / "data" / "images"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A zoo of one collection and two untrained predictors."""
    root = tmp_path_factory.mktemp("made") / "zoo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))
        run_build(
            SirenBuild("mnist", count=4), root / "collections" / "tiny-sirens", "cpu", 1, lambda count: None
        )
    classifier = InrClassifierConfig(labels={"mnist": [str(i) for i in range(10)]}, widths=(2, 2, 2, 2))
    InrClassifier(classifier).save(root / "predictors" / "inr-classifier")
    InrEditor(InrEditorConfig(channels=4)).save(root / "predictors" / "inr-editor")
    (root / "predictors" / "inr-classifier" / "README.md").write_text("# A card\n")
    write_catalog(root)
    return root


@pytest.fixture
def root(made, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "zoo"))


def edit_catalog(root: Path, kind: str, **changes) -> None:
    content = json.loads((root / "catalog.json").read_text())
    content[kind][0].update(changes)
    (root / "catalog.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "text", ["mnist-sirens/test/17", "a/train/0", "cifar10-sirens/validation/123456789", "a-1-b/test/10"]
)
def test_good_ids_round_trip(text):
    assert str(parse_zoo_id(text)) == text


NEARLY = {
    "MNIST-Sirens/Test/17": "mnist-sirens/test/17",
    " mnist-sirens / test / 17\n": "mnist-sirens/test/17",
    "mnist_sirens/tests/017": "mnist-sirens/test/17",
    "/mnist-sirens//val/3/": "mnist-sirens/validation/3",
    "mnist-sirens\\training\\5": "mnist-sirens/train/5",
}


@pytest.mark.parametrize(("text", "wanted"), NEARLY.items())
def test_a_near_miss_is_refused_with_the_right_spelling(text, wanted):
    with pytest.raises(ZooError, match=f"is not a zoo id.*Did you mean {wanted}\\?"):
        parse_zoo_id(text)


BAD = ["", "/", "17", "mnist-sirens", "mnist-sirens/test", "mnist-sirens/test/-1", "mnist-sirens/test/1.5",
       "../../x", "../test/1", "..%2f/test/1", "/etc/passwd", "mnist-sirens/../1", "a/b/c/d",
       "mnist-sirens/test/\uff11\uff17", "mnist-sirens/test/\u0663", "\ufb01sh/test/1", "\x00/test/1",
       "mnist-sirens/test/1\x00", "-/test/1", "a--b/test/1", "mnist-sirens/test/1234567890", "x" * 10_240,
       "x/" * 5_000, "<b>a</b>/test/1"]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=lambda text: ascii(text[:20]))
def test_a_bad_id_is_refused_in_one_short_sentence(text):
    with pytest.raises(ZooError, match=r"is not a zoo id: expected collection/split/number") as caught:
        parse_zoo_id(text)
    assert len(str(caught.value)) < 450 and "Did you mean" not in str(caught.value)


def test_unknown_names_offer_the_nearest(made):
    zoo = Zoo(made)
    with pytest.raises(
        ZooError, match=r"no collection 'tiny-siren' in this zoo\. Did you mean tiny-sirens\?"
    ):
        zoo.network("tiny-siren/test/0")
    with pytest.raises(ZooError, match=r"no collection 'qqq' in this zoo\. This zoo has tiny-sirens"):
        zoo.rows("qqq")
    with pytest.raises(ZooError, match=r"no network 'test/4': choose one of test/0 to test/3"):
        zoo.network("tiny-sirens/test/4")
    with pytest.raises(ZooError, match=r"no network 'train/0'"):
        zoo.network(ZooId("tiny-sirens", "train", 0))
    with pytest.raises(
        ZooError, match=r"no predictor 'inr_clasifier' in this zoo\. Did you mean inr-classifier"
    ):
        zoo.predictor("inr_clasifier")
    with pytest.raises(ZooError, match="no collection"):
        zoo.collection("../collections/tiny-sirens")


def test_the_catalog_round_trips(made, root):
    zoo = Zoo(made)
    (collection,), (classifier, editor) = zoo.collections(), zoo.predictors()
    assert (collection.name, collection.kind, collection.count) == ("tiny-sirens", "siren", 4)
    assert (collection.title, collection.licence, collection.splits) == (
        "MNIST digits as SIRENs",
        "MIT",
        {"test": 4},
    )
    assert [file.name for file in collection.files] == [
        "networks.parquet",
        "spec.json",
        "weights-00000.safetensors",
    ]
    assert collection.size == sum(
        (made / "collections/tiny-sirens" / f.name).stat().st_size for f in collection.files
    )
    assert (classifier.name, classifier.task, editor.name) == (
        "inr-classifier",
        "INR classification",
        "inr-editor",
    )
    before = (root / "catalog.json").read_bytes()
    write_catalog(root)
    assert (root / "catalog.json").read_bytes() == before


def test_rows_carry_whole_ids_and_label_names(made):
    zoo = Zoo(made)
    rows = zoo.rows("tiny-sirens")
    assert [row["id"] for row in rows] == [f"tiny-sirens/test/{i}" for i in range(4)]
    assert [row["label"] for row in rows] == ["7", "2", "1", "0"]
    assert all(row["psnr"] > 27 and row["split"] == "test" for row in rows)
    assert zoo.rows("tiny-sirens", 2) == rows[:2] and zoo.rows("tiny-sirens", 0) == []
    assert zoo.row(rows[3]["id"]) == rows[3]
    with pytest.raises(ZooError, match="limit must be 0 or more, got -1"):
        zoo.rows("tiny-sirens", -1)


def test_a_network_of_the_zoo_is_the_collections(made):
    network = Zoo(made).network("tiny-sirens/test/2")
    expected = Collection(made / "collections" / "tiny-sirens").features().select(2)
    assert torch.equal(network.features.weights[1], expected.weights[1])


def test_predictors_are_loaded_once_and_give_answers(made):
    zoo = Zoo(made)
    classifier, editor = zoo.predictor("inr-classifier"), zoo.predictor("inr-editor")
    assert isinstance(classifier, InrClassifier) and isinstance(editor, InrEditor)
    assert zoo.predictor("inr-classifier") is classifier
    assert classifier.predict(zoo.network("tiny-sirens/test/0")).label in set("0123456789")


def test_a_changed_predictor_is_refused(root):
    path = root / "predictors" / "inr-classifier" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ZooError, match=r"inr-classifier/model\.safetensors is not the file in the catalog"):
        Zoo(root).predictor("inr-classifier")
    path.unlink()
    with pytest.raises(
        ZooError, match=r"inr-classifier/model\.safetensors is missing, though the catalog lists it"
    ):
        Zoo(root).predictor("inr-classifier")


def test_a_predictor_without_listed_weights_is_refused(root):
    edit_catalog(root, "predictors", files=[])
    with pytest.raises(ZooError, match=r"The catalog lists no config\.json for inr-classifier"):
        Zoo(root).predictor("inr-classifier")


def test_a_predictor_of_a_later_version_is_listed_but_not_loaded(root):
    config = root / "predictors" / "inr-classifier" / "config.json"
    config.write_text('{"predictor": "inr-poet"}')
    weights = config.with_name("model.safetensors")
    files = [{"name": f.name, "size": f.stat().st_size, "sha256": sha256(f)} for f in (config, weights)]
    edit_catalog(root, "predictors", files=files)
    zoo = Zoo(root)
    assert "inr-classifier" in [info.name for info in zoo.predictors()]
    with pytest.raises(ZooError, match="describes a 'inr-poet' predictor; this version knows inr-classifier"):
        zoo.predictor("inr-classifier")


def test_a_new_card_changes_the_catalog_but_no_answer(root):
    card = root / "predictors" / "inr-classifier" / "README.md"
    card.write_text("# Another card\n")
    Zoo(root).predictor("inr-classifier")
    with pytest.raises(ZooError, match=r"README\.md is not the file"):
        Zoo(root).verify()
    write_catalog(root)
    Zoo(root).verify()


def test_a_table_of_another_length_is_refused(root):
    edit_catalog(root, "collections", count=5)
    with pytest.raises(ZooError, match="The catalog lists 5 networks in tiny-sirens, its table has 4"):
        Zoo(root).rows("tiny-sirens")


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("collections", {"name": "../tiny-sirens"}, r"'\.\./tiny-sirens' is not a valid name of an entry"),
        ("collections", {"name": ["tiny"]}, "catalog.json is damaged"),
        ("predictors", {"name": "/etc"}, "'/etc' is not a valid name of an entry"),
        (
            "predictors",
            {"files": [{"name": "../config.json", "size": 1, "sha256": ""}]},
            "is not a valid name of a file",
        ),
        ("predictors", {"files": [{"name": "config.json"}]}, "catalog.json is damaged"),
        ("collections", {"colour": "red"}, "catalog.json is damaged.*colour"),
    ],
)
def test_a_damaged_catalog_is_refused(root, kind, changes, message):
    edit_catalog(root, kind, **changes)
    with pytest.raises(ZooError, match=message):
        Zoo(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "it is not JSON"), (b"[]", "expected a JSON object"), (b"{}", "has format None"),
     (b'{"format": 2}', "this version reads format 1"), (b'{"format": 1}', "is damaged: 'collections'")],
)  # fmt: skip
def test_a_file_that_is_not_a_catalog_is_refused(root, content, message):
    (root / "catalog.json").write_bytes(content)
    with pytest.raises(ZooError, match=message):
        Zoo(root)


def test_a_folder_without_catalog_says_how_to_get_one(tmp_path):
    with pytest.raises(ZooError, match=r"has no catalog\.json.*python -m zoo index"):
        Zoo(tmp_path)


def test_the_index_refuses_what_it_cannot_list(root):
    (root / "collections" / "half-built").mkdir()
    with pytest.raises(ZooError, match=r"half-built has no spec\.json"):
        write_catalog(root)
    (root / "collections" / "half-built").rename(root / "predictors" / "half-built")
    with pytest.raises(ZooError, match=r"The predictor half-built cannot be used: .*config\.json"):
        write_catalog(root)
    (root / "predictors" / "half-built").rename(root / "collections" / "Half Built")
    with pytest.raises(ZooError, match="'Half Built' is not a valid name of an entry"):
        write_catalog(root)


def test_the_table_of_predictors_loads_the_classes_it_names():
    for info in Zoo(EMBEDDED).predictors():
        folder = EMBEDDED / "predictors" / info.name
        loaded, config = Predictor.load(folder), json.loads((folder / "config.json").read_text())
        assert loaded.name == config["predictor"] and type(loaded) is not Predictor


def test_the_embedded_zoo_is_whole():
    zoo = Zoo(EMBEDDED)
    zoo.verify()
    assert {info.name for info in zoo.collections()} == {
        "mnist-sirens",
        "fashion-mnist-sirens",
        "cifar10-sirens",
        "cifar10-cnns",
        "fashion-mnist-cnns",
        "mnist-inits",
        "cifar10-inits",
        "mnist-wild",
        "fashion-mnist-wild",
        "cifar10-wild",
    }
    assert sum(info.count for info in zoo.collections()) >= 600
    assert all(info.count >= 14 and set(info.splits) <= {"test", "unseen"} for info in zoo.collections())
    listed = {file for info in zoo.collections() for file in info.files}
    assert sum(file.size for file in listed) < 12_500_000


@pytest.mark.parametrize("name", ["mnist-sirens", "fashion-mnist-sirens", "cifar10-sirens"])
def test_every_embedded_siren_holds_a_picture(name):
    zoo = Zoo(EMBEDDED)
    collection = zoo.collection(name)
    rows = zoo.rows(name)
    assert len({row["label"] for row in rows}) == 10, "every class is there"
    psnr = torch.tensor(collection.rows["psnr"].to_numpy())
    assert psnr.mean() > 33 and psnr.min() > 25
    assert collection.rows["image_row"].to_pylist() == list(range(len(rows))), "each image once"
    size = collection.spec.images["size"]
    pictures = render(collection.features(), size, size)
    assert pictures.abs().amax((1, 2, 3)).max() < 2, "pixels stay near [-1, 1]"
    assert pictures.flatten(1).std(1).min() > 0.1, "no picture is flat"
