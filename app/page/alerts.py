"""Turn exceptions into toasts: the only place where an error becomes a message to the visitor."""

import errno
import functools
import html
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import gradio as gr

from app.runtime.cost import time_limit
from app.runtime.errors import RequestError
from app.runtime.low_priority import foreground_request
from app.runtime.visitor import abandoned_check
from nfn.reader import NetworkFileError
from zoo.errors import ZooError

P = ParamSpec("P")
R = TypeVar("R")

USER_ERRORS = (RequestError, NetworkFileError, ZooError)
"""Exceptions whose text is written for visitors."""

DISK_FULL = "The disk is full, so the file was not written. Please try again in an hour."

UNEXPECTED = (
    "Something went wrong on our side. It has been logged; please try again or choose another network."
)


def with_alerts(handler: Callable[P, R]) -> Callable[P, R]:
    """Decorate a handler: what it raises becomes a `gr.Error`."""

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        with _alerts(handler), foreground_request(), time_limit(abandoned_check()):
            return handler(*args, **kwargs)

    return guarded


def with_alerts_in_steps(handler: Callable[P, Iterator[R]]) -> Callable[P, Iterator[R]]:
    """Decorate a generator handler: what it raises on the way becomes a `gr.Error`."""

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        with _alerts(handler):
            yield from handler(*args, **kwargs)

    return guarded


def warn(error: Exception) -> None:
    """Show a toast for an error that the page shows in its place too."""
    gr.Warning(html.escape(str(error), quote=False), duration=6)


@contextmanager
def _alerts(handler: Callable) -> Iterator[None]:
    """Convert exceptions to `gr.Error`, escaped, because Gradio shows the text as HTML."""
    try:
        yield
    except USER_ERRORS as error:
        raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise gr.Error(DISK_FULL, print_exception=False) from error
        logging.getLogger(__name__).exception("%s failed", handler)
        raise gr.Error(UNEXPECTED, print_exception=False) from error
