"""Fill in and check the arguments of API calls before Gradio sees them. No gradio.

Gradio requires every argument of a positional call, and answers a call by name with a traceback if an argument is
missing or the endpoint does not exist.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.server.bodies import RefusedError

CALL = "/gradio_api/call/"
"""Path of a call with a list of arguments; the endpoint's name follows."""
CALL_BY_NAME = "/gradio_api/call/v2/"
"""Path of a call with arguments by name."""
REQUIRED = inspect.Parameter.empty

Defaults = Mapping[str, Mapping[str, Any]]
"""By endpoint, the default of each argument in order; `REQUIRED` if there is none."""


def endpoint_defaults(endpoints: Iterable[Callable]) -> Defaults:
    """The defaults of the arguments of each endpoint."""
    return {
        f.__name__: {name: p.default for name, p in inspect.signature(f).parameters.items()}
        for f in endpoints
    }


def fill_defaults(path: str, content: bytes, defaults: Defaults) -> bytes:
    """Append the omitted trailing arguments to the body of a positional call; return any other body unchanged.

    Raises RefusedError if the endpoint does not exist, or an argument is missing or unknown.
    """
    if not path.startswith(CALL):
        return content
    by_name = path.startswith(CALL_BY_NAME)
    name = path.removeprefix(CALL_BY_NAME if by_name else CALL).rstrip("/")
    if name not in defaults:
        raise RefusedError(404, f"There is no endpoint of that name. Choose one of {', '.join(defaults)}.")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if by_name:
        _check_names(name, body, defaults[name])
        return content
    arguments = body.get("data") if isinstance(body, dict) else None
    if not isinstance(arguments, list):
        return content
    omitted = dict(list(defaults[name].items())[len(arguments) :])
    _check_complete(name, omitted)
    return json.dumps({**body, "data": [*arguments, *omitted.values()]}).encode() if omitted else content


def _check_names(name: str, body: Any, expected: Mapping[str, Any]) -> None:
    if not isinstance(body, dict):
        return
    if set(body) - set(expected):
        raise RefusedError(
            422, f"This names no argument of {name}; there are {', '.join(expected) or 'none'}."
        )
    _check_complete(name, {key: default for key, default in expected.items() if key not in body})


def _check_complete(name: str, omitted: Mapping[str, Any]) -> None:
    missing = [argument for argument, default in omitted.items() if default is REQUIRED]
    if missing:
        raise RefusedError(422, f"{name} needs {' and '.join(missing)}.")
