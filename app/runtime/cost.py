"""Limits on the cost of an answer. No gradio.

The cost is estimated from a network's shapes, and too expensive requests are refused before anything is computed. A
computation also stops at a time limit, or when the visitor has left.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from app.runtime.errors import RequestError
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Activation, AdaptivePool, Conv, Flatten, Linear, Op
from nfn.interrupt import checking
from nfn.spec import NetworkSpec

MAX_ACTIVATIONS = 2**23
"""Values of one layer that are in memory at once."""
MAX_MULTIPLICATIONS = 2 * 10**11
"""Multiply-adds of one answer: about ten seconds of one core."""
SECONDS = 60.0
"""Time limit of an answer: ten times what the most expensive answers take on an idle machine."""
TRAINING_FACTOR = 3
"""The cost of a training step, in forward passes."""

TOO_LONG = "This took longer than {:.0f} seconds and was stopped. Try a smaller network, or try again later."
ABANDONED = "This was stopped because nobody was waiting for it any more."


@dataclass(frozen=True)
class Cost:
    """Multiply-adds, and values in memory at once besides the weights."""

    multiplications: int
    values: int = 0


def check_cost(cost: Cost) -> None:
    """Raise RequestError if an answer would take too much time or memory."""
    if cost.multiplications > MAX_MULTIPLICATIONS:
        raise RequestError(
            f"This network needs {cost.multiplications:.1e} multiplications; the limit here is "
            f"{MAX_MULTIPLICATIONS:.0e}. Try a narrower network."
        )
    if cost.values > MAX_ACTIVATIONS:
        raise RequestError(
            f"The layers of this network hold {cost.values:,} values at once; the limit here is {MAX_ACTIVATIONS:,}. "
            "Try a narrower network."
        )


def training_cost(spec: NetworkSpec, image_shape: Sequence[int], batch: int, steps: int) -> Cost:
    """Estimate the cost of `steps` training steps of an MLP, or of stride-2 convolutions and linear layers.

    The images are `(c, H, W)`. Raises ArchitectureError if they do not fit the network.
    """
    network = stride_2_architecture(spec, image_shape)
    values = sum(map(math.prod, network.values))
    return Cost(network.multiplications * batch * steps * TRAINING_FACTOR, values * batch)


def stride_2_architecture(spec: NetworkSpec, image_shape: Sequence[int]) -> Architecture:
    """The architecture that `nfn.sparse_training` trains: stride-2 convolutions, global average pool, linear, ReLU."""
    ops: list[Op] = []
    shapes = {str(i): weight.shape for i, weight in enumerate(spec.weight_spec)}
    for i, shape in enumerate(shapes.values()):
        if len(shape) == 4:
            ops.append(Conv(inputs=(len(ops),), weight=str(i), stride=(2, 2)))
        else:
            if i and len(shapes[str(i - 1)]) == 4:
                ops.append(AdaptivePool(inputs=(len(ops),), mode="average"))
            if not i or len(shapes[str(i - 1)]) == 4:
                ops.append(Flatten(inputs=(len(ops),)))
            ops.append(Linear(inputs=(len(ops),), weight=str(i)))
        ops.append(Activation(inputs=(len(ops),), function="relu"))
    return Architecture(tuple(image_shape), tuple(ops), shapes)


@contextmanager
def time_limit(is_abandoned: Callable[[], bool], seconds: float | None = None) -> Iterator[None]:
    """Raise RequestError between two steps of a computation once its time is over, or `is_abandoned()` is true."""
    limit = SECONDS if seconds is None else seconds
    end = time.monotonic() + limit

    def check() -> None:
        if time.monotonic() > end:
            raise RequestError(TOO_LONG.format(limit))
        if is_abandoned():
            raise RequestError(ABANDONED)

    with checking(check):
        yield
