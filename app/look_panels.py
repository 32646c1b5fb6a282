"""A look at a checkpoint as HTML: a headline, facts, and the layers as a tree. All names are escaped here."""

from collections.abc import Iterable, Iterator

from app.looking import Looked, open_upload
from app.panels import escape
from nfn.checkpoint import TensorInfo
from nfn.look import Look, Node, look
from nfn.look.words import facts, shape_text, size

MAX_ROWS = 600
"""Modules and tensors that a page shows; a larger tree says how much is left out."""
OPEN = 2
"""Levels of the tree that are unfolded at first."""
UNKNOWN = (
    "No architecture that is known here has exactly these names and shapes, and a guess would help nobody. What the "
    "file holds is true all the same."
)
NOTHING = '<div class="not-yet low">Drop a file, or name a model on the Hub.</div>'
LEFT_OUT = "The rest of the tree is left out here; python -m zoo look --deep shows all of it."


def headline(looked: Looked) -> str:
    """What it is, how that is known, and what is wrong with the file."""
    seen = looked.look
    found = seen.architecture
    title = escape(found.name, 120) if found else "Unknown architecture"
    said = escape(found.evidence, 300) if found else UNKNOWN
    broken = "".join(f'<p class="line refusal" role="alert">{escape(text, 400)}</p>' for text in seen.broken)
    return (
        f'<div class="verdict look"><p class="caption">{escape(looked.name, 120)}</p>'
        f'<div class="{"known" if found else "unnamed"}"><p class="title">{title}</p><p>{said}</p></div>{broken}'
        f"{numbers(seen)}{_facts(seen)}</div>"
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


HEAD = ("architecture", "how that is known", "tensors", "types", "broken")
"""Facts that the headline has said."""


def _facts(seen: Look) -> str:
    rows = [(name, text) for name, text in facts(seen) if name not in HEAD]
    return (
        '<dl class="look-facts">'
        + "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(t, 400)}</dd></div>" for n, t in rows)
        + "</dl>"
    )


def tree(seen: Look) -> str:
    """The layers, those that are alike folded into one branch."""
    if not seen.tree.tensors and not seen.tree.children:
        return '<p class="line">This format lists no tensors here.</p>'
    rows = list(_rows(seen.tree, 0))
    left = f'<p class="line">{LEFT_OUT}</p>' if len(rows) > MAX_ROWS else ""
    shown = "".join(_closed(rows[:MAX_ROWS]))
    return f'<div class="look-tree" tabindex="0" role="region" aria-label="The layers">{shown}</div>{left}'


def _rows(node: Node, depth: int) -> Iterator[tuple[int, str, bool]]:
    """Depth, content, and whether it is a branch that unfolds, of each line."""
    for tensor in node.tensors:
        yield depth, f"<b>{escape(tensor.name, 60)}</b> {_shape(tensor)}", False
    for child in node.children:
        alike = f" <i>{child.alike} alike</i>" if child.alike > 1 else ""
        head = f'<b>{escape(child.name, 60)}</b>{alike} <span class="count">{child.values:,}</span>'
        if child.children:
            yield depth, head, True
            yield from _rows(child, depth + 1)
        else:
            yield depth, f"{head} {', '.join(_inline(child.tensors))}", False


def _inline(tensors: Iterable[TensorInfo]) -> Iterator[str]:
    for tensor in list(tensors)[:24]:
        yield f"{escape(tensor.name, 40)} {_shape(tensor)}"


def _shape(tensor: TensorInfo) -> str:
    return f'<span class="shape">{escape(shape_text(tensor.shape))}</span>'


def _closed(rows: list[tuple[int, str, bool]]) -> Iterator[str]:
    """The lines as nested `details`, each closed where its branch ends."""
    inside = 0
    for depth, content, unfolds in rows:
        while inside > depth:
            yield "</details>"
            inside -= 1
        if unfolds:
            yield f"<details{' open' if depth < OPEN else ''}><summary>{content}</summary>"
            inside += 1
        else:
            yield f"<p>{content}</p>"
    yield "</details>" * inside


def glance(path: str | None) -> str:
    """What a file is that a tab did not take, in a line and its layers; "" where it is no checkpoint."""
    try:
        seen = look(open_upload(path)) if path else None
    except ValueError:
        return ""  # the refusal above it says so
    if seen is None:
        return ""
    name = (
        escape(seen.architecture.name, 120) if seen.architecture else "an architecture that is not known here"
    )
    held = (
        f"{seen.parameters:,} parameters in {seen.tensors:,} tensors"
        if seen.tensors
        else "no tensors that are listed"
    )
    broken = "".join(f'<p class="line">{escape(text, 400)}</p>' for text in seen.broken)
    return (
        f'<div class="look glance"><p class="line">It is {escape(seen.format)}: <b>{name}</b>, {held}.</p>{broken}'
        f"<details><summary>What is in it</summary>{_facts(seen)}{tree(seen)}</details></div>"
    )


def why_not(looked: Looked) -> str:
    """Why no predictor reads it, where that is so."""
    if looked.steps.network is not None or not looked.steps.why:
        return ""
    summary = "<summary>Why no predictor here reads it</summary>"
    return f'<details class="look-why">{summary}<p class="line">{escape(looked.steps.why, 600)}</p></details>'
