"""Calls by place may leave out their last arguments: Gradio asks for all, so the defaults are put in. No gradio."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CALL = "/gradio_api/call/"
"""Where an endpoint is called with a list of arguments; its name follows."""

Defaults = Mapping[str, Sequence[Any]]
"""Endpoint to its defaults, `inspect.Parameter.empty` where an argument has none."""


def defaults_of(endpoints: Sequence[Callable]) -> Defaults:
    """The defaults of each endpoint's arguments, in order."""
    return {f.__name__: [p.default for p in inspect.signature(f).parameters.values()] for f in endpoints}


def with_defaults(path: str, content: bytes, defaults: Defaults) -> bytes:
    """The body of a request with the arguments that it leaves out at the end; any other body as it is."""
    known = defaults.get(path.removeprefix(CALL)) if path.startswith(CALL) else None
    if known is None:
        return content
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return content
    given = body.get("data") if isinstance(body, dict) else None
    if not isinstance(given, list):
        return content
    missing = known[len(given) :]
    if not missing or inspect.Parameter.empty in missing:
        return content
    return json.dumps({**body, "data": [*given, *missing]}).encode()
