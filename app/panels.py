"""Results as small pieces of HTML. Every string that a visitor or a file may have written is escaped here."""

import html
from collections.abc import Sequence
from pathlib import Path

import torch

from app.actions import Classified, Edited, Source, SymmetryCheck
from app.own_picture import Fitted
from nfn.classifier import InrClassification
from nfn.network import Network
from nfn.operators import STYLES

DOMAIN_TITLES = {
    "mnist": "MNIST digits",
    "fashion_mnist": "Fashion-MNIST articles",
    "cifar10": "CIFAR-10 objects",
}


def escape(text: object, most: int = 80) -> str:
    """Someone's text, safe in HTML and not longer than `most` characters."""
    plain = str(text)
    return html.escape(plain if len(plain) <= most else plain[: most - 1] + "…")


def verdict(classified: Classified, domain_asked: str, facts: str, beside: str = "") -> str:
    """What the picture shows: the label and its probability, or a plain "unlike the zoo".

    `beside` is what another reader says of a picture that is like the zoo's.
    """
    result, facts = classified.result, facts + _conventions(classified.result)
    if not result.typical and result.alternatives:
        rivals = ", ".join(
            dict.fromkeys(escape(x) for x in (result.label, *(a.label for a in result.alternatives)))
        )
        bars = _bars(result.probabilities, muted=True)
        return _panel("unlike", "More than one fits", f"{TWO_FIT} It shows one of: {rivals}.", bars, facts)
    if not result.typical:
        guess = f"<details><summary>Its guess all the same</summary>{_bars(result.probabilities, muted=True)}</details>"
        return _panel("unlike", "Unlike the zoo", UNLIKE, guess, facts)
    how = "told by you" if domain_asked != "auto" else "found by itself"
    share = result.probabilities[result.label]
    sure = "More than 99.9%" if 0.999 < share < 1 else percent(share)
    line = f"{sure} sure, among {escape(DOMAIN_TITLES.get(result.domain, result.domain))} ({how})."
    return _panel("known", escape(result.label), line, _bars(result.probabilities) + beside, facts)


def _conventions(result: InrClassification) -> str:
    """What was found of the convention, and what else fits."""
    others = (f"Or {a.label}: {a.sentence}" for a in result.alternatives)
    return "".join(f"<br>{escape(sentence, 400)}" for sentence in (*result.assumed, *others))


TWO_FIT = "The file does not say how its SIREN is written down, and more than one of the usual ways fits."
UNLIKE = (
    "No answer to be trusted: what this network draws resembles none of the pictures that the predictor learned "
    "from. Noise, untrained networks and other kinds of pictures end here, and so do files whose scaling was misread."
)


def _panel(kind: str, title: str, line: str, bars: str, facts: str) -> str:
    head = f'<p class="title">{title}</p><p>{line}</p>'
    return f'<div class="verdict"><div class="{kind}">{head}</div>{bars}<p class="facts">{facts}</p></div>'


def _bars(probabilities: dict[str, float], muted: bool = False) -> str:
    rows = sorted(probabilities.items(), key=lambda pair: -pair[1])
    return f'<ol class="bars{" muted" if muted else ""}">{"".join(_bar(name, p) for name, p in rows)}</ol>'


def _bar(name: str, p: float) -> str:
    return (
        f'<li><span class="name">{escape(name)}</span><span class="track"><span style="width:{100 * p:.1f}%"></span>'
        f'</span><span class="value">{percent(p)}</span></li>'
    )


def percent(p: float) -> str:
    """A probability for HTML; never 0 or 100% where it is neither."""
    if 0 < p < 0.001:
        return "<0.1%".replace("<", "&lt;")
    return ">99.9%".replace(">", "&gt;") if 0.999 < p < 1 else f"{100 * p:.1f}%"


def network_facts(source: Source, network: Network, label: str | None) -> str:
    """One line on the network itself, and the reader's notes."""
    widths = "\u2011".join(str(n) for n in (network.inputs, *(len(weight) for weight, _ in network.matrices)))
    truth = f" Its image is labelled <b>{escape(label)}</b> in the data set." if label is not None else ""
    line = f"<b>{escape(source.name)}</b>: {network.parameters:,} weights (layers of {widths}).{truth}"
    return line + "".join(f"<br>{escape(note, 300)}" for note in network.notes)


def edit_line(edited: Edited) -> str:
    """What the style does, and how close the edited network comes to editing the pixels."""
    result, style = edited.result, STYLES[edited.result.style]
    return (
        f'<p class="line">{style.description} Against the same edit of the pixels: <b>{result.psnr:.1f} dB</b> PSNR, '
        f"mean squared error {result.mse:.4f} on pixels from −1 to 1. Took {1000 * edited.seconds:.0f} ms.</p>"
    )


