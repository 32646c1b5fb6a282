"""Cards: widgets that show something of the chosen network, and the events that refresh them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.context import get_blocks_context
from gradio.events import Dependency

from app.networks.source import Source
from app.page.alerts import USER_ERRORS, with_alerts, with_alerts_in_steps
from app.page.inbox import from_inbox
from app.page.refusal import refusal_html
from app.page.source_text import from_text
from app.page.tab import Page
from app.runtime.low_priority import foreground_request

QUEUE = "queue"
STOPPING = '<p class="line" role="status">Stopping…</p>'


@dataclass(frozen=True)
class Card:
    """Widgets that show something of the chosen network: `show(source, *inputs)` returns one value per output."""

    show: Callable[..., Sequence[Any]]
    inputs: list[Any]
    outputs: list[Any]


def add_event(triggers: list, handler: Callable, inputs: list, outputs: list) -> Dependency:
    """Add an event of the page, not of the API; what `handler` raises becomes a toast."""
    return _listen(triggers, with_alerts(handler), inputs, outputs)


def _listen(
    triggers: list,
    handler: Callable,
    inputs: list,
    outputs: list,
    cancels: Sequence[Dependency] = (),
    js: str | None = None,
) -> Dependency:
    return gr.on(triggers, handler, inputs, outputs, api_visibility="private", show_progress="minimal",
                 show_progress_on=queue_status(), trigger_mode="always_last", cancels=list(cancels) or None,
                 js=js)  # fmt: skip


def build_queue_status() -> None:
    """Build the line that shows an event's place in the queue, always in view, once the event takes long."""
    gr.HTML(elem_id=QUEUE)


def queue_status() -> Any:
    """The widget of `build_queue_status`, for `show_progress_on`."""
    blocks = get_blocks_context()
    assert blocks is not None, "events are added while the page is built"
    return next(block for block in blocks.blocks.values() if getattr(block, "elem_id", None) == QUEUE)


def on_choose(
    triggers: list,
    handler: Callable,
    inputs: list,
    outputs: list,
    cancels: Sequence[Dependency] = (),
    answer: str = "",
) -> Dependency:
    """Add an event that changes the chosen network. Until its answer is shown, buttons of the class `waits` wait.

    The first of `outputs` is the box that holds the chosen network. `handler` is a generator that updates the outputs
    step by step, like `show_cards_in_turn`. The event stops the events `cancels`. `answer` is the selector of an
    element that is scrolled into view at the end.
    """
    tab = outputs[0].elem_id
    begin = (
        f'async (...values) => {{ await weightscope.begin("{tab}"); return values.slice(0, {len(inputs)}); }}'
    )
    chosen = _listen(triggers, with_alerts_in_steps(handler), inputs, outputs, cancels, begin)
    _at_the_end(chosen, f'() => weightscope.end("{tab}")')
    if answer:
        chosen.success(None, js=f'() => weightscope.bringIntoView("{answer}")', api_visibility="private")
    return chosen


@dataclass(frozen=True)
class UploadTarget:
    """Where the tab with the key `here` takes files: the upload box, and the card that says why a file was refused."""

    page: Page
    here: str
    file: gr.File
    card: gr.HTML


def listen_for_choice(
    place: UploadTarget,
    triggers: list,
    handler: Callable,
    inputs: list,
    outputs: list,
    cancels: Sequence[Dependency] = (),
    answer: str = "",
) -> None:
    """As `on_choose`, for another choice than an upload: the upload box and the reason for a refusal are cleared.

    They are cleared in the browser, at once: a choice may be answered when a newer file is there. Gradio starts the
    events of a trigger one after the other, each when the one before has ended, so this one is added first.
    """
    gr.on(triggers, None, None, [place.file, place.card], js="() => [null, '']", api_visibility="private")
    on_choose(triggers, handler, inputs, outputs, cancels, answer)


def listen_for_upload(
    place: UploadTarget,
    triggers: list,
    handler: Callable,
    inputs: list,
    outputs: list,
    cancels: Sequence[Dependency] = (),
    answer: str = "",
) -> None:
    """As `on_choose`, for a file in the upload box; a refused file is removed from the box, and the card says why."""

    def received(path: str | None, *values: Any) -> Iterator[list[Any]]:
        yield from _or_refused(place, path, handler(path, *values), len(outputs))

    all_outputs = [*outputs, place.file, place.card]
    chosen = on_choose(triggers, received, [place.file, *inputs], all_outputs, cancels, answer)
    chosen.failure(lambda: None, None, place.file, api_visibility="private")


