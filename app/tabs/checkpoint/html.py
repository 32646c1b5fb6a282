"""The headline of a checkpoint as HTML: architecture, sizes, facts. All names are escaped here."""

from app.page.html import escape
from app.page.look import fact_list
from app.tabs.checkpoint.actions import Looked
from nfn.look import Look
from nfn.look.words import size

UNKNOWN = (
    "No known architecture has exactly these names and shapes, so none is guessed. The rest of this page is still "
    "exact."
)
NOTHING = '<div class="not-yet low">Drop a file, or name a model on the Hub.</div>'


def headline(looked: Looked) -> str:
    """What the file is, the evidence for it, and what is wrong with the file."""
    seen = looked.look
    architecture = seen.architecture
    title = escape(architecture.name, 120) if architecture else "Unknown architecture"
    evidence = escape(architecture.evidence, 300) if architecture else UNKNOWN
    broken = "".join(f'<p class="line refusal" role="alert">{escape(text, 400)}</p>' for text in seen.broken)
    return (
        f'<div class="verdict look"><p class="caption">{escape(looked.name, 120)}</p>'
        f'<div class="{"known" if architecture else "unnamed"}"><p class="title">{title}</p><p>{evidence}</p></div>'
        f"{broken}"
        f"{numbers(seen)}{fact_list(seen)}</div>"
    )


def numbers(seen: Look) -> str:
    """Parameters, size and types in large figures."""
    if not seen.tensors:
        return ""
    dtypes = " and ".join(list(seen.dtypes)[:3])
    cells = (
        (f"{seen.parameters:,}", "parameters"),
        (size(seen.nbytes), "of values"),
        (f"{seen.tensors:,}", "tensors"),
        (escape(dtypes, 60), "stored as"),
    )
    return (
        '<dl class="look-numbers">'
        + "".join(f"<div><dd>{n}</dd><dt>{of}</dt></div>" for n, of in cells)
        + "</dl>"
    )


def why_not(looked: Looked) -> str:
    """Why no predictor reads the file; "" if one does."""
    if looked.steps.network is not None or not looked.steps.why:
        return ""
    summary = "<summary>Why no predictor here reads it</summary>"
    return f'<details class="look-why">{summary}<p class="line">{escape(looked.steps.why, 600)}</p></details>'