def symmetry_line(check: SymmetryCheck) -> str:
    """What moved and what did not, in numbers and a sentence."""
    what = "changed places" if check.how == "permute" else "changed sign"
    before, after = check.verdict_before, check.verdict_after
    same = before.label == after.label and before.typical == after.typical
    outcome = "stayed" if same else "<b>did not stay</b>"
    return (
        f'<dl class="numbers">{number(f"{check.moved:,} of {check.total:,}", "weights that are not what they were")}'
        f"{number(tiny(check.pixel_difference), 'largest difference of a pixel, on a scale from −1 to 1')}"
        f"{number(tiny(check.probability_difference), 'largest difference of a probability')}</dl>"
        f'<p class="line">The weights {what}; the picture and the verdict {outcome}.</p>'
    )


def number(value: str, meaning: str) -> str:
    """A number and what it says, for a `dl` of the class `numbers`."""
    return f"<div><dt>{meaning}</dt><dd>{value}</dd></div>"


def tiny(value: float) -> str:
    """A difference near zero: seven digits, which is what float32 has."""
    return "0" if value == 0 else "less than 0.0000001" if value < 1e-7 else f"{value:.7f}"


def layer_rows(network: Network) -> list[list[str]]:
    """The weights in words: per tensor its name, its shape, how its numbers are spread, and their typical size."""
    return [
        [
            name,
            "×".join(map(str, t.shape)),
            *(f"{value:.4f}" for value in t.float().quantile(QUARTERS).tolist()),
            f"{t.std(unbiased=False):.4f}",
        ]
        for name, t in network.tensors().items()
    ]


def as_table(headers: Sequence[str], rows: Sequence[Sequence[object]], title: str = "As a table") -> str:
    """A figure's numbers for those who would rather read them, folded away. Cells are escaped here."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in headers)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return (
        f'<details class="twin"><summary>{title}</summary>'
        f'<div tabindex="0" role="region" aria-label="{title}">{table}</div></details>'
    )


OWN_PICTURE = (
    "A network learns to answer each pixel's coordinates with its colour, while you watch. Small (1,200 weights) holds "
    "a digit, medium (34,000) a small photo; large (133,000) holds more, and learns slowly. The middle square is "
    "learned."
)
LEGEND = (
    '<span class="minus"></span> below zero <span class="plus"></span> above. One row per hidden neuron, its bias in '
    "the last column; each layer has its own colour range, written above it."
)
QUARTERS = torch.linspace(0, 1, 5)
TABLE_HEADERS = [
    "tensor",
    "shape",
    "smallest",
    "lower quarter",
    "median",
    "upper quarter",
    "largest",
    "spread",
]
SYMMETRY = (
    "Hidden neurons have no order. Swap them and every weight table changes, yet the network does the same. "
    "Whoever reads weights must not be fooled by that."
)
READING = '<div class="not-yet low" role="status">Reading a network…</div>'
"""Stands where a result will, until there is one."""
NOT_YET = '<div class="not-yet">Press a button: the weights will move, the picture will not.</div>'


def drawn_and_read(image: str, result: InrClassification, remark: str = "") -> str:
    """A small picture under a heat map: what these weights draw, what they are read as, and a remark on the map."""
    read = f"read as <b>{escape(result.label)}</b>" if result.typical else "read as <b>unlike the zoo</b>"
    return (
        f'<figure class="small">{image}<figcaption>what they draw, {read}<br>{remark}</figcaption></figure>'
    )


def zoom_line(side: int, zoom: int, shown: int) -> str:
    """How many pixels the networks were asked for, of `side` pixels a side."""
    native = (
        "the resolution it was fitted at" if zoom == 1 else f"{zoom * zoom} times as many as it was fitted to"
    )
    part = "" if shown == side else f" Shown are the {shown} × {shown} in the middle."
    return f'<p class="line">Now {side} × {side} pixels, {native}.{part}</p>'


def fit_line(fitted: Fitted) -> str:
    """How far a fit is, and how good."""
    progress, weights = fitted.progress, sum(x.numel() for pair in fitted.progress.features for x in pair)
    state = "Learned" if fitted.done else f"Step {progress.step:,} of {progress.steps:,}"
    rate = f"{progress.step / max(fitted.seconds, 1e-3):,.0f} steps a second"
    return (
        f'<p class="line" role="status">{state}: <b>{progress.psnr:.1f} dB</b> PSNR with {weights:,} weights, '
        f"{4 * weights / 1024:,.0f} KB as float32. {fitted.seconds:.1f} s, {rate}.</p>"
    )


def refusal(error: Exception) -> str:
    """Why a card has nothing to show."""
    return f'<p class="line refusal">{escape(error, 300)}</p>'


def refused(path: object, error: Exception) -> str:
    """Why a file was not taken."""
    name = f"<b>{escape(Path(path).name, 60)}</b> was not taken. " if isinstance(path, str) else ""
    return f'<p class="line refusal" role="alert">{name}{escape(error, 600)}</p>'


def networks_grid(heads: Sequence[tuple[str, str]], rows: str) -> str:
    """Rows of networks that `networks.js` sorts and picks, under heads (order as an attribute, name)."""
    cells = "".join(
        f'<th scope="col"{order}><button type="button">{name}</button></th>' for order, name in heads
    )
    table = (
        f'<table class="networks" role="grid"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>'
    )
    return f'<div class="scroller">{table}</div>'
