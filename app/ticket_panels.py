"""What the Tickets tab says, as HTML. Every string that a visitor or a file may have written is escaped here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from app import ticket_figures as figures
from app.actions import Source
from app.panels import escape, networks_grid, number
from app.race import Lane, Race
from app.ticket_figures import NAMES
from app.tickets import Found, Masked

TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
TRAINED = "This looks trained; tickets are for initializations."
NO_RACE = (
    '<div class="not-yet">Press Race: the same network is trained four times, each time with other weights left '
    "out.</div>"
)
LEGEND = '<span class="kept"></span> kept <span class="faint"></span> left out'
SIGNED = (
    '<span class="kept"></span> kept, starts above zero <span class="below"></span> kept, starts below zero'
)
DIFFERENCE = (
    '<span class="kept"></span> only the ticket keeps it <span class="large"></span> only the largest weights do '
    '<span class="both"></span> both'
)


def percent(share: float) -> str:
    """A share, 0 to 1, as 41.2%."""
    return f"{100 * share:.1f}%"


def inits_table(rows: Sequence[dict[str, Any]]) -> str:
    """The zoo's initializations, and what became of them; `networks.js` sorts and picks."""
    heads = (("", "Network"), ("", "All weights"), ("", "Its known ticket"))
    return networks_grid(heads, "".join(map(_row, rows)))


def _row(row: dict[str, Any]) -> str:
    place = row["id"].rpartition("/")[2]
    dense, ticket = row["dense_accuracy"], row["ticket_accuracy"]
    return (
        f'<tr data-zoo-id="{escape(row["id"])}"><td data-value="{escape(place)}">No. {escape(place)}</td>'
        f'<td data-value="{dense:.4f}">{percent(dense)}</td><td data-value="{ticket:.4f}">{percent(ticket)}</td></tr>'
    )


def summary(
    source: Source, found: Found, shown: Masked, row: dict[str, Any] | None, known: float | None
) -> str:
    """How much is kept, what that leaves dead, and what is known of the network."""
    warning = f'<div class="unlike"><p class="title">{TRAINED}</p><p>{escape(found.ticket.sentence, 200)} ' \
              "The mask is shown all the same.</p></div>" if found.ticket.trained else ""  # fmt: skip
    dead, hidden = sum(shown.dead), sum(shown.hidden)
    numbers = (
        number(f"{shown.kept:,} of {shown.total:,}", "weights that the ticket keeps")
        + number(f"{dead:,} of {hidden:,}", "hidden neurons left without an input or an output")
        + number(f"{found.seconds:.1f} s", "to score every weight, once; the slider only cuts")
    )
    facts = _facts(source, found, row, known, shown.sparsity)
    return (
        f'<div class="verdict">{warning}<p class="title">Keeps {percent(shown.kept / shown.total)} of the weights</p>'
        f'<dl class="numbers three">{numbers}</dl>{layer_table(shown)}<p class="facts">{facts}</p></div>'
    )


def _facts(
    source: Source, found: Found, row: dict[str, Any] | None, known: float | None, sparsity: float
) -> str:
    what = "a network" if found.ticket.trained else "an untrained network"
    line = f"<b>{escape(source.name)}</b>: {what} for {TITLES[found.config.task]} ({_made_of(found)})."
    if row is not None:
        line += (
            f" Trained with all its weights it reaches {percent(row['dense_accuracy'])}; with the 5% that are largest "
            f"<i>after</i> that training (its known ticket), {percent(row['ticket_accuracy'])}."
        )
    if known is not None:
        line += f" Of the weights that this ticket keeps, {percent(known)} are in the known one."
    line += f" {_how(found)}"
    return line + "".join(f"<br>{escape(note, 400)}" for note in (*found.network.notes, *found.assumed))


def _made_of(found: Found) -> str:
    if found.opened.setup is not None:
        return f"{len(found.opened.names):,} layers with weights"
    widths = "\u2011".join(map(str, (found.network.spec.get_io()[0], *_widths(found))))
    return f"layers of {widths}"


