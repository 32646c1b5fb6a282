"""Cards: widgets that show something of the chosen network, and the events that show them anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app.actions import Source
from app.alerts import alerting
from app.sources import from_text


@dataclass(frozen=True)
class Card:
    """Widgets that show something of the chosen network: `show(source, *inputs)` gives one value per output."""

    show: Callable[..., Sequence[Any]]
    inputs: list[Any]
    outputs: list[Any]


def on(
    triggers: list, handler: Callable, inputs: list, outputs: list, cancels: Sequence[Dependency] = ()
) -> Dependency:
    """An event of the page, not of the API; what `handler` raises becomes a toast. It stops events of `cancels`."""
    return gr.on(triggers, alerting(handler), inputs, outputs, api_visibility="private", show_progress="hidden",
                 trigger_mode="always_last", cancels=list(cancels) or None)  # fmt: skip


def update(triggers: list, source: gr.Textbox, cards: list[Card]) -> None:
    """Show `cards` anew in one request, however many they are."""
    on(
        triggers,
        lambda text, *values: show(from_text(text), cards, values),
        [source, *inputs_of(cards)],
        outputs_of(cards),
    )


def show(source: Source, cards: list[Card], values: Sequence[Any]) -> list[Any]:
    """What all outputs of `cards` show of `source`, given the values of all their inputs."""
    shown, rest = [], list(values)
    for card in cards:
        mine, rest = rest[: len(card.inputs)], rest[len(card.inputs) :]
        shown += card.show(source, *mine)
    return shown


def inputs_of(cards: list[Card]) -> list[Any]:
    """The inputs of all `cards`, in order."""
    return [widget for card in cards for widget in card.inputs]


def outputs_of(cards: list[Card]) -> list[Any]:
    """The outputs of all `cards`, in order."""
    return [widget for card in cards for widget in card.outputs]
