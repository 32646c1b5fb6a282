"""The device that things run on. On a ZeroGPU Space only calls decorated with `spaces.GPU` get a GPU.

The app itself stays on the CPU there: CUDA must not be touched outside of such a call, and the predictors take
milliseconds, less than waiting for a GPU. Two calls can take long and request one: running a network over a thousand
images (15 s) and fitting a network to a picture (60 s).
"""

import importlib
import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch

F = TypeVar("F", bound=Callable)


def zero_gpu() -> bool:
    """Whether this is a ZeroGPU Space, by the environment variable that the package `spaces` uses."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


@cache
def device() -> torch.device:
    """The device of the predictors: CUDA if this machine has it, except on ZeroGPU."""
    return torch.device("cuda" if not zero_gpu() and torch.cuda.is_available() else "cpu")


def gpu_call_device() -> torch.device:
    """The device inside a function decorated with `on_gpu`: the ZeroGPU device, or `device()`."""
    return torch.device("cuda") if zero_gpu() else device()


def on_gpu(seconds: int) -> Callable[[F], F]:
    """Decorate a function or generator to get a ZeroGPU device for up to `seconds`; no effect elsewhere."""
    return (
        importlib.import_module("spaces").GPU(duration=seconds) if zero_gpu() else lambda function: function
    )
