"""Pushing a zoo to the small Hub on this machine, and what the tests of it compare and expect."""

import time
from pathlib import Path

import pytest
import torch
from loopback_hub import LoopbackHub

from zoo import cache
from zoo.catalog import EMBEDDED, Zoo
from zoo.errors import HubError
from zoo.push import Push

ROOT = Path(__file__).parent.parent
NAME = "someone/zoo"
DATASET, MODEL = ("datasets", NAME), ("models", f"{NAME}-inr-editor")
DEADLINE = 6
"""Seconds that any failure may take here: where it is about time, the Hub has one to answer."""


def put(hub: LoopbackHub, folder: Path, repo: str = NAME) -> str:
    return Push(folder, repo).run(lambda *_: None)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("catalog.json", *Zoo(folder).listed())}


def cached(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.name != cache.USED}


def same(first, second) -> bool:
    pairs = zip(first.tensors().values(), second.tensors().values(), strict=True)
    return first.tensors().keys() == second.tensors().keys() and all(torch.equal(a, b) for a, b in pairs)


def check_failure(deed, sentence: str) -> None:
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(HubError, match=sentence) as caught:
        if "within 1 s" in sentence or "slow" in sentence:
            patch.setenv("WEIGHTSCOPE_HUB_SECONDS", "1")
        deed()
    assert time.monotonic() - started < DEADLINE
    assert (
        "\n" not in str(caught.value)
        and "Traceback" not in str(caught.value)
        and len(str(caught.value)) < 350
    )
    assert Zoo(EMBEDDED).network("mnist-sirens/test/0"), "the zoo that ships works on"
