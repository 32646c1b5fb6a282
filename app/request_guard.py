"""What is checked of every request before Gradio sees it, and how what fails behind it is answered.

A body is JSON or, on the one route for it, an upload; it is limited (`app.bodies`); it names no file by URL. No answer
gives back what was sent.
"""

import errno
import json
import shutil
from typing import Any

from fastapi.exceptions import RequestValidationError
from gradio.utils import get_upload_folder
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.bodies import (
    BUSY,
    JSON_LIMITS,
    TOO_LARGE,
    UPLOAD_LIMITS,
    Bodies,
    RefusedError,
    throw_away,
)
from app.defaults import Defaults, with_defaults

UPLOAD_PATH = "/gradio_api/upload"
MAX_VALUES = 10_000
"""Values in a JSON request; pages send some twenty, a batch of files a few thousand."""
MAX_KEY = 200
"""Characters of what Gradio files a request under, and keeps: session, event, upload."""
KEYS = ("session_hash", "event_id", "trigger_id", "component_id")
FREE_BYTES = 2**30
"""What uploads leave free on the disk."""

URL_REFUSED = "Files by URL are not fetched. Upload the file, or send it as a data: URI."
NOT_JSON = "Requests are JSON, with one header content-type: application/json."
NOT_A_FORM = "Uploads are forms, with one header content-type: multipart/form-data."
TOO_MANY_VALUES = f"This request is too large: at most {MAX_VALUES:,} values are taken."
HALF_CHARACTER = "This request holds a lone surrogate, half of a character, which is no text."
LONG_KEY = f"session_hash, event_id and the like are text of up to {MAX_KEY} characters."
DISK_FULL = "The disk for uploads is full, so nothing was kept. Please try again in an hour."


class GuardRequests:
    """The middleware of all this."""

    def __init__(self, app: ASGIApp, defaults: Defaults):
        self.app, self._json, self._uploads = app, Bodies(JSON_LIMITS), Bodies(UPLOAD_LIMITS)
        self._defaults = defaults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            return await self.app(scope, receive, send)
        line = _Line(receive, send)
        try:
            await (self._upload if is_upload(scope) else self._call)(scope, line.receive, line.send)
        except RefusedError as refused:
            if line.answered:
                raise
            if not (line.received or refused.status == 408 or _header(scope, b"expect")):
                await throw_away(receive)
            await _refusal(scope, refused)(scope, receive, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_head(scope, b"application/json", NOT_JSON, JSON_LIMITS.size)
        with self._json.receiving(receive) as body:
            content = await body.whole()
            if content is not None:
                check_content(content)
                content = with_defaults(path_of(scope), content, self._defaults)
                await self.app(scope, _replay(content, receive), send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_head(scope, b"multipart/form-data", NOT_A_FORM, UPLOAD_LIMITS.size)
        _check_disk()
        with self._uploads.receiving(receive) as body:
            await self.app(scope, body.next, send)


class _Line:
    """A connection that knows how far it is: whether all was `received`, and whether it is being `answered`."""

    def __init__(self, receive: Receive, send: Send):
        self._receive, self._send, self.received, self.answered = receive, send, False, False

    async def receive(self) -> Message:
        message = await self._receive()
        self.received = self.received or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        await self._send(message)


def _header(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _has_body(scope: Scope) -> bool:
    return bool(_header(scope, b"transfer-encoding")) or _header(scope, b"content-length") not in ([], [b"0"])


def is_upload(scope: Scope) -> bool:
    """Whether the request is for the route that takes files."""
    return scope["method"] == "POST" and path_of(scope) == UPLOAD_PATH


def path_of(scope: Scope) -> str:
    """The path of a request within the app."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _check_head(scope: Scope, wanted: bytes, sentence: str, limit: int) -> None:
    """What can be refused before anything is received."""
    kinds = [value.partition(b";")[0].strip().lower() for value in _header(scope, b"content-type")]
    if kinds != [wanted]:
        raise RefusedError(415, sentence)
    lengths = _header(scope, b"content-length")
    if any(not length.isdigit() or len(length) > 18 or int(length) > limit for length in lengths):
        raise RefusedError(413, TOO_LARGE.format(limit))


def _check_disk() -> None:
    try:
        free = shutil.disk_usage(get_upload_folder()).free
    except FileNotFoundError:  # no upload came yet
        return
    if free < FREE_BYTES:
        raise RefusedError(507, DISK_FULL)


def check_content(content: bytes) -> None:
    """Refuse JSON of too many values, and what `check_values` refuses. Gradio answers what is not JSON."""
    if content.count(b",") + content.count(b"[") + content.count(b"{") > MAX_VALUES:
        raise RefusedError(413, TOO_MANY_VALUES)
    try:
        check_values(json.loads(content))
    except (ValueError, RecursionError):
        return


def check_values(value: Any) -> None:
    """Refuse a `path` (a file, to Gradio) or `file` (an MCP argument) that is an http(s) URL, keys too long, and text
    that cannot be encoded, in answers and logs."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            _check_text(node)
        elif isinstance(node, dict):
            if any(_is_url(node.get(key)) for key in ("path", "file")):
                raise RefusedError(400, URL_REFUSED)
            if any(isinstance(node.get(key), str) and len(node[key]) > MAX_KEY for key in KEYS):
                raise RefusedError(400, LONG_KEY)
            stack.extend(node)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(400, HALF_CHARACTER) from error


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http:", "https:"))


def _replay(content: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, then what the connection says next (a disconnect)."""
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _refusal(scope: Scope, refused: RefusedError) -> Response:
    headers = {"connection": "close"}
    if is_upload(scope):  # which the page shows as it is
        return PlainTextResponse(str(refused), refused.status, headers)
    return JSONResponse({"detail": str(refused), "error": str(refused)}, refused.status, headers)


def answer_invalid(_: Request, error: Exception) -> JSONResponse:
    """What does not fit in a request, without what was sent, which FastAPI would give back."""
    assert isinstance(error, RequestValidationError), "Registered for it alone."
    first = error.errors()[0]
    where = ".".join(ascii(part)[:40].strip("'") for part in first["loc"][:4])
    sentence = f"This request is not understood. {where}: {first['msg'][:200]}."
    return JSONResponse({"detail": sentence, "error": sentence}, 422)


def answer_disk(request: Request, error: Exception) -> Response:
    """What the system refuses while a request is taken: a full disk, or too many files open."""
    assert isinstance(error, OSError), "Registered for it alone."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _refusal(request.scope, RefusedError(507, DISK_FULL))
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return _refusal(request.scope, RefusedError(503, BUSY))
    raise error


def answer_nobody(*_: object) -> Response:
    """For who hung up."""
    return Response(status_code=400)


ERROR_ANSWERS = {
    RequestValidationError: answer_invalid,
    OSError: answer_disk,
    ClientDisconnect: answer_nobody,
}
"""For FastAPI, by exception."""
