"""Downloads on the disk: full or closed to us, within their quota, and what a killed process leaves."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_zoo import NAME, ROOT, cached, check_failure, put

from zoo import cache, remote
from zoo.catalog import Zoo
from zoo.errors import HubError
from zoo.remote import open_hub_zoo


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "replace", "mkdir"])
def test_a_full_disk_is_reported(pushed, number, call, monkeypatch):
    wanted = (
        "The disk for downloads is full" if number == errno.ENOSPC else "not writable: set WEIGHTSCOPE_CACHE"
    )

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    place = {
        "open": (remote.tempfile, "mkstemp"),
        "replace": (remote.os, "replace"),
        "mkdir": (Path, "mkdir"),
    }[call]
    with monkeypatch.context() as patch:
        patch.setattr(*place, refuse)
        check_failure(lambda: open_hub_zoo(NAME), wanted)
    assert open_hub_zoo(NAME).rows("tiny-sirens", limit=1)


def test_a_disk_that_fills_during_a_download_is_reported(pushed, monkeypatch):
    zoo = open_hub_zoo(NAME)
    with monkeypatch.context() as patch:
        patch.setattr(remote, "_open_part", lambda handle: Path("/dev/full").open("wb"))  # noqa: SIM115
        check_failure(lambda: zoo.rows("tiny-sirens"), "The disk for downloads is full")
    assert cached(zoo.root) == {"hub.json", "catalog.json"}


def test_the_cache_keeps_its_quota_by_evicting_the_least_recently_used(hub, made, monkeypatch):
    for name in ("a/zoo", "b/zoo", "c/zoo"):
        put(hub, made, name)
    size = sum(file.size for file in Zoo(made).listed().values() if file.name != "README.md")
    monkeypatch.setenv(cache.QUOTA_VARIABLE, str(2.5 * size / 1e9))
    for name in ("a/zoo", "b/zoo", "a/zoo", "c/zoo"):
        zoo = open_hub_zoo(name)
        zoo.network("tiny-sirens/test/0")
        zoo.predictor("inr-editor")
    kept = {
        path.parts[-3] for path in cache.folder().rglob("model.safetensors") for path in [path.parent.parent]
    }
    assert kept == {"a--zoo", "c--zoo"}
    monkeypatch.setenv(cache.QUOTA_VARIABLE, "0.00001")
    with pytest.raises(HubError, match=r"MB more, and downloads may take 0 MB here .WEIGHTSCOPE_CACHE_GB."):
        open_hub_zoo("b/zoo").network("tiny-sirens/test/0")


FETCH = "from zoo.remote import open_hub_zoo; open_hub_zoo('someone/zoo').rows('tiny-sirens')"


def test_a_process_that_is_killed_in_a_download_leaves_nothing_that_is_believed_or_stays(pushed, tmp_path):
    pushed.fail("slow", "/large/")
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    process = subprocess.Popen([sys.executable, "-c", FETCH], cwd=ROOT, env=environment)
    parts = []
    while not parts and process.poll() is None:
        time.sleep(0.02)
        parts = list((tmp_path / "cache").rglob(f"tiny-sirens/{cache.PART}*"))
        parts = parts if any("/large/" in request.path for request in pushed.requests) else []
    process.kill()
    process.wait()
    pushed.heal()
    assert parts[0].exists(), "it was killed in the middle"
    os.utime(parts[0], (0, 0))
    assert len(open_hub_zoo(NAME).rows("tiny-sirens")) == 12
    assert not parts[0].exists()


def test_a_snapshot_that_lost_its_mark_goes_first(pushed, made, monkeypatch):
    zoo = open_hub_zoo(NAME)
    cut = cache.snapshot("cut/zoo", "0" * 40)
    cut.mkdir(parents=True)
    (cut / "rest").write_bytes(bytes(1000))
    monkeypatch.setattr(cache, "quota", lambda: cache._size(zoo.root) + 1500)
    cache.make_room(zoo.root, 1000)
    assert not cut.exists() and zoo.root.exists()
