"""The images under tests/data/images are the first 32 rows of each published split."""

import time
from pathlib import Path

import pytest
import torch

from zoo import images
from zoo.errors import ZooError

DATA = Path(__file__).parent / "data" / "images"
# name, channels, size, first labels of the test split, mean of the first test image
FIRST_ROWS = [("mnist", 1, 28, [7, 2, 1]), ("fashion_mnist", 1, 28, [1, 4, 0]), ("cifar10", 3, 32, [1, 4, 0])]


@pytest.fixture(autouse=True)
def local_images(monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))


@pytest.mark.parametrize(("name", "channels", "size", "labels"), FIRST_ROWS)
def test_images_are_stacked_channels_first(name, channels, size, labels):
    pixels, found = images.load_images(name, "test", [0, 1, 2])
    assert pixels.shape == (3, channels, size, size) and pixels.dtype == torch.uint8
    assert found.tolist() == labels
    assert pixels.float().std() > 20, "a picture is not flat"


def test_rows_come_in_the_order_asked_for():
    everything, labels = images.load_images("mnist", "test", slice(None))
    chosen, chosen_labels = images.load_images("mnist", "test", [5, 0, 5])
    assert torch.equal(chosen, everything[[5, 0, 5]])
    assert torch.equal(chosen_labels, labels[[5, 0, 5]])


def test_validation_is_the_end_of_the_training_split(monkeypatch):
    train, validation = (
        images.load_images("mnist", split, slice(None))[0] for split in ("train", "validation")
    )
    assert (len(train), len(validation)) == (24, 8)
    assert images.split_size("mnist", "train") == 24 and images.split_size("mnist", "validation") == 8
    monkeypatch.setattr(images, "VALIDATION_ROWS", 3)
    assert torch.equal(images.load_images("mnist", "validation", slice(None))[0], validation[5:])


def test_pixels_run_from_minus_one_to_one():
    assert images.to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_errors_name_the_choices(monkeypatch, tmp_path):
    with pytest.raises(
        ValueError, match="Unknown images 'svhn': choose one of mnist, fashion_mnist, cifar10"
    ):
        images.load_images("svhn", "test", [0])
    with pytest.raises(ValueError, match="Unknown split 'dev': choose train, validation or test"):
        images.load_images("mnist", "dev", [0])
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="must name a folder that contains ylecun/mnist"):
        images.load_images("mnist", "test", [0])


def test_without_a_folder_the_images_come_from_the_hub(monkeypatch):
    asked = []

    def download(repo: str, filename: str) -> Path:
        asked.append((repo, filename))
        return DATA / repo / filename

    monkeypatch.delenv(images.IMAGES_FOLDER_VARIABLE)
    monkeypatch.setattr("zoo.hub.download_dataset_file", download)
    assert images.load_images("cifar10", "test", [0])[0].shape == (1, 3, 32, 32)
    assert asked == [("uoft-cs/cifar10", "plain_text/test-00000-of-00001.parquet")]


def test_where_the_hub_cannot_be_reached_a_sentence_names_the_folder_of_images(hub, monkeypatch, tmp_path):
    """At once: the client's own tries take half a minute."""
    monkeypatch.delenv(images.IMAGES_FOLDER_VARIABLE)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(ZooError, match=r"cannot be reached.*WEIGHTSCOPE_IMAGES"):
        images.load_images("mnist", "test", [0])
    assert time.monotonic() - start < 3
