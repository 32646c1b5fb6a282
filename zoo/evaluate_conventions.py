"""How well conventions are found: SIRENs fitted in many, read without a word about any, beside the same declared."""

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
    """One network: its label, what is answered where its convention is declared, and where it has to be found."""

    images: str
    label: str
    declared: InrClassification
    found: InrClassification

    @property
    def right_if_declared(self) -> bool:
        """Whether the classifier names it where nothing has to be found."""
        return (self.declared.domain, self.declared.label) == (self.images, self.label)

    @property
    def right(self) -> bool:
        """Whether it is named although its convention is open."""
        return (self.found.domain, self.found.label) == (self.images, self.label)

    @property
    def misled(self) -> bool:
        """Whether a wrong label is called typical that is right where the convention is declared."""
        return self.found.typical and not self.right and self.right_if_declared


def outcomes(model: InrClassifier, fits: Iterable[ForeignFits]) -> list[Outcome]:
    """What the model makes of each network."""
    found = []
    for part in fits:
        names = find_image_set(part.images).labels
        for i, label in enumerate(part.labels.tolist()):
            network = as_network(part, i)
            open_ = replace(network, convention=SirenConvention(), undeclared=FIELDS)
            found.append(Outcome(part.images, names[label], model.predict(network), model.predict(open_)))
    return found


def convention_rows(found: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The figures of the card, per image set."""
    rows = []
    for images in sorted({outcome.images for outcome in found}):
        part = [outcome for outcome in found if outcome.images == images]
        rows.append({
            "images": images,
            "networks": len(part),
            "right_if_declared": mean([outcome.right_if_declared for outcome in part]),
            "right": mean([outcome.right for outcome in part]),
            "typical_if_declared": mean([outcome.declared.typical for outcome in part]),
            "typical": mean([outcome.found.typical for outcome in part]),
            "wrong_and_typical": mean([outcome.found.typical and not outcome.right for outcome in part]),
            "misled": mean([outcome.misled for outcome in part]),
        })  # fmt: skip
    return rows
