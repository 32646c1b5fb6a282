"""Compare our NF-layers with those of the published `nfn` 0.1.2 in one run: `python -m bench.layers`.

Each library runs in its own process. They take turns of one burst each (the first two calls of a burst warm up the
caches), so that other load on the machine affects both equally; the ratio is computed per pair of turns, and the table
shows medians. Between them, our process runs the matrix products of our layer alone: what is left when all else is
free. Writes docs/bench.md.
"""

import argparse
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / ".bench" / "nfn-0.1.2"
WORKER = ROOT / "bench" / "worker.py"
REPORT = ROOT / "docs" / "bench.md"
CASES = re.findall(r'^    "(.+?)":', WORKER.read_text(), re.MULTILINE)
LAYOUTS = {
    "plain": "Contiguous inputs `(B, C, out, in)`, as a user has them",
    "stacked": "Inputs as another layer of the same library left them, the case inside every model",
}
RUNS = ("forward", "step")
THREADS = (1, 2)


@dataclass(frozen=True)
class Timing:
    """Medians in ms of the published layer, of ours, and of our matrix products alone; and the ratio per pair."""

    published: float
    ours: float
    products: float
    ratio: float

    def cells(self) -> list[str]:
        floor = f"{self.products:.1f} ({self.ours / self.products:.1f}x)"
        return [f"{self.published:.1f}", f"{self.ours:.1f}", floor, f"**{self.ratio:.1f}**"]


def install_published() -> None:
    """Install the published package and its dependency einops into a folder that only the worker imports from."""
    if not (PUBLISHED / "nfn").is_dir() or not (PUBLISHED / "einops").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(PUBLISHED)]
        subprocess.run([*command, "nfn==0.1.2", "einops"], check=True)


class Worker:
    """A library in its own process."""

    def __init__(self, folder: Path, threads: int):
        command = [sys.executable, str(WORKER), str(folder), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **command):
        assert self.process.stdin is not None and self.process.stdout is not None, "the worker has pipes"
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"The worker ended (exit code {self.process.wait()}) on {command}; see its error above."
            )
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None, "the worker has pipes"
        self.process.stdin.close()
        self.process.wait()


def race(published: Worker, ours: Worker, run: str, rounds: int) -> Timing:
    """Both libraries in turns, and our products alone after each pair."""
    for worker in (published, ours):
        worker.ask(run=run, times=2)
    turns: list[tuple[float, float, float]] = []
    for i in range(rounds):
        order = (published, ours) if i % 2 == 0 else (ours, published)
        times = {worker: milliseconds(worker, run) for worker in order}
        turns.append((times[published], times[ours], milliseconds(ours, f"{run} products")))
    medians = [statistics.median(column) for column in zip(*turns, strict=True)]
    return Timing(*medians, ratio=statistics.median(a / b for a, b, _ in turns))


def milliseconds(worker: Worker, run: str) -> float:
    """The median of a burst."""
    return statistics.median(worker.ask(run=run, times=8)[2:]) * 1e3


def peak_megabytes(folder: Path, threads: int, case: str, layout: str) -> float:
    command = [sys.executable, str(WORKER), str(folder), str(threads), "memory", case, layout]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 2**20


def table(layout: str, threads: int, rounds: int) -> list[str]:
    """Markdown rows of all cases for this layout, the least gain first, with geometric means."""
    timings: dict[str, dict[str, Timing]] = {}
    for case in CASES:
        workers = Worker(PUBLISHED, threads), Worker(ROOT, threads)
        for worker in workers:
            worker.ask(case=case, layout=layout)
        timings[case] = {run: race(*workers, run, rounds) for run in RUNS}
        for worker in workers:
            worker.close()
        print(threads, layout, case, timings[case], flush=True)
    rows = [
        f"| layer on | {' | '.join(f'{run}, ms: published | ours | products alone | times faster' for run in RUNS)} |",
        f"|{' --- |' * (1 + 4 * len(RUNS))}",
    ]
    for case, runs in sorted(timings.items(), key=lambda item: item[1]["forward"].ratio):
        rows.append(f"| {' | '.join([case, *(cell for run in RUNS for cell in runs[run].cells())])} |")
    means = [geometric_mean([runs[run].ratio for runs in timings.values()]) for run in RUNS]
    return [*rows, f"| geometric mean | {' | '.join(f' | | | **{mean:.1f}**' for mean in means)} |"]


def geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def other_rows(threads: int, rounds: int) -> list[str]:
    """Markdown rows of what `torch.compile` makes of our layers, and of the memory of a step."""
    rows = [
        "| layer on | forward, ms | compiled | step, ms | compiled | peak memory of a step, MiB: published | ours |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in CASES:
        worker = Worker(ROOT, threads)
        worker.ask(case=case, layout="stacked")
        cells = [case]
        for run in RUNS:
            pairs = [
                (milliseconds(worker, run), milliseconds(worker, f"{run} compiled")) for _ in range(rounds)
            ]
            cells += [f"{statistics.median(column):.1f}" for column in zip(*pairs, strict=True)]
        worker.close()
        cells += [f"{peak_megabytes(folder, threads, case, 'stacked'):.0f}" for folder in (PUBLISHED, ROOT)]
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    return rows


def processor() -> str:
    match = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return match.group(1) if match else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11, help="pairs of turns per figure")
    arguments = parser.parse_args()
    install_published()
    lines = [
        "# NF-layers beside the published `nfn` 0.1.2",
        "",
        "Written by `python -m bench.layers`. HNPLinear on SIREN and CNN, NPLinear on the MLP; float32. A step is a",
        "forward and a backward pass, into parameters and inputs. Both libraries take turns on the same machine, in",
        f"processes of their own; medians of {arguments.rounds} pairs of turns, ratios per pair. *Products alone* are",
        "the matrix products of our layer, run again without the rest, and how many times as long the layer takes.",
        "",
        f"{processor()}, torch {torch.__version__}, Python {platform.python_version()}; a load of "
        f"{os.getloadavg()[0]:.1f} when it began.",
    ]
    for layout, words in LAYOUTS.items():
        for threads in THREADS:
            title = f"{words}, {threads} thread{'s' if threads > 1 else ''}"
            lines += ["", f"## {title}", "", *table(layout, threads, arguments.rounds)]
    lines += [
        "",
        "## `torch.compile`, and memory",
        "",
        f"Inputs as another layer left them, {THREADS[-1]} threads.",
    ]
    lines += ["", *other_rows(THREADS[-1], arguments.rounds)]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
