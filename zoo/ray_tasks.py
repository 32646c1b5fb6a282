"""Run the shards of a job as tasks of a Ray cluster. Ray is imported only here, and only when it is asked for.

Each node needs this package and the images or networks that a shard reads. Only the process that runs the command
writes. Ray runs a task again if its worker or node died.
"""

import importlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType

import torch

from zoo.allocator import set_malloc_thresholds
from zoo.errors import ZooError, shorten
from zoo.executor import Job, usable_cores
from zoo.shards import Writable

LOCAL = "local"
"""The address that starts a cluster on this machine, for this command only."""
TASKS_PER_CORE = 2
"""How many tasks are in flight for each core of the cluster: finished shards wait in memory until they are written."""
RETRIES = 5
"""How often Ray runs a task again whose worker or node died."""
CONNECT_SECONDS = 5
VARIABLES = "WEIGHTSCOPE_"
"""Environment variables of this prefix are passed on to the tasks."""


def run_in_ray(
    address: str, job: Job, folder: Path, shards: Sequence[int], on_fit: Callable[[int], None]
) -> None:
    """Make shards by the cluster at `address`, and write each into `folder` as soon as it is finished.

    Raises ZooError if Ray is not installed, if there is no cluster, or if it gave up a task; and a shard's own error.
    """
    ray = _import_ray()
    with _connected(ray, address):
        make = ray.remote(num_cpus=1, max_retries=RETRIES)(make_alone)
        waiting, running = iter(shards), {}
        while True:
            free = _most_in_flight(ray) - len(running)
            running |= {make.remote(job, shard): shard for shard in islice(waiting, max(0, free))}
            if not running:
                return
            done, _ = ray.wait(list(running), timeout=1)  # wakes up to use nodes that joined
            for task in done:
                shard = running.pop(task)
                made, fitted = _result(ray, task, shard)
                made.write(folder, shard)
                on_fit(fitted)


def make_alone(job: Job, shard: int) -> tuple[Writable, int]:
    """The body of a task: a shard, and the number of networks in it."""
    torch.set_num_threads(1)
    set_malloc_thresholds()
    fitted: list[int] = []
    made = job.make_shard(shard, "cpu", fitted.append)
    return made, sum(fitted)


def _import_ray() -> ModuleType:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ZooError(
            "Ray is not installed: pip install '.[ray]' in a checkout, or leave out --ray."
        ) from error


@contextmanager
def _connected(ray: ModuleType, address: str) -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {"num_cpus": usable_cores(), "include_dashboard": False} if address == LOCAL else {}
    variables = {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}
    try:
        _check_answers(address)
        ray.init(
            address, **own, runtime_env={"env_vars": variables}, log_to_driver=False, logging_level="ERROR"
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ZooError(
            f"No Ray cluster answers at {shorten(address)}: start one with `ray start --head`, or use --ray {LOCAL}."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise OSError if nobody listens at `host:port`, which Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _most_in_flight(ray: ModuleType) -> int:
    return TASKS_PER_CORE * max(1, int(ray.cluster_resources().get("CPU", 0)))


def _result(ray: ModuleType, task, shard: int) -> tuple[Writable, int]:
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise ZooError(
            f"Ray gave up shard {shard} after {RETRIES} retries ({type(error).__name__}): its workers or nodes keep "
            "dying. What is finished was kept; run the same command again to continue."
        ) from error
