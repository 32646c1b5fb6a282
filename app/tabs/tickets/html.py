"""The HTML of the Lucky weights tab. Text from visitors and files is escaped here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from app.networks.source import Source
from app.page.figures import weights_square
from app.page.html import as_table, escape, networks_table_html, number, percent
from app.page.widgets import inline_image
from app.tabs.tickets import figures
from app.tabs.tickets.actions import Masked, OtherTicket, ScoredNetwork
from app.tabs.tickets.figures import NAMES
from app.tabs.tickets.race import Lane, Race
from nfn.tickets import TITLES

READERS = {"weights": "Weights alone", "training": "A short training"}
"""What a ticket is read from, as on the page."""
OTHERS = {"weights": "The ticket from weights alone", "training": "The ticket after a short training"}
TRAINED = "This network looks trained; tickets are for untrained networks."
NO_RACE = (
    '<div class="not-yet">Press Race to train the network four times, each with other weights removed.</div>'
)
LEGEND = '<span class="kept"></span> kept <span class="faint"></span> removed'
SIGNED = (
    '<span class="kept"></span> kept, starts above zero <span class="below"></span> kept, starts below zero'
)
DIFFERENCE = (
    '<span class="kept"></span> kept only by the ticket <span class="large"></span> only among the largest weights '
    '<span class="both"></span> both'
)


def inits_table(rows: Sequence[dict[str, Any]]) -> str:
    """The zoo's initializations and their accuracies; `networks.js` sorts and picks."""
    heads = (("", "Network"), ("", "All weights"), ("", "Its known ticket"))
    return networks_table_html(heads, "".join(map(_row, rows)))


def _row(row: dict[str, Any]) -> str:
    place = row["id"].rpartition("/")[2]
    dense, ticket = row["dense_accuracy"], row["ticket_accuracy"]
    return (
        f'<tr data-zoo-id="{escape(row["id"])}"><td data-value="{escape(place)}">No. {escape(place)}</td>'
        f'<td data-value="{dense:.4f}">{percent(dense)}</td><td data-value="{ticket:.4f}">{percent(ticket)}</td></tr>'
    )


def summary(
    source: Source, scored: ScoredNetwork, masked: Masked, row: dict[str, Any] | None, known: float | None
) -> str:
    """How many weights are kept, which, how accurate they become, and the facts of the network."""
    warning = f'<div class="unlike"><p class="title">{TRAINED}</p><p>{escape(scored.ticket.sentence, 200)} ' \
              "The mask is shown anyway.</p></div>" if scored.ticket.trained else ""  # fmt: skip
    facts = _facts(source, scored, row, known, masked.sparsity)
    return (
        f'<div class="verdict">{warning}<p class="title">Keeps {percent(masked.kept / masked.total)} of the weights</p>'
        f'<div class="ticket-row">{_before_and_after(scored, masked)}{_trained(row)}</div>'
        f'<p class="line how">{_how(scored)}</p><p class="facts">{facts}</p></div>'
    )


def other_ticket(other: OtherTicket | None) -> str:
    """How many of the ticket's weights the other reader's ticket keeps too; "" if there is none."""
    if other is None:
        return ""
    shared, chance = percent(other.shared), percent(other.by_chance)
    return (
        f'<p class="line" id="other-ticket"><b>{OTHERS[other.reader]} has {shared} of the same weights</b> '
        f"({chance} would be by chance). A network has many good tickets.</p>"
    )


def _before_and_after(scored: ScoredNetwork, masked: Masked) -> str:
    """All initial weights as a picture, and those that the ticket keeps."""
    weights = scored.opened.weights
    before = inline_image(weights_square(weights), "The initial weights as colours")
    after = inline_image(weights_square(weights, masked.masks), "Those that the ticket keeps")
    return (
        f'<figure class="all-weights"><figcaption class="caption">All {masked.total:,} weights</figcaption>{before}'
        f'</figure><figure class="all-weights"><figcaption class="caption">The {masked.kept:,} it keeps</figcaption>'
        f"{after}</figure>"
    )


def _trained(row: dict[str, Any] | None) -> str:
    """The test accuracies after training that the zoo knows; for an upload, how to find out."""
    if row is None:
        return '<div class="truth"><p class="caption">After training</p><p>Race them below to find out.</p></div>'
    return (
        '<div class="truth"><p class="caption">After training, all weights reach</p>'
        f'<p class="number">{percent(row["dense_accuracy"])}</p>'
        '<p class="caption">and its known ticket, 5% of them,</p>'
        f'<p class="number">{percent(row["ticket_accuracy"])}</p><p>Race this ticket below.</p></div>'
    )


