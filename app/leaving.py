"""How the app ends: SIGTERM answers everybody, with a result or a sentence, and takes visitors' files away."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
from gradio.server_messages import ProcessCompletedMessage

from app.serving import serve
from app.uploads import sweep

GRACE_SECONDS = 2.0
"""For how long what is asked may still be answered."""
LAST_SECONDS = 8.0
"""After which the process ends even if something is still computed."""
SENTENCE = "Weightscope is being restarted. Please try again in a minute."


class Serving:
    """A served app, until it is asked to end."""

    def __init__(self, demo: gr.Blocks):
        self.demo, self.asked, self._loop = demo, threading.Event(), None

    def run(self, options: dict[str, Any]) -> None:
        """Serve until SIGTERM or Ctrl-C; returns when the port is free."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.asked.set())
        options = {**options, "app_kwargs": {**options["app_kwargs"], "lifespan": self._lifespan}}
        serve(self.demo, options)
        self.asked.wait()
        self._leave()

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        yield

    def _leave(self) -> None:
        last = threading.Timer(LAST_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()
        assert self._loop is not None, "Gradio starts what it is given as lifespan."
        asyncio.run_coroutine_threadsafe(self._answer_all(), self._loop).result()
        self.demo.close(verbose=False)
        sweep(time.time())

    async def _answer_all(self) -> None:
        """Let what is asked be answered for a while, then answer the rest with the sentence."""
        queue = self.demo._queue
        await _until(lambda: not queue.event_ids_to_events, GRACE_SECONDS)
        for waiting in queue.event_queue_per_concurrency_id.values():
            waiting.queue.clear()
        for event in queue.event_ids_to_events.values():
            queue.send_message(event, ProcessCompletedMessage(output={"error": SENTENCE}, success=False))
            event.alive = False
        await _until(lambda: not any(queue.pending_event_ids_session.values()), GRACE_SECONDS)


async def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        await asyncio.sleep(0.02)
