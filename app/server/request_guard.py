"""Check every request before Gradio sees it, and answer the errors that Gradio raises.

A body must be JSON or, on the upload route, a form; its size and time are limited (`app.server.bodies`); it must not
name a file by URL. Calls that would go past the queue are refused. No answer repeats what was sent.
"""

import errno
import json
import shutil
from typing import Any

import httpx
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from gradio import Blocks
from gradio.route_utils import get_request_origin
from gradio.utils import get_upload_folder
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.page.source_text import OWN_FILES
from app.server.bodies import BUSY, JSON_LIMITS, TOO_LARGE, UPLOAD_LIMITS, BodyPool, RefusedError, drain_body
from app.server.defaults import Defaults, fill_defaults

UPLOAD_PATH, MCP_PATH, JOIN_PATH = "/gradio_api/upload", "/gradio_api/mcp", "/gradio_api/queue/join"
MCP_PATHS = {MCP_PATH, f"{MCP_PATH}/", f"{MCP_PATH}/http", f"{MCP_PATH}/http/"}
"""Where MCP is served. Below them, Gradio puts the path into a page, in which it could be a script."""
DIRECT_PATHS = ("/gradio_api/run/", "/gradio_api/api/", "/gradio_api/component_server")
"""Gradio's calls past the queue, without its limits; it answers any mistake in them with 500. The page uses none."""
MAX_ADDRESS = 2**15
"""Bytes of an address; Gradio answers ones of twice as many with 500."""
MAX_VALUES = 10_000
"""Values in a JSON request; a page sends about twenty, a batch of files a few thousand."""
MAX_KEY = 200
"""Characters of the ids that Gradio stores: session, event, upload."""
KEYS = ("session_hash", "event_id", "trigger_id", "component_id")
FREE_BYTES = 2**30
"""Disk space that uploads leave free."""

URL_REFUSED = "Files by URL are not fetched. Upload the file, or send it as a data: URI."
NOT_JSON = "Requests are JSON, with one header content-type: application/json."
INVALID_JSON = "The body of this request is not valid JSON."
NOT_MCP = 'An MCP request is an object: {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}.'
NOT_A_FORM = "Uploads are forms, with one header content-type: multipart/form-data."
TOO_MANY_VALUES = f"This request is too large: at most {MAX_VALUES:,} values are taken."
LONE_SURROGATE = "This request contains a lone surrogate (half of a character), which is not valid text."
LONG_ADDRESS = f"This address is too long: the limit is {MAX_ADDRESS:,} bytes."
ODD_ADDRESS = "This address, or the host in a header, is not valid."
MCP_ELSEWHERE = f"MCP is served at {MCP_PATH}/."
NO_HANDLER = "The page has no handler of this number. Please reload it."
USE_QUEUE = "Calls go through the queue: POST /gradio_api/call/NAME, then GET /gradio_api/call/NAME/EVENT_ID."
LONG_KEY = f"session_hash, event_id and the like are text of up to {MAX_KEY} characters."
NO_FILE = "There is no such file."
DISK_FULL = "The disk for uploads is full, so nothing was kept. Please try again in an hour."