def _facts(
    source: Source, scored: ScoredNetwork, row: dict[str, Any] | None, known: float | None, sparsity: float
) -> str:
    what = "a network" if scored.ticket.trained else "an untrained network"
    line = f"<b>{escape(source.name)}</b>: {what} for {TITLES[scored.config.task]} ({_made_of(scored)})."
    if row is not None:
        line += " Its known ticket is the 5% of weights that are largest <i>after</i> training."
    if known is not None:
        line += f" {percent(known)} of the weights in this ticket are also in it."
    line += f" Scoring took {scored.seconds:.1f} s; the slider only moves the threshold."
    return line + "".join(f"<br>{escape(note, 400)}" for note in (*scored.network.notes, *scored.assumed))


def _made_of(scored: ScoredNetwork) -> str:
    if scored.opened.setup is not None:
        return f"{len(scored.opened.names):,} layers with weights"
    spec = scored.network.spec
    widths = (spec.get_io()[0], *(array.shape[0] for array in spec.weight_spec))
    return "layers of " + "\u2011".join(map(str, widths))


def _how(scored: ScoredNetwork) -> str:
    """What the ticket was read from, and how."""
    if scored.ticket.reader == "weights":
        return (
            "<b>Weights alone</b>: no image was used, and nothing was trained. The hidden neurons were matched, by "
            "their weights, with those of a stored network that was pruned while it was trained. The ticket keeps the "
            "weights at the places where that network kept its own, and some that are large themselves."
        )
    reason = f" {escape(scored.reason, 300)}" if scored.reason else ""
    return f"<b>A short training</b>: {_how_trained(scored)}{reason}"


def _how_trained(scored: ScoredNetwork) -> str:
    if scored.opened.setup is not None:
        return (
            "the network was trained briefly on images stored here. In each layer the ticket keeps the weights that "
            "are largest after that; their number depends on the layer’s shape (Erdős–Rényi kernel). This rule was "
            "not learned from known tickets."
        )
    config = scored.config
    steps, side = max(config.moments), config.coarse_images.shape[-1] // config.coarse
    if config.rule == "magnitude":
        squares = (
            " The pixels of a small square count as one, so the mask shows squares."
            if config.coarse > 1
            else ""
        )
        return (
            f"the network was trained for {steps} steps, on images of {side}×{side} pixels stored here. The score of "
            "a weight is its magnitude after that, on a scale for its layer that was learned from known tickets."
            f"{squares}"
        )
    return (
        "each weight was scored by a model that reads the weights and their gradients over "
        f"{steps} training steps."
    )


