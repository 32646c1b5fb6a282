"""What the fuzzers of requests and of zoos share: seeded cases that can be replayed, changes of JSON and of bytes."""

import copy
import faulthandler
import json
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

EVERY, HANGING = 10.0, 300
"""Seconds between lines of progress, and those after which a case that does not end is shown, and the fuzzer ends."""
ODD = (
    None, True, False, 0, -1, 1, 0.5, 2**31, 2**53, 2**63, -(2**63), 10**400, 1e308, float("nan"), float("-inf"),
    "", " ", "a", "x" * 5000, "\ud800", "a\0b", "\u202e", "../x", "/etc/passwd", "<img src=x onerror=alert(1)>", "%00",
    "http://127.0.0.1:9/x", "data:,x", [], {}, [[]], [None], [0] * 300, {"": []}, {"path": "/etc/passwd"},
    {"__type__": "update"},
)  # fmt: skip
"""Values that are seldom expected."""
FACTORS = (-1, 0, 2, 3, 10, 1000, 10**9)

Check = Callable[[Random], str]
"""Makes one case from a random generator and checks it: its outcome in a word, or any exception, which is a finding."""


def generator(seed: int, number: int) -> Random:
    """The generator of one case, which is the same whichever cases come before."""
    return Random(f"{seed}/{number}")


def fuzz(check: Check, seconds: float, seed: int, only: int | None = None) -> int:
    """Check one case after another until the time is over, or `only` one; the number of findings, which are printed."""
    counts, start, number = Counter[str](), time.monotonic(), only or 0
    printed = start
    while (now := time.monotonic()) < start + seconds:
        if now > printed + EVERY:
            printed = now
            _print_progress(counts, now - start)
        faulthandler.dump_traceback_later(HANGING, exit=True, file=2)
        try:
            counts[check(generator(seed, number))] += 1
        except Exception as error:
            counts["findings"] += 1
            print(
                f"finding, --seed {seed} --only {number}: {type(error).__name__}: {str(error)[:2000]}",
                flush=True,
            )
            if only is not None:
                raise
        if only is not None:
            break
        number += 1
    faulthandler.cancel_dump_traceback_later()
    _print_progress(counts, time.monotonic() - start)
    return counts["findings"]


def _print_progress(counts: Counter[str], seconds: float) -> None:
    cases = sum(counts.values())
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.most_common())
    print(f"{seconds:5.0f} s: {cases:,} cases, {cases / max(seconds, 1e-9):.1f}/s: {outcomes}", flush=True)


def read_arguments(description: str | None) -> Any:
    """The arguments of a fuzzer: `seconds`, `seed`, and the case `only` to replay."""
    parser = ArgumentParser(description=description)
    parser.add_argument("seconds", type=float, nargs="?", default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one case, as a finding gives it")
    return parser.parse_args()


def mutate_json(document: Any, random: Random) -> Any:
    """A copy of a JSON document with one to three changes."""
    document = copy.deepcopy(document)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        holders = list(_holders(document))
        if not holders:
            return random.choice(ODD)
        holder = random.choice(holders)
        key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        random.choice(CHANGES)(holder, key, random)
    return document


def _holders(value: Any):
    """All lists and dicts in a document that are not empty."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict | list) and node:
            yield node
            stack.extend(node.values() if isinstance(node, dict) else node)


def _replace(holder: Any, key: Any, random: Random) -> None:
    holder[key] = copy.deepcopy(random.choice(ODD))


def _adjust(holder: Any, key: Any, random: Random) -> None:
    """Change a number by a factor or by one, or cut and repeat a text or a list."""
    value: Any = holder[key]
    if isinstance(value, bool) or value is None:
        holder[key] = not value
    elif isinstance(value, int | float):
        holder[key] = (
            value + random.choice((-1, 1)) if random.random() < 0.5 else value * random.choice(FACTORS)
        )
    elif not isinstance(value, dict):
        at = random.randrange(len(value) + 1)
        holder[key] = random.choice((value[:at], value + value[:at], value[at:] + value[:at], value * 100))


def _drop(holder: Any, key: Any, random: Random) -> None:
    del holder[key]


def _swap(holder: Any, key: Any, random: Random) -> None:
    """Exchange two values."""
    other = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], holder[key]


def _rename(holder: Any, key: Any, random: Random) -> None:
    """Put a value under another key, or in twice."""
    if isinstance(holder, dict):
        holder[random.choice(("", "path", "x" * 300, "\ud800", f"{key}2", "__proto__"))] = holder.pop(key)
    else:
        holder.insert(key, copy.deepcopy(holder[key]))


def _nest(holder: Any, key: Any, random: Random) -> None:
    for _ in range(random.choice((1, 2, 30, 100))):
        holder[key] = random.choice(([holder[key]], {"a": holder[key]}))


CHANGES = (_replace, _replace, _adjust, _adjust, _drop, _swap, _rename, _nest)


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Up to four places changed, cut out or put in; or the end cut off."""
    data = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at, cut = random.randrange(len(data) + 1), random.choice((0, 1, 1, 1, 2, 8, 40))
        data[at : at + cut] = random.randbytes(random.choice((0, 1, 1, 1, 2, 8)))
    return bytes(data[: random.randrange(len(data) + 1)]) if random.random() < 0.1 else bytes(data)


def dump(document: Any) -> bytes:
    """A document as JSON, NaN and lone surrogates too."""
    return json.dumps(document).encode()
