"""The contents of a checkpoint as HTML: facts, and layers as a tree. All names are escaped here."""

from collections.abc import Iterator

from app.page.html import escape
from nfn.checkpoint import TensorInfo
from nfn.look import Look, Node
from nfn.look.words import facts, shape_text

MAX_ROWS = 600
"""Modules and tensors that a page shows."""
OPEN_LEVELS = 2
"""Levels of the tree that are expanded at first."""
LEFT_OUT = "The rest of the tree is omitted here; python -m zoo look --deep shows all of it."
HEADLINE_FACTS = ("architecture", "how that is known", "tensors", "types", "broken")
"""Facts that the headline shows already."""


def fact_list(seen: Look) -> str:
    rows = [(name, text) for name, text in facts(seen) if name not in HEADLINE_FACTS]
    return (
        '<dl class="look-facts">'
        + "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(t, 400)}</dd></div>" for n, t in rows)
        + "</dl>"
    )


def tree(seen: Look) -> str:
    """The layers as a tree, with identical layers folded into one branch."""
    if not seen.tree.tensors and not seen.tree.children:
        return '<p class="line">This format lists no tensors here.</p>'
    rows = list(_rows(seen.tree, 0))
    left = f'<p class="line">{LEFT_OUT}</p>' if len(rows) > MAX_ROWS else ""
    shown = "".join(_closed(rows[:MAX_ROWS]))
    return f'<div class="look-tree" tabindex="0" role="region" aria-label="The layers">{shown}</div>{left}'


def _rows(node: Node, depth: int) -> Iterator[tuple[int, str, bool]]:
    """Yield (depth, content, whether it is a branch) for each line."""
    for tensor in node.tensors:
        yield depth, f"<b>{escape(tensor.name, 60)}</b> {_shape(tensor)}", False
    for child in node.children:
        alike = f" <i>{child.alike} alike</i>" if child.alike > 1 else ""
        head = f'<b>{escape(child.name, 60)}</b>{alike} <span class="count">{child.values:,}</span>'
        if child.children:
            yield depth, head, True
            yield from _rows(child, depth + 1)
        else:
            tensors = ", ".join(f"{escape(t.name, 40)} {_shape(t)}" for t in list(child.tensors)[:24])
            yield depth, f"{head} {tensors}", False


def _shape(tensor: TensorInfo) -> str:
    return f'<span class="shape">{escape(shape_text(tensor.shape))}</span>'


def _closed(rows: list[tuple[int, str, bool]]) -> Iterator[str]:
    """Yield the lines as nested `details`, each closed at the end of its branch."""
    inside = 0
    for depth, content, is_branch in rows:
        while inside > depth:
            yield "</details>"
            inside -= 1
        if is_branch:
            yield f"<details{' open' if depth < OPEN_LEVELS else ''}><summary>{content}</summary>"
            inside += 1
        else:
            yield f"<p>{content}</p>"
    yield "</details>" * inside
