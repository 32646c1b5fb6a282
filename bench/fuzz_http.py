"""Fuzz the running app with HTTP requests: valid ones of every route with changed bodies, headers, framing and paths.

    nice -n 19 python -m bench.fuzz_http 600          # seconds; --seed and --only replay a request

Every answer comes in time, is no internal error, repeats nothing of what was sent, and leaves the server healthy.
"""

import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import httpx

from bench.fuzzing import fuzz, mutate_bytes, read_arguments
from bench.http_requests import MARK, MARKUP, SIREN, Request, Valid, mutate
from bench.serving import serve_app

SECONDS, PATIENCE, GROWTH = 30.0, 0.3, 500
"""Seconds until an answer must be there, on a busy machine too; seconds that one is awaited that need not come; MiB by
which the server may grow."""
WARM, EVERY = 300, 100
"""Requests before the server's memory is measured, and between two measurements, each after a prediction."""
DONE = (b"process_completed", b"close_stream", b"event: complete", b"event: error")
"""The last messages of streams."""
ALLOWED = {503, 507}
"""Documented statuses of 500 and more: too many requests, a full disk."""


class FuzzedApp:
    """A running app that is sent requests; `memory` measures the MiB of its process."""

    def __init__(self, url: str, config: dict[str, Any], memory: Callable[[], float]):
        self._url, self._memory = url.strip("/"), memory
        self._valid = Valid(self._url, config)
        self._address = ("127.0.0.1", int(self._url.rpartition(":")[2]))
        self._count, self._usual = 0, 0.0

    def check(self, random: Random) -> str:
        """Send a changed request; the status of the answer."""
        request = mutate(*self._valid.request(random), random)
        raw = request.raw()
        if random.random() < 0.05:
            raw += Request("GET", "/robots.txt").raw() * random.choice((1, 3))
        broken = request.broken or random.random() < 0.03
        if broken and not request.broken:
            raw = random.choice((raw[: random.randrange(1, len(raw))], mutate_bytes(raw, random)))
        answer = self._exchange(raw, PATIENCE if broken else SECONDS)
        assert answer or broken, f"no answer to {raw[:300]!r}"
        status = _judge(answer, raw) if answer else "silence"
        if status == "200" and b'"event_id"' in answer:
            self._follow(request.path, answer)
        self._check_health(random)
        return status

    def _exchange(self, raw: bytes, seconds: float) -> bytes:
        """The answer, or what came of it in time."""
        answer, end = b"", time.monotonic() + seconds
        with (
            socket.create_connection(self._address, timeout=SECONDS) as line,
            suppress(ConnectionError, TimeoutError),
        ):
            with suppress(ConnectionError):  # refused before all was sent
                line.sendall(raw)
            while not _is_whole(answer, raw.startswith(b"HEAD")) and (left := end - time.monotonic()) > 0:
                line.settimeout(left)
                piece = line.recv(2**20)
                if not piece:
                    break
                answer += piece
        return answer

    def _follow(self, path: str, answer: bytes) -> None:
        """Read what becomes of an event; one of the API has an end, one of the page may be a race."""
        event = re.search(rb'"event_id":\s*"(\w+)"', answer)
        if event is not None:
            ends = "/call/" in path
            raw = Request("GET", f"/gradio_api/call/x/{event[1].decode()}").raw()
            told = self._exchange(raw, SECONDS if ends else 1)
            assert any(word in told for word in DONE) or not ends, f"{path}: {told[:300]!r}"
            _judge(told, raw)

    def _check_health(self, random: Random) -> None:
        """The server still answers; now and then also with a prediction, and with the memory that it had."""
        self._count += 1
        assert b"200" in self._exchange(Request("GET", "/robots.txt").raw(), SECONDS)[:20], (
            "The server does not answer."
        )
        if self._count % EVERY == 0:
            body = {"data": [None, SIREN, *["auto"] * 6]}
            event = httpx.post(f"{self._url}/gradio_api/call/classify_inr", json=body, timeout=60).json()[
                "event_id"
            ]
            told = httpx.get(f"{self._url}/gradio_api/call/classify_inr/{event}", timeout=60).text
            assert '"label": "7"' in told, told[:300]
            self._check_memory()

    def _check_memory(self) -> None:
        memory = self._memory()
        if self._count <= WARM:
            self._usual = memory
        assert memory < self._usual + GROWTH, f"{memory:.0f} MiB, after {self._usual:.0f} MiB"


def _is_whole(answer: bytes, head_only: bool) -> bool:
    """Whether an answer has come to its end."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end or head_only:
        return bool(end)
    if head.startswith(b"HTTP/1.1 1"):
        return _is_whole(body, head_only)
    if b"event-stream" in head:
        return any(word in body for word in DONE)
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return length is None or len(body) >= int(length[1])


def _judge(answer: bytes, raw: bytes) -> str:
    """The status of an answer, which is no internal error and repeats nothing."""
    head, _, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    status = int(head[9:12])
    told = f"{raw[:600]!r} was answered with {answer[:600]!r}"
    assert status < 500 or status in ALLOWED, told
    assert status < 400 or (MARK.encode() not in body and len(body) < 2000), told
    assert MARKUP.encode() not in body and not re.search(rb"Traceback|site-packages|File \"", body), told
    return str(status)


@contextmanager
def fuzzed_app() -> Iterator[FuzzedApp]:
    """Serve the app in its own process, with no Hub, for as long as it is fuzzed."""
    os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
    with serve_app() as app:
        yield FuzzedApp(app.url, app.config, app.memory)


def main() -> None:
    """Fuzz for a time; exit status 1 if there are findings."""
    arguments = read_arguments(__doc__)
    with fuzzed_app() as app:
        sys.exit(fuzz(app.check, arguments.seconds, arguments.seed, arguments.only) > 0)


if __name__ == "__main__":
    main()
