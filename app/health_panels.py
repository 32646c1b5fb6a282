"""Health and comparison of checkpoints as HTML. All names are escaped here."""

from collections.abc import Sequence

from app.panels import as_table, escape
from nfn.compare import Comparison, Row
from nfn.health import Finding, Health, Spectrum
from nfn.health.words import names

TITLES = {
    "healthy": "Nothing wrong was found",
    "note": "Healthy, with something to know",
    "warning": "Something is likely wrong",
    "broken": "Broken",
}
NOT_READ = "The values of this format are not read here, so that nothing is known of its health."
ONLY_HEADERS = "Of a model on the Hub only headers are read: download it to have its values checked."
BARS = 80
"""Tensors of a comparison that are drawn."""


def health(found: Health) -> str:
    """What was found, the gravest first, each with what it means and what to do."""
    read = f"{found.read:,} tensors of floating-point numbers were read, value by value"
    skipped = f"; {found.skipped:,} of other types, or incomplete, were not" if found.skipped else ""
    title = f'<p class="title {found.verdict}">{TITLES[found.verdict]}</p>'
    findings = "".join(map(_finding, found.findings))
    items = f'<ul class="findings">{findings}</ul>' if findings else ""
    return f'<div class="verdict health">{title}<p>{read}{skipped}.</p>{items}</div>'


def spectra(found: Sequence[Spectrum]) -> str:
    """Stable ranks and tail exponents, folded away; "" where there are none."""
    heads = (
        "weight",
        "as a matrix",
        "stable rank",
        "largest singular value",
        "tail exponent α",
        "distance of the fit",
    )
    rows = [
        (one.name, " × ".join(map(str, one.shape)), f"{one.stable_rank:.1f}", f"{one.largest:.3g}",
         "" if one.alpha is None else f"{one.alpha:.2f}", f"{one.distance:.3f}")
        for one in found
    ]  # fmt: skip
    return as_table(heads, rows, "Spectra of the weights: a description, and no grade") if rows else ""


def _finding(one: Finding) -> str:
    where = f'<p class="where">{escape(names(one), 500)}</p>' if one.tensors else ""
    return (
        f'<li><p><span class="chip {one.severity}">{one.severity}</span> <b>{escape(one.kind)}</b> '
        f"{escape(one.seen, 400)}</p>{where}<p>{one.means} {one.advice}</p></li>"
    )


def comparison(found: Comparison) -> str:
    """The verdict, how far each tensor moved, and the evidence as a table."""
    only = [
        f"{len(part):,} tensors {words} ({escape(', '.join(part[:3]), 200)})."
        for part, words in ((found.only_a, "are in the first alone"), (found.only_b, "are in the second alone"),
                            (found.reshaped, "have another shape"))
        if part
    ]  # fmt: skip
    rest = "".join(f'<p class="line">{text}</p>' for text in only)
    return (
        f'<div class="verdict compared"><p class="title">{TITLE[found.verdict]}</p><p>{found.means}</p>{rest}'
        f"{_bars(found)}{_table(found)}</div>"
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


def _bars(found: Comparison) -> str:
    """How far each weight moved, on a scale up to the farthest."""
    rows = [row for row in found.rows if row.is_weight][:BARS]
    farthest = max((row.distance for row in rows), default=0) or 1
    bars = "".join(_bar(row, min(1.0, row.distance / farthest)) for row in rows)
    caption = "How far each weight moved: the length of the difference over that of the first’s weight."
    return f'<p class="caption">{caption}</p><ol class="bars moved">{bars}</ol>' if rows else ""


def _bar(row: Row, share: float) -> str:
    rank = "" if row.rank is None else f", rank {row.rank} of {row.side}"
    track = f'<span class="track"><span style="width:{100 * share:.1f}%"></span></span>'
    value = f'<span class="value">{row.distance:.1%} <i>{row.kind}{rank}</i></span>'
    return f'<li><span class="name">{escape(row.name, 60)}</span>{track}{value}</li>'


def _table(found: Comparison) -> str:
    heads = ("tensor", "shape", "is", "distance", "cosine", "values changed", "rank of the difference")
    rows = [
        (row.name, " × ".join(map(str, row.shape)), row.kind, f"{row.distance:.4g}", f"{row.cosine:.4f}",
         f"{row.changed:.1%}", "" if row.rank is None else f"{row.rank} of {row.side}")
        for row in found.rows[:500]
    ]  # fmt: skip
    return as_table(heads, rows)
