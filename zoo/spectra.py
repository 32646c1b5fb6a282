"""How the spectrum of a weight compares with those of the zoo's trained layers: descriptive, no measure of quality."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nfn.checkpoint.memory import of_tensors
from nfn.health import Spectrum, spectra
from zoo.catalog import EMBEDDED, Zoo
from zoo.files import read_json, write_json

FILE = EMBEDDED / "spectra.json"
TRAINED = ("classifier", "siren")
"""The kinds of collections whose networks are trained, and alike in their layers."""
NETWORKS = 200
"""The most networks of a collection that are measured: the first ones."""
QUANTILES = 101
"""Numbers that are stored of each distribution: its 0th to 100th percentile."""


@dataclass(frozen=True)
class Standing:
    """The percentage of the zoo's layers with a lower relative stable rank and a lower α, and how many layers that are.

    The first is compared with all layers of the kind (convolution or linear layer), as it hardly depends on the shape;
    α with those whose smaller side is about as large (8 to 15, 16 to 31, ...). None if the zoo has none.
    """

    kind: str
    rank: float | None
    rank_of: int
    alpha: float | None
    alpha_of: int


def standing(spectrum: Spectrum) -> Standing:
    """How a spectrum compares with the zoo's."""
    stored = _stored()
    rank, rank_of = _percentile(stored.get(rank_group(spectrum)), spectrum.relative_rank)
    alpha, alpha_of = (None, 0)
    if spectrum.alpha is not None:
        alpha, alpha_of = _percentile(stored.get(alpha_group(spectrum)), spectrum.alpha)
    return Standing(kind_of(spectrum), rank, rank_of, alpha, alpha_of)


def as_dict(spectrum: Spectrum) -> dict[str, Any]:
    """A spectrum as plain data, with its percentiles."""
    place = standing(spectrum)
    percentiles = {"rank_percentile": place.rank, "alpha_percentile": place.alpha}
    return {**asdict(spectrum), "relative_rank": spectrum.relative_rank, **percentiles}


def percentile_words(percent: float | None, of: int, kind: str) -> str:
    """A percentile as a phrase, "higher than 83% of the zoo's 680 convolution layers"; "" if there are none."""
    return "" if percent is None else f"higher than {percent:.0f}% of the zoo’s {of:,} {kind}s"


def kind_of(spectrum: Spectrum) -> str:
    """The kind of the layer, by the axes of its weight."""
    return "convolution layer" if spectrum.axes > 2 else "linear layer"


def rank_group(spectrum: Spectrum) -> str:
    """The group of layers that relative stable ranks are compared in."""
    return f"relative rank, {kind_of(spectrum)}"


def alpha_group(spectrum: Spectrum) -> str:
    """The group of layers that exponents are compared in."""
    return f"alpha, {kind_of(spectrum)}, side from {1 << (min(spectrum.shape).bit_length() - 1)}"


def alpha_sizes() -> str:
    """The layers whose exponents the zoo has, "convolution layers with a smaller side of 16 to 31, ..."."""
    sides: defaultdict[str, list[int]] = defaultdict(list)
    for kind, side in (name.split(", ")[1:] for name in _stored() if name.startswith("alpha, ")):
        sides[kind].append(int(side.removeprefix("side from ")))
    return ", ".join(
        f"{kind}s with a smaller side of {' or '.join(f'{side} to {2 * side - 1}' for side in sorted(found))}"
        for kind, found in sorted(sides.items())
    )


def _percentile(group: dict | None, value: float) -> tuple[float | None, int]:
    if group is None:
        return None, 0
    return float(min(100, bisect_left(group["quantiles"], value))), group["layers"]


@cache
def _stored() -> dict[str, dict]:
    return read_json(FILE)["groups"]


def write_spectra(path: Path = FILE) -> dict[str, dict]:
    """Measure the layers of the embedded zoo's trained networks, and write the percentiles of each group."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for spectrum in zoo_spectra(Zoo()):
        groups[rank_group(spectrum)].append(spectrum.relative_rank)
        if spectrum.alpha is not None:
            groups[alpha_group(spectrum)].append(spectrum.alpha)
    content = {name: _summary(values) for name, values in sorted(groups.items())}
    write_json(path, {"networks": NETWORKS, "groups": content})
    return content


def zoo_spectra(zoo: Zoo, most: int = NETWORKS) -> Iterator[Spectrum]:
    """The spectra of the weights of the first networks of each collection of trained networks."""
    for info in zoo.collections():
        if info.kind in TRAINED:
            for row in zoo.rows(info.name, most):
                yield from spectra(of_tensors("zoo", zoo.network(row["id"]).tensors()))


def _summary(values: Sequence[float]) -> dict:
    quantiles = np.quantile(values, np.linspace(0, 1, QUANTILES))
    return {"layers": len(values), "quantiles": [round(float(q), 4) for q in quantiles]}
