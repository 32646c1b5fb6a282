"""How the reader refuses a file, the memory that it takes, and a checkpoint to damage."""

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from reader_files import (
    make_siren,
)

from nfn.reader import NetworkFileError, read_network

LONGEST_SECONDS = 2.0


def refusal(path: Path) -> str:
    """The message with which a file is refused: one readable line, given soon."""
    start = time.process_time()
    with pytest.raises(NetworkFileError) as caught:
        read_network(path)
    assert time.process_time() - start < LONGEST_SECONDS
    message = str(caught.value)
    assert message.isprintable() and len(message) < 800
    assert "weights_only" not in message
    return message


def peak_memory(action: Callable[[], object]) -> int:
    """The most bytes that Python and numpy held while `action` ran."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def valid_checkpoint(path: Path) -> bytes:
    torch.save(make_siren(2, 4, 1).state_dict(), path)
    return path.read_bytes()
