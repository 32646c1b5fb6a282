"""The names of a classifier's outputs, where a file states them: a list, or a table with their numbers."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nfn.reader import limits
from nfn.reader.facts import normal, normalized

KEYS = ("classes", "class_names", "label_names", "labels", "names", "id2label", "idx_to_class", "class_to_idx",
        "label2id")  # fmt: skip
"""Normalized keys, of `nfn.save`, torchvision, transformers and ONNX files of Ultralytics, among others."""
_REPR = re.compile(r"""([0-9]{1,6}): (?:'([^'\\]*)'|"([^"\\]*)")""")
"""An entry of a Python dict from numbers to names, as text."""


def class_names(metadata: Mapping[str, str], outputs: int) -> tuple[str, ...]:
    """The names of the outputs, in order; () if no entry of the metadata has one distinct name for each of them.

    Example: `class_names({"classes": '["cat", "dog"]'}, 2)` is `("cat", "dog")`.
    """
    facts = normalized(metadata)
    found = (_names(_parse(facts[key][1])) for key in KEYS if key in facts)
    return next((names for names in found if len(set(names) - {""}) == len(names) == outputs), ())


@lru_cache(1_000)
def is_class_key(key: str) -> bool:
    """Whether a metadata key may state class names."""
    return normal(key) in KEYS


def names_text(value: Any) -> str | None:
    """A list of names, or a table of names and numbers, from a pickle, as JSON; None for anything else."""
    parts = (
        value
        if isinstance(value, (list, tuple))
        else [*value, *value.values()]
        if isinstance(value, dict)
        else ()
    )
    if not parts or len(parts) > limits.FACTS or not all(type(part) in (str, int) for part in parts):
        return None
    text = json.dumps(value)
    return text if len(text) <= limits.CLASSES_CHARACTERS else None


def _parse(text: str) -> Any:
    if len(text) > limits.CLASSES_CHARACTERS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {number: single or double for number, single, double in _REPR.findall(text)}


def _names(value: Any) -> tuple[str, ...]:
    """The names in a list, or in a table from or to their numbers."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return tuple(value)
    if not isinstance(value, dict):
        return ()
    by_number = all(isinstance(name, str) for name in value.values())
    named = value.items() if by_number else ((number, name) for name, number in value.items())
    numbered = {str(number): name for number, name in named if isinstance(number, (str, int))}
    return tuple(numbered.get(str(number), "") for number in range(len(value)))
