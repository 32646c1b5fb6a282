"""The decorator that turns a plain function into an API endpoint, which is also an MCP tool."""

import functools
import inspect
import time
from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

from app.networks.arguments import check_arguments
from app.page.alerts import with_alerts
from app.runtime.errors import RequestError, UnsuitableNetwork
from app.tabs.generalization import actions as generalization_actions
from app.tabs.inr import actions as inr_actions
from app.tabs.tickets import actions as tickets_actions
from nfn.network import Network

P = ParamSpec("P")
R = TypeVar("R")
ImageSet = Literal["auto", "mnist", "fashion_mnist", "cifar10"]
"""The choice of an image set."""
SECTIONS = ("Args:", "Returns:")
READERS: dict[str, Callable[[Network], bool]] = {
    "classify_inr": inr_actions.reads,
    "predict_generalization": generalization_actions.reads,
    "winning_ticket": tickets_actions.reads,
}
"""By endpoint, whether it takes a network."""


def endpoint(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function as an endpoint: check arguments, word errors, add seconds, unwrap the docstring.

    Errors name other endpoints rather than tabs, because a caller has no page.
    """

    checked = check_arguments(function)

    @with_alerts
    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        start = time.perf_counter()
        try:
            result = checked(*args, **kwargs)
        except UnsuitableNetwork as error:
            others = _readers(error.network, function.__name__)
            raise RequestError(f"{error}{others}") from error
        return with_seconds(result, time.perf_counter() - start)

    called.__doc__ = unwrap_docstring(inspect.getdoc(function) or "")
    return called


def _readers(network: Network, refused_by: str) -> str:
    """A sentence that names the other endpoints that take a network; "" if there are none."""
    names = " and ".join(name for name, reads in READERS.items() if name != refused_by and reads(network))
    return f" Such networks are read by {names}." if names else ""


def with_seconds(result: R, seconds: float) -> R:
    """Set `seconds` of a result's facts, if any, to the time of this call, even if the result was cached."""
    facts = result[0] if isinstance(result, tuple) else result
    if isinstance(facts, dict):
        facts["seconds"] = round(seconds, 4)
    return result


def unwrap_docstring(doc: str) -> str:
    """Join each argument and return value of a docstring into one line: Gradio reads only the first line of each.

    Example:
        >>> print(unwrap_docstring("Draw.\\n\\nArgs:\\n    size: Pixels\\n        a side.\\n    ink: Its colour."))
        Draw.
        <BLANKLINE>
        Args:
            size: Pixels a side.
            ink: Its colour.
    """
    lines: list[str] = []
    section = ""
    for line in doc.splitlines():
        section = line if line in SECTIONS else section if line.startswith(" ") or not line else ""
        is_continuation = len(line) - len(line.lstrip()) > (4 if section == "Args:" else 3)
        if section and is_continuation and lines[-1] != section:
            lines[-1] = f"{lines[-1]} {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)
