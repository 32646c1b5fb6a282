"""Whether the visitor who asked for something is still there, by Gradio's own account."""

from collections.abc import Callable

from gradio.context import LocalContext


def nobody_waits() -> Callable[[], bool]:
    """To be called in a handler: a function that says whether who called it has hung up.

    Gradio marks the event of a visitor who leaves, and lets its handler go on.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = None if blocks is None else blocks._queue.event_ids_to_events.get(event_id or "")
    return lambda: event is not None and not event.alive
