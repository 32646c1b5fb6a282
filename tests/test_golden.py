"""The shipped predictors answer as they did: an edit of the code that changes their numbers is seen here."""

import json

import pytest
from golden import ANSWERS, FILE, answers

from zoo.catalog import Zoo

INTERVALS = ("generalization", "accuracy")
"""Predictors whose numbers begin with an accuracy and the two ends of its interval."""
STORED = json.loads(FILE.read_text())


def test_every_shipped_predictor_has_stored_answers():
    assert set(STORED) == set(ANSWERS) == {info.name for info in Zoo().predictors()}


@pytest.mark.parametrize("predictor", ANSWERS)
def test_answers_match_the_stored_ones(predictor):
    """Other machines and thread counts change sums of floats by up to 0.001, and widths of intervals by 0.5%."""
    for zoo_id, numbers in answers(predictor):
        stored = STORED[predictor][zoo_id]
        assert numbers == pytest.approx(stored, abs=1e-3), zoo_id
        if predictor in INTERVALS:
            assert numbers[2] - numbers[1] == pytest.approx(stored[2] - stored[1], rel=5e-3), zoo_id
