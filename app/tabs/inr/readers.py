"""Two classifications of a SIREN side by side: by the best predictor, and from its weights alone."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from app.networks.arguments import check_reader
from app.networks.source import Source
from app.networks.zoos import predictor, zoo_at
from app.page.attribution import attribution_legend, top_neurons
from app.page.html import escape, probability_html
from app.runtime.errors import RequestError
from app.tabs.inr.actions import Classified, classify, open_network
from app.tabs.inr.html import DOMAIN_TITLES
from nfn.classifier import InrClassification
from nfn.network import Network
from nfn.weight_reader import WeightReader, WeightReading

ATTRIBUTION = attribution_legend("answer", "Blue is for the answer, red against it.")
NO_READER = (
    "No predictor in this zoo reads such a network from weights alone: the app’s own readers take SIRENs of gray or "
    "colour pictures with two hidden layers of 32."
)


@dataclass(frozen=True)
class TwoReadings:
    """The best predictor's answer, and the answer from weights alone; None if no reader takes such networks."""

    best: Classified
    weights: WeightReading | None
    reader: str = ""

    @property
    def agree(self) -> bool:
        """Whether both give the same label of the same image set."""
        result, weights = self.best.result, self.weights
        return weights is not None and (weights.domain, weights.label) == (result.domain, result.label)


@lru_cache(maxsize=32)
@torch.no_grad()
def read_both(source: Source, domain: str = "auto") -> TwoReadings:
    """Both answers for one SIREN, the second in the convention that the first one found."""
    best, network = classify(source, domain), open_network(source)
    name = reader_of(network, domain)
    if name is None:
        return TwoReadings(best, None)
    weights = predictor(name, WeightReader).predict(network, domain)
    finite = all(map(math.isfinite, weights.probabilities.values()))
    return TwoReadings(best, weights, name) if finite else TwoReadings(best, None)


def reader_of(network: Network, domain: str = "auto") -> str | None:
    """The name of the first reader in the catalog that takes such networks and knows the domain; None if none does."""
    for name in zoo_at().readers():
        reader = predictor(name, WeightReader)
        labels = reader.config.labels  # none: it predicts a number
        if labels and domain in ("auto", *labels) and reader.fault(network) is None:
            return name
    return None


def weights_line(readings: TwoReadings) -> str:
    """The answer from weights alone, whether it agrees, and what each predictor read."""
    weights, result = readings.weights, readings.best.result
    if weights is None:
        return ""
    others = (
        ""
        if weights.domain == result.domain
        else f", {escape(DOMAIN_TITLES.get(weights.domain, weights.domain))}"
    )
    probability = probability_html(weights.probabilities[weights.label])
    mark, word = ("✓", "the same answer") if readings.agree else ("≠", "another answer")
    return (
        f'<p class="line" id="weights-alone"><b>Weights alone: {escape(weights.label)}</b> ({probability}{others}) '
        f'<span aria-hidden="true">{mark}</span> {word}. This predictor sees only weights and biases; the answer above '
        "also uses the picture that the network draws.</p>"
    )


@dataclass(frozen=True, eq=False)
class Attribution:
    """The answer from weights alone, and a network whose tensors are the contributions of each weight and bias."""

    reading: WeightReading
    network: Network


def attribute(source: Source, domain: str = "auto") -> Attribution:
    """How much each weight contributed to the answer from weights alone; RequestError if there is no such answer."""
    both = read_both(source, domain)
    if both.weights is None:
        raise RequestError(NO_READER)
    reading, network = both.weights, open_network(source)
    contributions = predictor(both.reader, WeightReader).attribute(network, reading.domain, reading.label)
    return Attribution(reading, network.with_features(contributions))


def attribution_line(attribution: Attribution) -> str:
    """The answer, and the hidden neurons that contributed most to it."""
    label, neurons = escape(attribution.reading.label), top_neurons(attribution.network.features)
    return f'<p class="line">Weights alone: <b>{label}</b>. {neurons}</p>'


@dataclass(frozen=True)
class Answer:
    """One reader's answer, with the best predictor's result; `reason` says why it is not typical, else "".

    The best predictor decides whether it is typical: weights alone tell badly what shows something else. `agree` is
    whether the best predictor gives the same label; None if this is the best predictor's own answer.
    """

    best: Classified
    domain: str
    label: str
    probabilities: dict[str, float]
    typical: bool
    reason: str
    agree: bool | None
    predictor: str


def answer(source: Source, domain: str, reader: str) -> Answer:
    """The answer of the reader `reader`; RequestError if it does not exist or does not take such networks."""
    check_reader(reader)
    if reader == "best":
        best = classify(source, domain)
        return _answer(best, best.result, None, best.predictor)
    both = read_both(source, domain)
    weights = both.weights
    if weights is None:
        raise RequestError(f"{NO_READER} Leave reader at best.")
    return _answer(both.best, weights, both.agree, both.reader)


def _answer(
    best: Classified, reading: InrClassification | WeightReading, agree: bool | None, by: str
) -> Answer:
    reason = best.result.reason
    return Answer(best, reading.domain, reading.label, reading.probabilities, not reason, reason, agree, by)
