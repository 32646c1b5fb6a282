"""Trace a PyTorch module to an architecture by running it once on random inputs.

The result is checked against the module on other random inputs, in a batch of another size; a module with operations
that the ops cannot express raises `ArchitectureError`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nfn.architecture.declared import HasShape
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import ArchitectureError, Op, Shape


@dataclass(frozen=True)
class Traced:
    """An architecture and its tensors by name."""

    architecture: Architecture
    tensors: dict[str, Tensor]


def trace(module: nn.Module, input_shape: Sequence[int]) -> Architecture:
    """The architecture of a module in evaluation mode, for inputs `(N, *input_shape)`.

    Ops use the names of the module's parameters and buffers, so that `architecture.run(module.state_dict(), x)` equals
    `module.eval()(x)`; for computed tensors (weight norm, masks) use `trace_with_tensors`.

        >>> trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (4,)).output_shape
        (3,)

    Raises:
        ArchitectureError: the module cannot run on such inputs, or has an operation that an architecture cannot
            express: the message has the operation, the line of its code, and what to do instead.
    """
    return trace_with_tensors(module, input_shape).architecture


def trace_with_tensors(module: nn.Module, input_shape: Sequence[int]) -> Traced:
    """As `trace`, with the tensors, detached; computed tensors have the values that the module computes."""
    from nfn.architecture.tracing.listening import listening  # imports parts of PyTorch only when needed
    from nfn.architecture.tracing.recorder import Recorder
    from nfn.architecture.tracing.table import HANDLERS

    module, shape = _unwrapped(module), _check_shape(input_shape)
    with _in_evaluation(module):
        recorder, x = Recorder(module, shape, HANDLERS), _random(module, 2, shape)
        with listening(recorder, x):
            output = _outputs(_run(module, x))
            number = recorder.output_number(output)
        architecture = only_needed(recorder.ops, number, shape, recorder.tensors)
        tensors = {name: recorder.tensors[name].detach() for name in architecture.shapes}
        _check_function(module, architecture, tensors)
    return Traced(architecture, tensors)


def _unwrapped(module: Any) -> nn.Module:
    """The original module of one from `torch.compile`; errors for other objects."""
    if not isinstance(module, nn.Module):
        hint = "; build the module and load the state_dict into it" if isinstance(module, dict) else ""
        raise TypeError(f"Got a {type(module).__name__}; expected a torch.nn.Module{hint}.")
    if isinstance(module, torch.jit.ScriptModule):
        raise ArchitectureError("Got a module of torch.jit; give the Python module that it was made of.")
    inside = getattr(module, "_orig_mod", module)
    meta = [name for name, p in inside.named_parameters() if p.is_meta]
    if meta:
        raise ArchitectureError(f"The parameter {meta[0][:60]!r} has no values (it is on the meta device).")
    return inside


def _check_shape(sizes: Sequence[int]) -> Shape:
    try:
        shape = tuple(int(size) for size in sizes)
    except (TypeError, ValueError) as error:
        raise ArchitectureError(
            f"Got the input shape {sizes!r}; expected numbers such as (1, 28, 28)."
        ) from error
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ArchitectureError(
            f"Got the input shape {shape}; expected (channels, height, width) or (features,), without the batch."
        )
    return shape


@contextmanager
def _in_evaluation(module: nn.Module) -> Iterator[None]:
    """Put the module in evaluation mode, and restore the mode of each submodule afterwards."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _random(module: nn.Module, count: int, shape: Shape) -> Tensor:
    """Random inputs with the module's dtype and device."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, *shape, generator=generator).to(like.device, like.dtype)


def _run(module: nn.Module, x: Tensor) -> Any:
    try:
        return module(x)
    except ArchitectureError:
        raise
    except Exception as error:  # this runs the caller's code
        raise ArchitectureError(
            f"The module cannot run on inputs of shape {tuple(x.shape)}: {type(error).__name__}: "
            f"{str(error)[:300]}. Give the shape of one input, such as (1, 28, 28), as input_shape."
        ) from error


def _outputs(result: Any) -> list[Tensor]:
    """The tensors that a module returns, alone or in a tuple, list or dict."""
    if isinstance(result, Tensor):
        return [result]
    parts = (
        result.values() if isinstance(result, dict) else result if isinstance(result, list | tuple) else []
    )
    return [part for part in parts if isinstance(part, Tensor)]


def only_needed(
    ops: Sequence[Op], output: int, shape: Shape, tensors: Mapping[str, HasShape]
) -> Architecture:
    """The architecture of only those ops that the output depends on, renumbered."""
    needed, left = set(), [output]
    while left:
        number = left.pop()
        if number and number not in needed:
            needed.add(number)
            left.extend(ops[number - 1].inputs)
    numbers = {0: 0, **{old: new for new, old in enumerate(sorted(needed), 1)}}
    kept = [
        replace(ops[old - 1], inputs=tuple(numbers[i] for i in ops[old - 1].inputs)) for old in sorted(needed)
    ]
    return Architecture(shape, tuple(kept), {name: tuple(t.shape) for name, t in tensors.items()})


def _check_function(module: nn.Module, architecture: Architecture, tensors: dict[str, Tensor]) -> None:
    """Raise ArchitectureError unless both compute the same from other inputs, in a batch of another size."""
    x = _random(module, 3, architecture.input_shape)
    with torch.no_grad():
        got = architecture.run(tensors, x).double()
        outputs = _outputs(_run(module, x))
    same = [y.double() for y in outputs if y.shape == got.shape]
    tolerance = 1e-4 if x.dtype in (torch.float32, torch.float64) else 3e-2
    scale = 1 + max((float(y.abs().nan_to_num().max()) for y in same), default=0.0)
    if not any(torch.allclose(got, y, atol=tolerance * scale, rtol=0, equal_nan=True) for y in same):
        most = min((float((got - y).abs().nan_to_num(math.inf).max()) for y in same), default=math.inf)
        raise ArchitectureError(
            "The module does something that tracing did not record: on other inputs its output differs by "
            f"{most:.2g} from what was traced. It may be random, look at the size of the batch, change tensors in "
            "place, or leave PyTorch (NumPy, .tolist()). Write it as operations on the input."
        )