def _how(found: Found) -> str:
    if found.opened.setup is not None:
        return (
            "The network was trained for a moment on pictures kept here. In each layer those weights are kept that are "
            "largest then; how many, is set by the layer’s shape (Erdős–Rényi kernel). Nothing was learned from known "
            "tickets."
        )
    config = found.config
    steps, side = max(config.moments), config.glimpses.shape[-1] // config.coarse
    if config.rule == "magnitude":
        squares = (
            " To these, all pixels of a square are one, so squares show in the mask."
            if config.coarse > 1
            else ""
        )
        return (
            f"The network was trained for {steps} steps, on pictures of {side}×{side} pixels kept here. Each weight’s "
            f"score is its size then, by a measure of its layer’s that was learned from known tickets.{squares}"
        )
    return (
        "Each weight was scored by a model that reads the weights and where gradients would take them, looking "
        f"{steps} training steps ahead."
    )


def _widths(found: Found) -> list[int]:
    return [array.shape[0] for array in found.network.spec.weight_spec]


def layer_table(shown: Masked) -> str:
    """Per layer how much is kept, as bars and numbers, by the ticket and by magnitude, and how many neurons die."""
    pairs = zip(shown.dead, shown.hidden, strict=True)
    dead = [f"{d:,} of {h:,}" if h else "none" for d, h in pairs]
    rows = "".join(
        f'<tr><th scope="row">{escape(layer.name, 40)}<small>{"×".join(map(str, layer.shape))}</small></th>'
        f"<td>{_bar(layer.kept, layer.total, 'kept')}</td><td>{_bar(layer.magnitude_kept, layer.total, 'large')}</td>"
        f"<td>{count}</td></tr>"
        for layer, count in zip(shown.layers, dead, strict=True)
    )
    heads = ("Weights", "Kept by the ticket", "By largest initial weight", "Dead neurons")
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="kept-table"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _bar(kept: int, total: int, kind: str) -> str:
    share = kept / total
    track = f'<span class="track"><span class="{kind}" style="width:{100 * share:.2f}%"></span></span>'
    return f"{track}<b>{kept:,}</b> <small>{percent(share)}</small>"


def layers(found: Found, shown: Masked) -> str:
    """The masks of all layers as pictures."""
    masks = [mask[0, 0] for mask in shown.masks]
    first, parts = "", []
    for i, mask in enumerate(masks):
        title = _title(i, len(masks), mask)
        if i == 0 and figures.reads_pixels(mask):
            first = _pixels(mask, found.opened.weights[0][0, 0], title)
        else:
            parts.append(_mask(figures.mask_picture(mask), mask, title, "which weights are kept"))
    return f'{first}{_row_of(parts, masks)}<p class="legend">{LEGEND}</p>'


def _row_of(parts: Sequence[str], masks: Sequence[Tensor]) -> str:
    """The pictures of layers beside one another, each as wide as its cells need."""
    wide = any(min(mask.shape[1], figures.MAX_CELLS) > figures.WIDE for mask in masks if mask.dim() == 2)
    return f'<div class="masks{" wide" * wide}">{"".join(parts)}</div>'


def _mask(pixels: np.ndarray, mask: Tensor, title: str, says: str) -> str:
    image = figures.picture(pixels, f"{strip(title)}: {says}")
    return f"<figure><figcaption>{title}{_cut(mask)}</figcaption>{image}</figure>"


def strip(title: str) -> str:
    """A title of ours without its tags, for what is read aloud."""
    return title.replace("<b>", "").replace("</b>", "")


def _title(i: int, count: int, mask: Tensor) -> str:
    name = "Last layer" if i == count - 1 else f"Layer {i + 1}"
    shape = "×".join(map(str, mask.shape[:2]))
    kernel = "" if mask.dim() == 2 else f", {mask.shape[2]}×{mask.shape[3]}"
    return f"<b>{name}</b> {shape}{kernel}"


def _cut(mask: Tensor) -> str:
    return f"<br>its first {figures.MAX_CELLS} neurons" if figures.cut(mask) else ""


def _pixels(mask: Tensor, weight: Tensor, title: str) -> str:
    """The first layer of a network that reads digits: all neurons summed, and the greediest ones alone."""
    most = int(mask.sum(0).max())
    says = f"How many neurons keep each pixel, {most} at most"
    whole = figures.picture(figures.pixel_map(mask, most), says, "pixel-map")
    single = "".join(
        figures.picture(cells, f"Neuron {i}: the pixels that it keeps", "field")
        for i, cells in figures.fields(mask, weight)
    )
    return (
        f'<div class="digits"><figure><figcaption>{title}<br>how many of {len(mask)} neurons keep each pixel: none '
        f'<span class="ramp"></span> {most}</figcaption>{whole}</figure>'
        f"<figure><figcaption><b>Its neurons</b> one by one, those first that keep most pixels<br>{SIGNED}</figcaption>"
        f'<div class="fields">{single}</div></figure></div>'
    )


