"""A visitor's test images: what is read from which file, how it is converted, what is refused, and what is measured."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from nfn import read_network, save
from nfn.reader.class_names import class_names
from zoo import labelled_files
from zoo.__main__ import app, run_command
from zoo.bundled import FOLDER
from zoo.classifiers import identify_classifier
from zoo.errors import ZooError
from zoo.labelled_images import read_labelled_images
from zoo.measure import for_own_images, image_shape, measure, own_trial

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
SHAPE = (3, 6, 8)


def png(colour, size=(8, 6), mode="RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "png")
    return buffer.getvalue()


def folders(path, members: dict[str, bytes], method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def colour_folders(path, per_class=4, size=(8, 6), root="photos/"):
    rows = {
        f"{root}{name}/{i}.png": png(rgb, size) for name, rgb in COLOURS.items() for i in range(per_class)
    }
    return folders(path, rows)


def parquet(path, cells, labels, image="image", label="label", **options):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({image: pa.array(cells, kind), label: labels}), path, **options)
    return path


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A classifier of three colours at 6 × 8 pixels, of which it adds up the blue, green and red: always right."""
    linear = nn.Linear(3 * 6 * 8, 3, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(3).flip(0).repeat_interleave(48, 1))
    path = tmp_path_factory.mktemp("three") / "three.safetensors"
    save(nn.Sequential(nn.Flatten(), linear), path, SHAPE, pixel_mean=0.5, pixel_std=0.5)
    return path


def measured(network_path, images_path):
    trial = own_trial(identify_classifier(read_network(network_path), []), images_path)
    *_, last = measure(trial)
    return trial, last


def test_a_zip_of_folders_is_measured_on_a_network_of_other_classes_and_sizes(three, tmp_path):
    rows = {"__MACOSX/photos/red/._0.png": b"x", "photos/red/": b"", "photos/notes.txt": b"mine"}
    path = colour_folders(tmp_path / "mine.zip", size=(16, 12))
    with zipfile.ZipFile(path, "a") as archive:
        for name, data in rows.items():
            archive.writestr(name, data)
    read, last = measured(three, path)
    assert (last.correct, last.total, last.classes) == (12, 12, ((4, 4),) * 3) and last.low < 1 == last.high
    assert read.classes == ("blue", "green", "red") and read.images.shape == (12, *SHAPE)
    said = "; ".join(read.sentences)
    assert "16 × 12" in said and "sorted" in said and "1 other files" in said


@pytest.mark.parametrize("key", [("images", "labels"), ("x_test", "y_test")])
@pytest.mark.parametrize("layout", ["last", "first", "unit"])
def test_arrays_of_any_layout_give_the_same_images(three, tmp_path, layout, key):
    pixels = np.zeros((6, 6, 8, 3), np.uint8)
    labels = np.arange(6)[:, None] % 3
    for image, label in zip(pixels, labels[:, 0], strict=True):
        image[..., 2 - label] = 200
    stored = {
        "last": pixels,
        "first": pixels.transpose(0, 3, 1, 2),
        "unit": (pixels / 255).astype(np.float32),
    }[layout]
    np.savez_compressed(tmp_path / "a.npz", **{key[0]: stored, key[1]: labels})
    read, last = measured(three, tmp_path / "a.npz")
    assert torch.equal(read.images, torch.from_numpy(pixels).permute(0, 3, 1, 2)) and last.correct == 6


def test_the_hubs_layout_is_what_the_bundled_images_are(tmp_path):
    table = pq.read_table(FOLDER / "mnist.parquet")[:40]
    path = parquet(tmp_path / "a.parquet", table["image"].to_pylist(), table["label"].to_pylist())
    read = read_labelled_images(path, (1, 28, 28), 10)
    from zoo.bundled import bundled_images

    images, labels = bundled_images("mnist")
    assert torch.equal(read.images, images[:40]) and torch.equal(read.labels, labels[:40])
    words = parquet(tmp_path / "b.parquet", [{"bytes": png(c), "path": None} for c in COLOURS.values()], list(COLOURS),
                    "img", "label")  # fmt: skip
    assert read_labelled_images(words, SHAPE, 3).labels.tolist() == [0, 1, 2]


