"""Speed, memory and cost of builds and scores past one process: `python -m bench.scale` writes docs/scale.md.

Needs the images of the builds (WEIGHTSCOPE_IMAGES, or the Hub), and Ray for its rows. Collections to score are made on
the spot, from embedded ones and from the wild classifiers that are built here, by repeating their shards.
"""

import importlib.util
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bench.layers import processor
from bench.timed import Record
from zoo.build_siren import SirenBuild
from zoo.build_wild import WildBuild
from zoo.card import table
from zoo.catalog import EMBEDDED, write_catalog
from zoo.executor import Job, usable_cores
from zoo.files import read_json
from zoo.limits import TRUSTED
from zoo.score import TABLE, WORKER_START, Score
from zoo.shards import complete, shard_paths

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "scale.md"
EXECUTORS = {"1 process": (1, None), "2 processes": (2, None), "Ray": (1, "local")}
"""Workers, and the address of a Ray cluster, whose tasks run at the priority of the other rows (Ray lowers it)."""
SIRENS = SirenBuild("mnist", count=400, recipe="quick", shard_size=50)
WILD = WildBuild("cifar10-gray", count=3)
CNNS, TIMES, SIREN_TIMES, WILD_TIMES = "cifar10-cnns", 20, 5, 2
"""The scored CNNs, and how often the shards of each scored collection are repeated."""
MILLION = 1_000_000
CORES_PER_GPU = 20
"""An assumption: no GPU was measured."""


@dataclass(frozen=True)
class Run:
    """One job by one executor. `seconds` are of the clock for the whole command, `start` of CPU for its imports."""

    title: str
    executor: str
    seconds: float
    start: float
    memory: float
    records: tuple[Record, ...]
    folder: Path

    @property
    def networks(self) -> int:
        return sum(record.networks for record in self.records)

    @property
    def making(self) -> float:
        """CPU seconds a network to make it, or to predict."""
        return sum(record.making for record in self.records) / self.networks

    @property
    def writing(self) -> float:
        """CPU seconds a network to write it."""
        return sum(record.writing for record in self.records) / self.networks

    @property
    def cpu(self) -> float:
        """CPU seconds a network, without the start of processes."""
        return self.making + self.writing


def time_job(title: str, job: Job, executor: str, folder: Path) -> Run:
    """Run a job in a process of its own, whose files go into `folder`."""
    (folder / "log").mkdir(parents=True)
    workers, ray = EXECUTORS[executor]
    begun = time()
    printed = _ask(
        job, reading=False, out=str(folder / "out"), log=str(folder / "log"), workers=workers, ray=ray
    )
    seconds = time() - begun
    records = (Record(**read_json(path)) for path in sorted((folder / "log").iterdir()))
    done = Run(title, executor, seconds, printed["start"], printed["memory"], tuple(records), folder / "out")
    print(
        f"{title}, {executor}: {done.networks} networks, {seconds:.1f} s, {1000 * done.cpu:.1f} ms each",
        flush=True,
    )
    return done


def reading_seconds(job: Job) -> float:
    """CPU seconds to read all that a job reads."""
    return _ask(job, reading=True)["seconds"]


