"""Measure how well conventions are found: SIRENs of many conventions, read without a declaration and with one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nfn.classifier import InrClassification, InrClassifier
from nfn.siren_convention.convention import FIELDS, SirenConvention
from zoo.evaluate_classifier import mean
from zoo.foreign_fits import ForeignFits, as_network
from zoo.images import find_image_set


@dataclass(frozen=True)
class Outcome:
    """One network: its label, and the answers with its convention declared and with its convention unknown."""

    images: str
    label: str
    declared: InrClassification
    detected: InrClassification

    @property
    def right_if_declared(self) -> bool:
        """Whether the label is correct if the convention is declared."""
        return (self.declared.domain, self.declared.label) == (self.images, self.label)

    @property
    def right(self) -> bool:
        """Whether the label is correct although the convention is unknown."""
        return (self.detected.domain, self.detected.label) == (self.images, self.label)

    @property
    def misled(self) -> bool:
        """Whether a wrong label is called typical that is correct if the convention is declared."""
        return self.detected.typical and not self.right and self.right_if_declared


def measure(model: InrClassifier, fits: Iterable[ForeignFits]) -> list[Outcome]:
    """The model's answers for each network."""
    outcomes = []
    for part in fits:
        names = find_image_set(part.images).labels
        for i, label in enumerate(part.labels.tolist()):
            network = as_network(part, i)
            undeclared = replace(network, convention=SirenConvention(), undeclared=FIELDS)
            outcomes.append(
                Outcome(part.images, names[label], model.predict(network), model.predict(undeclared))
            )
    return outcomes


def convention_rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The figures of the card, per image set."""
    rows = []
    for images in sorted({outcome.images for outcome in outcomes}):
        part = [outcome for outcome in outcomes if outcome.images == images]
        rows.append({
            "images": images,
            "networks": len(part),
            "right_if_declared": mean([outcome.right_if_declared for outcome in part]),
            "right": mean([outcome.right for outcome in part]),
            "typical_if_declared": mean([outcome.declared.typical for outcome in part]),
            "typical": mean([outcome.detected.typical for outcome in part]),
            "wrong_and_typical": mean([outcome.detected.typical and not outcome.right for outcome in part]),
            "misled": mean([outcome.misled for outcome in part]),
        })  # fmt: skip
    return rows
