"""`find_convention`: find the common convention in which a SIREN is a picture, with its probability."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from nfn.network import Network
from nfn.siren import coordinate_grid
from nfn.siren_convention.candidates import Candidate, function_candidates, picture_candidates
from nfn.siren_convention.convention import SirenConvention
from nfn.siren_convention.judges import SIDE, fields, last_values, standardized
from nfn.siren_convention.words import describe

if TYPE_CHECKING:
    from nfn.classifier import InrClassifier

BUDGET = 2 * 10**9
"""Multiply-adds for trying functions: a third of a second on one core."""
FUNCTIONS = 3
"""The number of most likely functions that are tried as pictures."""
LEAST, LEAST_BEST = 0.002, 0.05
"""Functions and readings below this probability are dropped; so are all, if the best is below the second one."""
LEAST_TYPICALITY = 0.02
"""The least weight of a reading whose picture is out of distribution; the most is 1."""
SURENESS = 1.0
"""The exponent of the likeliest label's probability in the weight of a reading."""
SAME_FIELD = 0.12
"""Standardized fields with a smaller mean difference are the same function."""
SMALLER = 28
"""Pixels a side of gray pictures smaller than the classifier's grid."""
BEYOND, MOST_BEYOND, LEAST_CONTRAST = 1.3, 0.15, 0.4
"""Limits of plausible pictures: too dark or bright pixel values, their largest fraction, the least contrast."""


@dataclass(frozen=True)
class Reading:
    """One way to read a SIREN: the convention, its probability (all readings and "none" sum to 1), and a sentence.

    `probabilities` are the classifier's for the resulting picture.
    """

    convention: SirenConvention
    probability: float
    sentence: str
    probabilities: Tensor


@torch.no_grad()
def find_convention(network: Network, classifier: "InrClassifier") -> tuple[Reading, ...]:
    """The likely readings of a SIREN whose convention is undeclared in `network.undeclared`, likeliest first.

    First each common function (omegas, coordinates) is evaluated in and around the picture and judged; then the
    likeliest functions are judged with each common range and orientation. Declared parameters are not varied. The
    result is empty if no common convention gives a picture.

    Raises:
        ValueError: the classifier was saved without judges of conventions, or the network is not a SIREN.
    """
    if classifier.judges is None:
        raise ValueError("This classifier cannot find conventions: it was trained without judges of them.")
    network = network.to(classifier.device)
    functions = _likely_functions(network, classifier)
    readings = [r for function, share in functions for r in _readings(network, classifier, function, share)]
    none = 1 - sum(share for _, share in functions)
    readings = _weighed_by_typicality(readings, max(none, 0.0))
    if not readings or readings[0].probability < LEAST_BEST:
        return ()
    return tuple(
        replace(r, sentence=describe(r.convention, network.undeclared, r.probability))
        for r in readings
        if r.probability >= LEAST
    )


def _weighed_by_typicality(readings: list[Reading], none: float) -> list[Reading]:
    """Reweight readings by how in-distribution their pictures are, and sort them by probability.

    The judges compare readings of one function; this compares the functions, of which the likelier may show nothing.
    """
    weights = [_weight(reading.probabilities) for reading in readings]
    masses = [reading.probability * weight for reading, weight in zip(readings, weights, strict=True)]
    total = sum(masses) + none * max(weights, default=1.0)
    weighed = [replace(r, probability=mass / total) for r, mass in zip(readings, masses, strict=True)]
    return _likeliest_label_first(sorted(weighed, key=lambda reading: -reading.probability))


def _weight(probabilities: Tensor) -> float:
    """How in-distribution a reading's picture is, and how clearly of one label."""
    return max(1 - float(probabilities[-1]), LEAST_TYPICALITY) * float(probabilities[:-1].max()) ** SURENESS


def _likeliest_label_first(readings: list[Reading]) -> list[Reading]:
    """Move the likeliest reading that has the label with the highest total probability to the front."""
    if not readings:
        return []
    together = sum((r.probability * r.probabilities[:-1] for r in readings), torch.zeros(()))
    label = int(torch.as_tensor(together).argmax())
    first = next((r for r in readings if int(r.probabilities[:-1].argmax()) == label), readings[0])
    return [first, *(reading for reading in readings if reading is not first)]


