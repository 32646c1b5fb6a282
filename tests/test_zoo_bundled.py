"""The test images that ship: real ones, in order, gray, and small."""

from pathlib import Path

import pytest
import torch

from zoo import images
from zoo.bundled import COUNT, FOLDER, bundled_images, write_bundle, write_notice
from zoo.errors import ZooError

DATA = Path(__file__).parent / "data" / "images"


@pytest.fixture(autouse=True)
def local_images(monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))


@pytest.mark.parametrize("name", images.IMAGE_SETS)
def test_they_are_the_first_rows_of_the_published_test_split(name):
    pixels, labels = bundled_images(name)
    size = images.IMAGE_SETS[name].size
    assert pixels.shape == (COUNT, 1, size, size) and pixels.dtype == torch.uint8
    published, known = images.load_images(name, "test", slice(None))
    assert torch.equal(pixels[: len(published)], images.to_gray(published))
    assert torch.equal(labels[: len(known)], known)


@pytest.mark.parametrize("name", images.IMAGE_SETS)
def test_every_class_is_there(name):
    counts = bundled_images(name)[1].bincount(minlength=10)
    assert len(counts) == 10 and counts.min() > COUNT / 15


def test_they_are_small_and_say_where_they_come_from():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2.5e6
    notice = (FOLDER / "README.md").read_text()
    assert all(s.repo in notice and s.licence in notice for s in images.IMAGE_SETS.values())


def test_writing_them_again_gives_the_same_bytes(tmp_path):
    first, second = (write_bundle("cifar10", tmp_path / name, count=8).read_bytes() for name in "ab")
    assert first == second
    assert torch.equal(bundled_images("cifar10", tmp_path / "a")[0], bundled_images("cifar10")[0][:8])
    write_notice(tmp_path / "a")
    assert (tmp_path / "a" / "README.md").read_text() == (FOLDER / "README.md").read_text()


def test_mistakes_give_clear_errors(tmp_path):
    with pytest.raises(ValueError, match="choose one of mnist"):
        bundled_images("svhn")
    with pytest.raises(ZooError, match=r"mnist.parquet is missing: `python -m zoo bundle --out"):
        bundled_images("mnist", tmp_path)
