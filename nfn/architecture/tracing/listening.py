"""Intercept every operation of a module while it runs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nfn.architecture.tracing.recorder import Recorder, Value


@contextmanager
def listening(recorder: Recorder, x: Tensor) -> Iterator[None]:
    """Record the operations of the recorder's module on `x` inside the block."""
    recorder.know(x, Value(0, recorder.input_shape))
    with ExitStack() as stack:
        for name, module in recorder.module.named_modules():
            stack.callback(module.register_forward_pre_hook(_enter(recorder, name)).remove)
            stack.callback(module.register_forward_hook(_leave(recorder), always_call=True).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(_Functions(recorder))
        stack.enter_context(_Dispatch(recorder))
        yield


def _enter(recorder: Recorder, name: str) -> Callable:
    def enter(*_: Any) -> None:
        recorder.places.append(name)

    return enter


def _leave(recorder: Recorder) -> Callable:
    def leave(*_: Any) -> None:
        recorder.places.pop()

    return leave


class _Dispatch(TorchDispatchMode):
    """Passes every ATen operation to the recorder after it has run."""

    def __init__(self, recorder: Recorder):
        super().__init__()
        self.recorder = recorder

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in _DECISIONS and any(id(a) in self.recorder.known for a in args):
            raise self.recorder.refuse(
                "Python asks for a number that depends on the input, so that the steps may depend on it too"
            )
        out = func(*args, **(kwargs or {}))
        self.recorder.record(func, args, kwargs or {}, out)
        return out


_DECISIONS = {"_local_scalar_dense", "item", "is_nonzero", "equal"}


class _Functions(TorchFunctionMode):
    """Remembers which function of PyTorch's interface is being called, for error messages."""

    def __init__(self, recorder: Recorder):
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func, types, args=(), kwargs=None):
        before, self.recorder.function = self.recorder.function, func
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.recorder.function = before
