"""Candidate conventions in public SIREN code, each with a prior; no picture is looked at here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nfn.features import WeightSpaceFeatures
from nfn.siren_convention.convention import Level, Output, SirenConvention, levels_of

OMEGAS = {
    **{(w, w): 0.05 for w in (5.0, 15.0, 25.0, 40.0, 50.0)},
    **{(w, w): 0.02 for w in (2.0, 80.0, 100.0)},
    **{(w, 30.0): 0.03 for w in (1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 40.0, 50.0, 60.0, 100.0)},
    **{(w, 1.0): 0.03 for w in (5.0, 10.0, 15.0, 20.0, 25.0, 40.0, 50.0, 60.0, 100.0)},
    **{(30.0, w): 0.02 for w in (5.0, 10.0, 15.0, 20.0, 40.0, 60.0)},
    (30.0, 30.0): 1.0,
    (30.0, 1.0): 0.3,
    (10.0, 10.0): 0.15,
    (20.0, 20.0): 0.15,
    (60.0, 60.0): 0.1,
    (1.0, 1.0): 0.1,
}
"""First and hidden omega: 30 and 30 (Sitzmann), 30 and 1 (siren-pytorch), and common changes of these."""
PLACES = {(-1.0, 1.0): 1.0, (0.0, 1.0): 0.3, (-0.5, 0.5): 0.1, (-math.pi, math.pi): 0.1}
"""Coordinates of the first and the last pixel."""
SCALES_BIAS = {True: 1.0, False: 0.1}
TURNS = {("row_col", False): 1.0, ("col_row", False): 0.5, ("row_col", True): 0.03, ("col_row", True): 0.06}
"""Coordinate order, and whether rows go upwards."""

_MEANS = {  # of public code: MNIST, Fashion-MNIST, CIFAR-10 in gray and in colour, ImageNet
    (0.1307, 0.3081): 0.05,
    (0.286, 0.353): 0.03,
    (0.4734, 0.2515): 0.02,
    ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)): 0.05,
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)): 0.05,
}
LEVELS: dict[tuple[Output, Level, Level], float] = {
    ("linear", -1.0, 1.0): 1.0,
    ("linear", 0.0, 1.0): 0.6,
    ("linear", -0.5, 0.5): 0.2,
    ("linear", 0.0, 255.0): 0.03,
    **{("linear", *levels_of(mean, std)): share for (mean, std), share in _MEANS.items()},
    ("linear", 1.0, -1.0): 0.04,
    ("linear", 1.0, 0.0): 0.04,
    ("linear", 0.5, -0.5): 0.01,
    ("sigmoid", 0.0, 1.0): 0.2,
    ("sigmoid", 1.0, 0.0): 0.01,
    ("tanh", -1.0, 1.0): 0.1,
    ("tanh", 0.0, 1.0): 0.03,
    ("tanh", 1.0, -1.0): 0.01,
    ("sine", -1.0, 1.0): 0.1,
    ("sine", 0.0, 1.0): 0.05,
    ("sine", -0.5, 0.5): 0.01,
    ("sine", 1.0, -1.0): 0.004,
    ("sine", 1.0, 0.0): 0.003,
}
"""Output activation, and the outputs of black and white pixels."""

GROWTH = (0.74, 8.0)
"""The range of the ratio of fitted to initial deviation, `sqrt(2 / n) / omega`, of hidden weights."""

LEAST_USUAL = 2e-3
"""Candidates less common than this fraction of the most common one are dropped."""


@dataclass(frozen=True)
class Candidate:
    """A convention and its log prior."""

    convention: SirenConvention
    prior: float


def function_candidates(
    features: WeightSpaceFeatures | None, declared: SirenConvention, open_parts: Sequence[str]
) -> list[Candidate]:
    """What the network may compute: its omegas, where they act, where the coordinates are, a sine at the end.

    The hidden weights' scale says which omegas can be meant. Parts that are not among `open_parts` stay as they are
    in `known`. The most usual come first. None for `features` is a network that declares its graph.
    """
    weights = () if features is None else features.weights
    expected, at_end = _expected_omega(weights[1:-1]), _expected_omega(weights[-1:])
    priors: dict[SirenConvention, float] = {}
    for (first, hidden), omegas in _omegas(declared, open_parts, expected).items():
        for (start, end), places in _of(PLACES, (declared.start, declared.end), "start", open_parts).items():
            scaled = _of(SCALES_BIAS, declared.omega_scales_bias, "omega_scales_bias", open_parts)
            for scales_bias, scales in scaled.items():
                convention = replace(
                    declared,
                    first_omega=first,
                    hidden_omega=hidden,
                    start=start,
                    end=end,
                    omega_scales_bias=scales_bias,
                )
                for output, share in _ends(declared, open_parts, hidden, at_end).items():
                    candidate = _without_unused(replace(convention, output=output), len(weights))
                    prior = math.log(omegas * places * scales * share)
                    priors[candidate] = max(prior, priors.get(candidate, -math.inf))
    least = max(priors.values()) + math.log(LEAST_USUAL)
    candidates = [Candidate(convention, prior) for convention, prior in priors.items() if prior >= least]
    return sorted(candidates, key=lambda candidate: -candidate.prior)


def picture_candidates(
    function: SirenConvention, outputs: int, declared: SirenConvention, open_parts: Sequence[str]
) -> list[Candidate]:
    """The candidate conversions of a function's outputs to a picture: output activation, levels and orientation."""
    candidates = []
    for (output, low, high), level in _levels(function, outputs, declared, open_parts).items():
        turns = _of(TURNS, (declared.coordinates, declared.upwards), "coordinates", open_parts)
        for (coordinates, upwards), turn in turns.items():
            convention = replace(
                function, output=output, low=low, high=high, coordinates=coordinates, upwards=upwards
            )
            candidates.append(Candidate(convention, math.log(level * turn)))
    return candidates


