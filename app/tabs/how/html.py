"""The animated picture of "How it works" as SVG, and the text beside it. `how.js` moves what is drawn here."""

from collections.abc import Mapping

import torch

from app.page.figures import colours, robust_limit, to_pixels
from app.page.html import as_table, number, small_difference
from app.page.widgets import inline_image
from app.tabs.how.actions import SHOWN, DrawnWeights, Order
from app.tabs.inr.symmetry import SymmetryCheck

ONE, TWO = "abcdefgh", "ABCDEFGH"
"""Names of the drawn neurons, by layer; the file has none."""
STEP, TOP = 36, 34
COLUMNS = (52, 190, 330, 468)
"""The x positions of inputs, hidden layers and output, in SVG units."""
CELL = 30


def live_picture(drawn: DrawnWeights, before: str) -> str:
    """The buttons, the network as circles and lines, the weights between its hidden layers, and its picture."""
    buttons = (
        ("primary", "shuffle", "Shuffle the hidden neurons"),
        ("secondary", "restore", "Restore the file’s order"),
    )
    figures = {
        _network(
            drawn
        ): "The network, from left to right. Thick lines are large weights; blue above zero, red below.",
        _matrix(drawn.middle): "The weights between a–h and A–H as the file stores them: a table of numbers.",
        before: "Its picture, before any shuffling.",
    }
    button_html = "".join(
        f'<button type="button" class="{k}" data-{action}>{text}</button>' for k, action, text in buttons
    )
    shown = "".join(f"<figure>{f}<figcaption>{text}</figcaption></figure>" for f, text in figures.items())
    measures = f'data-top="{TOP}" data-step="{STEP}" data-cell="{CELL}"'
    return f'<div class="how-buttons">{button_html}</div><div class="how-live" {measures}>{shown}</div>'


def _network(drawn: DrawnWeights) -> str:
    description = (
        f"A network: 2 inputs, row and column; {SHOWN} neurons a to h; {SHOWN} neurons A to H; one output, the "
        "brightness. Lines between them are weights."
    )
    lines = [*_lines(drawn.first, 0), *_lines(drawn.middle, 1), *_lines(drawn.last, 2)]
    ends = [_end(0, 2, i, name) for i, name in enumerate(("row", "column"))] + [_end(3, 1, 0, "brightness")]
    hidden = [
        _neuron(layer, i, name) for layer, names in ((1, ONE), (2, TWO)) for i, name in enumerate(names)
    ]
    height = 2 * TOP + STEP * (SHOWN - 1)
    head = f'<svg class="how-network" role="img" aria-label="{description}" viewBox="-24 0 580 {height}">'
    return f"{head}{''.join([*lines, *ends, *hidden])}</svg>"


def _lines(weight: torch.Tensor, layer: int) -> list[str]:
    """A line per weight `(to, from)`; `how.js` sets its ends by the neurons it joins."""
    limit = robust_limit(weight.numpy())
    rows = weight.clamp(-limit, limit).div(limit).tolist()
    return [
        f'<line class="{"plus" if value > 0 else "minus"}" data-layer="{layer}" data-from="{start}" '
        f'data-to="{end}" '
        f'x1="{COLUMNS[layer]}" x2="{COLUMNS[layer + 1]}" y1="{place(start, len(row))}" y2="{place(end, len(rows))}" '
        f'stroke-width="{0.3 + 3.2 * abs(value):.2f}"/>'
        for end, row in enumerate(rows)
        for start, value in enumerate(row)
    ]


def place(number: int, of: int) -> float:
    """The y position of the `number`-th of `of` neurons."""
    return TOP + STEP * (number + (SHOWN - of) / 2)


def _neuron(layer: int, i: int, name: str) -> str:
    return (
        f'<g class="neuron" data-layer="{layer}" data-neuron="{i}" transform="translate({COLUMNS[layer]} '
        f'{place(i, SHOWN)})"><circle r="12"/><text dy="4">{name}</text></g>'
    )


def _end(column: int, of: int, i: int, name: str) -> str:
    shift = f'transform="translate({COLUMNS[column]} {place(i, of)})"'
    anchor, dx = ("end", -17) if column == 0 else ("start", 17)
    return f'<g class="end" {shift}><circle r="12"/><text dx="{dx}" dy="4" text-anchor="{anchor}">{name}</text></g>'


def _matrix(middle: torch.Tensor) -> str:
    """The weights between the hidden layers as coloured cells; rows and columns have the neurons' names."""
    values = middle.numpy()
    cells = colours(values, robust_limit(values))
    drawn = [
        f'<rect class="cell" data-row="{row}" data-column="{column}" width="{CELL - 2}" height="{CELL - 2}" '
        f'fill="rgb({",".join(map(str, cells[row, column, :3]))})" transform="translate({CELL * column} {CELL * row})">'
        f"<title>{ONE[column]} to {TWO[row]}: {values[row, column]:.3f}</title></rect>"
        for row in range(SHOWN)
        for column in range(SHOWN)
    ]
    heads = [
        f'<text class="head" data-column="{i}" transform="translate({CELL * i} 0)" x="14" y="-8">{ONE[i]}</text>'
        f'<text class="head" data-row="{i}" transform="translate(0 {CELL * i})" x="-12" y="19">{TWO[i]}</text>'
        for i in range(SHOWN)
    ]
    description = "The weights from neurons a to h (columns) to A to H (rows), red below zero, blue above"
    size = CELL * SHOWN
    return (
        f'<svg class="how-matrix" role="img" aria-label="{description}" viewBox="-26 -26 {size + 26} {size + 26}">'
        f"{''.join([*drawn, *heads])}</svg>"
    )


def picture(image: torch.Tensor, alt: str) -> str:
    """The picture `(1, H, W)` of a network."""
    return inline_image(to_pixels(image), alt)


def outcome(check: SymmetryCheck, image: torch.Tensor, middle: torch.Tensor, one: Order, two: Order) -> str:
    """What changed and what did not: numbers, the picture of the shuffled network, its label, and the table."""
    same = check.verdict_before.label == check.verdict_after.label
    read = f"“{check.verdict_before.label}” and “{check.verdict_after.label}”"
    numbers = "".join(
        [
            number(f"{check.moved:,} of {check.total:,}", "numbers of the file that changed"),
            number(
                small_difference(check.pixel_difference),
                "largest difference of a pixel, on a scale from −1 to 1",
            ),
            number(read, "the predicted label, before and after"),
            number(
                small_difference(check.probability_difference),
                "largest difference of its probabilities, from 0 to 1",
            ),
        ]
    )
    shown = f'<figure class="small">{picture(image, "the picture that the shuffled network draws")}'
    sentence = "The same picture, the same answer." if same else "<b>The answer changed.</b>"
    return (
        f'<div role="status">{shown}<figcaption>its picture now, computed again</figcaption></figure>'
        f'<dl class="numbers">{numbers}</dl><p class="line">{sentence}</p></div>{_block_table(middle, one, two)}'
    )


def _block_table(middle: torch.Tensor, one: Order, two: Order) -> str:
    """The drawn weights as a table of numbers, in the current order."""
    rows = [[TWO[row], *(f"{middle[row, column]:.3f}" for column in one)] for row in two]
    return as_table(["", *(ONE[column] for column in one)], rows)


def glossary(words: Mapping[str, str]) -> str:
    """Words and their meaning (trusted text, not escaped)."""
    lines = "".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in words.items())
    return f'<dl class="glossary">{lines}</dl>'


NOT_YET = '<div class="not-yet low">Press the button: the neurons move, the picture stays the same.</div>'
