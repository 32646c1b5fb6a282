"""Arguments of the API, as their type hints say: Gradio passes on what a client sent, whatever that is. No gradio."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints

from app.actions import RequestError
from zoo.errors import shorten

P = ParamSpec("P")
R = TypeVar("R")

MAX_TEXT = 1000
MAX_NUMBER = 2**53
"""Up to which whole numbers are the same in JSON, in Python and in a browser."""


def checked(endpoint: Callable[P, R]) -> Callable[P, R]:
    """The same endpoint; what is no `str`, `int` or `float` where one is asked for is a RequestError.

    Arguments of other types are the endpoint's own to check.
    """
    signature = inspect.signature(endpoint)
    kinds = {name: CHECKS[hint] for name, hint in get_type_hints(endpoint).items() if hint in CHECKS}

    @functools.wraps(endpoint)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in kinds:
                try:
                    bound.arguments[name] = kinds[name](value)
                except _WrongError as error:
                    raise RequestError(_sentence(signature.parameters[name], value, str(error))) from error
        return endpoint(*bound.args, **bound.kwargs)

    return guarded


class _WrongError(ValueError):
    """A value is of another kind; the text names the right one."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _WrongError("text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        raise _WrongError("a number")
    return float(value)


def _whole_number(value: Any) -> int:
    if not _number(value).is_integer():
        raise _WrongError("a whole number")
    return int(value)


def _sentence(parameter: inspect.Parameter, value: Any, wanted: str) -> str:
    example = "" if parameter.default is parameter.empty else f" such as {parameter.default!r}"
    got = shorten(value) if isinstance(value, str) else type(value).__name__
    return f"{parameter.name} must be {wanted}{example}; got {got}."


CHECKS: dict[Any, Callable[[Any], Any]] = {str: _text, float: _number, int: _whole_number}
"""By type hint, the check of a value."""
