"""Where things run. A ZeroGPU Space lends its GPU to single calls, by `spaces.GPU`; elsewhere a call is only a call.

There the app itself stays on the CPU: CUDA must not be touched outside of such a call, and what the predictors do takes
milliseconds, less than borrowing a GPU does. Running a network over a thousand images can take seconds: it borrows.
"""

import importlib
import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch

F = TypeVar("F", bound=Callable)


def zero_gpu() -> bool:
    """Whether this is a ZeroGPU Space, by the variable that the package `spaces` goes by too."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


@cache
def device() -> torch.device:
    """Where predictors run: the GPU when there is one of our own."""
    return torch.device("cuda" if not zero_gpu() and torch.cuda.is_available() else "cpu")


def lent_device() -> torch.device:
    """Where a function under `on_gpu` runs: the GPU that is lent to it, or `device()`."""
    return torch.device("cuda") if zero_gpu() else device()


def on_gpu(seconds: int) -> Callable[[F], F]:
    """Let a function or generator have the GPU of a ZeroGPU Space for up to `seconds`; elsewhere it stays as it is."""
    return (
        importlib.import_module("spaces").GPU(duration=seconds) if zero_gpu() else lambda function: function
    )
