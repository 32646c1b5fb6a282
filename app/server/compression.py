"""Compress the page itself, 0.6 MB of JSON in HTML; Gradio compresses only files with an extension."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.server.request_guard import path_of


class CompressPage:
    """ASGI middleware that compresses the page and nothing else: answers to events are streams."""

    def __init__(self, app: ASGIApp):
        self._plain, self._compressed = app, GZipMiddleware(app, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["method"] == "GET" and path_of(scope) in ("", "/")
        await (self._compressed if is_page else self._plain)(scope, receive, send)
