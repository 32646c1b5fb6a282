"""`find_convention`: which of the usual conventions makes a picture of a SIREN, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.network import Network
from nfn.siren import render
from nfn.siren_convention.candidates import Candidate, function_candidates, picture_candidates
from nfn.siren_convention.convention import SirenConvention
from nfn.siren_convention.judges import SIDE, fields, standardized
from nfn.siren_convention.words import describe

if TYPE_CHECKING:
    from nfn.classifier import InrClassifier

BUDGET = 2 * 10**9
"""Products of weights that trying functions may take: a third of a second of one core."""
FUNCTIONS = 3
"""So many of the most likely functions are looked at as pictures."""
LEAST = 0.002
"""A function or a reading that is less likely than this is left out."""
SAME_FIELD = 0.12
"""Standardized fields that differ by less in the mean are one function, written in two ways."""
BEYOND, MOST_BEYOND, LEAST_CONTRAST = 1.3, 0.15, 0.25
"""Of a picture: where pixels are too dark or bright, which share of them may be, and white less black at least."""


@dataclass(frozen=True)
class Reading:
    """One way to read a SIREN: the convention, how likely it is (all readings and "none" sum to 1), and in words.

    `probabilities` are the classifier's for the picture that it gives.
    """

    convention: SirenConvention
    probability: float
    sentence: str
    probabilities: Tensor


@torch.no_grad()
def find_convention(network: Network, classifier: "InrClassifier") -> tuple[Reading, ...]:
    """The likely ways to read a SIREN whose convention is open in the parts `network.undeclared`, likeliest first.

    First each usual function (omegas, coordinates) is evaluated in and around the picture, and judged by whether
    there is one; then the likeliest functions are looked at with each usual range and orientation. What is declared
    is not varied. The tuple is empty where no usual convention gives a picture.

    Raises:
        ValueError: the classifier was saved without the parts that judge conventions, or the network is no SIREN.
    """
    if classifier.judges is None:
        raise ValueError("This classifier cannot find conventions: it was trained without judges of them.")
    features = network.features.to(classifier.device)
    functions = _likely_functions(features, network, classifier)
    parts = [_readings(features, network, classifier, function, share) for function, share in functions]
    readings = sorted((r for part in parts for r in part), key=lambda reading: -reading.probability)
    return tuple(reading for reading in readings if reading.probability >= LEAST)


def _likely_functions(
    features: WeightSpaceFeatures, network: Network, classifier: "InrClassifier"
) -> list[tuple[Candidate, float]]:
    """The functions that the judge of fields takes for what was fitted, with their probabilities."""
    assert classifier.judges is not None, "checked by find_convention"
    tried = function_candidates(features, network.siren, network.undeclared)
    tried = tried[: max(8, BUDGET // _products(features))]
    if len(tried) == 1:
        return [(tried[0], 1.0)]
    seen = standardized(fields(features, [candidate.convention for candidate in tried]))
    scores = classifier.judges.field(seen) + torch.tensor([candidate.prior for candidate in tried]).to(seen)
    shares = torch.softmax(torch.cat([scores, scores.new_zeros(1)]), 0)[:-1]
    return _without_copies(tried, seen, shares)


def _without_copies(tried: list[Candidate], seen: Tensor, shares: Tensor) -> list[tuple[Candidate, float]]:
    """The likeliest functions; those that look alike count as the most usual of them, with the sum of their shares."""
    kept: list[tuple[int, float]] = []
    for i in shares.argsort(descending=True)[: 4 * FUNCTIONS].tolist():
        share = float(shares[i])
        copy = next((k for k, (j, _) in enumerate(kept) if alike(seen[i], seen[j])), None)
        if copy is not None:
            j, other = kept[copy]
            kept[copy] = (min(i, j), share + other)
        elif len(kept) < FUNCTIONS and share >= LEAST:
            kept.append((i, share))
    return [(tried[i], share) for i, share in kept]


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether two standardized fields are of one function."""
    return bool((one - other).abs().mean() < SAME_FIELD)


def _readings(
    features: WeightSpaceFeatures,
    network: Network,
    classifier: "InrClassifier",
    function: Candidate,
    share: float,
) -> list[Reading]:
    """One function with each usual range and orientation."""
    assert classifier.judges is not None, "checked by find_convention"
    outputs = features.weights[-1].shape[2]
    tried = picture_candidates(function.convention, outputs, network.siren, network.undeclared)
    pictures = _pictures(features, [candidate.convention for candidate in tried], classifier.config.size)
    kept = plausible(pictures)
    tried, pictures = [tried[i] for i in kept], pictures[kept]
    maps = classifier.maps(pictures)
    scores = classifier.judges.picture(classifier.judges.picture.inputs(maps))
    shares = (
        torch.softmax(scores + torch.tensor([candidate.prior for candidate in tried]).to(scores), 0) * share
    )
    shares = shares.nan_to_num(0.0)
    probabilities = classifier.probabilities_of(maps)
    return [
        Reading(
            candidate.convention, float(p), describe(candidate.convention, network.undeclared, float(p)), row
        )
        for candidate, p, row in zip(tried, shares, probabilities, strict=True)
        if p >= LEAST
    ]


def _pictures(features: WeightSpaceFeatures, conventions: Sequence[SirenConvention], size: int) -> Tensor:
    """What one function shows `(n, c, size, size)` in conventions that differ in their ends and orientations only."""
    output = "sine" if conventions[0].output == "sine" else "linear"
    plain = replace(conventions[0], output=output, low=-1.0, high=1.0, coordinates="row_col", upwards=False)
    return shown(render(plain.normalize(features), size, size), conventions)


def shown(values: Tensor, conventions: Sequence[SirenConvention]) -> Tensor:
    """The pictures `(n, c, size, size)` that the last layer's values `(1, c, size, size)` are in each convention.

    The values are those at (row, column), rows downwards; what is at the end has not been applied.
    """
    return torch.cat([_turned(convention.finished(values), convention) for convention in conventions])


def plausible(pictures: Tensor) -> list[int]:
    """The pictures that are about as bright as pictures are: few pixels far beyond black or white, and some contrast.

    All of them where none is.
    """
    pixels = pictures.flatten(1)
    beyond = (pixels.abs() > BEYOND).float().mean(1)
    contrast = pixels.quantile(0.99, 1) - pixels.quantile(0.01, 1)
    kept = ((beyond < MOST_BEYOND) & (contrast > LEAST_CONTRAST)).nonzero()[:, 0].tolist()
    return kept or list(range(len(pictures)))


def _turned(picture: Tensor, convention: SirenConvention) -> Tensor:
    picture = picture.transpose(2, 3) if convention.coordinates == "col_row" else picture
    return picture.flip(2) if convention.upwards else picture


def _products(features: WeightSpaceFeatures) -> int:
    return SIDE**2 * sum(math.prod(weight.shape[2:]) for weight in features.weights)
