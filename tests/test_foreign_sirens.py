"""SIRENs in twelve conventions of public code, uploaded without a word: what the app says of them, and how sure it is.

Every second network of `foreign_sirens` (10 of MNIST, 5 of Fashion-MNIST and 5 of CIFAR-10 in each convention) is held
out for this; the others were there to set the thresholds of the search.

    python -m pytest tests/test_foreign_sirens.py -s      # prints the figures
"""

from dataclasses import dataclass

import foreign_sirens
import pytest

from app.networks.source import Source
from app.networks.zoos import predictor
from app.tabs.inr import actions
from app.tabs.inr.edit import edit
from nfn.classifier import InrClassification, InrClassifier
from nfn.operators import apply_style

HELD_OUT = range(0, foreign_sirens.NETWORKS, 4)


@dataclass(frozen=True)
class Answered:
    """What was answered about one network, and what is true."""

    convention: str
    images: str
    label: str
    result: InrClassification

    @property
    def right(self) -> bool:
        """Whether it is named rightly, typical or not."""
        return (self.result.domain, self.result.label) == (self.images, self.label)

    @property
    def misleading(self) -> bool:
        """Whether a wrong name is called typical."""
        return self.result.typical and not self.right


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """An answer for each held-out network of each convention, by the way that an upload goes."""
    folder, found = tmp_path_factory.mktemp("sirens"), []
    for convention in foreign_sirens.CONVENTIONS:
        for i in HELD_OUT:
            suffix = "safetensors" if i % 8 else "pth"
            path = foreign_sirens.write_state_dict(convention, i, folder / f"{convention}-{i}.{suffix}")
            result = actions.classify(Source(path=str(path))).result
            about = foreign_sirens.describe(convention, i)
            label = predictor("inr-classifier", InrClassifier).config.labels[about["images"]][about["label"]]
            found.append(Answered(convention, about["images"], label, result))
    print(f"\n{figures(found)}")
    return found


def figures(answers: list[Answered]) -> str:
    """A table, a row per convention and per image set, and the sum."""
    names = [*foreign_sirens.CONVENTIONS, *dict.fromkeys(a.images for a in answers)]
    parts = {name: [a for a in answers if name in (a.convention, a.images)] for name in names} | {
        "all": answers
    }
    rows = [f"{'':20} networks  right  typical  wrong and typical"]
    for name, part in parts.items():
        right, typical = sum(a.right for a in part), sum(a.result.typical for a in part)
        wrong = sum(a.misleading for a in part)
        rows.append(f"{name:20} {len(part):8} {right / len(part):6.0%} {typical / len(part):8.0%} {wrong:18}")
    return "\n".join(rows)


def test_at_least_80_percent_are_classified_correctly(answers):
    assert len(answers) == 12 * len(HELD_OUT) == 120
    assert sum(a.right for a in answers) >= 0.8 * len(answers), figures(answers)


def test_at_most_2_percent_are_wrong_and_called_typical(answers):
    assert sum(a.misleading for a in answers) <= 0.02 * len(answers), figures(answers)
    assert sum(a.result.typical for a in answers) >= 0.5 * len(answers), (
        "an answer that is never believed is none"
    )


@pytest.mark.parametrize("convention", foreign_sirens.CONVENTIONS)
def test_every_convention_is_classified_correctly_more_often_than_not(answers, convention):
    """More than half of each, so that no convention hides behind the others; and all of them say what was found."""
    part = [a for a in answers if a.convention == convention]
    assert sum(a.right for a in part) > len(part) / 2, figures(part)
    assert all(a.result.assumed for a in part)
    assert all(a.label != b.label for a in part for b in a.result.alternatives if a.right)


@pytest.mark.parametrize("convention", ["siren_pytorch", "omega_10", "omega_60"])
def test_edits_outside_the_training_range_of_the_learned_editor_are_good(convention, tmp_path):
    """Hidden omegas that it did not learn from: plain descent is better there."""
    path = foreign_sirens.write_state_dict(convention, 0, tmp_path / "net.pt")
    assert edit(Source(path=str(path)), "dilate", 1.0).result.mse < 0.03


@pytest.mark.parametrize("i", [0, 2, 4])
def test_the_error_of_an_edit_is_that_of_the_owners_code(i, tmp_path, monkeypatch):
    """DWS's layout: its own code draws the edited file beside the picture that was asked for."""
    path = foreign_sirens.write_state_dict("dws", i, tmp_path / "net.pt")
    done = edit(Source(path=str(path)), "dilate", 1.0)
    before = foreign_sirens.draw("dws", i)
    tensors = list(done.result.network.tensors().values())
    monkeypatch.setattr(
        foreign_sirens, "parameters", lambda *_: list(zip(tensors[::2], tensors[1::2], strict=True))
    )
    after = foreign_sirens.draw("dws", i)
    asked = apply_style(before[None] * 2 - 1, "dilate", 1.0)[0]
    true = float((after * 2 - 1 - asked).square().mean())
    assert done.result.mse == pytest.approx(true, abs=0.002)
    assert 4 * float((after - before).square().mean()) > 4 * true, "the edit changes more than it errs"