def _ask(job: Job, **asked: Any) -> dict[str, float]:
    question = {"job": type(job).__name__, "settings": asdict(job), **asked}  # pyright: ignore[reportArgumentType]
    done = subprocess.run(
        [sys.executable, "-c", "from bench.timed import main; main()", json.dumps(question)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"},
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def repeat(source: Path, folder: Path, times: int) -> None:
    """Write a collection that holds the shards of another several times."""
    networks, spec = pq.read_table(source / TABLE), read_json(source / "spec.json")
    shards = networks["shard"].to_numpy()
    folder.mkdir(parents=True)
    numbers = sorted(set(shards.tolist()))
    for copy in range(times):
        for place, shard in enumerate(numbers):
            weights, rows = shard_paths(folder, copy * len(numbers) + place)
            shutil.copy(shard_paths(source, shard)[0], weights)
            part = networks.filter(pa.array(shards == shard)).drop_columns(["id", "shard"])
            number = pa.array([copy * len(numbers) + place] * len(part))
            pq.write_table(part.append_column("shard", number), rows)
    complete(folder, times * len(numbers), spec)


def make_zoo(folder: Path) -> None:
    """A zoo with the CNNs as they are and repeated, and the SIRENs repeated."""
    shutil.copytree(EMBEDDED / "predictors", folder / "predictors")
    repeat(EMBEDDED / "collections" / CNNS, folder / "collections" / CNNS, 1)
    repeat(EMBEDDED / "collections" / CNNS, folder / "collections" / f"{CNNS}-repeated", TIMES)
    repeat(EMBEDDED / "collections" / "mnist-sirens", folder / "collections" / "mnist-sirens", SIREN_TIMES)
    write_catalog(folder)


def measure(folder: Path) -> tuple[dict[str, list[Run]], dict[str, float], Run]:
    """The runs of each job, the CPU seconds to read what it reads, and a score of the CNNs without repetition."""
    executors = [name for name in EXECUTORS if name != "Ray" or importlib.util.find_spec("ray")]
    zoo = str(folder / "zoo")
    jobs: dict[str, Job] = {"build of SIRENs": SIRENS, "build of wild classifiers": WILD}
    runs = {
        title: [time_job(title, job, name, folder / title / name) for name in executors]
        for title, job in jobs.items()
    }
    make_zoo(folder / "zoo")
    repeat(runs["build of wild classifiers"][0].folder, folder / "wild", WILD_TIMES)
    scores: dict[str, Job] = {
        "score of SIRENs": Score("mnist-sirens", None, zoo),
        "score of small CNNs": Score(f"{CNNS}-repeated", None, zoo),
        "score of wild classifiers": Score("wild", str(folder / "wild"), zoo),
    }
    runs |= {
        title: [time_job(title, job, name, folder / title / name) for name in executors]
        for title, job in scores.items()
    }
    few = time_job("score of few CNNs", Score(CNNS, None, zoo), "1 process", folder / "few")
    return runs, {title: reading_seconds(job) for title, job in (jobs | scores).items()}, few


def report(runs: dict[str, list[Run]], reading: dict[str, float], few: Run, loads: Sequence[float]) -> str:
    """The page, from the runs of each job, the CPU seconds to read what each job reads, and the machine's load."""
    everything = [run for same in runs.values() for run in same]
    writing = max(same[0].writing for same in runs.values())
    speed = [row for title, same in runs.items() for row in speed_rows(title, same)]
    return f"""# Builds and scores at scale

Written by `python -m bench.scale` on {usable_cores()} cores ({processor()}), torch {torch.__version__}, Python
{platform.python_version()}. The machine's load was {loads[0]:.1f} at the start and {loads[1]:.1f} at the end,
where {usable_cores()} is a machine that is just busy. Where other programs run beside it, compare CPU time: seconds
of the clock are too long by what the others took. A network's CPU time is that of reading, training or predicting, and
writing, on one thread, wherever it ran; the last column is what it makes of as many free cores as there are
processes.

{table(speed, SPEED)}

`score` makes the first part in the process of the command, and starts others only if the rest takes longer than they
need to start ({WORKER_START:.0f} s). Ray is a cluster of this machine, started for the command, with one task at a
time on each core; the command writes. The files of a job are the same bytes in all its rows. Scored collections are
repetitions of smaller ones: {TIMES} times `{CNNS}`, {SIREN_TIMES} times `mnist-sirens`, {WILD_TIMES} times the wild
classifiers built here.

## Where the time goes

In one process, CPU time. Wild builds read their images once per process, the others what they need for each shard.

{table([time_row(title, same[0], reading[title]) for title, same in runs.items()], TIMES_SPENT)}

## Memory

Peak resident memory, most of it torch and, in a wild build, the images: {TIMES} times as many networks take
{runs["score of small CNNs"][0].memory - few.memory:+.0f} MiB.

{table(list(map(memory_row, [few, *everything])), MEMORY)}

## A plan for {MILLION:,} networks

Computed from the figures above for networks like these; nothing of this size was run. Hours are of one core without
other programs; shards are independent, so n cores take an n-th. Hours on a GPU assume that one replaces
{CORES_PER_GPU} cores, which was not measured: builds of SIRENs run on one today (`--device cuda`), wild builds and
scores do not.

{table([plan_row(title, same[0], reading[title]) for title, same in runs.items()], PLAN)}

Tables above {TRUSTED.table_bytes >> 20} MiB are read by `score`, which takes them in parts, but not by `index`, `list`
and the app: split such a collection. A task of Ray is a shard of a build or a part of a score. The command writes all
their results, {1000 * writing:.2f} ms of CPU a network at most, so that it keeps up with {1 / writing:,.0f} networks a
second.
"""


def speed_rows(title: str, runs: list[Run]) -> list[dict[str, str]]:
    """A row of the first table for every executor; it says so if that was not measured."""
    measured = {run.executor: speed_row(run) for run in runs}
    reason = "not measured" if importlib.util.find_spec("ray") else "Ray is not installed"
    return [measured.get(name, {"job": title, "by": name, "networks": reason}) for name in EXECUTORS]


def speed_row(run: Run) -> dict[str, str]:
    """A row of the first table."""
    processes = 1 if run.executor == "1 process" else 2
    return {
        "job": run.title,
        "by": run.executor,
        "networks": f"{run.networks:,}",
        "seconds": f"{run.seconds:.0f}",
        "rate": f"{run.networks / run.seconds:,.1f}",
        "cpu": f"{1000 * run.cpu:,.1f}",
        "free": f"{processes / run.cpu:,.1f}",
    }


def time_row(title: str, run: Run, reading: float) -> dict[str, str]:
    """A row of the second table."""
    read = reading / run.networks
    return {
        "job": title,
        "start": f"{run.start:.1f} s",
        "reading": f"{1000 * read:,.2f} ms",
        "making": f"{1000 * (run.making - read):,.1f} ms",
        "writing": f"{1000 * run.writing:,.2f} ms",
    }


def memory_row(run: Run) -> dict[str, str]:
    """A row of the third table."""
    return {
        "job": run.title,
        "by": run.executor,
        "networks": f"{run.networks:,}",
        "command": f"{run.memory:.0f} MiB",
        "worker": f"{max(record.memory for record in run.records):.0f} MiB",
    }


def plan_row(title: str, run: Run, reading: float) -> dict[str, str]:
    """What a million networks take, from those of one run; a wild build reads only once."""
    once = reading / run.networks if title == "build of wild classifiers" else 0.0
    hours = MILLION * (run.cpu - once) / 3600
    files = [run.folder] if run.folder.is_file() else list(run.folder.iterdir())
    tables = sum(file.stat().st_size for file in files if file.suffix != ".safetensors")
    weights = sum(file.stat().st_size for file in files if file.suffix == ".safetensors")
    return {
        "job": title,
        "weights": f"{weights * MILLION / run.networks / 1e9:,.1f} GB" if weights else "",
        "table": f"{tables * MILLION / run.networks / 1e6:,.0f} MB",
        "shards": f"{math.ceil(MILLION / max(record.networks for record in run.records)):,}",
        "core": f"{hours:,.1f}",
        "gpu": f"{hours / CORES_PER_GPU:,.1f}",
    }


SPEED = {"job": "job", "by": "by", "networks": "networks", "seconds": "seconds", "rate": "networks a second",
         "cpu": "CPU, ms a network", "free": "networks a second on free cores"}  # fmt: skip
TIMES_SPENT = {"job": "job", "start": "start, once a process", "reading": "reading, a network",
               "making": "training or predicting", "writing": "writing"}  # fmt: skip
MEMORY = {
    "job": "job",
    "by": "by",
    "networks": "networks",
    "command": "the command",
    "worker": "largest process",
}
PLAN = {"job": "job", "weights": "weights", "table": "table", "shards": "shards or parts", "core": "hours of a core",
        "gpu": "hours of a GPU, assumed"}  # fmt: skip


def main() -> None:
    """Measure, showing progress, and write the page."""
    before = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        runs, reading, few = measure(Path(folder))
        REPORT.write_text(report(runs, reading, few, (before, os.getloadavg()[0])))


if __name__ == "__main__":
    main()
