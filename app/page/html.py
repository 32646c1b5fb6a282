"""Pieces of HTML that every tab uses. Text that a visitor or a file may have written is escaped here."""

import html
from collections.abc import Sequence

import torch

from nfn.network import Network


def escape(text: object, max_length: int = 80) -> str:
    """Escape untrusted text for HTML, cut to `max_length` characters."""
    plain = str(text)
    return html.escape(plain if len(plain) <= max_length else plain[: max_length - 1] + "…")


def percent(share: float) -> str:
    """A fraction, 0 to 1, as 41.2%."""
    return f"{100 * share:.1f}%"


def probability_html(p: float) -> str:
    """A probability as percent in HTML; never 0 or 100% unless it is exactly that."""
    if 0 < p < 0.001:
        return "<0.1%".replace("<", "&lt;")
    return ">99.9%".replace(">", "&gt;") if 0.999 < p < 1 else percent(p)


def number(value: str, meaning: str) -> str:
    """A number and its meaning, for a `dl` of the class `numbers`."""
    return f"<div><dt>{meaning}</dt><dd>{value}</dd></div>"


def small_difference(value: float) -> str:
    """A difference near zero with seven digits, the precision of float32."""
    return "0" if value == 0 else "less than 0.0000001" if value < 1e-7 else f"{value:.7f}"


def layer_rows(network: Network) -> list[list[str]]:
    """One row per tensor: name, shape, quartiles and standard deviation of its values (`TABLE_HEADERS`)."""
    return [
        [
            name,
            "×".join(map(str, t.shape)),
            *(f"{value:.4f}" for value in t.float().quantile(QUARTILES).tolist()),
            f"{t.std(unbiased=False):.4f}",
        ]
        for name, t in network.tensors().items()
    ]


def as_table(headers: Sequence[str], rows: Sequence[Sequence[object]], title: str = "As a table") -> str:
    """A figure's numbers as a collapsed table. Cells are escaped here."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in headers)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return (
        f'<details class="twin"><summary>{title}</summary>'
        f'<div tabindex="0" role="region" aria-label="{title}">{table}</div></details>'
    )


def code_block(text: str, max_length: int = 2_000) -> str:
    """Code in a block with a button that copies it (`page.js`)."""
    copy = '<button type="button" class="copy-code" data-copy>Copy</button>'
    return f'<pre class="code"><code>{escape(text, max_length)}</code>{copy}</pre>'


QUARTILES = torch.linspace(0, 1, 5)


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
    "Hidden neurons have no order. Swap them and the weight tables change, but the network computes the same. "
    "A good predictor gives the same answer for both."
)


READING = '<div class="not-yet low" role="status">Reading a network…</div>'
"""Placeholder until a result is there."""


def error_line(error: Exception) -> str:
    """A line that says why a card shows nothing."""
    return f'<p class="line refusal">{escape(error, 600)}</p>'


def networks_table_html(heads: Sequence[tuple[str, str]], rows: str) -> str:
    """A table of networks, sorted and picked by `networks.js`; each head is (sort attribute, name)."""
    cells = "".join(
        f'<th scope="col"{order}><button type="button">{name}</button></th>' for order, name in heads
    )
    table = (
        f'<table class="networks" role="grid"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>'
    )
    return f'<div class="scroller">{table}</div>'


def failure(text: object) -> str:
    """A line with an error of what the visitor just did, which screen readers read out; "" without one."""
    return f'<p class="line refusal" role="alert">{escape(text, 600)}</p>' if text else ""
