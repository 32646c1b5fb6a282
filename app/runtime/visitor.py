"""Whether the visitor who sent a request is still connected, as far as Gradio knows."""

from collections.abc import Callable

from gradio.context import LocalContext


def abandoned_check() -> Callable[[], bool]:
    """Return a function that is true once the caller of the current handler has disconnected.

    Gradio marks the event of a visitor who leaves, but lets its handler run on.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = None if blocks is None else blocks._queue.event_ids_to_events.get(event_id or "")
    return lambda: event is not None and not event.alive
