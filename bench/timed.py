"""A job of `zoo.executor` with clocks: each shard records its seconds, memory and process, wherever it is made.

`bench.scale` runs `main` in processes of their own, so that start and peak memory are those of one job.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time, time
from typing import Any

from bench.memory import peak_mib
from zoo.build_siren import SirenBuild
from zoo.build_wild import WildBuild, wild_images
from zoo.executor import Executor, Job
from zoo.images import load_images
from zoo.remote import open_zoo
from zoo.score import TABLE, Score, ScoredPart, run_score
from zoo.shards import Writable, finish, shard_count, shard_numbers
from zoo.table import read_rows
from zoo.wild_collection import read_wild

JOBS = {job.__name__: job for job in (Score, SirenBuild, WildBuild)}


@dataclass(frozen=True)
class Record:
    """One shard: its networks, seconds of CPU to make and to write it, when it was begun, by which process, and that
    process's peak memory in MiB."""

    networks: int
    making: float
    writing: float
    begun: float
    process: int
    memory: float


@dataclass(frozen=True)
class TimedJob:
    """A job whose shards write records into the folder `log`."""

    job: Job
    log: str

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> Writable:
        """As in `Job`."""
        begun, start = time(), process_time()
        made = self.job.make_shard(shard, device, on_fit)
        record = Record(count_networks(made), process_time() - start, 0.0, begun, os.getpid(), peak_mib())
        return TimedShard(made, asdict(record), self.log)


@dataclass(frozen=True)
class TimedShard:
    """A shard and the record of how it was made."""

    made: Writable
    record: dict[str, Any]
    log: str

    def write(self, folder: Path, number: int) -> None:
        """As in `Writable`."""
        start = process_time()
        self.made.write(folder, number)
        record = {**self.record, "writing": process_time() - start}
        Path(self.log, f"{number}.json").write_text(json.dumps(record))


@dataclass(frozen=True)
class TimedExecutor(Executor):
    """An executor of timed jobs."""

    log: str = ""

    def run(self, job: Job, folder: Path, shards: Sequence[int], on_fit: Callable[[int], None]) -> None:
        """As in `Executor`."""
        super().run(TimedJob(job, self.log), folder, shards, on_fit)


def count_networks(made: Writable) -> int:
    """The number of networks in a shard, or of rows in a part of a score."""
    return len(made.table) if isinstance(made, ScoredPart) else len(made.rows)  # pyright: ignore[reportAttributeAccessIssue]


def read_only(job: Score | SirenBuild | WildBuild) -> None:
    """Read what the job reads: networks or images."""
    if isinstance(job, WildBuild):
        wild_images(job.images, "train")
        wild_images(job.images, "test")
    elif isinstance(job, SirenBuild):
        for shard in range(shard_count(job)):
            load_images(
                job.images, job.split, [job.first + n // job.copies for n in shard_numbers(job, shard)]
            )
    elif job.kind() == "wild":
        for rows in job.parts():
            for facts in read_rows(job.path / TABLE, rows).to_pylist():
                read_wild(job.path, facts)
    else:
        collection = open_zoo(job.zoo).open_collection(job.name)
        for rows in job.parts():
            collection.part(rows).normalized()


def run_job(job: Score | SirenBuild | WildBuild, out: Path, executor: TimedExecutor) -> None:
    """Run a job as its command does."""
    if isinstance(job, Score):
        return run_score(job, out, executor, lambda count: None)
    out.mkdir()
    executor.run(job, out, range(shard_count(job)), lambda count: None)
    finish(job, out)


def main() -> None:
    """Run the job in the JSON argument, or read what it reads; print CPU seconds before and in it, and peak memory."""
    asked = json.loads(sys.argv[1])
    job, before = JOBS[asked["job"]](**asked["settings"]), process_time()
    if asked["reading"]:
        read_only(job)
    else:
        run_job(job, Path(asked["out"]), TimedExecutor("cpu", asked["workers"], asked["ray"], asked["log"]))
    seconds = process_time() - before
    print(json.dumps({"start": before, "seconds": seconds, "memory": peak_mib()}))
