"""Health and comparison of checkpoints as HTML. All names are escaped here."""

from collections.abc import Sequence

from app.page.html import as_table, escape
from app.tabs.checkpoint.actions import Checked
from nfn.compare import Comparison, Row
from nfn.health import Finding, Health, Spectrum
from nfn.health.words import names
from nfn.look.words import size
from zoo.spectra import percentile_words, standing

TITLES = {
    "healthy": "No problems found",
    "note": "Healthy, with a remark",
    "warning": "Something is probably wrong",
    "broken": "Broken",
}
NOT_READ = "The values of this format are not read here, so its health is unknown."
ONLY_HEADERS = (
    "Only the headers of a model on the Hub are read. Download the model to have its values checked."
)
SPECTRA = (
    "How the singular values of each weight are distributed, beside those of the zoo’s trained layers. Stable ranks "
    "are relative to a random matrix of the same shape; α has a percentile only beside layers of a similar size. This "
    "describes the network, not how good it is."
)
NONE_LIKE_IT = "the zoo has none of its size"
BARS = 80
"""Tensors of a comparison that are drawn."""


def health(report: Health) -> str:
    """The findings, most severe first, each with its meaning and advice."""
    read = f"All values of {report.read:,} floating-point tensors were read"
    skipped = (
        f"; {report.skipped:,} tensors of other types, or incomplete ones, were not" if report.skipped else ""
    )
    title = f'<p class="title {report.verdict}">{TITLES[report.verdict]}</p>'
    findings = "".join(map(_finding, report.findings))
    items = f'<ul class="findings">{findings}</ul>' if findings else ""
    return f'<div class="verdict health">{title}<p>{read}{skipped}.</p>{items}</div>'


def progress(state: Checked) -> str:
    """How far the values, then the spectra, are read; the report as soon as it is there."""
    if state.health is None:
        what, words = "values", f"{size(state.done)} of {size(state.of)} of values read"
    else:
        what, words = "spectra", f"{state.done:,} of {state.of:,} spectra of weights computed"
    bar = (
        f'<div class="line" role="status"><progress max="{max(1, state.of)}" value="{state.done}" '
        f'aria-label="{what}"></progress><p>{words}.</p></div>'
    )
    return bar if state.health is None else health(state.health) + bar


def spectra(spectra: Sequence[Spectrum]) -> str:
    """Stable ranks and tail exponents, beside those of the zoo's layers, as a collapsed table; "" if there are none."""
    heads = ("weight", "stable rank", "beside the zoo", "tail exponent α", "beside the zoo", "as a matrix",
             "stable rank over a random matrix’s", "distance of the fit", "largest singular value")  # fmt: skip
    table = as_table(heads, [_spectrum_row(one) for one in spectra], "Spectra of the weights")
    return f'<div class="spectra"><p class="line">{SPECTRA}</p>{table}</div>' if spectra else ""


def _spectrum_row(one: Spectrum) -> tuple[str, ...]:
    place = standing(one)
    return (
        one.name,
        f"{one.stable_rank:.1f}",
        percentile_words(place.rank, place.rank_of, place.kind),
        "" if one.alpha is None else f"{one.alpha:.2f}",
        percentile_words(place.alpha, place.alpha_of, place.kind) or NONE_LIKE_IT,
        " × ".join(map(str, one.shape)),
        f"{one.relative_rank:.2f}",
        f"{one.distance:.3f}",
        f"{one.largest:.3g}",
    )


def _finding(one: Finding) -> str:
    where = f'<p class="where">{escape(names(one), 500)}</p>' if one.tensors else ""
    return (
        f'<li><p><span class="chip {one.severity}">{one.severity}</span> <b>{escape(one.kind)}:</b> '
        f"{escape(one.seen, 400)}</p>{where}<p>{one.means} {one.advice}</p></li>"
    )


def comparison(compared: Comparison, first: str, other: str) -> str:
    """The names of both, the verdict, how far each tensor moved, and the evidence as a table."""
    names = f'<p class="caption">{escape(first, 120)} and {escape(other, 120)}</p>'
    only = [
        f"{len(part):,} tensors {words} ({escape(', '.join(part[:3]), 200)})."
        for part, words in ((compared.only_a, "are only in the first"), (compared.only_b, "are only in the second"),
                            (compared.reshaped, "have another shape"))
        if part
    ]  # fmt: skip
    rest = "".join(f'<p class="line">{text}</p>' for text in only)
    return (
        f'<div class="verdict compared">{names}<p class="title">{TITLE[compared.verdict]}</p>'
        f"<p>{compared.means}</p>{rest}{_bars(compared)}{_table(compared)}</div>"
    )


TITLE = {
    "the same": "The same network",
    "cast": "The same, in another type",
    "pruned": "A pruned copy",
    "quantised": "A quantised copy",
    "permuted": "A permuted copy",
    "rescaled": "A rescaled copy",
    "a LoRA's merge": "A LoRA’s merge",
    "fine-tuned": "Fine-tuned",
    "unrelated": "Unrelated",
    "unrelated architectures": "Other architectures",
    "mixed": "Related in parts",
}
"""Verdicts as headlines."""


def _bars(compared: Comparison) -> str:
    """How far each weight moved, relative to the largest distance."""
    rows = [row for row in compared.rows if row.is_weight][:BARS]
    farthest = max((row.distance for row in rows), default=0) or 1
    bars = "".join(_bar(row, min(1.0, row.distance / farthest)) for row in rows)
    caption = (
        "How far each weight moved: the norm of the difference over the norm of the first file’s weight."
    )
    return f'<p class="caption">{caption}</p><ol class="bars moved">{bars}</ol>' if rows else ""


def _bar(row: Row, share: float) -> str:
    rank = "" if row.rank is None else f", rank {row.rank} of {row.side}"
    track = f'<span class="track"><span style="width:{100 * share:.1f}%"></span></span>'
    value = f'<span class="value">{row.distance:.1%} <i>{row.kind}{rank}</i></span>'
    return f'<li><span class="name">{escape(row.name, 60)}</span>{track}{value}</li>'


def _table(compared: Comparison) -> str:
    heads = ("tensor", "shape", "is", "distance", "cosine", "values changed", "rank of the difference")
    rows = [
        (row.name, " × ".join(map(str, row.shape)), row.kind, f"{row.distance:.4g}", f"{row.cosine:.4f}",
         f"{row.changed:.1%}", "" if row.rank is None else f"{row.rank} of {row.side}")
        for row in compared.rows[:500]
    ]  # fmt: skip
    return as_table(heads, rows)
