"""Classifiers by plain PyTorch scripts that share no code with the library, as uploads: right, and never surely wrong.

What is true of each stands in `data/foreign_cnns/index.json`: its accuracy on 5,000 test images among it.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from app import generalization
from app.actions import RequestError, Source

FOLDER = Path(__file__).parent / "data" / "foreign_cnns"
TRUTHS = {row["file"]: row["accuracy"] for row in json.loads((FOLDER / "index.json").read_text())}
NEAR = 0.05
"""How far from the truth a number may be that an interval does not hold."""
UNREADABLE = {"densenet.pt": "first mismatch at layer"}
"""State dicts whose wiring cannot be found, and what is said of them."""


@dataclass(frozen=True)
class Outcome:
    """What the app says of a file: a number that it believes in, right or wrong, or a sentence."""

    file: str
    right: bool
    wrong: bool
    words: str


@cache
def outcome(file: str) -> Outcome:
    try:
        result = generalization.predict(Source(path=str(FOLDER / file))).result
    except RequestError as error:
        return Outcome(file, False, False, str(error))
    truth = TRUTHS[file]
    near = result.low <= truth <= result.high or abs(result.test_accuracy - truth) <= NEAR
    words = (
        f"{result.test_accuracy:.3f} [{result.low:.3f}, {result.high:.3f}] for {truth:.3f} {result.reason}"
    )
    return Outcome(file, result.typical and near, result.typical and not near, words)


@pytest.mark.parametrize("file", TRUTHS)
def test_a_number_or_a_sentence_comes_of_each(file):
    found = outcome(file)
    assert found.words and UNREADABLE.get(file, "") in found.words.lower(), found


def test_four_in_five_are_right_and_hardly_any_is_surely_wrong():
    outcomes = [outcome(file) for file in TRUTHS]
    right, wrong = ([one for one in outcomes if getattr(one, name)] for name in ("right", "wrong"))
    others = [f"{one.file}: {one.words}" for one in outcomes if not one.right]
    assert len(right) >= 0.8 * len(outcomes), others
    assert len(wrong) <= 1, wrong
