"""Pictures of something else: the classifier that ships calls few of them typical, and nearly all of the zoo's own."""

import pytest
import torch

from nfn.classifier import InrClassifier
from nfn.features import WeightSpaceFeatures
from nfn.siren import FitRecipe, fit_sirens
from nfn.siren_convention.convention import SirenConvention
from zoo.catalog import EMBEDDED, Zoo
from zoo.collection import Collection
from zoo.evaluate_classifier import equivalent_copies
from zoo.foreign_pictures import KINDS, foreign_pictures
from zoo.train_typicality import answers

DRAWN = ("printed letters", "faces", "doodles of things", "checkerboards", "marble")


@pytest.fixture(scope="module")
def classifier() -> InrClassifier:
    return Zoo().predictor("inr-classifier", InrClassifier)


@pytest.fixture(scope="module")
def foreign() -> WeightSpaceFeatures:
    """SIRENs of pictures of kinds that no reader learned from, six of each."""
    pictures = torch.cat([foreign_pictures(KINDS[name], 6, 1, seed=5) for name in DRAWN])
    return fit_sirens(pictures, FitRecipe(1e-2, 50), torch.Generator().manual_seed(0))[0]


def typical(classifier, features: WeightSpaceFeatures) -> float:
    said = answers(classifier, features)
    return sum(answer.typical for answer in said) / len(said)


def test_pictures_of_something_else_are_seldom_typical(classifier, foreign):
    assert all(KINDS[kind].held_out for kind in DRAWN)
    assert typical(classifier, foreign) <= 0.1


def test_zoo_networks_are_nearly_always_typical(classifier):
    for collection in ("mnist-sirens", "fashion-mnist-sirens", "cifar10-sirens"):
        features = Collection(EMBEDDED / "collections" / collection).normalized()
        assert typical(classifier, features) >= 0.95, collection


def test_a_permuted_copy_is_equally_typical(classifier, foreign):
    before = torch.tensor([answer.typicality for answer in answers(classifier, foreign)])
    for copy in equivalent_copies(foreign, torch.Generator().manual_seed(0)).values():
        after = torch.tensor([answer.typicality for answer in answers(classifier, copy)])
        torch.testing.assert_close(after, before, atol=1e-2, rtol=0)


def test_a_network_in_the_wrong_convention_is_none_of_these(classifier):
    features = Collection(EMBEDDED / "collections/mnist-sirens").normalized(slice(0, 40))
    upside = SirenConvention(low=1.0, high=-1.0).normalize(features)
    assert typical(classifier, upside) <= 0.1


def test_a_picture_of_something_else_is_reported_with_its_nearest_label(classifier, foreign):
    said = next(answer for answer in answers(classifier, foreign) if not answer.typical)
    assert said.none_of_these and said.label in said.probabilities and said.label in said.reason