def layer_table(masked: Masked) -> str:
    """A table of layers: the weights kept by the ticket and by magnitude, as bars and numbers, and dead neurons."""
    pairs = zip(masked.dead, masked.hidden, strict=True)
    dead = [f"{d:,} of {h:,}" if h else "none" for d, h in pairs]
    rows = "".join(
        f'<tr><th scope="row">{escape(layer.name, 40)}<small>{"×".join(map(str, layer.shape))}</small></th>'
        f"<td>{_bar(layer.kept, layer.total, 'kept')}</td><td>{_bar(layer.magnitude_kept, layer.total, 'large')}</td>"
        f"<td>{count}</td></tr>"
        for layer, count in zip(masked.layers, dead, strict=True)
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


def layers(scored: ScoredNetwork, masked: Masked) -> str:
    """The masks of all layers, in numbers and as pictures."""
    masks = [mask[0, 0] for mask in masked.masks]
    first, parts = "", []
    for i, mask in enumerate(masks):
        title = _title(i, len(masks), mask)
        if i == 0 and figures.reads_pixels(mask):
            first = _pixels(mask, scored.opened.weights[0][0, 0], title)
        else:
            parts.append(_mask(figures.mask_picture(mask), mask, title, "which weights are kept"))
    return f'{layer_table(masked)}{first}{_row_of(parts, masks)}<p class="legend">{LEGEND}</p>'


def _row_of(parts: Sequence[str], masks: Sequence[Tensor]) -> str:
    """The pictures of layers side by side, each as wide as its cells need."""
    wide = any(min(mask.shape[1], figures.MAX_CELLS) > figures.WIDE for mask in masks if mask.dim() == 2)
    return f'<div class="masks{" wide" * wide}">{"".join(parts)}</div>'


def _mask(pixels: np.ndarray, mask: Tensor, title: str, description: str) -> str:
    image = figures.picture(pixels, f"{strip(title)}: {description}")
    cut = f"<br>its first {figures.MAX_CELLS} neurons" if figures.cut(mask) else ""
    return f"<figure><figcaption>{title}{cut}</figcaption>{image}</figure>"


def strip(title: str) -> str:
    """A title without its tags, for screen readers."""
    return title.replace("<b>", "").replace("</b>", "")


def _title(i: int, count: int, mask: Tensor) -> str:
    name = "Last layer" if i == count - 1 else f"Layer {i + 1}"
    shape = "×".join(map(str, mask.shape[:2]))
    kernel = "" if mask.dim() == 2 else f", {mask.shape[2]}×{mask.shape[3]}"
    return f"<b>{name}</b> {shape}{kernel}"


def _pixels(mask: Tensor, weight: Tensor, title: str) -> str:
    """The first layer of a network on 28x28 images: all neurons summed, and single neurons with the most pixels."""
    maximum = int(mask.sum(0).max())
    description = f"How many neurons keep each pixel, {maximum} at most"
    summed = figures.picture(figures.pixel_map(mask, maximum), description, "pixel-map")
    single = "".join(
        figures.picture(cells, f"Neuron {i}: the pixels that it keeps", "field")
        for i, cells in figures.fields(mask, weight)
    )
    return (
        f'<div class="digits"><figure><figcaption>{title}<br>how many of {len(mask)} neurons keep each pixel: none '
        f'<span class="ramp"></span> {maximum}</figcaption>{summed}</figure>'
        f"<figure><figcaption><b>Single neurons</b>, those with the most pixels first<br>{SIGNED}</figcaption>"
        f'<div class="fields">{single}</div></figure></div>'
    )


def comparison(scored: ScoredNetwork, masked: Masked) -> str:
    """The ticket compared with the mask of the largest initial weights: how far they agree, and where they do not."""
    numbers = number(percent(masked.agreement), "of the ticket’s weights are among the largest") + number(
        percent(masked.by_chance), "would be by chance, with as many in every layer"
    )
    masks = [mask[0, 0] for mask in masked.masks]
    first, parts = "", []
    for i, (mask, other) in enumerate(zip(masks, masked.magnitude, strict=True)):
        title = _title(i, len(masks), mask)
        if i == 0 and figures.reads_pixels(mask):
            first = _two_maps(mask, other[0, 0], title)
        else:
            pixels = figures.mask_picture(mask, other[0, 0])
            parts.append(_mask(pixels, mask, title, "weights kept by the ticket, by magnitude, or by both"))
    legend = f'<p class="legend">{DIFFERENCE}</p>'
    return f'<dl class="numbers two">{numbers}</dl>{first}{_row_of(parts, masks)}{legend}'


def _two_maps(mask: Tensor, other: Tensor, title: str) -> str:
    """The first layer of a network on 28x28 images: the pixels kept by the ticket, and by the largest weights."""
    maximum = max(int(mask.sum(0).max()), int(other.sum(0).max()))
    masks = {"the ticket": mask, "the largest weights": other}
    maps = "".join(_map(layer, maximum, f"{title}<br>{name}", name) for name, layer in masks.items())
    return f'<div class="digits">{maps}</div>'


def _map(mask: Tensor, maximum: int, title: str, by: str) -> str:
    description = f"How many neurons keep each pixel, chosen by {by}"
    image = figures.picture(figures.pixel_map(mask, maximum), description, "pixel-map")
    return f"<figure><figcaption>{title}</figcaption>{image}</figure>"


def race_table(race: Race) -> str:
    """The race in words for screen readers, and its numbers as a table."""
    rows = [
        (f"{step:,}", *(percent(lane.accuracy[i]) for lane in race.lanes))
        for i, step in enumerate(race.lanes[0].steps)
    ]
    results = ", ".join(f"{NAMES[lane.name]} {percent(lane.accuracy[-1])}" for lane in race.lanes)
    words = f"Test accuracy after {race.step:,} of {race.total:,} steps: {results}."
    table = as_table(["Steps", *(NAMES[lane.name] for lane in race.lanes)], rows, "The race as a table")
    return f'<p class="unseen">{words}</p>{table}'


def race_line(race: Race) -> str:
    """The progress of the race, or its result."""
    if not race.finished:
        bar = f'<progress max="{race.total}" value="{race.step}"></progress>'
        return f'<p class="line" role="status">{bar}<br>Step {race.step:,} of {race.total:,}, {race.seconds:.0f} s.</p>'
    by_name = {lane.name: lane for lane in race.lanes}
    order = sorted(race.lanes, key=lambda lane: -lane.accuracy[-1])
    ranking = ", ".join(f"{NAMES[lane.name]} {percent(lane.accuracy[-1])}" for lane in order)
    return (
        f'<p class="line" role="status">{_outcome(race, by_name)}</p><p class="line">{ranking}, after '
        f"{race.total:,} steps in {race.seconds:.0f} s. {escape(race.images, 200)}</p>"
    )


def _outcome(race: Race, lanes: dict[str, Lane]) -> str:
    ticket, random, dense = (lanes[name] for name in ("ticket", "random", "dense"))
    gap = 100 * (ticket.accuracy[-1] - random.accuracy[-1])
    ahead = "ahead of" if gap > 0 else "behind"
    return (
        f"With <b>{ticket.kept:,}</b> of {dense.kept:,} weights the ticket ({READERS[race.reader].lower()}) reaches "
        f"<b>{percent(ticket.accuracy[-1])}</b>, {abs(gap):.1f} points {ahead} the same number of random weights."
    )
