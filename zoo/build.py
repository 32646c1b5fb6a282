"""Run a build: resumable, one worker process per core on a CPU, the manifest (`spec.json`) written last."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from zoo.errors import ZooError
from zoo.executor import Executor
from zoo.files import read_json, write_json
from zoo.shards import Build, finish, is_built, shard_count, shard_numbers, shard_paths, split_rows

SETTINGS = "build.json"
"""The settings file of a build in progress; `spec.json` replaces it at the end."""


class Growable(Build, Protocol):
    """A build whose shards, except for a last one that is not full, do not depend on its `count`."""

    @property
    def count(self) -> int:
        """What `--count` says: how many images, networks or runs."""
        ...


def run_build(
    build: Build,
    folder: Path,
    device: str,
    workers: int,
    on_fit: Callable[[int], None],
    ray: str | None = None,
) -> None:
    """Build the shards that do not exist yet, then the manifest; the files do not depend on `workers` and `ray`.

    `on_fit` is called with the number of networks that each step adds, starting with those of an earlier run. With the
    address `ray` of a cluster, or `local`, the shards are built there and written here.
    Raises ZooError for rows that the image set does not have, and for a folder built with other settings.
    """
    build.check()
    claim_folder(_settings(build), folder)
    if not (folder / "spec.json").exists():
        done = [shard for shard in range(shard_count(build)) if is_built(folder, shard)]
        todo = sorted({*range(shard_count(build))} - {*done})
        on_fit(sum(len(shard_numbers(build, shard)) for shard in done))
        Executor(device, workers, ray).run(build, folder, todo, on_fit)
        finish(build, folder)
    else:
        on_fit(build.total)
    (folder / SETTINGS).unlink(missing_ok=True)


def find_device(name: str) -> str:
    """Return `cpu` or `cuda`; `auto` is the GPU if there is one. Raises ZooError for a GPU that is not available."""
    if name not in ("auto", "cpu", "cuda"):
        raise ZooError(f"Unknown device {name!r}: choose auto, cpu or cuda.")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ZooError("There is no CUDA device here: choose --device cpu, or auto.")
    return "cuda" if available and name != "cpu" else "cpu"


def claim_folder(settings: dict, folder: Path) -> None:
    """Write the settings into an empty folder, or check that the folder was built with the same settings."""
    existing = _existing_settings(folder)
    if existing is not None:
        return _check_same(existing, settings, folder)
    if folder.exists() and any(folder.iterdir()):
        raise ZooError(f"{folder.name} holds files, but no {SETTINGS} of a build: choose an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS, settings)


def _existing_settings(folder: Path) -> object:
    """The settings that a folder was built with, finished or not; None for any other folder."""
    manifest, settings = folder / "spec.json", folder / SETTINGS
    if manifest.exists():
        return read_json(manifest).get("build", {})
    return read_json(settings) if settings.exists() else None


def _settings(build: Build) -> dict:
    return build.describe()["build"]


def _check_same(existing: object, requested: dict, folder: Path) -> None:
    existing = existing if isinstance(existing, dict) else {}
    differences = [
        f"{key} is {existing.get(key)!r} there and {requested.get(key)!r} here"
        for key in {**requested, **existing}
        if existing.get(key) != requested.get(key)
    ]
    if differences:
        raise ZooError(
            f"{folder.name} was built with other settings: {'; '.join(differences)}. "
            "Use the same settings to resume it, or choose another folder."
        )


def grow(build: Growable, folder: Path) -> None:
    """Extend a build with the same settings and a smaller count, finished or not, to the larger count.

    The shards stay, except for a last one that was not full. Does nothing if the folder holds no such build.
    """
    existing = _existing_settings(folder)
    count = existing.get("count") if isinstance(existing, dict) else None
    if not isinstance(count, int) or count >= build.count:
        return
    smaller: Growable = replace(build, count=count)  # pyright: ignore[reportArgumentType, reportAssignmentType] (a dataclass)
    if existing != _settings(smaller):
        return
    manifest = folder / "spec.json"
    if manifest.exists():
        split_rows(folder)
    if smaller.total % build.shard_size:
        for path in shard_paths(folder, smaller.total // build.shard_size):
            path.unlink(missing_ok=True)
    write_json(folder / SETTINGS, _settings(build))
    manifest.unlink(missing_ok=True)
