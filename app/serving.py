"""How the app is served: what Gradio has to be told, from its environment to the options of `demo.launch`."""

import importlib.util
import inspect
import json
import os
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.theme import STYLESHEETS, build_theme
from app.uploads import own_folder

MAX_FILE_SIZE = "20mb"
MAX_BODY = 32 * 2**20
"""Bytes of a JSON request: 20 MB in base64, as MCP clients send a file, and some."""

SESSIONS = 200
"""Pages and callers of which Gradio keeps what it sent them, 0.4 MB each; who comes back later starts from the page."""

URL_REFUSED = "Files by URL are not fetched. Upload the file, or send it as a data: URI."


def settle() -> None:
    """What Gradio reads from the environment when a page is built: no statistics, which cost more with each request."""
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(2**62))
    own_folder(port())


def remember_signatures(demo: gr.Blocks) -> None:
    """Save Gradio from reading the signatures of its widgets anew for every page and every caller."""
    for kind in {type(block) for block in demo.blocks.values()}:
        for base in kind.__mro__:
            if "__init__" in vars(base) and base is not object:
                setattr(base.__init__, "__signature__", inspect.signature(base.__init__))  # noqa: B010


class Runs(dict):
    """Gradio's runs under way, by event. Two cancels of one run take it away twice, for which Gradio answers 500."""

    def __delitem__(self, event: str) -> None:
        self.pop(event, None)


def serve(demo: gr.Blocks, options: dict[str, Any]) -> str:
    """Launch the page without waiting for its end; gives its address."""
    app, url, _ = demo.launch(**options, prevent_thread_lock=True)
    app.iterators = Runs(app.iterators)
    return url


def port() -> int:
    """Where the app is served."""
    return int(os.environ.get("GRADIO_SERVER_PORT", "7860"))


def launch_options() -> dict[str, Any]:
    """Everything that `launch` needs; MCP is served when the `gradio[mcp]` extra is there."""
    return {
        "server_port": port(),
        "theme": build_theme(),
        "css_paths": STYLESHEETS,
        "max_file_size": MAX_FILE_SIZE,
        "state_session_capacity": SESSIONS,
        "footer_links": ["api", "settings"],
        "mcp_server": importlib.util.find_spec("mcp") is not None,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "app_kwargs": {"middleware": [Middleware(RefuseUrls)]},
    }


class RefuseUrls:
    """Answer 400 to a JSON request that names a file by URL: Gradio would fetch it, with no limit on its size."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_json_post(scope):
            return await self.app(scope, receive, send)
        body = await _read_body(receive)
        if body is None:
            return await _refuse(413, "This request is too large.")(scope, receive, send)
        if _names_a_url(_parse(body)):
            return await _refuse(400, URL_REFUSED)(scope, receive, send)
        await self.app(scope, _replay(body, receive), send)


def _is_json_post(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    kinds = [value.lower() for name, value in scope["headers"] if name == b"content-type"]
    return len(kinds) != 1 or not kinds[0].startswith(b"multipart/form-data")


async def _read_body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, then what the connection says next (a disconnect)."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None  # Gradio answers what is not JSON


def _names_a_url(value: Any) -> bool:
    """Whether a `path` (Gradio's way to name a file) or a `file` (an MCP argument) is an http(s) URL."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if any(_is_url(node.get(key)) for key in ("path", "file")):
                return True
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return False


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http:", "https:"))


def _refuse(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence, "error": sentence}, status_code=status)
