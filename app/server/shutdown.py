"""Shutdown on SIGTERM: answer every open request, with a result or a sentence, and delete visitors' files."""

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

from app.server.serving import serve
from app.server.uploads import delete_older_than

GRACE_SECONDS = 2.0
"""How long open requests may still finish."""
KILL_SECONDS = 8.0
"""After this the process ends, even in the middle of a computation."""
RESTARTING = "Weightscope is being restarted. Please try again in a minute."


class AppServer:
    """A served app, until SIGTERM or Ctrl-C."""

    def __init__(self, demo: gr.Blocks):
        self.demo, self.stop_requested, self._loop = demo, threading.Event(), None

    def run(self, options: dict[str, Any]) -> None:
        """Serve until SIGTERM or Ctrl-C; return when the port is free."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop_requested.set())
        options = {**options, "app_kwargs": {**options["app_kwargs"], "lifespan": self._lifespan}}
        serve(self.demo, options)
        self.stop_requested.wait()
        self._shut_down()

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        yield

    def _shut_down(self) -> None:
        kill_timer = threading.Timer(KILL_SECONDS, os._exit, [0])
        kill_timer.daemon = True
        kill_timer.start()
        assert self._loop is not None, "Gradio runs the lifespan at startup"
        asyncio.run_coroutine_threadsafe(self._answer_all(), self._loop).result()
        self.demo.close(verbose=False)
        delete_older_than(time.time())

    async def _answer_all(self) -> None:
        """Let open requests finish for a while, then answer the others with `RESTARTING`."""
        queue = self.demo._queue
        await _until(lambda: not queue.event_ids_to_events, GRACE_SECONDS)
        for event_queue in queue.event_queue_per_concurrency_id.values():
            event_queue.queue.clear()
        for event in queue.event_ids_to_events.values():
            queue.send_message(event, ProcessCompletedMessage(output={"error": RESTARTING}, success=False))
            event.alive = False
        await _until(lambda: not any(queue.pending_event_ids_session.values()), GRACE_SECONDS)


async def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        await asyncio.sleep(0.02)
