"""Compare our NF-layers with those of the published `nfn` 0.1.2 in one run: `python -m bench.layers`.

Each library runs in its own process. They take turns of one burst each (the first two calls of a burst warm up the
caches), so that other load on the machine affects both equally; the ratio is computed per pair of turns, and the table
shows medians. Writes docs/bench.md.
"""

import argparse
import json
import math
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / ".bench" / "nfn-0.1.2"
WORKER = ROOT / "bench" / "worker.py"
REPORT = ROOT / "docs" / "bench.md"
CASES = re.findall(r'^    "(.+?)":', WORKER.read_text(), re.MULTILINE)
LAYOUTS = {
    "stacked": "Inputs as another layer of the same library left them, the case inside every model",
    "plain": "Contiguous inputs `(B, C, out, in)`, what a first layer can meet",
}


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


def race(published: Worker, ours: Worker, run: str, rounds: int) -> tuple[float, float, float]:
    """Medians of both in ms, and of the ratio per pair of turns."""
    for worker in (published, ours):
        worker.ask(run=run, times=2)
    pairs = []
    for i in range(rounds):
        order = (published, ours) if i % 2 == 0 else (ours, published)
        times = {worker: statistics.median(worker.ask(run=run, times=8)[2:]) for worker in order}
        pairs.append((times[published] * 1e3, times[ours] * 1e3))
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


def peak_megabytes(folder: Path, threads: int, case: str, layout: str) -> float:
    command = [sys.executable, str(WORKER), str(folder), str(threads), "memory", case, layout]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 2**20


def table(layout: str, threads: int, rounds: int) -> list[str]:
    """Markdown rows of all cases for this layout, with geometric means."""
    rows = [
        "| layer on | forward, ms: published | ours | times faster | step, ms: published | ours | times faster "
        "| peak memory of a step, MiB: published | ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    ratios: dict[str, list[float]] = {"forward": [], "step": []}
    for case in CASES:
        workers = Worker(PUBLISHED, threads), Worker(ROOT, threads)
        for worker in workers:
            worker.ask(case=case, layout=layout)
        cells = [case]
        for run in ratios:
            published, ours, ratio = race(*workers, run, rounds)
            ratios[run].append(ratio)
            cells += [f"{published:.1f}", f"{ours:.1f}", f"**{ratio:.1f}**"]
        for worker in workers:
            worker.close()
        cells += [f"{peak_megabytes(folder, threads, case, layout):.0f}" for folder in (PUBLISHED, ROOT)]
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    means = {run: math.exp(statistics.fmean(map(math.log, values))) for run, values in ratios.items()}
    rows.append(f"| geometric mean | | | **{means['forward']:.1f}** | | | **{means['step']:.1f}** | | |")
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
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    install_published()
    lines = [
        "# NF-layers beside the published `nfn` 0.1.2",
        "",
        "Written by `python -m bench.layers`. HNPLinear on SIREN and CNN, NPLinear on the MLP; float32. A step is a",
        "forward and a backward pass, into parameters and inputs. Both libraries take turns on the same machine, in",
        f"processes of their own; medians of {arguments.rounds} pairs of turns, ratios per pair.",
        "",
        f"{processor()}, {arguments.threads} threads; torch {torch.__version__}, Python {platform.python_version()}.",
    ]
    for layout, words in LAYOUTS.items():
        lines += ["", f"## {words}", "", *table(layout, arguments.threads, arguments.rounds)]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