class GuardRequests:
    """The ASGI middleware that does so."""

    def __init__(self, app: ASGIApp, defaults: Defaults):
        self.app, self._json, self._uploads = app, BodyPool(JSON_LIMITS), BodyPool(UPLOAD_LIMITS)
        self._defaults = defaults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        line = _Connection(receive, send)
        try:
            _check_address(scope)
            await self._handler(scope)(scope, line.receive, line.send)
        except RefusedError as refused:
            if line.answered:
                raise
            if not (line.received or refused.status == 408 or _header(scope, b"expect")):
                await drain_body(receive)
            await _refusal(scope, refused)(scope, receive, send)

    def _handler(self, scope: Scope) -> ASGIApp:
        if not _has_body(scope):
            return self.app
        return self._upload if is_upload(scope) else self._call

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_headers(scope, b"application/json", NOT_JSON, JSON_LIMITS.size)
        if path_of(scope).startswith(DIRECT_PATHS):
            raise RefusedError(404, USE_QUEUE)
        with self._json.receiving(receive) as body:
            content = await body.read_all()
            if content is not None:
                document = check_content(content)
                if path_of(scope).startswith(MCP_PATH):
                    _check_message(document)
                if path_of(scope) == JOIN_PATH:
                    _check_handler(document, scope["app"].get_blocks())
                content = fill_defaults(path_of(scope), content, self._defaults)
                await self.app(scope, _replay(content, receive), send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_headers(scope, b"multipart/form-data", NOT_A_FORM, UPLOAD_LIMITS.size)
        _check_disk()
        with self._uploads.receiving(receive) as body:
            await self.app(scope, body.next, send)


class _Connection:
    """A connection's state: whether the whole body was `received`, and whether an answer has begun (`answered`)."""

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
    """Whether the request uploads files."""
    return scope["method"] == "POST" and path_of(scope) == UPLOAD_PATH


def path_of(scope: Scope) -> str:
    """The path of a request within the app."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _check_address(scope: Scope) -> None:
    """Refuse addresses that Gradio cannot parse, which it would answer with 500."""
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_ADDRESS:
        raise RefusedError(414, LONG_ADDRESS)
    if path_of(scope).startswith(MCP_PATH) and path_of(scope) not in MCP_PATHS:
        raise RefusedError(404, MCP_ELSEWHERE)
    try:
        get_request_origin(Request(scope), "")
    except (ValueError, httpx.InvalidURL) as error:
        raise RefusedError(400, ODD_ADDRESS) from error


def _check_headers(scope: Scope, content_type: bytes, sentence: str, limit: int) -> None:
    """Refuse a wrong content type or length before anything is received."""
    types = [value.partition(b";")[0].strip().lower() for value in _header(scope, b"content-type")]
    if types != [content_type]:
        raise RefusedError(415, sentence)
    lengths = _header(scope, b"content-length")
    if any(not length.isdigit() or len(length) > 18 or int(length) > limit for length in lengths):
        raise RefusedError(413, TOO_LARGE.format(limit))


def _check_disk() -> None:
    try:
        free = shutil.disk_usage(get_upload_folder()).free
    except FileNotFoundError:  # nothing was uploaded yet
        return
    if free < FREE_BYTES:
        raise RefusedError(507, DISK_FULL)


def check_content(content: bytes) -> Any:
    """Parse JSON; refuse it if it is invalid, has too many values, or values that `check_values` refuses."""
    if content.count(b",") + content.count(b"[") + content.count(b"{") > MAX_VALUES:
        raise RefusedError(413, TOO_MANY_VALUES)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, INVALID_JSON) from error
    check_values(document)
    return document


def _check_message(document: Any) -> None:
    """Refuse what is no JSON-RPC request or notification, which the MCP server would answer with what was sent."""
    message = document if isinstance(document, dict) else {}
    parameters = message.get("params")
    if not (
        message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and (parameters is None or isinstance(parameters, dict))
    ):
        raise RefusedError(400, NOT_MCP)


def _check_handler(document: Any, blocks: Blocks) -> None:
    """Refuse an event of no handler, or of one that runs in the browser, which Gradio answers with 500 or never."""
    index = document.get("fn_index") if isinstance(document, dict) else None
    if type(index) is not int or index not in blocks.fns or blocks.fns[index].fn is None:
        raise RefusedError(404, NO_HANDLER)


def check_values(value: Any) -> None:
    """Refuse a `path` (Gradio's files) or `file` (an MCP argument) that is an http(s) URL, keys that are too long, and
    text that cannot be encoded in answers and logs. A `file` may be the URL of one of our own uploads, which is not
    fetched: see `app.page.source_text`."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            _check_text(node)
        elif isinstance(node, dict):
            if _is_url(node.get("path")) or (_is_url(node.get("file")) and OWN_FILES not in node["file"]):
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
        raise RefusedError(400, LONE_SURROGATE) from error


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http:", "https:"))


def _replay(content: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body once, then the connection's next message (a disconnect)."""
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _refusal(scope: Scope, refused: RefusedError) -> Response:
    headers = {"connection": "close"}
    if is_upload(scope):  # the page shows the text as it is
        return PlainTextResponse(str(refused), refused.status, headers)
    return JSONResponse({"detail": str(refused), "error": str(refused)}, refused.status, headers)


def handle_validation_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an invalid request without repeating its content, which FastAPI would do."""
    assert isinstance(error, RequestValidationError), "registered only for this type"
    first = error.errors()[0]
    where = ".".join(ascii(part)[:40].strip("'") for part in first["loc"][:4])
    sentence = f"This request is not understood. {where}: {first['msg'][:200]}."
    return JSONResponse({"detail": sentence, "error": sentence}, 422)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """Answer as FastAPI does, without the path that Gradio repeats after a colon."""
    assert isinstance(error, HTTPException), "registered only for this type"
    detail = error.detail.partition(":")[0] if isinstance(error.detail, str) else error.detail
    return await http_exception_handler(request, HTTPException(error.status_code, detail, error.headers))


def handle_os_error(request: Request, error: Exception) -> Response:
    """Answer a full disk or too many open files while a request is received, and names too long for a file."""
    assert isinstance(error, OSError), "registered only for this type"
    if error.errno == errno.ENAMETOOLONG:
        return _refusal(request.scope, RefusedError(404, NO_FILE))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _refusal(request.scope, RefusedError(507, DISK_FULL))
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return _refusal(request.scope, RefusedError(503, BUSY))
    raise error


def handle_disconnect(*_: object) -> Response:
    """Answer a client that has disconnected."""
    return Response(status_code=400)


EXCEPTION_HANDLERS = {
    RequestValidationError: handle_validation_error,
    HTTPException: handle_http_exception,
    OSError: handle_os_error,
    ClientDisconnect: handle_disconnect,
}
"""FastAPI's handlers, by exception."""
