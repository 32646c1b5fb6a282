"""The app's predictions for classifiers by other scripts: `python -m bench.foreign` writes docs/foreign.md.

The true facts of each network are in `tests/data/foreign_cnns/index.json`; `tests/make_foreign_cnns.py`, which trained
them, shares no code with the library.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.networks.source import Source
from app.runtime.errors import RequestError
from app.tabs.generalization import actions as generalization_actions
from zoo.card import percent, table

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "data" / "foreign_cnns"
NEAR = 0.05
"""How far from the truth a correct number may be, if its interval does not contain the truth."""
COLUMNS = {"file": "file", "images": "images", "about": "what it is", "accuracy": "true accuracy",
           "predicted": "predicted", "interval": "interval", "verdict": "verdict"}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The app's answer for a file: a number that it calls typical, right or wrong, or a message."""

    file: str
    predicted: str
    interval: str
    right: bool
    wrong: bool
    words: str

    @property
    def verdict(self) -> str:
        """The verdict in a few words."""
        return "right" if self.right else "**wrong and typical**" if self.wrong else "no number to rely on"


def truths() -> dict[str, dict]:
    """The true facts of each network, by file."""
    return {row["file"]: row for row in json.loads((FOLDER / "index.json").read_text())}


@cache
def outcome(file: str) -> Outcome:
    """The app's answer for one of the files, uploaded without further information."""
    try:
        result = generalization_actions.predict(Source(path=str(FOLDER / file))).result
    except RequestError as error:
        return Outcome(file, "", "", False, False, str(error))
    truth = truths()[file]["accuracy"]
    near = result.low <= truth <= result.high or abs(result.test_accuracy - truth) <= NEAR
    interval = f"{percent(result.low)} to {percent(result.high)}" if result.typical else ""
    predicted = percent(result.test_accuracy) if result.typical else ""
    return Outcome(
        file, predicted, interval, result.typical and near, result.typical and not near, result.reason
    )


def report() -> str:
    """The report, as Markdown."""
    outcomes = [outcome(file) for file in truths()]
    rows = [{**truths()[one.file], **vars(one), "verdict": one.verdict} for one in outcomes]
    rows = [{**row, "accuracy": percent(row["accuracy"])} for row in rows]
    right, wrong = sum(one.right for one in outcomes), sum(one.wrong for one in outcomes)
    return f"""# Other people's classifiers

Written by `python -m bench.foreign`. {len(outcomes)} image classifiers by plain PyTorch scripts that share no code with
the library, uploaded without further information: wiring, activation, pixels and image set are detected. Right: the
true accuracy, on 5,000 test images, lies in the interval, or within {percent(NEAR)} of the number.

**{right} right, {wrong} wrong and called typical, {len(outcomes) - right - wrong} without a number to rely on.**

{table(rows, COLUMNS)}
"""


if __name__ == "__main__":
    (ROOT / "docs" / "foreign.md").write_text(report())