def comparison(found: Found, shown: Masked) -> str:
    """The ticket beside the mask of the largest initial weights: how far they agree, and where they do not."""
    numbers = number(
        percent(shown.agreement), "of the weights that the ticket keeps are among the largest"
    ) + number(percent(shown.by_chance), "would be by chance, with as many in every layer")
    masks = [mask[0, 0] for mask in shown.masks]
    first, parts = "", []
    for i, (mask, other) in enumerate(zip(masks, shown.magnitude, strict=True)):
        title = _title(i, len(masks), mask)
        if i == 0 and figures.reads_pixels(mask):
            first = _two_maps(mask, other[0, 0], title)
        else:
            pixels = figures.mask_picture(mask, other[0, 0])
            parts.append(_mask(pixels, mask, title, "which weights the ticket keeps, the largest, or both"))
    legend = f'<p class="legend">{DIFFERENCE}</p>'
    return f'<dl class="numbers two">{numbers}</dl>{first}{_row_of(parts, masks)}{legend}'


def _two_maps(mask: Tensor, other: Tensor, title: str) -> str:
    """The first layer of a network that reads digits, as the ticket and as the largest weights keep its pixels."""
    most = max(int(mask.sum(0).max()), int(other.sum(0).max()))
    pairs = {"the ticket": mask, "the largest weights": other}
    shown = "".join(_map(layer, most, f"{title}<br>{name}", name) for name, layer in pairs.items())
    return f'<div class="digits">{shown}</div>'


def _map(mask: Tensor, most: int, title: str, by: str) -> str:
    says = f"How many neurons keep each pixel, chosen by {by}"
    image = figures.picture(figures.pixel_map(mask, most), says, "pixel-map")
    return f"<figure><figcaption>{title}</figcaption>{image}</figure>"


def race_picture(race: Race) -> str:
    """The curves so far, and a table of the same numbers."""
    axes = '<p class="axis up">test accuracy ↑</p><p class="axis across">training steps →</p>'
    return f'<div class="course">{figures.race_curves(race, _says(race))}{axes}</div>{_race_table(race)}'


def _says(race: Race) -> str:
    reached = ", ".join(f"{NAMES[lane.name]} {percent(lane.accuracy[-1])}" for lane in race.lanes)
    return f"Test accuracy after {race.step} of {race.total} steps: {reached}."


def _race_table(race: Race) -> str:
    heads = "".join(f'<th scope="col">{NAMES[lane.name]}</th>' for lane in race.lanes)
    rows = "".join(
        f'<tr><th scope="row">{step:,}</th>'
        + "".join(f"<td>{percent(lane.accuracy[i])}</td>" for lane in race.lanes)
        + "</tr>"
        for i, step in enumerate(race.lanes[0].steps)
    )
    return (
        f"<details><summary>The race as a table</summary><div class='race-table'><table><thead><tr>"
        f'<th scope="col">Steps</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def race_line(race: Race) -> str:
    """How far the race is, or who won."""
    if not race.finished:
        bar = f'<progress max="{race.total}" value="{race.step}"></progress>'
        return f'<p class="line" role="status">{bar}<br>Step {race.step:,} of {race.total:,}, {race.seconds:.0f} s.</p>'
    by_name = {lane.name: lane for lane in race.lanes}
    order = sorted(race.lanes, key=lambda lane: -lane.accuracy[-1])
    ranking = ", ".join(f"{NAMES[lane.name]} {percent(lane.accuracy[-1])}" for lane in order)
    return (
        f'<p class="line" role="status">{_outcome(by_name)}</p><p class="line">{ranking}, after {race.total:,} steps '
        f"in {race.seconds:.0f} s. {escape(race.images, 200)}</p>"
    )


def _outcome(lanes: dict[str, Lane]) -> str:
    ticket, random, dense = (lanes[name] for name in ("ticket", "random", "dense"))
    gap = 100 * (ticket.accuracy[-1] - random.accuracy[-1])
    ahead = "ahead of" if gap > 0 else "behind"
    return (
        f"With <b>{ticket.kept:,}</b> of {dense.kept:,} weights the ticket reaches "
        f"<b>{percent(ticket.accuracy[-1])}</b>, {abs(gap):.1f} points {ahead} as many weights at random."
    )
