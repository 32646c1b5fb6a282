"""The widget values of the Lucky weights tab for a source and the controls."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.networks.source import Source
from app.networks.zoos import zoo_at
from app.page.html import error_line
from app.page.source_text import from_request
from app.page.widgets import store_files, with_selection
from app.runtime.errors import RequestError
from app.runtime.low_priority import run_at_low_priority
from app.tabs.tickets import actions, html
from app.tabs.tickets.actions import SNIPPET, Masked, ScoredNetwork
from app.tabs.tickets.figures import race_curves
from app.tabs.tickets.race import race
from nfn.pruning import overlap

KNOWN_SPARSITY = 0.95
"""The sparsity of the zoo's known tickets."""


def image_choices() -> list[tuple[str, str]]:
    """(title, collection) of the initializations that the zoo has."""
    infos = actions.init_collections()
    return [(html.TITLES[zoo_at().collection(info.name).images], info.name) for info in infos]


def show_networks(collection: str, source: Source):
    """The initializations of a collection, with the chosen one selected if it is one of them."""
    table = html.inits_table(zoo_at().rows(collection))
    return with_selection(table, None if source.zoo else source.zoo_id)


def collection_of(source: Source, default: str) -> str:
    """The collection to list for the chosen network: its own if the app's zoo has it, else `default`."""
    own = "" if source.zoo or source.zoo_id is None else source.zoo_id.partition("/")[0]
    return own if own in dict((name, title) for title, name in image_choices()) else default


def picked_source(event: gr.SelectData) -> Source:
    """The network that was clicked in the table."""
    source = from_request(None, event.value)
    actions.open_initialization(source)
    return source


def uploaded_source(path: str | None) -> Source:
    """The uploaded file; opened once, so that a bad file is refused before anything changes on screen."""
    if path is None:
        raise RequestError("Upload a file first.")
    source = Source(path=path)
    actions.score(source)
    return source


def _sparsity(pruned: float) -> float:
    if not 1 <= pruned <= 99.9:
        raise RequestError(f"Got {pruned:g}% of the weights to remove; choose from 50% to 99%.")
    return pruned / 100


def _ticket(source: Source, pruned: float, choice: str) -> tuple[ScoredNetwork, Masked]:
    reader = _reader(source, choice)
    return actions.score(source, reader), actions.masked(source, _sparsity(pruned), reader)


def _reader(source: Source, choice: str) -> str:
    """The reader of the network that the choice "best" or "other" stands for; the only one if there is one."""
    best, *others = actions.open_initialization(source).readers
    return others[0] if others and choice == "other" else best


def reader_choices(source: Source) -> list[tuple[str, str]]:
    """(title, choice) of the readers that take the network, the better one first."""
    readers = actions.open_initialization(source).readers
    return [(html.READERS[name], choice) for name, choice in zip(readers, ("best", "other"), strict=False)]


def show_readers(source: Source):
    """The choice of what the ticket is read from, hidden (with what was chosen last) if there is none."""
    choices = reader_choices(source)
    return (gr.Radio(choices=choices, visible=True) if len(choices) > 1 else gr.Radio(visible=False),)


def show_other(source: Source, pruned: float, choice: str):
    """How far the other reader's ticket is the same."""
    try:
        other = actions.other_ticket(source, _sparsity(pruned), _reader(source, choice))
    except RequestError as error:  # the ticket itself is shown all the same
        return (error_line(error),)
    return (html.other_ticket(other),)


def show_ticket(source: Source, pruned: float, choice: str):
    """The summary, the masks, the comparison, and the download buttons, whose files are written on request."""
    scored, masked = _ticket(source, pruned, choice)
    row = None if source.zoo_id is None else zoo_at(source.zoo).row(source.zoo_id)
    summary = html.summary(source, scored, masked, row, _known(source, masked))
    files = gr.DownloadButton(value=None, visible=False)
    return (
        summary,
        html.layers(scored, masked),
        html.comparison(scored, masked),
        gr.Button(visible=True),
        files,
        files,
    )


def _known(source: Source, masked: Masked) -> float | None:
    """The fraction of the ticket's weights that the zoo's known ticket keeps too; None at other sparsities."""
    if source.zoo_id is None or abs(masked.sparsity - KNOWN_SPARSITY) > 1e-9:
        return None
    opened = zoo_at(source.zoo)
    parsed = opened.parse(source.zoo_id)
    return float(overlap(masked.masks, opened.collection(parsed.collection).masks_of(parsed.network_id)))


def write_files(source: Source, pruned: float, choice: str):
    """Write the mask and the masked initialization, and show their download buttons."""
    scored, masked = _ticket(source, pruned, choice)
    mask, init = store_files(lambda folder: actions.save_ticket(source, scored, masked, folder))
    return (
        gr.Button(visible=False),
        gr.DownloadButton(value=mask, visible=True),
        gr.DownloadButton(value=init, visible=True),
    )


def snippet() -> str:
    """The PyTorch code that applies a mask."""
    return SNIPPET


def before_race(running: bool = False):
    """The outputs of the race card before a race."""
    return gr.Plot(value=None, visible=False), html.NO_RACE, "", *_buttons(running)


def _buttons(running: bool):
    return gr.Button(interactive=not running), gr.Button(visible=running)


def run_race(source: Source, pruned: float, choice: str, seed: float) -> Iterator[tuple[Any, ...]]:
    """Run a race; yield the curves, their table, the line under the buttons, and the buttons."""
    scored, masked = _ticket(source, pruned, choice)
    for state in run_at_low_priority(race(scored, masked, int(seed))):
        # Only at the start and the end: a button cannot be clicked while it is updated.
        buttons = _buttons(state.step == 0) if state.step == 0 or state.finished else (gr.skip(), gr.skip())
        curves = gr.Plot(value=race_curves(state), visible=True)
        yield curves, html.race_table(state), html.race_line(state), *buttons


def show_stopped():
    """The controls after "Cancel"; the curves stay as they are."""
    return '<p class="line" role="status">Stopped.</p>', *_buttons(False)
