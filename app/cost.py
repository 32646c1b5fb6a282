"""What an answer will cost, from a network's shapes: too much is refused before it is computed. No gradio.

And what was taken to be cheap ends all the same: at a deadline, or when nobody waits for it any more.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import RequestError
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Activation, AdaptivePool, Conv, Flatten, Linear, Op
from nfn.interrupt import checking
from nfn.spec import NetworkSpec

MAX_ACTIVATIONS = 2**23
"""Values of one layer that are held at once."""
MAX_MULTIPLICATIONS = 2 * 10**11
"""Multiply-adds of one answer: ten seconds or so of one core."""
SECONDS = 60.0
"""After which an answer is given up; ten times what the most expensive ones take on an idle machine."""
BACKWARD = 3
"""How many times as much a step of training takes as a forward pass."""

TOO_LONG = "This took longer than {:.0f} seconds and was stopped. Try a smaller network, or try again later."
NOBODY = "This was stopped, for nobody was waiting for it any more."


@dataclass(frozen=True)
class Cost:
    """Multiply-adds, and values that are held at once beside the weights."""

    multiplications: int
    values: int = 0


def check_cost(cost: Cost) -> None:
    """RequestError where an answer would take too much time or memory."""
    if cost.multiplications > MAX_MULTIPLICATIONS:
        raise RequestError(
            f"This network would take {cost.multiplications:.1e} multiplications, and at most "
            f"{MAX_MULTIPLICATIONS:.0e} are spent on one here. Try a narrower one."
        )
    if cost.values > MAX_ACTIVATIONS:
        raise RequestError(
            f"The layers of this network would hold {cost.values:,} values at once, and at most {MAX_ACTIVATIONS:,} "
            "are held here. Try a narrower one."
        )


def training_cost(spec: NetworkSpec, image_shape: Sequence[int], batch: int, steps: int) -> Cost:
    """Of `steps` of training an MLP, or convolutions of stride 2 and linear layers, on images `(c, H, W)`.

    ArchitectureError where such images do not fit.
    """
    network = stride_2_architecture(spec, image_shape)
    values = sum(map(math.prod, network.values))
    return Cost(network.multiplications * batch * steps * BACKWARD, values * batch)


def stride_2_architecture(spec: NetworkSpec, image_shape: Sequence[int]) -> Architecture:
    """What `nfn.sparse_training` trains: convolutions of stride 2, global average pooling, linear layers, all ReLU."""
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
def bounded(nobody_waits: Callable[[], bool], seconds: float | None = None) -> Iterator[None]:
    """Within, computations end between two steps when their time is over, or when nobody waits: RequestError then."""
    limit = SECONDS if seconds is None else seconds
    end = time.monotonic() + limit

    def check() -> None:
        if time.monotonic() > end:
            raise RequestError(TOO_LONG.format(limit))
        if nobody_waits():
            raise RequestError(NOBODY)

    with checking(check):
        yield
