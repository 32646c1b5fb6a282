"""How the app is served: Gradio's environment variables, patches, and the options of `demo.launch`."""

import importlib.util
import inspect
import os
import sys
from asyncio import Queue as AsyncQueue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import gradio as gr
import torch
from gradio import route_utils, state_holder
from gradio.routes import App
from gradio.utils import LRUCache
from starlette.datastructures import FormData
from starlette.middleware import Middleware

from app.api.endpoints import ENDPOINTS
from app.page.tab import Tab
from app.page.theme import SCRIPT, STYLESHEET, build_theme
from app.server.compression import CompressPage
from app.server.defaults import endpoint_defaults
from app.server.request_guard import EXCEPTION_HANDLERS, GuardRequests
from app.server.uploads import use_private_folder
from nfn.reader.limits import FILE_BYTES
from zoo.allocator import set_malloc_thresholds

MAX_FILES = 200
"""Files of one upload; each stays open until all have arrived."""
MAX_OPEN_FILES = 2**16

MAX_SESSIONS = 200
"""Sessions whose state Gradio keeps, 0.03 MB for a caller of the API, up to 0.6 MB for a page; an older page starts
afresh."""


LOOK_EVERY = (0.01, 0.1)
"""Seconds until Gradio looks for new events, and for progress to report. By itself it looks every 1 and 10 ms, for
which an idle server takes 6% of a core."""


def configure_process() -> None:
    """Set up the process before a page is built: memory, threads, upload folder, open files.

    Turns off Gradio's statistics, whose cost grows with each request.
    """
    set_malloc_thresholds()
    torch.set_num_threads(max(1, min(4, (os.cpu_count() or 2) // 2)))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(2**62))
    use_private_folder(port())
    raise_open_file_limit()
    route_utils.GradioMultiPartParser = FilesOnlyParser  # pyright: ignore[reportPrivateImportUsage]
    state_holder.SessionState = LightSession
    if has_mcp():
        install_mcp_tools()


def has_mcp() -> bool:
    """Whether the extra `gradio[mcp]` is installed."""
    return importlib.util.find_spec("mcp") is not None


def install_mcp_tools() -> None:
    """Replace Gradio's MCP server by ours."""
    import gradio.mcp

    from app.api.mcp_tools import Tools

    gradio.mcp.GradioMCPServer = Tools


def raise_open_file_limit() -> None:
    """Raise the limit on open files and connections to the system's maximum, at most 65,536; the default is 1,024."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class FilesOnlyParser(route_utils.GradioMultiPartParser):
    """Gradio's upload parser, without form fields, which it keeps in memory, and without leaving incomplete files."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{**kwargs, "max_files": MAX_FILES, "max_fields": 0})

    async def parse(self) -> FormData:
        try:
            return await super().parse()
        except BaseException:
            for file in self._files_to_close_on_error:
                file.close()
                Path(file.name).unlink(missing_ok=True)
            raise


class LightSession(state_holder.SessionState):
    """Gradio's state of a caller, without a description of each of some 400 widgets until somebody asks for them.

    They are for Gradio's own links, which this page has none of, and took half of the time of a short API call.
    """

    def __init__(self, blocks: gr.Blocks):
        undescribed: Any = SimpleNamespace(default_config=blocks.default_config, blocks={})
        super().__init__(undescribed)

    @property
    def components(self) -> Iterator[dict]:
        for key, block in self.blocks_config.blocks.items():
            if key not in self.config_values:
                self.config_values[key] = self.blocks_config.config_for_block(key, [], block)
        return super().components


@contextmanager
def without_server_apps() -> Iterator[None]:
    """While a page is built: Gradio creates a server app for it twice, and discards both when its queue is set up."""
    with patch.object(App, "create_app", return_value=None):
        yield


def cache_signatures(demo: gr.Blocks) -> None:
    """Cache the signatures of the widgets, which Gradio otherwise computes for every page and every caller."""
    for kind in {type(block) for block in demo.blocks.values()}:
        for base in kind.__mro__:
            if "__init__" in vars(base) and base is not object:
                setattr(base.__init__, "__signature__", inspect.signature(base.__init__))  # noqa: B010


class ActiveIterators(dict):
    """Gradio's running generators by event. Two cancels of one run delete it twice, which Gradio answers with 500."""

    def __delitem__(self, event: str) -> None:
        self.pop(event, None)


class SessionMessages(LRUCache):
    """Gradio's messages by session. A visitor who leaves while waiting has none, which Gradio answers to the next one
    who comes with 500."""

    def __missing__(self, session: str) -> AsyncQueue:
        return AsyncQueue()


def serve(demo: gr.Blocks, options: dict[str, Any]) -> str:
    """Launch the page without blocking; return its URL."""
    app, url, _ = demo.launch(**options, prevent_thread_lock=True)
    app.iterators = ActiveIterators(app.iterators)
    queue = demo._queue
    queue.pending_messages_per_session = SessionMessages(queue.pending_messages_per_session.max_size)
    queue.sleep_when_free, queue.progress_update_sleep_when_free = LOOK_EVERY
    return url


def port() -> int:
    """The port of the app."""
    return int(os.environ.get("GRADIO_SERVER_PORT", "7860"))


def launch_options(tabs: tuple[Tab, ...]) -> dict[str, Any]:
    """The options of `launch` for a page of these tabs; serves MCP if the extra `gradio[mcp]` is installed."""
    scripts = [SCRIPT, *(tab.script for tab in tabs if tab.script)]
    return {
        "server_port": port(),
        "theme": build_theme(),
        "css_paths": [STYLESHEET, *(tab.stylesheet for tab in tabs if tab.stylesheet)],
        "head": "".join(f"<script>\n{path.read_text(encoding='utf-8')}</script>\n" for path in scripts),
        "max_file_size": FILE_BYTES,
        "state_session_capacity": MAX_SESSIONS,
        "footer_links": ["api", "settings"],
        "mcp_server": has_mcp(),
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "app_kwargs": {
            "middleware": [
                Middleware(GuardRequests, defaults=endpoint_defaults(ENDPOINTS)),
                Middleware(CompressPage),
            ],
            "exception_handlers": EXCEPTION_HANDLERS,
        },
    }