def listen_for_inbox(
    place: UploadTarget, handler: Callable, inputs: list, outputs: list, cancels: Sequence[Dependency] = ()
) -> None:
    """As `on_choose`, for a network that a link or another tab opens here; `handler(source, *inputs)` shows it."""
    inbox = place.page.inbox(place.here)

    def received(text: str, *values: Any) -> Iterator[list[Any]]:
        source = from_text(from_inbox(text))
        yield from _or_refused(place, source.path, handler(source, *values), len(outputs))

    all_outputs = [*outputs, place.file, place.card]
    listen_for_choice(place, [inbox.change], received, [inbox, *inputs], all_outputs, cancels)


def _or_refused(
    place: UploadTarget, path: str | None, rows: Iterator[list[Any]], outputs: int
) -> Iterator[list[Any]]:
    """Yield each row of outputs, or an empty upload box and the reason why the file was refused."""
    try:
        for row in rows:
            yield [*row, gr.skip(), ""]
    except USER_ERRORS as error:
        yield [*[gr.skip()] * outputs, None, refusal_html(place.page.tabs, place.here, path, error)]


def stop_on_cancel(
    cancel: gr.Button, running: Dependency, show_stopped: Callable[[], Any], outputs: list
) -> None:
    """Stop the event `running` on "Cancel"; when it has ended or failed, `show_stopped()` sets `outputs`, a line first.

    Until then Gradio drops every new start, so the buttons must not change before. Its browser code treats an event
    that has been cancelled like one that failed.
    """
    running.failure(show_stopped, None, outputs, api_visibility="private")
    cancel.click(
        None, None, outputs[0], js=f"() => `{STOPPING}`", cancels=[running], api_visibility="private"
    )


def unfade_on_answer(source: gr.Textbox) -> None:
    """Show the first card in full colour as soon as it is there, while others are still computed."""
    source.change(None, js="() => weightscope.hasAnswer()", api_visibility="private")


def refresh_on(triggers: list, source: gr.Textbox, cards: list[Card]) -> None:
    """Refresh `cards` in one request, for the network that is chosen when its turn comes."""
    inputs, outputs = [source, *inputs_of(cards)], outputs_of(cards)

    def show(text: str, *values: Any) -> list[Any]:
        return [value for card_values in _each(from_text(text), cards, values) for value in card_values]

    tab = source.elem_id
    take_turn = f'(...values) => weightscope.update("{tab}", values)'
    updated = _listen(triggers, with_alerts(show), inputs, outputs, js=take_turn)
    _at_the_end(updated, f'() => weightscope.endTurn("{tab}")')


def _at_the_end(event: Dependency, js: str) -> None:
    """Run `js` after an event, whether it succeeded or not."""
    event.then(None, js=js, api_visibility="private")
    event.failure(None, js=js, api_visibility="private")


def show_cards_in_turn(
    before: Sequence[Any], source: Source, cards: list[Card], values: Sequence[Any]
) -> Iterator[list[Any]]:
    """Yield a row of all outputs per card: `before` and the first card's values of `source`, then the next card's.

    `values` are the values of the inputs of all `cards`."""
    skips, place = [gr.skip()] * len(outputs_of(cards)), 0
    for card_values in _each(source, cards, values):
        after = place + len(card_values)
        yield [*before, *skips[:place], *card_values, *skips[after:]]
        before, place = [gr.skip()] * len(before), after


def _each(source: Source, cards: list[Card], values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    rest = list(values)
    for card in cards:
        inputs, rest = rest[: len(card.inputs)], rest[len(card.inputs) :]
        with foreground_request():
            card_values = card.show(source, *inputs)
        yield card_values


def inputs_of(cards: list[Card]) -> list[Any]:
    """The inputs of all `cards`, in order."""
    return [widget for card in cards for widget in card.inputs]


def outputs_of(cards: list[Card]) -> list[Any]:
    """The outputs of all `cards`, in order."""
    return [widget for card in cards for widget in card.outputs]
