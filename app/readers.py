"""Two readings of a picture, side by side: what measures best, and what its weights say alone."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from app.actions import Classified, RequestError, Source, classify, open_network, zoo
from app.panels import DOMAIN_TITLES, escape, percent
from app.zoos import predictor
from nfn.network import Network
from nfn.weight_reader import WeightReader, WeightReading
from zoo.predictors import READERS

SHOWN = 5
"""Neurons a layer that are named as having moved an answer."""
ATTRIBUTION = (
    '<p class="legend">How much each weight moved what weights alone say: the weight times the gradient of the answer. '
    "Blue spoke for it, red against.</p>"
)
READER_NAMES = ("best", "weights")
NO_READER = (
    "No reader of weights alone in this zoo has learned from networks like this one: ours reads gray pictures, SIRENs "
    "of two hidden layers of 32. Leave reader at best."
)


@dataclass(frozen=True)
class TwoReadings:
    """What measures best, and what weights alone say; None where no reader of this zoo reads such networks."""

    best: Classified
    weights: WeightReading | None
    reader: str = ""

    @property
    def agree(self) -> bool:
        """Whether both name the same label of the same image set."""
        result = self.best.result
        return self.weights is not None and (self.weights.domain, self.weights.label) == (
            result.domain,
            result.label,
        )


@lru_cache(maxsize=32)
@torch.no_grad()
def read_twice(source: Source, domain: str = "auto") -> TwoReadings:
    """Both readings of one SIREN, the second in the convention that the first one found."""
    best, network = classify(source, domain), open_network(source)
    name = reader_of(network, domain)
    if name is None:
        return TwoReadings(best, None)
    said = predictor(name, WeightReader).predict(network, domain)
    finite = all(map(math.isfinite, said.probabilities.values()))
    return TwoReadings(best, said, name) if finite else TwoReadings(best, None)


def reader_of(network: Network, domain: str = "auto") -> str | None:
    """The first reader in the catalog that reads such networks and knows the domain."""
    for info in zoo().predictors():
        if info.name in READERS and _reads(predictor(info.name, WeightReader), network, domain):
            return info.name
    return None


def _reads(reader: WeightReader, network: Network, domain: str) -> bool:
    return reader.fault(network) is None and (domain == "auto" or domain in reader.config.labels)


def weights_line(readings: TwoReadings) -> str:
    """What weights alone say, whether that agrees, and what each reading looked at."""
    weights, result = readings.weights, readings.best.result
    if weights is None:
        return ""
    share = percent(weights.probabilities[weights.label])
    others = (
        ""
        if weights.domain == result.domain
        else f", {escape(DOMAIN_TITLES.get(weights.domain, weights.domain))}"
    )
    mark, word = ("✓", "the same answer") if readings.agree else ("≠", "another answer")
    return (
        f'<p class="line" id="weights-alone"><b>Weights alone: {escape(weights.label)}</b> ({share}{others}) '
        f'<span aria-hidden="true">{mark}</span> {word}. It looked at weights and biases and nothing else; '
        "the answer above looked at the picture that the network draws.</p>"
    )


@dataclass(frozen=True, eq=False)
class Attribution:
    """What weights alone say, and a network with how much each weight and bias moved that in its place."""

    said: WeightReading
    network: Network


def attribute(source: Source, domain: str = "auto") -> Attribution:
    """Which weights moved what weights alone say; RequestError where no reader reads such networks."""
    both = read_twice(source, domain)
    if both.weights is None:
        raise RequestError(NO_READER)
    said, network = both.weights, open_network(source)
    moved = predictor(both.reader, WeightReader).attribute(network, said.domain, said.label)
    return Attribution(said, network.with_features(moved))


def attribution_line(found: Attribution) -> str:
    """The hidden neurons that moved the answer most, layer by layer, and how much of it they moved."""
    parts = []
    for i, (weight, bias) in enumerate(list(found.network.features)[:-1]):
        rows = weight[0, 0].abs().sum(1) + bias[0, 0].abs()
        most = rows.topk(min(SHOWN, len(rows)))
        share = percent(float(most.values.sum() / rows.sum().clamp_min(1e-30)))
        neurons = ", ".join(str(int(place) + 1) for place in most.indices)
        parts.append(f"Of what moved it in layer {i + 1}, {share} lies at neurons {neurons}.")
    return f'<p class="line">Weights alone: <b>{escape(found.said.label)}</b>. {" ".join(parts)}</p>'


@dataclass(frozen=True)
class Answer:
    """One reader's answer, and the best one's account of the network."""

    best: Classified
    domain: str
    label: str
    probabilities: dict[str, float]
    typical: bool
    predictor: str


def answer(source: Source, domain: str, reader: str) -> Answer:
    """What the reader of that name says; RequestError where there is none for such networks."""
    if reader not in READER_NAMES:
        raise RequestError(f"Unknown reader {reader!r}: choose {' or '.join(READER_NAMES)}.")
    if reader == "best":
        done = classify(source, domain)
        result = done.result
        return Answer(done, result.domain, result.label, result.probabilities, result.typical, done.predictor)
    both = read_twice(source, domain)
    said = both.weights
    if said is None:
        raise RequestError(NO_READER)
    typical = both.agree and both.best.result.typical
    return Answer(both.best, said.domain, said.label, said.probabilities, typical, both.reader)
