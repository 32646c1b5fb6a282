"""Exceptions to toasts: the one place where an error becomes something a visitor reads."""

import errno
import functools
import html
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import gradio as gr

from app.actions import RequestError
from app.aside import answering
from app.cost import bounded
from app.waiting import nobody_waits
from nfn.reader import NetworkFileError
from zoo.errors import ZooError

P = ParamSpec("P")
R = TypeVar("R")

SENTENCES = (RequestError, NetworkFileError, ZooError)
"""The exceptions whose text is written for visitors."""

DISK_FULL = "The disk for files is full here, so this was not written. Please try again in an hour."

UNEXPECTED = (
    "Something went wrong on our side. It has been logged; please try again or choose another network."
)


def alerting(handler: Callable[P, R]) -> Callable[P, R]:
    """The same handler; what it raises becomes a `gr.Error`."""

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        with _alerts(handler), answering(), bounded(nobody_waits()):
            return handler(*args, **kwargs)

    return guarded


def alerting_steps(handler: Callable[P, Iterator[R]]) -> Callable[P, Iterator[R]]:
    """The same handler that shows one value after another; what it raises on the way becomes a `gr.Error`."""

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        with _alerts(handler):
            yield from handler(*args, **kwargs)

    return guarded


def warn(error: Exception) -> None:
    """A toast for what was refused, where the page says so in its place too."""
    gr.Warning(html.escape(str(error), quote=False), duration=6)


@contextmanager
def _alerts(handler: Callable) -> Iterator[None]:
    """Exceptions as `gr.Error`, escaped, for Gradio shows the text as HTML."""
    try:
        yield
    except SENTENCES as error:
        raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise gr.Error(DISK_FULL, print_exception=False) from error
        logging.getLogger(__name__).exception("%s failed", handler)
        raise gr.Error(UNEXPECTED, print_exception=False) from error
