"""Run a build: resumable, one worker process per core on a CPU, the manifest (`spec.json`) written last."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from zoo.errors import ZooError
from zoo.files import read_json, write_json
from zoo.shards import Build, finish, is_built, shard_count, shard_numbers

SETTINGS = "build.json"
"""Names the settings of a folder whose build is under way; `spec.json` takes its place at the end."""

_made: Any = None
"""In a worker: how many networks all workers have made, shared with the parent."""


def run_build(build: Build, folder: Path, device: str, workers: int, on_fit: Callable[[int], None]) -> None:
    """Make every shard that is not there yet, then the manifest; the files do not depend on `workers`.

    `on_fit` hears how many networks each step adds, those of an earlier run first.
    Raises ZooError for rows that the images do not have and for a folder that belongs to other settings.
    """
    build.check()
    claim_folder(build, folder)
    if not (folder / "spec.json").exists():
        _build_shards(build, folder, device, workers, on_fit)
        finish(build, folder)
    else:
        on_fit(build.total)
    (folder / SETTINGS).unlink(missing_ok=True)


def _build_shards(
    build: Build, folder: Path, device: str, workers: int, on_fit: Callable[[int], None]
) -> None:
    done = [shard for shard in range(shard_count(build)) if is_built(folder, shard)]
    todo = [shard for shard in range(shard_count(build)) if shard not in done]
    on_fit(sum(len(shard_numbers(build, shard)) for shard in done))
    if device == "cpu" and min(workers, len(todo)) > 1:
        _build_in_processes(build, folder, todo, min(workers, len(todo)), on_fit)
    else:
        _build_here(build, folder, todo, device, on_fit)


def find_device(name: str) -> str:
    """`cpu` or `cuda`; `auto` is the GPU where there is one. ZooError where it is asked for and missing."""
    if name not in ("auto", "cpu", "cuda"):
        raise ZooError(f"Unknown device {name!r}: choose auto, cpu or cuda.")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ZooError("There is no CUDA device here: choose --device cpu, or auto.")
    return "cuda" if available and name != "cpu" else "cpu"


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def claim_folder(build: Build, folder: Path) -> None:
    """Write the settings into an empty folder, or check that the folder's settings are these."""
    manifest, settings = folder / "spec.json", folder / SETTINGS
    if manifest.exists() or settings.exists():
        found = read_json(manifest).get("build") if manifest.exists() else read_json(settings)
        return _check_same(found, _settings(build), folder)
    if folder.exists() and any(folder.iterdir()):
        raise ZooError(f"{folder.name} holds files, but no {SETTINGS} of a build: choose an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(settings, _settings(build))


def _settings(build: Build) -> dict:
    return build.describe()["build"]


def _check_same(found: object, wanted: dict, folder: Path) -> None:
    found = found if isinstance(found, dict) else {}
    differences = [
        f"{key} is {found.get(key)!r} there and {wanted.get(key)!r} here"
        for key in {**wanted, **found}
        if found.get(key) != wanted.get(key)
    ]
    if differences:
        raise ZooError(
            f"{folder.name} was built from other settings: {'; '.join(differences)}. "
            "Repeat those settings to go on with it, or choose another folder."
        )


def _build_here(
    build: Build, folder: Path, shards: list[int], device: str, on_fit: Callable[[int], None]
) -> None:
    with _one_thread():
        for shard in shards:
            build.make_shard(shard, device, on_fit).write(folder, shard)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums are split by thread: one thread in every process, or the last bits depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _build_in_processes(
    build: Build, folder: Path, shards: list[int], workers: int, on_fit: Callable[[int], None]
) -> None:
    """One thread each: two such processes beat one process with two threads, the matrices being small."""
    context = multiprocessing.get_context("spawn")
    made, stop = context.Value("q", 0), context.Event()
    with ProcessPoolExecutor(workers, context, _start_worker, (made, stop)) as pool:
        futures = [pool.submit(_work, build, shard, folder) for shard in shards]
        try:
            _follow(futures, lambda: made.get_obj().value, on_fit)
        except BaseException:  # Ctrl-C too; half-made shards are dropped
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _follow(futures: list[Future], count: Callable[[], int], on_fit: Callable[[int], None]) -> None:
    """Pass the workers' progress on until every shard is done; raise the first shard's error."""
    seen, pending = 0, set(futures)
    while pending:
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        now = count()
        on_fit(now - seen)
        seen = now


def _start_worker(made, stop) -> None:
    """What a worker does first: one thread, Ctrl-C left to the parent, an end when that says so or dies."""
    global _made
    _made = made
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()


def _work(build: Build, shard: int, folder: Path) -> None:
    build.make_shard(shard, "cpu", _report).write(folder, shard)


def _report(count: int) -> None:
    with _made.get_lock():
        _made.value += count


def _end_with_parent(stop) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "A worker has a parent."
    while parent.is_alive() and not stop.wait(1):
        pass
    os._exit(1)
