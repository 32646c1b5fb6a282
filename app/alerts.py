"""Exceptions to toasts: the one place where an error becomes something a visitor reads."""

import functools
import html
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import gradio as gr

from app.actions import RequestError
from nfn.reader import NetworkFileError
from zoo.errors import ZooError

P = ParamSpec("P")
R = TypeVar("R")

SENTENCES = (RequestError, NetworkFileError, ZooError)
"""The exceptions whose text is written for visitors."""

UNEXPECTED = (
    "Something went wrong on our side. It has been logged; please try again or choose another network."
)


def alerting(handler: Callable[P, R]) -> Callable[P, R]:
    """The same handler; what it raises becomes a `gr.Error`, escaped, for Gradio shows the text as HTML."""

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except SENTENCES as error:
            raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error
        except Exception as error:
            logging.getLogger(__name__).exception("%s failed", handler)
            raise gr.Error(UNEXPECTED, print_exception=False) from error

    return guarded
