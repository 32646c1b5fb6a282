"""Compare our NF-layers in another checkout with this one: `python -m bench.versions FOLDER`, FOLDER holding its `nfn`.

Both are imported into one process and called in turns, so that memory, caches and the machine's load are the same for
both; the measure is the CPU time of one thread, and the ratio per pair of calls. To measure a change:
`git worktree add /tmp/before main`, then run this on `/tmp/before`.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench.layers import CASES, LAYOUTS, ROOT, WORKER

Build = Callable[[str, str], dict[str, Callable[[], object]]]


def load(folder: Path) -> Build:
    """The worker's `build` with the `nfn` in this folder."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "nfn"]:
        del sys.modules[name]
    here, sys.argv = sys.argv, [str(WORKER), str(folder)]
    first = sys.path[0]
    module = {"__name__": "worker"}
    try:
        exec(compile(WORKER.read_text(), WORKER, "exec"), module)
    finally:
        sys.argv, sys.path[0] = here, first
    actual = Path(sys.modules["nfn"].__file__ or "").parent.parent
    if actual != folder.resolve():
        raise ValueError(f"Imported the nfn of {actual}, expected that of {folder}: is there one?")
    return module["build"]  # pyright: ignore[reportReturnType]


def race(
    before: Callable[[], object], after: Callable[[], object], rounds: int
) -> tuple[float, float, float]:
    """Medians of both in ms of CPU time, and of the ratio per pair of calls, after three warm-up calls."""
    times: dict[Callable[[], object], list[float]] = {before: [], after: []}
    for i in range(rounds + 3):
        for run in (before, after) if i % 2 == 0 else (after, before):
            start = time.process_time()
            run()
            times[run].append((time.process_time() - start) * 1e3)
    pairs = list(zip(times[before][3:], times[after][3:], strict=True))
    medians = (statistics.median(side) for side in zip(*pairs, strict=True))
    return *medians, statistics.median(a / b for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    builds = load(arguments.folder), load(ROOT)
    for layout in LAYOUTS:
        for case in CASES:
            before, after = (build(case, layout) for build in builds)
            for run in before:
                there, here, ratio = race(before[run], after[run], arguments.rounds)
                print(
                    f"{layout}, {case}, {run}: {there:.2f} ms, here {here:.2f} ms, {ratio:.3f} times as fast"
                )


if __name__ == "__main__":
    main()
