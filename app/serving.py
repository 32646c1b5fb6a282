"""How the app is served: what Gradio has to be told, from its environment to the options of `demo.launch`."""

import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import route_utils
from starlette.datastructures import FormData
from starlette.middleware import Middleware

from app.api import ENDPOINTS
from app.defaults import defaults_of
from app.request_guard import ERROR_ANSWERS, GuardRequests
from app.theme import STYLESHEETS, build_theme
from app.uploads import own_folder
from nfn.reader.limits import FILE_BYTES

MAX_FILES = 200
"""Files of one upload, each of which is open until all have come."""
OPEN_FILES = 2**16

SESSIONS = 200
"""Pages and callers of which Gradio keeps what it sent them, 0.4 MB each; who comes back later starts from the page."""


def settle() -> None:
    """What Gradio reads from the environment when a page is built: no statistics, which cost more with each request."""
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(2**62))
    own_folder(port())
    allow_open_files()
    route_utils.GradioMultiPartParser = FilesOnly  # pyright: ignore[reportPrivateImportUsage]


def allow_open_files() -> None:
    """Allow as many open files and connections as the system does, up to 65,536: the usual 1,024 are soon reached."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class FilesOnly(route_utils.GradioMultiPartParser):
    """Gradio's reader of uploads, which keeps fields that are no files in memory, and on disk what was cut short."""

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
        "max_file_size": FILE_BYTES,
        "state_session_capacity": SESSIONS,
        "footer_links": ["api", "settings"],
        "mcp_server": importlib.util.find_spec("mcp") is not None,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "app_kwargs": {
            "middleware": [Middleware(GuardRequests, defaults=defaults_of(ENDPOINTS))],
            "exception_handlers": ERROR_ANSWERS,
        },
    }
