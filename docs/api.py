"""Write the endpoints into `api.md`: `python -m docs.api`."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from app.api.endpoints import ENDPOINTS
from zoo.card import table

PAGE = Path(__file__).parent / "api.md"
START, END = "<!-- endpoints: written by python -m docs.api -->", "<!-- end of endpoints -->"
DATA = "data:application/octet-stream;base64,..."
EXAMPLES: dict[str, dict[str, Any]] = {
    "list_collections": {},
    "list_networks": {"collection": "mnist-sirens", "limit": 2},
    "describe_network": {"zoo_id": "mnist-inits/test/0"},
    "compare_networks": {"zoo_id": "mnist-inits/test/0", "other_zoo_id": "mnist-inits/test/1"},
    "weight_spectra": {"zoo_id": "cifar10-cnns/test/17"},
    "measure_network": {"zoo_id": "cifar10-cnns/test/17"},
    "predict_generalization": {"zoo_id": "cifar10-cnns/test/17"},
    "predict_generalization_batch": {"files": [DATA]},
    "classify_inr": {"zoo_id": "mnist-sirens/test/17"},
    "edit_inr": {"zoo_id": "mnist-sirens/test/17", "style": "dilate", "strength": 1.0},
    "fit_inr": {"image": DATA, "size": "small", "pixels": 28},
    "winning_ticket": {"zoo_id": "mnist-inits/test/3", "sparsity": 0.95},
    "read_cards": {},
}
"""Example arguments of each endpoint; those without `DATA` can be sent as they are."""
ARGUMENT = re.compile(r"^    (\w+): (.*)$", re.MULTILINE)


def main() -> None:
    """Replace the endpoints between the page's markers."""
    PAGE.write_text(with_endpoints(PAGE.read_text()))


def with_endpoints(text: str) -> str:
    """`text` with the current endpoints between the markers."""
    before, rest = text.split(START)
    sections = "\n".join(section(function, title) for function, title in ENDPOINTS.items())
    return f"{before}{START}\n{sections}\n{END}{rest.split(END)[1]}"


def section(function: Callable, title: str) -> str:
    """The Markdown of one endpoint: description, arguments, result, example call."""
    head, _, returns = (inspect.getdoc(function) or "").partition("Returns:")
    does, _, arguments = head.partition("Args:")
    example = json.dumps(EXAMPLES[function.__name__])
    return (
        f"\n### {function.__name__}: {title}\n\n{does.strip()}\n{_arguments(function, arguments)}\n"
        f"Gives: {returns.strip()}\n\n```json\n{example}\n```"
    )


def _arguments(function: Callable, described: str) -> str:
    if not described:
        return ""
    parameters, hints = inspect.signature(function).parameters, get_type_hints(function)
    rows = [
        {"name": f"`{name}`", "type": _type(hints[name]), "default": _default(parameters[name]), "what": what}
        for name, what in ARGUMENT.findall(described)
    ]
    return (
        f"\n{table(rows, {'name': 'argument', 'type': 'type', 'default': 'default', 'what': 'what it is'})}\n"
    )


def _type(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    if get_origin(hint) is list:
        return f"list of {_type(get_args(hint)[0])}s"
    names = {"FileData": "file", "str": "text", "float": "number", "int": "whole number"}
    kinds = [kind for kind in (get_args(hint) or [hint]) if kind is not type(None)]
    return " or ".join(names[kind.__name__] for kind in kinds)


def _default(parameter: inspect.Parameter) -> str:
    return "required" if parameter.default is parameter.empty else f"`{json.dumps(parameter.default)}`"


if __name__ == "__main__":
    main()
