"""Limits on the bodies of requests, whatever the route: their kind, size and time, and what all of them hold at once.

Gradio reads a body whole before it looks at it, and has no limit on its size or its time.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.types import Message, Receive

from nfn.reader.limits import FILE_BYTES, MIB

FORM_BYTES = MIB
"""What a form takes besides its files: boundaries and names."""
GRACE_SECONDS = 5.0
"""For how long a body may be slow while there is no room for others."""
LINGER_SECONDS = 1.0
"""For how long the rest of a refused body is thrown away, so that its sender gets to read the answer."""

TOO_LARGE = "This request is too large: at most {:,} bytes are taken here."
TOO_SLOW = "This request came in too slowly. Please send it again."
BUSY = "Too many requests are being received at once. Please try again in a moment."


@dataclass(frozen=True)
class BodyLimits:
    """For bodies of one kind: the bytes and the seconds of each, the bytes a second that it must keep up after `grace`,
    and how many of them, and bytes of them, are taken at once."""

    size: int
    seconds: float
    rate: float
    count: int
    total: int
    grace: float = GRACE_SECONDS


JSON_LIMITS = BodyLimits(size=4 * MIB, seconds=30, rate=0, count=500, total=64 * MIB)
"""JSON is kept in memory. 4 MiB are a file of 3 MB in base64; larger files are uploaded."""
UPLOAD_LIMITS = BodyLimits(
    size=FILE_BYTES + FORM_BYTES, seconds=900, rate=32 * 1024, count=16, total=16 * (FILE_BYTES + FORM_BYTES)
)
"""Uploads go to the disk as they come."""


class RefusedError(Exception):
    """A request that is not taken: the status to answer with, and a sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class Bodies:
    """The bodies of one kind that are coming in now, or are held for those who read them.

    Where there is no room for another one, the slowest goes; so nobody keeps others out by being slow.
    """

    def __init__(self, limits: BodyLimits):
        self.limits = limits
        self._now: set[Body] = set()

    @contextmanager
    def receiving(self, receive: Receive) -> Iterator["Body"]:
        """A body, for as long as it takes room. RefusedError where there is none."""
        if len(self._now) >= self.limits.count:
            self._make_room()
        body = Body(self, receive)
        self._now.add(body)
        try:
            yield body
        finally:
            self._now.discard(body)

    def check_total(self) -> None:
        """Make room where more is held than may be. RefusedError where nobody can be sent away."""
        while sum(body.received for body in self._now) > self.limits.total:
            self._make_room()

    def _make_room(self) -> None:
        slow = [body for body in self._now if body.is_slow]
        if not slow:
            raise RefusedError(503, BUSY)
        slowest = min(slow, key=lambda body: body.received / body.age)
        self._now.discard(slowest)
        slowest.cut()


class Body:
    """The body of one request, as it comes in."""

    def __init__(self, among: Bodies, receive: Receive):
        self.received, self._among, self._receive = 0, among, receive
        self._start = time.monotonic()
        self._timeout: asyncio.Timeout | None = None

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._start

    @property
    def is_slow(self) -> bool:
        """Whether it is waited for, and has been for longer than others should wait for it."""
        return self._timeout is not None and self.age > self._among.limits.grace

    def cut(self) -> None:
        """Stop waiting for the rest."""
        if self._timeout is not None:
            self._timeout.reschedule(0)

    async def next(self) -> Message:
        """The next message of the connection. RefusedError where the body is too large, too slow, or one too many."""
        try:
            async with asyncio.timeout(self._seconds_left()) as self._timeout:
                message = await self._receive()
        except TimeoutError as error:
            raise RefusedError(408, TOO_SLOW) from error
        finally:
            self._timeout = None
        self.received += len(message.get("body", b""))
        if self.received > self._among.limits.size:
            raise RefusedError(413, TOO_LARGE.format(self._among.limits.size))
        self._among.check_total()
        return message

    def _seconds_left(self) -> float:
        limits = self._among.limits
        allowed = limits.grace + self.received / limits.rate if limits.rate else limits.seconds
        return max(0.0, min(limits.seconds, allowed) - self.age)

    async def whole(self) -> bytes | None:
        """All of it; None where the sender hangs up before its end."""
        content = bytearray()
        while True:
            message = await self.next()
            if message["type"] == "http.disconnect":
                return None
            content += message.get("body", b"")
            if not message.get("more_body", False):
                return bytes(content)


async def throw_away(receive: Receive) -> None:
    """Receive the rest of a body for a moment: who is still sending does not read the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
