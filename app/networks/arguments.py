"""Check API arguments against their type hints: Gradio passes on whatever a client sent. No gradio."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from app.runtime.errors import RequestError
from zoo.errors import shorten

P = ParamSpec("P")
R = TypeVar("R")

Reader = Literal["best", "weights"]
"""The best predictor of a task, or the one that reads weights alone."""
TicketReader = Literal["best", "weights", "training"]
"""The best reader of a winning ticket, weights alone, or a short training."""
MAX_TEXT = 1000
MAX_NUMBER = 2**53
"""The largest whole number that is exact in JSON, Python and a browser alike."""


def check_arguments(endpoint: Callable[P, R]) -> Callable[P, R]:
    """Decorate an endpoint to raise RequestError for an argument that is not the `str`, `int` or `float` of its hint.

    A `Literal` is only checked to be text; the endpoint itself checks the choices, and arguments of other types.
    """
    signature = inspect.signature(endpoint)
    hints = {
        name: str if get_origin(hint) is Literal else hint for name, hint in get_type_hints(endpoint).items()
    }
    kinds = {name: CHECKS[hint] for name, hint in hints.items() if hint in CHECKS}

    @functools.wraps(endpoint)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in kinds:
                try:
                    bound.arguments[name] = kinds[name](value)
                except _WrongType as error:
                    raise RequestError(_sentence(signature.parameters[name], value, str(error))) from error
        return endpoint(*bound.args, **bound.kwargs)

    return guarded


def check_reader(reader: str, readers: Any = Reader) -> None:
    """Raise RequestError for a reader that is not one of the `Literal` `readers`."""
    if reader not in get_args(readers):
        raise RequestError(f"Unknown reader {shorten(reader)}: choose {' or '.join(get_args(readers))}.")


class _WrongType(ValueError):
    """A value has the wrong type; the text names the right one."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _WrongType("text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        raise _WrongType("a number")
    return float(value)


def _whole_number(value: Any) -> int:
    if not _number(value).is_integer():
        raise _WrongType("a whole number")
    return int(value)


def _sentence(parameter: inspect.Parameter, value: Any, expected: str) -> str:
    example = "" if parameter.default is parameter.empty else f" such as {parameter.default!r}"
    got = shorten(value) if isinstance(value, str) else type(value).__name__
    return f"{parameter.name} must be {expected}{example}; got {got}."


CHECKS: dict[Any, Callable[[Any], Any]] = {str: _text, float: _number, int: _whole_number}
"""The check of a value, by type hint."""
