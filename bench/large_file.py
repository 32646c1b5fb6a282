"""What a file of 2 GB costs to look at, check and compare: `python -m bench.large_file` prints a table for
docs/checkpoints.md. Time is of the CPU, memory the growth of the process's peak, each measured in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.memory import peak_mib
from nfn.checkpoint import open_checkpoint
from nfn.compare import compare
from nfn.health import examine
from nfn.look import look

TENSORS, SIDE = 120, 2_048
"""120 matrices of 16 MB."""


def write(path: Path, noise: float = 0, every: int = 1, permuted: bool = False) -> None:
    """Write random matrices: with `noise` a fine-tuned copy (in one of `every` so many matrices), or a permuted one."""
    size = 4 * SIDE * SIDE
    header = json.dumps({
        f"layers.{i}.weight": {"dtype": "F32", "shape": [SIDE, SIDE], "data_offsets": [i * size, (i + 1) * size]}
        for i in range(TENSORS)
    }).encode()  # fmt: skip
    rng = np.random.default_rng(0)
    values, change = (rng.standard_normal((SIDE, SIDE)).astype("<f4") / 40 for _ in range(2))
    orders = [rng.permutation(SIDE) if permuted else np.arange(SIDE) for _ in range(TENSORS + 1)]
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for i in range(TENSORS):
            weight = np.roll(values, i)[orders[i + 1]][:, orders[i]]
            if noise and i % every == 0:
                weight += np.float32(noise) * np.roll(change, 7 * i)
            file.write(weight.tobytes())


def run(task: str, paths: list[Path]) -> str:
    """One row of the table."""
    before, start = peak_mib(), time.process_time()
    if task == "look":
        answer = look(open_checkpoint(paths[0])).format
    elif task == "health":
        answer = examine(open_checkpoint(paths[0])).verdict
    else:
        answer = compare(open_checkpoint(paths[0]), open_checkpoint(paths[1])).verdict
    return f"| {task} | {answer} | {time.process_time() - start:.3g} s | {peak_mib() - before:,.0f} MiB |"


def main() -> None:
    if len(sys.argv) > 1:
        print(run(sys.argv[1], [Path(name) for name in sys.argv[2:]]))
        return
    with tempfile.TemporaryDirectory() as folder:
        one, tuned, partly, permuted = (
            Path(folder, f"{name}.safetensors") for name in ("one", "tuned", "partly", "permuted")
        )
        write(one)
        write(tuned, 0.04)
        write(partly, 0.04, every=4)
        write(permuted, permuted=True)
        print(f"{one.stat().st_size / 1e9:.2f} GB, {TENSORS} tensors; {peak_mib():,.0f} MiB after imports")
        tasks = [
            ["look", one],
            ["health", one],
            ["compare with itself", one, one],
            ["compare with a copy whose tensors all changed", one, tuned],
            ["compare with a copy of which a quarter changed", one, partly],
            ["compare with a permuted copy", one, permuted],
        ]
        for task in tasks:
            subprocess.run([sys.executable, "-m", "bench.large_file", *map(str, task)], check=True)


if __name__ == "__main__":
    main()