def _of(table: dict, declared, part: str, open_parts: Sequence[str]) -> dict:
    """The table's choices for an undeclared part, or only the declared one."""
    return table if part in open_parts else {declared: 1.0}


def _omegas(
    declared: SirenConvention, open_parts: Sequence[str], expected: float | None
) -> dict[tuple[float, float], float]:
    first_open, hidden_open = "first_omega" in open_parts, "hidden_omega" in open_parts
    if not hidden_open:
        firsts = {first for first, _ in OMEGAS} if first_open else {declared.first_omega}
        return {
            (first, declared.hidden_omega): OMEGAS.get((first, declared.hidden_omega), 0.02)
            for first in firsts
        }
    if not first_open:
        hiddens = {declared.first_omega: 0.5} | {hidden: 0.1 for _, hidden in OMEGAS}
        table = {(declared.first_omega, hidden): share for hidden, share in hiddens.items()}
    else:
        table = OMEGAS
    if expected is None:
        return table
    low, high = (expected * growth for growth in GROWTH)
    return {pair: share for pair, share in table.items() if low <= pair[1] <= high} or table


def _ends(
    declared: SirenConvention, open_parts: Sequence[str], hidden: float, at_end: float | None
) -> dict[Output, float]:
    """Output activations: "linear" for all but a sine; a sine only if the last weights are small enough for it."""
    if "output" not in open_parts:
        return {declared.output: 1.0}
    fits = at_end is not None and at_end / 1.6 <= hidden <= at_end * 3
    return {"linear": 1.0, "sine": 0.4} if fits else {"linear": 1.0}


def _without_unused(convention: SirenConvention, layers: int) -> SirenConvention:
    """Replace a hidden omega that is not used (one hidden layer, and no sine output) by the first one."""
    if layers == 2 and convention.output != "sine":
        return replace(convention, hidden_omega=convention.first_omega)
    return convention


def _levels(
    function: SirenConvention, outputs: int, declared: SirenConvention, open_parts: Sequence[str]
) -> dict[tuple[Output, Level, Level], float]:
    """The common output activations that the function and the declared parts allow."""
    table = {
        key: share
        for key, share in LEVELS.items()
        if (key[0] == "sine") == (function.output == "sine")
        and ("output" in open_parts or key[0] == declared.output)
        and not (isinstance(key[1], tuple) and len(key[1]) not in (1, outputs))
    }
    if "low" in open_parts:
        return table
    ends: dict[Output, float] = {}
    for (output, _, _), share in table.items():
        ends.setdefault(output, share)
    return {(output, declared.low, declared.high): share for output, share in ends.items()}


def _expected_omega(weights: Sequence) -> float | None:
    """The omega for which weights of this scale are initialized (arXiv:2006.09661, section 3.2), or None."""
    weights = [w for w in weights if w.numel() > 1]  # one number has no scale
    if not weights:
        return None
    logs = [0.5 * math.log(2 / w.shape[3]) - math.log(max(float(w.std()), 1e-9)) for w in weights]
    return math.exp(sum(logs) / len(logs))
