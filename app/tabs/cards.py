"""Cards: widgets that show something of the chosen network, and the events that show them anew."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.context import get_blocks_context
from gradio.events import Dependency

from app import panels
from app.actions import Source
from app.alerts import SENTENCES, alerting, alerting_steps, warn
from app.aside import answering
from app.look_panels import glance
from app.sources import from_text

QUEUE = "queue"


@dataclass(frozen=True)
class Card:
    """Widgets that show something of the chosen network: `show(source, *inputs)` gives one value per output."""

    show: Callable[..., Sequence[Any]]
    inputs: list[Any]
    outputs: list[Any]


def on(triggers: list, handler: Callable, inputs: list, outputs: list) -> Dependency:
    """An event of the page, not of the API; what `handler` raises becomes a toast."""
    return _listen(triggers, alerting(handler), inputs, outputs)


def _listen(
    triggers: list,
    guarded: Callable,
    inputs: list,
    outputs: list,
    cancels: Sequence[Dependency] = (),
    js: str | None = None,
) -> Dependency:
    return gr.on(triggers, guarded, inputs, outputs, api_visibility="private", show_progress="minimal",
                 show_progress_on=queue_line(), trigger_mode="always_last", cancels=list(cancels) or None,
                 js=js)  # fmt: skip


def build_queue() -> None:
    """Where the page says, wherever it is scrolled to, which place in the queue an event has, once that takes long."""
    gr.HTML(elem_id=QUEUE)


def queue_line() -> Any:
    """What `build_queue` built, for `show_progress_on`."""
    blocks = get_blocks_context()
    assert blocks is not None, "Events are made while the page is built."
    return next(block for block in blocks.blocks.values() if getattr(block, "elem_id", None) == QUEUE)


TAKE_TURN = """const turns = ((window.turns ??= {})["%s"] ??= []), before = turns.at(-1)?.over, turn = {};
  turn.over = new Promise((end) => { turn.end = end; });
  turns.push(turn);
  await before;"""
END_TURN = 'window.turns["%s"].shift().end();'
"""Within a tab, answers come in the order of questions: each waits for its turn, and is asked when it has come."""

BEGIN = """async (...given) => {
  document.body.dataset.choosing = Number(document.body.dataset.choosing ?? 0) + 1;
  document.body.dataset.pale = "";
  document.querySelector("#spoken").textContent = "Reading a network…";
  %s
  %s
  return given.slice(0, %d);
}"""
END = """() => {
  %s
  const left = Number(document.body.dataset.choosing ?? 1) - 1;
  if (left > 0) document.body.dataset.choosing = left; else delete document.body.dataset.choosing;
  delete document.body.dataset.pale;
  const said = [...document.querySelectorAll(".verdict :is(.title, .number)")].filter((item) => item.checkVisibility());
  document.querySelector("#spoken").textContent = said.map((item) => item.textContent).join(", ");
}"""
"""`data-choosing` counts the choices that are under way, `data-pale` makes the answer of before pale until there is
another one; `#spoken` tells of them who does not see them."""

BRING = """() => {
  const answer = document.querySelector("%s")?.closest(".card"), calm = matchMedia("(prefers-reduced-motion: reduce)");
  const refused = [...document.querySelectorAll(".refused .refusal")].find((item) => item.checkVisibility());
  if (refused) return refused.scrollIntoView({ block: "nearest" });
  if (!answer || answer.getBoundingClientRect().top < 0.75 * innerHeight) return;
  answer.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
}"""
"""Where cards stand below one another, as on a phone, the answer to a click, or why there is none, comes into view."""

WAIT = """() => document.addEventListener("click", (event) => {
  const button = event.target.closest(".waits");
  if (!document.body.dataset.choosing || !button) return;
  event.stopImmediatePropagation();
  if (button.dataset.waiting) return;
  button.dataset.waiting = true;
  const look = setInterval(() => {
    if (document.body.dataset.choosing) return;
    clearInterval(look);
    delete button.dataset.waiting;
    button.click();
  }, 50);
}, true)"""
"""Clicks on buttons of the class `waits` wait meanwhile: they would act on the network of before. Keys click too."""

UPDATE = """async (_, ...given) => {
  %s
  return [document.querySelector("#%s :is(textarea, input)").value, ...given];
}"""
"""What is asked of the chosen network is asked of the one that is chosen when its turn has come."""


def choose(
    triggers: list,
    handler: Callable,
    inputs: list,
    outputs: list,
    cancels: Sequence[Dependency] = (),
    answer: str = "",
    first: str = "",
) -> Dependency:
    """As `on`, for what brings another network in: until it is shown, the page says so, and what `waits` waits.

    The first of `outputs` is the box that holds the chosen network. `handler` shows one thing after the other, as
    `in_turn` does. It stops events of `cancels`. `answer` is the selector
    of what is brought into view at the end, where it is not. `first` is a JavaScript expression for the value of the
    first input.
    """
    tab = outputs[0].elem_id
    begin = BEGIN % (TAKE_TURN % tab, f"given[0] = {first};" if first else "", len(inputs))
    chosen = _listen(triggers, alerting_steps(handler), inputs, outputs, cancels, begin)
    _at_the_end(chosen, END % (END_TURN % tab))
    if answer:
        chosen.success(None, js=BRING % answer, api_visibility="private")
    return chosen


def receive(
    box: tuple[gr.File, gr.HTML],
    triggers: list,
    handler: Callable,
    inputs: list,
    outputs: list,
    cancels: Sequence[Dependency] = (),
    answer: str = "",
) -> None:
    """As `choose`, for a file in a `box`: one that is refused is not kept there, and its line says why."""
    file, line = box

    def received(path: str | None, *values: Any) -> Iterator[list[Any]]:
        try:
            for shown in handler(path, *values):
                yield [*shown, gr.skip(), ""]
        except SENTENCES as error:
            warn(error)
            yield [*[gr.skip()] * len(outputs), None, panels.refused(path, error) + glance(path)]

    chosen = choose(triggers, received, [file, *inputs], [*outputs, file, line], cancels, answer)
    chosen.failure(lambda: None, None, file, api_visibility="private")


def freshen(source: gr.Textbox) -> None:
    """The first answer to a choice is not pale, though others are still to come."""
    source.change(None, js="() => { delete document.body.dataset.pale; }", api_visibility="private")


def forget(line: gr.HTML, triggers: list) -> None:
    """Why a file was refused is not said any longer than until the next choice."""
    gr.on(triggers, None, None, line, js="() => ''", api_visibility="private")


def update(triggers: list, source: gr.Textbox, cards: list[Card]) -> None:
    """Show `cards` anew in one request, however many they are; of the network that is chosen, once it is."""
    inputs, outputs = [source, *inputs_of(cards)], outputs_of(cards)

    def show(text: str, *values: Any) -> list[Any]:
        return [one for shown in _each(from_text(text), cards, values) for one in shown]

    tab = source.elem_id
    shown = _listen(triggers, alerting(show), inputs, outputs, js=UPDATE % (TAKE_TURN % tab, tab))
    _at_the_end(shown, f"() => {{ {END_TURN % tab} }}")


def _at_the_end(event: Dependency, js: str) -> None:
    """Whether it succeeded or not."""
    event.then(None, js=js, api_visibility="private")
    event.failure(None, js=js, api_visibility="private")


def in_turn(
    before: Sequence[Any], source: Source, cards: list[Card], values: Sequence[Any]
) -> Iterator[list[Any]]:
    """What `before` says and the first card shows of `source`, then the next card, and so on: a row of all outputs
    each time. `values` are those of the inputs of all `cards`."""
    whole, place = [gr.skip()] * len(outputs_of(cards)), 0
    for shown in _each(source, cards, values):
        after = place + len(shown)
        yield [*before, *whole[:place], *shown, *whole[after:]]
        before, place = [gr.skip()] * len(before), after


def _each(source: Source, cards: list[Card], values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    rest = list(values)
    for card in cards:
        mine, rest = rest[: len(card.inputs)], rest[len(card.inputs) :]
        with answering():
            shown = card.show(source, *mine)
        yield shown


def inputs_of(cards: list[Card]) -> list[Any]:
    """The inputs of all `cards`, in order."""
    return [widget for card in cards for widget in card.inputs]


def outputs_of(cards: list[Card]) -> list[Any]:
    """The outputs of all `cards`, in order."""
    return [widget for card in cards for widget in card.outputs]
