"""The HTML of the Pictures tab. Text from visitors and files is escaped here."""

from app.networks.source import Source
from app.page.html import escape, number, probability_html, small_difference
from app.page.terms import term
from app.tabs.inr.actions import Classified
from app.tabs.inr.edit import Edited
from app.tabs.inr.own_picture import Fitted
from app.tabs.inr.symmetry import SymmetryCheck
from nfn.classifier import InrClassification
from nfn.editor import DESCENT
from nfn.network import Network
from nfn.operators import STYLES
from zoo.picture_sizes import kilobytes

PSNR = term("PSNR")
LIKELIEST = 3
"""Labels that are shown before the list is expanded."""
DOMAIN_TITLES = {
    "mnist": "MNIST digits",
    "fashion_mnist": "Fashion-MNIST articles",
    "cifar10": "CIFAR-10 objects",
}


def verdict(
    classified: Classified,
    chosen_domain: str,
    facts: str,
    second_answer: str = "",
    negative: InrClassification | None = None,
) -> str:
    """The label of the picture and its probability, or "None of these ten" with the nearest label.

    `second_answer` is the HTML of another reader's answer, shown only for a trusted result; `negative` is the result
    for the picture with black and white exchanged, shown where the picture itself is none of the ten.
    """
    result = classified.result
    assumptions = (*result.assumed, *(f"Or {a.label}: {a.sentence}" for a in result.alternatives))
    facts += "".join(f"<br>{escape(sentence, 400)}" for sentence in assumptions)
    if result.none_of_these:
        return _none_of_these(result, negative, facts)
    if not result.typical:
        return _not_typical(result, facts)
    how = "chosen by you" if chosen_domain != "auto" else "detected"
    share = result.probabilities[result.label]
    sure = "More than 99.9%" if 0.999 < share < 1 else probability_html(share)
    line = f"{sure} sure, among {escape(DOMAIN_TITLES.get(result.domain, result.domain))} ({how})."
    return _panel("known", escape(result.label), line, _bars(result.probabilities) + second_answer, facts)


def _none_of_these(result: InrClassification, negative: InrClassification | None, facts: str) -> str:
    """The nearest label, or the one with black and white exchanged."""
    shown = negative or result
    title = escape(DOMAIN_TITLES.get(shown.domain, shown.domain))
    if negative is None:
        nearest = f"{NONE_OF_THESE} The nearest label is <b>{escape(result.label)}</b>, among {title}."
        return _panel("unlike", "None of these ten", nearest, "", facts)
    line = (
        "As it is, it is none of the ten. With black and white exchanged it is classified as "
        f"<b>{escape(negative.label)}</b>, {probability_html(negative.probabilities[negative.label])} sure, "
        f"among {title}, which are light on dark."
    )
    return _panel("unlike", f"{escape(negative.label)}, in negative", line, "", facts)


def _not_typical(result: InrClassification, facts: str) -> str:
    """Why there is no reliable answer, or the labels in all conventions that fit."""
    bars = _bars(result.probabilities, muted=True)
    if not result.alternatives:
        return _panel("unlike", "No reliable answer", escape(result.reason, 300), bars, facts)
    labels = ", ".join(
        dict.fromkeys(escape(x) for x in (result.label, *(a.label for a in result.alternatives)))
    )
    return _panel("unlike", "More than one fits", f"{TWO_FIT} It shows one of: {labels}.", bars, facts)


TWO_FIT = (
    "The file does not declare the convention of its SIREN, and more than one of the usual conventions fits."
)
NONE_OF_THESE = (
    "This is not a digit, an article of clothing, or one of the ten objects that the predictor was trained on. It may "
    "be another picture, noise, an untrained network, or a file whose scaling was misread."
)


def _panel(kind: str, title: str, line: str, bars: str, facts: str) -> str:
    head = f'<p class="title">{title}</p><p>{line}</p>'
    return f'<div class="verdict"><div class="{kind}">{head}</div>{bars}<p class="facts">{facts}</p></div>'


def _bars(probabilities: dict[str, float], muted: bool = False) -> str:
    bars = [
        f'<li><span class="name">{escape(name)}</span><span class="track"><span style="width:{100 * p:.1f}%"></span>'
        f'</span><span class="value">{probability_html(p)}</span></li>'
        for name, p in sorted(probabilities.items(), key=lambda pair: -pair[1])
    ]
    first, rest = (
        f'<ol class="bars{" muted" if muted else ""}">{"".join(part)}</ol>'
        for part in (bars[:LIKELIEST], bars[LIKELIEST:])
    )
    if len(bars) <= LIKELIEST:
        return first
    return f"{first}<details><summary>All {len(bars)}</summary>{rest}</details>"


