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

from nfn.checkpoint import open_checkpoint
from nfn.compare import compare
from nfn.health import examine
from nfn.look import look

TENSORS, SIDE = 120, 2_048
"""120 matrices of 16 MB."""


def write(path: Path, noise: float = 0) -> None:
    """Write random matrices, and a fine-tuned copy if there is `noise`."""
    size = 4 * SIDE * SIDE
    header = json.dumps({
        f"layers.{i}.weight": {"dtype": "F32", "shape": [SIDE, SIDE], "data_offsets": [i * size, (i + 1) * size]}
        for i in range(TENSORS)
    }).encode()  # fmt: skip
    rng = np.random.default_rng(0)
    values, change = (rng.standard_normal((SIDE, SIDE)).astype("<f4") / 40 for _ in range(2))
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for i in range(TENSORS):
            file.write((np.roll(values, i) + np.float32(noise) * np.roll(change, 7 * i)).tobytes())


def run(task: str, paths: list[Path]) -> str:
    """One row of the table."""
    before, start = peak(), time.process_time()
    if task == "look":
        look(open_checkpoint(paths[0]))
    elif task == "health":
        examine(open_checkpoint(paths[0]))
    else:
        compare(open_checkpoint(paths[0]), open_checkpoint(paths[1]))
    return f"| {task} | {time.process_time() - start:.3g} s | {peak() - before:,.0f} MiB |"


def peak() -> float:
    """The most memory that the process had so far, in MiB (Linux; `ru_maxrss` would start at that of the parent)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    if len(sys.argv) > 1:
        print(run(sys.argv[1], [Path(name) for name in sys.argv[2:]]))
        return
    with tempfile.TemporaryDirectory() as folder:
        one, tuned = Path(folder, "one.safetensors"), Path(folder, "tuned.safetensors")
        write(one)
        write(tuned, 0.04)
        print(f"{one.stat().st_size / 1e9:.2f} GB, {TENSORS} tensors; {peak():,.0f} MiB after imports")
        tasks = [
            ["look", one],
            ["health", one],
            ["compare with itself", one, one],
            ["compare with a copy", one, tuned],
        ]
        for task in tasks:
            subprocess.run([sys.executable, "-m", "bench.large_file", *map(str, task)], check=True)


if __name__ == "__main__":
    main()
