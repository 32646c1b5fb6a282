"""Pictures of other things are drawn the same again, and a reader learns to reject without another answer."""

from pathlib import Path

import pytest
import torch

from nfn.classifier import InrClassifier, InrClassifierConfig
from nfn.weight_reader import WeightReader, WeightReaderConfig
from zoo import images
from zoo.card import typicality_text
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.evaluate_typicality import evaluate_typicality
from zoo.foreign_pictures import KINDS, PictureKind, foreign_pictures
from zoo.foreign_sirens import foreign_sirens
from zoo.train_typicality import TypicalityRecipe, answers, train_typicality

DIGITS = EMBEDDED / "collections/mnist-sirens"
LABELS = {"mnist": list("0123456789")}
QUICK = TypicalityRecipe(images=16, pictures=4, networks=60, misread=8, steps=60, batch=32, kept=0.9)


@pytest.fixture(autouse=True)
def bundled_images(monkeypatch):
    monkeypatch.setenv(images.IMAGES_FOLDER_VARIABLE, str(Path(__file__).parent / "data/images"))
    monkeypatch.setattr(images, "VALIDATION_ROWS", 8)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_is_drawn_in_range_and_the_same_again(kind: PictureKind):
    for channels, side in ((1, 28), (3, 32)):
        pictures = foreign_pictures(kind, 3, channels, seed=1)
        assert pictures.shape == (3, channels, side, side) and pictures.abs().max() <= 1
        assert torch.equal(pictures, foreign_pictures(kind, 3, channels, seed=1))
        assert not torch.equal(pictures[0], pictures[1])


def test_fits_are_cached(tmp_path):
    first = foreign_sirens(KINDS["faces"], 2, 1, 3, tmp_path)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_mtime_ns
    again = foreign_sirens(KINDS["faces"], 2, 1, 3, tmp_path)
    assert path.stat().st_mtime_ns == written
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, again.tensors, strict=True))


def test_a_classifier_learns_to_reject_and_answers_as_before(tmp_path, monkeypatch):
    few = tuple(KINDS[name] for name in ("letters", "stripes"))
    monkeypatch.setattr("zoo.train_typicality.LEARNED", few)
    monkeypatch.setattr("zoo.evaluate_typicality.HELD_OUT", (KINDS["faces"],))
    monkeypatch.setattr("zoo.evaluate_typicality.UNLIKE", 8)
    torch.manual_seed(0)
    plain = InrClassifier(InrClassifierConfig(LABELS, widths=(4, 8))).eval()
    beside = WeightReader(WeightReaderConfig(((32, 2), (32, 32), (1, 32)), labels=LABELS, channels=8)).eval()
    model = train_typicality(plain, [DIGITS], [DIGITS], QUICK)
    features = Collection(DIGITS).normalized(slice(0, 20))
    for before, after in zip(answers(plain, features), answers(model, features), strict=True):
        assert (before.domain, before.label) == (after.domain, after.label)
        assert after.probabilities == pytest.approx(before.probabilities, abs=1e-5)
    model.save(tmp_path / "saved")
    figures = evaluate_typicality(InrClassifier.load(tmp_path / "saved"), [DIGITS], tmp_path, beside, fits=4)
    assert figures["known"][0]["typical"] == pytest.approx(QUICK.kept, abs=0.03)
    assert figures["known"][0]["and_alike"] <= figures["known"][0]["typical"]
    assert {row["kind"] for row in figures["nothing"]} >= {"untrained, 1 channel(s)"}
    assert f"{100 * figures['other_typical']:.1f}%" in typicality_text({"typicality": figures})
