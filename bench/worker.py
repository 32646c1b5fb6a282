"""Measure one library in its own process, as both are imported as `nfn`.

python bench/worker.py FOLDER_OF_NFN THREADS          reads cases and commands from stdin, answers in JSON
python bench/worker.py FOLDER_OF_NFN THREADS memory CASE LAYOUT    prints the peak memory of a step, in bytes
"""

import copy
import json
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path[0] = sys.argv[1]

import torch  # noqa: E402  (after the library has been chosen)
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from nfn import common, layers  # noqa: E402

CASES = {
    "SIREN 2-32-32-1, 64 channels, batch 32": ("HNPLinear", [(32, 2), (32, 32), (1, 32)], 64, 32),
    "SIREN 2-32-32-1, 256 channels, batch 32": ("HNPLinear", [(32, 2), (32, 32), (1, 32)], 256, 32),
    "CNN 1-16-16-16-10, 16 channels, batch 32": (
        "HNPLinear",
        [(16, 1, 3, 3), (16, 16, 3, 3), (16, 16, 3, 3), (10, 16)],
        16,
        32,
    ),
    "MLP 784-128-128-10, 16 channels, batch 8": ("NPLinear", [(128, 784), (128, 128), (10, 128)], 16, 8),
}


PRODUCTS = re.compile(r"aten\.(mm|addmm_?|bmm|baddbmm_?|convolution|convolution_backward)\.default")
"""The operations that are matrix products."""


class RecordProducts(TorchDispatchMode):
    """Record the matrix products of what runs inside, to run them again alone: the least that a layer can cost."""

    def __init__(self):
        super().__init__()
        self.calls: list[Callable[[], object]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if PRODUCTS.fullmatch(str(func)):
            self.calls.append(partial(func, *args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))

    def run(self) -> None:
        """Run the products that were recorded, in their order, on the same operands."""
        with torch.no_grad():
            for call in self.calls:
                call()


def build(case: str, layout: str) -> dict[str, Callable[[], object]]:
    """The functions to time, each also compiled, and its matrix products alone ("step products" and the like)."""
    layer, inputs, grads = prepare(case, layout)
    runs, compiled = functions(layer, inputs, grads), copy.deepcopy(layer)
    compiled.compile()
    return {
        **runs,
        **{f"{name} products": products_of(run) for name, run in runs.items()},
        **{f"{name} compiled": run for name, run in functions(compiled, inputs, grads).items()},
    }


def prepare(case: str, layout: str) -> tuple[torch.nn.Module, Any, list[torch.Tensor]]:
    """A layer, its inputs and the gradients of its outputs.

    `layout` is "plain" (contiguous inputs) or "stacked" (as another layer returns them).
    """
    name, shapes, channels, batch = CASES[case]
    torch.manual_seed(0)
    weight_specs = tuple(common.ArraySpec(shape) for shape in shapes)
    spec = common.NetworkSpec(weight_specs, tuple(common.ArraySpec(shape[:1]) for shape in shapes))
    layer = getattr(layers, name)(spec, channels, channels)
    weights = [torch.randn(batch, channels, *shape) for shape in shapes]
    biases = [torch.randn(batch, channels, shape[0]) for shape in shapes]
    inputs = common.WeightSpaceFeatures(weights, biases)
    with torch.no_grad():
        outputs = layer(inputs)
    # Gradients arrive in the layout of the outputs, as from the next layer.
    grads = [torch.randn_like(x) for x in tensors(outputs)]
    if layout == "stacked":
        inputs = outputs.detach()

    return layer, inputs, grads


def functions(layer: torch.nn.Module, inputs, grads: list[torch.Tensor]) -> dict[str, Callable[[], object]]:
    """A forward pass of the layer, and a step."""

    def forward() -> object:
        with torch.no_grad():
            return layer(inputs)

    def step() -> None:
        layer.zero_grad()
        leaves = inputs.map(lambda x: x.detach().requires_grad_())
        torch.autograd.backward(tensors(layer(leaves)), grads)

    return {"forward": forward, "step": step}


def products_of(run: Callable[[], object]) -> Callable[[], object]:
    """The matrix products of a function alone."""
    with RecordProducts() as products:
        run()
    return products.run


def tensors(features) -> list[torch.Tensor]:
    return [x for pair in zip(features.weights, features.biases, strict=True) for x in pair]


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_bytes(run: Callable[[], object]) -> int:
    """The growth of the process above its initial size, over three runs (Linux)."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        run()
    return (_status("VmHWM") - before) * 1024


def _status(name: str) -> int:
    match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise RuntimeError(f"/proc/self/status has no {name}; memory is measured on Linux only.")
    return int(match.group(1))


def serve() -> None:
    runs: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        command = json.loads(line)
        if "case" in command:
            runs = build(command["case"], command["layout"])
            answer: object = "ready"
        else:
            answer = [seconds(runs[command["run"]]) for _ in range(command["times"])]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    if sys.argv[3:4] == ["memory"]:
        print(peak_bytes(functions(*prepare(sys.argv[4], sys.argv[5]))["step"]))
    else:
        serve()