def network_facts(source: Source, network: Network, label: str | None) -> str:
    """One line on the network itself, and the reader's notes."""
    widths = "\u2011".join(str(n) for n in (network.inputs, *(len(weight) for weight, _ in network.matrices)))
    truth = f" The data set labels its image <b>{escape(label)}</b>." if label is not None else ""
    line = f"<b>{escape(source.name)}</b>: {network.parameters:,} weights (layers of {widths}).{truth}"
    return line + "".join(f"<br>{escape(note, 300)}" for note in network.notes)


def edit_line(edited: Edited, before: InrClassification) -> str:
    """What the style does, how close the edit comes to editing the pixels, and the new classification."""
    result, style = edited.result, STYLES[edited.result.style]
    if result.strength == 0:
        return f'<p class="line">At strength 0 nothing changes. {read_again(before, edited.reading)}</p>'
    how = "Edited by gradient descent on its weights. " if result.predictor == DESCENT else ""
    return (
        f'<p class="line">{style.description} {how}Compared with the same edit of the pixels: '
        f"<b>{result.psnr:.1f} dB</b> {PSNR}, mean squared error {result.mse:.4f} on pixels from −1 to 1. "
        f"Took {1000 * edited.seconds:.0f} ms. "
        f"{read_again(before, edited.reading)}</p>"
    )


def read_again(before: InrClassification, after: InrClassification) -> str:
    """The classification of an edited network and of the original."""
    same = (before.domain, before.label, before.typical) == (after.domain, after.label, after.typical)
    if same:
        return f"The edited network is read as before: <b>{read_as(after)}</b> (it was {read_as(before)})."
    return f"The edited network is read as <b>{read_as(after)}</b>; the original as <b>{read_as(before)}</b>."


def read_as(result: InrClassification) -> str:
    """A label with its probability, or "none of these ten", as HTML."""
    if result.typical:
        return f"{escape(result.label)}, {probability_html(result.probabilities[result.label])}"
    return "none of these ten" if result.none_of_these else "no reliable answer"


def symmetry_line(check: SymmetryCheck) -> str:
    """What changed and what did not, in numbers and a sentence."""
    what = "changed places" if check.how == "permute" else "changed sign"
    before, after = check.verdict_before, check.verdict_after
    same = before.label == after.label and before.typical == after.typical
    outcome = "stayed the same" if same else "<b>did not stay the same</b>"
    return (
        f'<dl class="numbers">{number(f"{check.moved:,} of {check.total:,}", "weights that changed")}'
        f"{number(small_difference(check.pixel_difference), 'largest difference of a pixel, on a scale from −1 to 1')}"
        f"{number(small_difference(check.probability_difference), 'largest difference of a probability')}</dl>"
        f'<p class="line">The weights {what}; the picture and the answer {outcome}.</p>'
    )


OWN_PICTURE = (
    "Watch a network learn to map each pixel's coordinates to its colour. Small (1,200 weights) is enough for a digit, "
    "medium (34,000) for a small photo, large (133,000) for one of 256 pixels."
)
LEGEND = (
    '<span class="minus"></span> below zero <span class="plus"></span> above. One row per hidden neuron, its bias in '
    "the last column; each layer has its own colour range, written above it."
)
NOT_YET = '<div class="not-yet">Press a button: the weights change, the picture stays the same.</div>'


def drawn_and_read(image: str, result: InrClassification, remark: str = "") -> str:
    """A small picture under a heat map: the picture of these weights, its label, and a remark on the map."""
    read = f"read as <b>{read_as(result)}</b>"
    return f'<figure class="small">{image}<figcaption>their picture, {read}<br>{remark}</figcaption></figure>'


def zoom_line(native: tuple[int, int], zoom: int, shown: tuple[int, int]) -> str:
    """The resolution of the pictures, `zoom` times `native` (height, width), of which the middle `shown` is drawn."""
    height, width = (zoom * side for side in native)
    times = (
        "the resolution it was fitted at" if zoom == 1 else f"{zoom * zoom} times as many as it was fitted to"
    )
    part = "" if shown == (height, width) else f" Only the middle {shown[1]} × {shown[0]} are shown."
    return f'<p class="line">Now {width} × {height} pixels, {times}.{part}</p>'


def fit_line(fitted: Fitted) -> str:
    """The progress and quality of a fit."""
    progress, weights = fitted.progress, sum(x.numel() for pair in fitted.progress.features for x in pair)
    sizes = f'<p class="line">{fitted.sizes.sentence}</p>' if fitted.done else ""
    state = "Learned" if fitted.done else f"Step {progress.step:,} of {progress.steps:,}"
    rate = f"{progress.step / max(fitted.seconds, 1e-3):,.0f} steps a second"
    return (
        f'<p class="line" role="status">{state}: <b>{progress.psnr:.1f} dB</b> {PSNR} with {weights:,} weights, '
        f"{kilobytes(4 * weights)} as float32. {fitted.seconds:.1f} s, {rate}.</p>{sizes}"
    )
