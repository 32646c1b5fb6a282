"""Limits on request bodies on every route: size and time of each, and the total size of all of them at once.

Gradio reads a whole body before it looks at it, without a limit on size or time.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.types import Message, Receive

from nfn.reader.limits import FILE_BYTES, MIB

FORM_BYTES = MIB
"""Bytes of a form besides its files: boundaries and names."""
GRACE_SECONDS = 5.0
"""How long a body may be slow while others wait for room."""
LINGER_SECONDS = 1.0
"""How long the rest of a refused body is received and dropped, so that the sender reads the answer."""

TOO_LARGE = "This request is too large: the limit is {:,} bytes."
TOO_SLOW = "This request came in too slowly. Please send it again."
BUSY = "Too many requests are being received at once. Please try again in a moment."


@dataclass(frozen=True)
class BodyLimits:
    """Limits for bodies of one kind: bytes and seconds of each, the minimum rate in bytes per second after `grace`
    seconds, and the `count` and `total` bytes of all bodies at once."""

    size: int
    seconds: float
    rate: float
    count: int
    total: int
    grace: float = GRACE_SECONDS


JSON_LIMITS = BodyLimits(size=4 * MIB, seconds=30, rate=0, count=500, total=64 * MIB)
"""JSON is kept in memory. 4 MiB hold a 3 MB file in base64; larger files are uploaded."""
UPLOAD_LIMITS = BodyLimits(
    size=FILE_BYTES + FORM_BYTES, seconds=900, rate=32 * 1024, count=128, total=16 * (FILE_BYTES + FORM_BYTES)
)
"""Uploads are written to disk as they arrive: small ones of many visitors, or 16 of the largest."""


class RefusedError(Exception):
    """A refused request: the status of the answer, and a sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class BodyPool:
    """The bodies of one kind that are being received, or held until they are processed.

    If there is no room for another one, the slowest is dropped, so that slow senders cannot block others.
    """

    def __init__(self, limits: BodyLimits):
        self.limits = limits
        self._now: set[RequestBody] = set()

    @contextmanager
    def receiving(self, receive: Receive) -> Iterator["RequestBody"]:
        """Add a body to the pool while it is received and processed; RefusedError if there is no room."""
        if len(self._now) >= self.limits.count:
            self._make_room()
        body = RequestBody(self, receive)
        self._now.add(body)
        try:
            yield body
        finally:
            self._now.discard(body)

    def check_total(self) -> None:
        """Make room if the pool holds more than `total` bytes; RefusedError if no body can be dropped."""
        while sum(body.received for body in self._now) > self.limits.total:
            self._make_room()

    def _make_room(self) -> None:
        slow = [body for body in self._now if body.is_slow]
        if not slow:
            raise RefusedError(503, BUSY)
        slowest = min(slow, key=lambda body: body.received / body.age)
        self._now.discard(slowest)
        slowest.abort()


class RequestBody:
    """The body of one request while it arrives."""

    def __init__(self, pool: BodyPool, receive: Receive):
        self.received, self._pool, self._receive = 0, pool, receive
        self._start = time.monotonic()
        self._timeout: asyncio.Timeout | None = None

    @property
    def age(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self._start

    @property
    def is_slow(self) -> bool:
        """Whether the rest is still awaited after the grace period."""
        return self._timeout is not None and self.age > self._pool.limits.grace

    def abort(self) -> None:
        """Stop waiting for the rest."""
        if self._timeout is not None:
            self._timeout.reschedule(0)

    async def next(self) -> Message:
        """The next message of the connection; RefusedError if the body is too large or slow, or the pool is full."""
        try:
            async with asyncio.timeout(self._seconds_left()) as self._timeout:
                message = await self._receive()
        except TimeoutError as error:
            raise RefusedError(408, TOO_SLOW) from error
        finally:
            self._timeout = None
        self.received += len(message.get("body", b""))
        if self.received > self._pool.limits.size:
            raise RefusedError(413, TOO_LARGE.format(self._pool.limits.size))
        self._pool.check_total()
        return message

    def _seconds_left(self) -> float:
        limits = self._pool.limits
        allowed = limits.grace + self.received / limits.rate if limits.rate else limits.seconds
        return max(0.0, min(limits.seconds, allowed) - self.age)

    async def read_all(self) -> bytes | None:
        """The whole body; None if the sender disconnects before its end."""
        content = bytearray()
        while True:
            message = await self.next()
            if message["type"] == "http.disconnect":
                return None
            content += message.get("body", b"")
            if not message.get("more_body", False):
                return bytes(content)


async def drain_body(receive: Receive) -> None:
    """Receive and drop the rest of a body for a moment: a client that is still sending does not read the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
