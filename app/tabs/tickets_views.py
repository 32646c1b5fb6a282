"""What the Tickets tab's widgets show: a source and the controls in, values for the widgets out."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app import ticket_panels as said
from app import tickets
from app.actions import RequestError, Source, zoo
from app.aside import aside
from app.race import race
from app.sources import from_request
from app.tickets import SNIPPET, Masked
from app.widgets import keep_files, marked
from nfn.pruning import overlap

KNOWN_SPARSITY = 0.95
"""The sparsity of the zoo's known tickets."""


def image_choices() -> list[tuple[str, str]]:
    """(title, collection) of the initializations that the zoo has."""
    infos = tickets.init_collections()
    return [(said.TITLES[zoo().collection(info.name).images], info.name) for info in infos]


def show_networks(collection: str, source: Source):
    """The initializations of a collection, the chosen one marked if it is one of them."""
    table = said.inits_table(zoo().rows(collection))
    return marked(table, None if source.zoo else source.zoo_id)


def collection_of(source: Source, listed: str) -> str:
    """The collection to list beside the chosen network: its own where the app's zoo has that."""
    own = "" if source.zoo or source.zoo_id is None else source.zoo_id.partition("/")[0]
    return own if own in dict((name, title) for title, name in image_choices()) else listed


def picked(event: gr.SelectData) -> Source:
    """The network that was clicked in the table."""
    source = from_request(None, event.value)
    tickets.open_init(source)
    return source


def uploaded(path: str | None) -> Source:
    """The uploaded file, opened once so that a bad one is refused before anything changes on screen."""
    if path is None:
        raise RequestError("Upload a file first.")
    source = Source(path=path)
    tickets.find(source)
    return source


def _masked(source: Source, pruned: float) -> Masked:
    if not 1 <= pruned <= 99.9:
        raise RequestError(f"Got {pruned:g}% of the weights to leave out; choose from 50% to 99%.")
    return tickets.masked(source, pruned / 100)


def show_ticket(source: Source, pruned: float):
    """The summary, the masks, the comparison, and the files to download, which are written when asked for."""
    found, shown = tickets.find(source), _masked(source, pruned)
    row = None if source.zoo_id is None else zoo(source.zoo).row(source.zoo_id)
    summary = said.summary(source, found, shown, row, _known(source, shown))
    files = gr.DownloadButton(value=None, visible=False)
    return (
        summary,
        said.layers(found, shown),
        said.comparison(found, shown),
        gr.Button(visible=True),
        files,
        files,
    )


def _known(source: Source, shown: Masked) -> float | None:
    """The share of the ticket's weights that the zoo's known ticket keeps too, at the sparsity of that."""
    if source.zoo_id is None or abs(shown.sparsity - KNOWN_SPARSITY) > 1e-9:
        return None
    opened = zoo(source.zoo)
    parsed = opened.parse(source.zoo_id)
    return float(overlap(shown.masks, opened.collection(parsed.collection).masks_of(parsed.network_id)))


def write_files(source: Source, pruned: float):
    """The mask and the masked initialization as files, behind buttons."""
    found, shown = tickets.find(source), _masked(source, pruned)
    mask, init = keep_files(lambda folder: tickets.save_ticket(source, found, shown, folder))
    return (
        gr.Button(visible=False),
        gr.DownloadButton(value=mask, visible=True),
        gr.DownloadButton(value=init, visible=True),
    )


def snippet() -> str:
    """The lines of PyTorch that apply a mask."""
    return SNIPPET


def waiting(running: bool = False):
    """The race's place before a race, and its buttons."""
    return said.NO_RACE, "", *_buttons(running)


def _buttons(running: bool):
    return gr.Button(interactive=not running), gr.Button(visible=running)


def run_race(source: Source, pruned: float, seed: float) -> Iterator[tuple[Any, ...]]:
    """A race step by step: the curves, the line under the buttons, and the buttons."""
    found, shown = tickets.find(source), _masked(source, pruned)
    for state in aside(race(found, shown, int(seed))):
        # Sent at both ends only: a button that is sent anew cannot be clicked in that moment.
        buttons = _buttons(state.step == 0) if state.step == 0 or state.finished else (gr.skip(), gr.skip())
        yield said.race_picture(state), said.race_line(state), *buttons


def stopped():
    """The controls after "Cancel"; the curves stay as far as they came."""
    return '<p class="line" role="status">Stopped.</p>', *_buttons(False)
