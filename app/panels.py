"""Results as small pieces of HTML. Every string that a visitor or a file may have written is escaped here."""

import html

from app.actions import Classified, Edited, Source, SymmetryCheck
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


def verdict(classified: Classified, domain_asked: str, facts: str) -> str:
    """What the picture shows: the label and its probability, or a plain "unlike the zoo"."""
    result = classified.result
    if not result.typical:
        return _panel("unlike", "Unlike the zoo", UNLIKE, _bars(result.probabilities, muted=True), facts)
    how = "told by you" if domain_asked != "auto" else "found by itself"
    share = result.probabilities[result.label]
    line = f"{_percent(share)} sure, among {escape(DOMAIN_TITLES.get(result.domain, result.domain))} ({how})."
    return _panel("known", escape(result.label), line, _bars(result.probabilities), facts)


UNLIKE = (
    "No confident answer: what this network draws resembles none of the pictures that the predictor learned from, "
    "so the shares below are a guess among labels that may all be wrong."
)


def _panel(kind: str, title: str, line: str, bars: str, facts: str) -> str:
    return f'<div class="verdict {kind}"><p class="title">{title}</p><p>{line}</p>{bars}<p class="facts">{facts}</p></div>'


def _bars(probabilities: dict[str, float], muted: bool = False) -> str:
    rows = sorted(probabilities.items(), key=lambda pair: -pair[1])
    return f'<ol class="bars{" muted" if muted else ""}">{"".join(_bar(name, p) for name, p in rows)}</ol>'


def _bar(name: str, p: float) -> str:
    return (
        f'<li><span class="name">{escape(name)}</span><span class="track"><span style="width:{100 * p:.1f}%"></span>'
        f'</span><span class="value">{_percent(p)}</span></li>'
    )


def _percent(p: float) -> str:
    if 0 < p < 0.001:
        return "<0.1%".replace("<", "&lt;")
    return ">99.9%".replace(">", "&gt;") if 0.999 < p < 1 else f"{100 * p:.1f}%"


def network_facts(source: Source, network: Network, label: str | None) -> str:
    """One line on the network itself, and the reader's notes."""
    widths = "-".join(
        str(n) for n in (network.spec.get_io()[0], *(w.shape[0] for w in network.spec.weight_spec))
    )
    truth = f" Its image is labelled <b>{escape(label)}</b> in the data set." if label is not None else ""
    line = f"<b>{escape(source.name)}</b>: {network.spec.get_num_params():,} weights ({widths}).{truth}"
    return line + "".join(f"<br>{escape(note, 300)}" for note in network.notes)


def edit_line(edited: Edited) -> str:
    """How close the edited network comes to editing the pixels, in a sentence."""
    result = edited.result
    label = STYLES[result.style].label.lower()
    return (
        f'<p class="line">At strength {result.strength:g}, the edited network is <b>{result.psnr:.1f} dB</b> (mean squared '
        f"error {result.mse:.4f}) from applying <i>{label}</i> to the pixels. {_milliseconds(edited.seconds)}.</p>"
    )


def symmetry_line(check: SymmetryCheck) -> str:
    """What moved and what did not, in numbers and a sentence."""
    what = "changed places" if check.how == "permute" else "changed sign"
    verdict_ = (
        f"still <b>{escape(check.label_after)}</b>"
        if check.label_before == check.label_after
        else f"<b>{escape(check.label_after)}</b> instead of <b>{escape(check.label_before)}</b>"
    )
    return (
        f'<dl class="numbers">{_number(f"{check.moved:,} of {check.total:,}", "weights differ")}'
        f"{_number(_tiny(check.pixel_difference), 'largest pixel difference, of 2')}"
        f"{_number(_tiny(check.probability_difference), 'largest change of a probability')}</dl>"
        f'<p class="line">The weights {what}, the picture did not change, and the verdict is {verdict_}.</p>'
    )


def _number(value: str, meaning: str) -> str:
    return f"<div><dt>{meaning}</dt><dd>{value}</dd></div>"


def _tiny(value: float) -> str:
    return "0" if value == 0 else f"{value:.1g}" if value < 0.001 else f"{value:.3f}"


def _milliseconds(seconds: float) -> str:
    return f"Took {1000 * seconds:.0f} ms"


def layer_rows(network: Network) -> list[list[str]]:
    """The heat maps in words: per tensor its name, shape, smallest, largest and typical size."""
    return [
        [
            name,
            "×".join(map(str, t.shape)),
            f"{t.min():.4f}",
            f"{t.max():.4f}",
            f"{t.std(unbiased=False):.4f}",
        ]
        for name, t in network.tensors().items()
    ]


NOT_YET = '<div class="not-yet">Press a button: the weights will move, the picture will not.</div>'


def caption(image: str, words: str) -> str:
    """A small picture and what it is, under a heat map."""
    return f'<figure class="small">{image}<figcaption>{words}</figcaption></figure>'


def zoom_line(side: int, zoom: int) -> str:
    """How many pixels the networks were asked for."""
    native = (
        "the resolution it was fitted at" if zoom == 1 else f"{zoom * zoom} times as many as it was fitted to"
    )
    return f'<p class="line">Now {side} × {side} pixels, {native}.</p>'
