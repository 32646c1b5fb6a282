"""Run the shards of a job: in this process, in one process per core, or as tasks of a Ray cluster.

The files do not depend on where their shards were made: a shard is a pure function of (job, number), computed with one
thread. A shard that exists is complete, so a job that was stopped resumes with the others.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch

from zoo.allocator import set_malloc_thresholds
from zoo.shards import Writable

WAITING_PER_WORKER = 3
"""How many shards are submitted for each worker, so that their number does not cost memory."""
_networks_done: Any = None
"""In a worker: how many networks all workers have done, shared with the parent."""


class Job(Protocol):
    """Settings that determine every shard: a frozen dataclass, sent to other processes and machines."""

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> Writable:
        """Make one shard, a pure function of (settings, shard number); `on_fit` gets each step's number of networks."""
        ...


@dataclass(frozen=True)
class Executor:
    """Where shards are made: on `device`, by up to `workers` processes, or by the Ray cluster at the address `ray`."""

    device: str = "cpu"
    workers: int = 1
    ray: str | None = None

    def run(self, job: Job, folder: Path, shards: Sequence[int], on_fit: Callable[[int], None]) -> None:
        """Make these shards and write them into `folder`; `on_fit` gets each step's number of networks.

        Raises the first error of a shard, and ZooError for a Ray cluster that cannot be used.
        """
        workers = min(self.workers, len(shards))
        if self.ray is not None:
            from zoo.ray_tasks import run_in_ray

            run_in_ray(self.ray, job, folder, shards, on_fit)
        elif self.device == "cpu" and workers > 1:
            _run_in_processes(job, folder, shards, workers, on_fit)
        else:
            _run_here(job, folder, shards, self.device, on_fit)


def usable_cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_here(
    job: Job, folder: Path, shards: Sequence[int], device: str, on_fit: Callable[[int], None]
) -> None:
    set_malloc_thresholds()
    with _one_thread():
        for shard in shards:
            job.make_shard(shard, device, on_fit).write(folder, shard)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread in every process: sums split among threads differ in the last bits between machines."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run_in_processes(
    job: Job, folder: Path, shards: Sequence[int], workers: int, on_fit: Callable[[int], None]
) -> None:
    """Use one-thread processes: two are faster than one process with two threads, as the matrices are small."""
    context = multiprocessing.get_context("spawn")
    done, stop = context.Value("q", 0), context.Event()
    with ProcessPoolExecutor(workers, context, _start_worker, (done, stop)) as pool:
        futures = (pool.submit(_make_and_write, job, shard, folder) for shard in shards)
        try:
            _run_futures(futures, WAITING_PER_WORKER * workers, lambda: done.get_obj().value, on_fit)
        except BaseException:  # Ctrl-C too; unfinished shards are dropped
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _run_futures(
    futures: Iterator[Future], at_once: int, count: Callable[[], int], on_fit: Callable[[int], None]
) -> None:
    """Submit the shards, some at once, and report the workers' progress; raise the first error of a shard."""
    seen, pending = 0, set(islice(futures, at_once))
    while pending:
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        pending |= set(islice(futures, at_once - len(pending)))
        now = count()
        on_fit(now - seen)
        seen = now


def _start_worker(done, stop) -> None:
    """Initialise a worker: one thread, Ctrl-C left to the parent, exit when the parent says so or dies."""
    global _networks_done
    _networks_done = done
    torch.set_num_threads(1)
    set_malloc_thresholds()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()


def _make_and_write(job: Job, shard: int, folder: Path) -> None:
    job.make_shard(shard, "cpu", _report).write(folder, shard)


def _report(count: int) -> None:
    with _networks_done.get_lock():
        _networks_done.value += count


def _end_with_parent(stop) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "A worker has a parent."
    while parent.is_alive() and not stop.wait(1):
        pass
    os._exit(1)