def _likely_functions(network: Network, classifier: "InrClassifier") -> list[tuple[Candidate, float]]:
    """The likeliest functions by the judge of fields, with their probabilities."""
    assert classifier.judges is not None, "checked by find_convention"
    tried = function_candidates(network.chain, network.siren, network.undeclared)
    tried = tried[: max(8, BUDGET // (SIDE**2 * network.parameters))]
    if len(tried) == 1:
        return [(tried[0], 1.0)]
    seen = standardized(fields(network, [candidate.convention for candidate in tried], classifier.device))
    scores = classifier.judges.field(seen) + _priors(tried, seen)
    shares = torch.softmax(torch.cat([scores, scores.new_zeros(1)]), 0)[:-1].nan_to_num(0.0)
    return _without_copies(tried, seen, shares)


def _without_copies(tried: list[Candidate], seen: Tensor, shares: Tensor) -> list[tuple[Candidate, float]]:
    """The likeliest functions, with equal ones merged under the most common of them."""
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
    """Whether two standardized fields are the same function."""
    return bool((one - other).abs().mean() < SAME_FIELD)


def _readings(
    network: Network, classifier: "InrClassifier", function: Candidate, share: float
) -> list[Reading]:
    """Readings of one function with each common level and orientation; [] if none is plausible."""
    assert classifier.judges is not None, "checked by find_convention"
    values = _on_smoother_grid(network, function.convention, classifier)
    tried = picture_candidates(function.convention, values.shape[1], network.siren, network.undeclared)
    pictures = pictures_in(values, [candidate.convention for candidate in tried])
    kept = plausible(pictures)
    if not kept:
        return []
    tried, stages = [tried[i] for i in kept], classifier.stages(pictures[kept])
    scores = classifier.judges.picture(classifier.judges.picture.inputs(stages[-1]))
    shares = (torch.softmax(scores + _priors(tried, scores), 0) * share).nan_to_num(0.0)
    rows = zip(tried, shares.tolist(), classifier.probabilities_of(stages), strict=True)
    return [Reading(candidate.convention, p, "", row) for candidate, p, row in rows]


def _on_smoother_grid(network: Network, function: SirenConvention, classifier: "InrClassifier") -> Tensor:
    """What the last layer gives `(1, c, size, size)`, on the pixels of `SMALLER` pictures where that is smoother.

    Networks of large omegas were made to fit at the pixels that they were shown, and are noise between them.
    """
    size, grids = classifier.config.size, []
    for side in (size, SMALLER):
        values = last_values(network, [function], coordinate_grid(side, side, classifier.device))
        grids.append(values.unflatten(2, (side, side)))
    if grids[0].shape[1] == 1 and _roughness(grids[1]) < _roughness(grids[0]):
        return F.interpolate(grids[1], (size, size), mode="bilinear", align_corners=True)
    return grids[0]


def _roughness(values: Tensor) -> float:
    """The mean square of second differences between pixels."""
    return float(values.diff(n=2, dim=2).square().mean() + values.diff(n=2, dim=3).square().mean())


def _priors(tried: Sequence[Candidate], like: Tensor) -> Tensor:
    return torch.tensor([candidate.prior for candidate in tried]).to(like)


def pictures_in(values: Tensor, conventions: Sequence[SirenConvention]) -> Tensor:
    """The pictures `(n, c, size, size)` that the last layer's values `(1, c, size, size)` are in each convention.

    The values are those at (row, column), rows downwards; what is at the end has not been applied.
    """
    return torch.cat([_turned(convention.finished(values), convention) for convention in conventions])


def _turned(picture: Tensor, convention: SirenConvention) -> Tensor:
    picture = picture.transpose(2, 3) if convention.coordinates == "col_row" else picture
    return picture.flip(2) if convention.upwards else picture


def plausible(pictures: Tensor) -> list[int]:
    """Indices of plausible pictures: few pixels far beyond black or white, and some contrast."""
    pixels = pictures.flatten(1)
    beyond = (pixels.abs() > BEYOND).float().mean(1)
    contrast = pixels.quantile(0.99, 1) - pixels.quantile(0.01, 1)
    return ((beyond < MOST_BEYOND) & (contrast > LEAST_CONTRAST)).nonzero()[:, 0].tolist()