def test_channels_are_converted_and_transparency_becomes_white(tmp_path):
    mixed = {
        "0/a.png": png(100, mode="L"),
        "0/b.png": png((0, 0, 0, 0), mode="RGBA"),
        "1/c.png": png((255, 0, 0)),
    }
    path = folders(tmp_path / "a.zip", mixed)
    gray = read_labelled_images(path, (1, 6, 8), 2)
    assert gray.images.flatten(1)[:, 0].tolist() == [100, 255, 76]
    colour = read_labelled_images(path, SHAPE, 2)
    assert colour.images[:, :, 0, 0].tolist() == [[100] * 3, [255] * 3, [255, 0, 0]]
    assert "repeated" in "".join(colour.converted) and "luma" in "".join(gray.converted)


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([1, 2, 3], 3, "numbers from 1 to 3; this network has 3 classes, so they must be from 0 to 2"),
        ([-1, 0, 1], 3, "from -1 to 1"),
        (["a", "b"], 3, r"has 2 classes \('a', 'b'\); this network has 3"),
    ],
)
def test_labels_must_fit_the_network(tmp_path, labels, classes, words):
    path = parquet(tmp_path / "a.parquet", [{"bytes": png((0, 0, 0)), "path": None}] * len(labels), labels)
    with pytest.raises(ZooError, match=words):
        read_labelled_images(path, SHAPE, classes)


@pytest.mark.parametrize(
    "stated",
    [
        {"classes": '["Red", "green", "blue"]'},
        {"names": "{0: 'red', 1: 'green', 2: 'blue'}"},
        {"id2label": '{"0": "red", "1": "green", "2": "blue"}'},
        {"label2id": '{"blue": 2, "green": 1, "red": 0}'},
    ],
)
def test_folders_are_matched_with_the_classes_that_the_file_names(tmp_path, stated):
    """The outputs are blue, green, red; with their names turned round only the green ones are right."""
    linear = nn.Linear(144, 3, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(3).flip(0).repeat_interleave(48, 1))
    model = nn.Sequential(nn.Flatten(), linear)
    save(model, tmp_path / "a.safetensors", SHAPE, pixel_mean=0.5, pixel_std=0.5, metadata=stated)
    read, last = measured(tmp_path / "a.safetensors", colour_folders(tmp_path / "mine.zip"))
    assert [name.lower() for name in read.classes] == ["red", "green", "blue"]
    assert last.correct == 4 and "matched with the network's by name" in "; ".join(read.sentences)
    some = folders(tmp_path / "some.zip", {"blue/a.png": png((0, 0, 255)), "pink/a.png": png((255, 0, 255))})
    with pytest.raises(ZooError, match="1 of the 2 classes in the file are none of the network's: 'pink'"):
        measured(tmp_path / "a.safetensors", some)
    other = folders(tmp_path / "other.zip", {f"{name}/a.png": png((0, 0, 255)) for name in "abc"})
    assert "sorted" in "; ".join(measured(tmp_path / "a.safetensors", other)[0].sentences)


def test_class_names_of_checkpoints_and_long_ones_are_read(tmp_path):
    names = [f"a class with a long name {i}" for i in range(300)]
    for content in ({"classes": names}, {"class_to_idx": {name: i for i, name in enumerate(names)}}):
        torch.save({**content, "state_dict": {"a.weight": torch.randn(300, 16)}}, tmp_path / "a.pt")
        assert class_names(read_network(tmp_path / "a.pt").metadata, 300) == tuple(names)
    assert class_names({"classes": '["a", "a"]'}, 2) == class_names({"labels": "[" * 50_000}, 2) == ()
    assert class_names({"names": "3"}, 1) == () and class_names({"id2label": '{"0": "a", "7": "b"}'}, 2) == ()


def test_folder_names_that_are_class_numbers_may_leave_classes_out(tmp_path):
    path = folders(tmp_path / "a.zip", {f"{i}/a.png": png((0, 0, 0)) for i in (10, 2)})
    assert sorted(read_labelled_images(path, SHAPE, 12).labels.tolist()) == [2, 10]


def test_missing_files_are_named_with_what_to_do(tmp_path):
    def refused(path, words):
        with pytest.raises(ZooError, match=words) as error:
            read_labelled_images(path, SHAPE, 3)
        assert (
            "/" not in str(error.value).replace("cats/1.png", "").replace("dogs/1.png", "") or "zip" in words
        )

    np.savez(tmp_path / "names.npz", pictures=np.zeros((2, 4, 4)), y=np.zeros(2, int))
    refused(tmp_path / "names.npz", r"'pictures' \(2, 4, 4\).*arrays named images and labels")
    np.savez(tmp_path / "normal.npz", x=np.full((2, 4, 4), -1.5), y=np.zeros(2, int))
    refused(tmp_path / "normal.npz", "from -1.5 to -1.5; expected pixels .* before any normalization")
    np.savez(tmp_path / "onehot.npz", x=np.zeros((2, 4, 4)), y=np.eye(2))
    refused(tmp_path / "onehot.npz", r"one-hot labels, labels.argmax\(1\)")
    np.savez(tmp_path / "odd.npz", x=np.zeros((2, 4, 4, 5)), y=np.zeros(2, int))
    refused(tmp_path / "odd.npz", r"the shape \(2, 4, 4, 5\); expected")
    refused(folders(tmp_path / "flat.zip", {"a.png": png((0, 0, 0))}), "not in one folder for each class")
    refused(colour_folders(tmp_path / "none.zip", per_class=0), "no picture in the file")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    refused(tmp_path / "text.parquet", r"the columns 'text' \('string'\); expected image or img")
    (tmp_path / "a.txt").write_text("hello")
    refused(tmp_path / "a.txt", "not a file of test images")
    parquet(tmp_path / "paths.parquet", [{"bytes": None, "path": "a.png"}], [0])
    refused(tmp_path / "paths.parquet", "row 0 of the parquet file has no picture")


def bomb_png(side: int) -> bytes:
    """A valid PNG of a few kB whose pixels take side² bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def test_hostile_files_are_refused_before_they_grow(tmp_path, monkeypatch):
    def refused(path, words, shape=SHAPE):
        with pytest.raises(ZooError, match=words):
            read_labelled_images(path, shape, 3)

    refused(folders(tmp_path / "bomb.zip", {"0/a.png": bytes(101 << 20)}), "unpacks to .* bytes")
    refused(folders(tmp_path / "big.zip", {"0/a.png": bomb_png(20_000)}), "more than 20,000,000 pixels")
    refused(folders(tmp_path / "wide.zip", {"0/a.png": bomb_png(9_000)}), "at most 100,000,000 are decoded")
    refused(folders(tmp_path / "deep.zip", {"0/a.png": bomb_png(4_000)}), "damaged or incomplete")
    refused(folders(tmp_path / "up.zip", {"../../0/a.png": png((0, 0, 0))}), "points outside the archive")
    refused(folders(tmp_path / "broken.zip", {"0/a.png": png((0, 0, 0))[:45]}), "cannot be (decoded|read)")
    refused(folders(tmp_path / "svg.zip", {"0/a.png": b"<svg onload=alert(1)>"}), "cannot be read as a PNG")
    link = zipfile.ZipInfo("0/a.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(tmp_path / "link.zip", "symbolic link")
    np.savez(tmp_path / "object.npz", x=np.array([{}, {}], object), y=np.zeros(2, int))
    refused(tmp_path / "object.npz", "Python objects")
    np.savez(tmp_path / "count.npz", x=np.zeros((10_001, 1, 1), np.uint8), y=np.zeros(10_001, int))
    refused(tmp_path / "count.npz", "10,001 images; at most 10,000")
    np.savez(tmp_path / "large.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.zeros(2, int))
    refused(tmp_path / "large.npz", "at most 1 images", (3, 8_000, 8_000))
    repeated = [{"bytes": bytes(2 << 20), "path": None}] * 60
    refused(
        parquet(tmp_path / "grows.parquet", repeated, [0] * 60), "cannot be read as a PNG|more than 100 MB"
    )
    monkeypatch.setattr(labelled_files, "_open", lambda data, where: Image.new("L", (1, 1)))
    refused(tmp_path / "grows.parquet", "more than 100 MB")
    refused(parquet(tmp_path / "z.parquet", repeated[:1], [0], compression="zstd"), "compressed with ZSTD")
    monkeypatch.setattr(labelled_files, "MAX_FILE", 1_000)
    refused(tmp_path / "grows.parquet", "at most 0 MB of test images")


def test_a_network_without_a_known_normalization_or_image_is_not_measured(tmp_path):
    save(nn.Sequential(nn.Flatten(), nn.Linear(144, 3)), tmp_path / "a.safetensors", SHAPE)
    with pytest.raises(ZooError, match="inputs for black and white are not known"):
        for_own_images(identify_classifier(read_network(tmp_path / "a.safetensors"), []))
    assert image_shape((784,)) == (1, 28, 28) and image_shape((3072,)) == (3, 32, 32)
    with pytest.raises(ZooError, match="no gray or colour pictures"):
        image_shape((30,))


def test_the_command_prints_accuracy_and_rows_for_a_card(three, tmp_path, monkeypatch, capsys):
    path = colour_folders(tmp_path / "mine.zip")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["zoo", "measure", str(three), "--images", str(path), *arguments])
        with pytest.raises(SystemExit) as ended:
            run_command(app, "zoo")
        assert ended.value.code == 0
        return capsys.readouterr().out

    shown = run()
    assert "100.0% of 12 images; 95% interval 75.8% to 100.0%" in shown and "model-index:" in shown
    result = json.loads(run("--json"))
    assert result["accuracy"] == 1 and result["classes"][2] == {"class": "red", "images": 4, "correct": 4}
    assert "mean 0.5 and std 0.5: from the file" in result["converted"][-1]
