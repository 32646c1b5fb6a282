"""The folder of uploads on a machine that others use: it is this app's alone, and nothing else is deleted."""

import os
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from app.server import uploads


def set_up(monkeypatch, parent: Path, port: int = 7861) -> Path:
    """The folder that an app on this port uses below `parent`."""
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(parent))
    uploads.use_private_folder(port)
    return Path(os.environ[uploads.FOLDER_VARIABLE])


def strangers_file(folder: Path) -> Path:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = folder / "thesis.txt"
    path.write_text("ten years of work")
    return path


def test_the_folder_is_of_this_user_alone_and_found_again(tmp_path, monkeypatch):
    folder = set_up(monkeypatch, tmp_path)
    assert folder == tmp_path / "weightscope-7861" and stat.S_IMODE(folder.stat().st_mode) == 0o700
    uploads.use_private_folder(7861)
    assert os.environ[uploads.FOLDER_VARIABLE] == str(folder), "asked twice, as by two pages in a process"
    assert set_up(monkeypatch, tmp_path) == folder
    assert set_up(monkeypatch, tmp_path, 7862) != folder, "another app's"


def test_without_a_word_it_is_below_the_systems_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(uploads.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    uploads.use_private_folder(7861)
    assert os.environ[uploads.FOLDER_VARIABLE] == str(tmp_path / "weightscope-7861")


def test_a_folder_that_others_could_read_is_closed(tmp_path, monkeypatch):
    (tmp_path / "weightscope-7861").mkdir(mode=0o755)
    assert uploads.is_private(set_up(monkeypatch, tmp_path))


def test_what_an_operator_keeps_beside_it_stays(tmp_path, monkeypatch):
    path = strangers_file(tmp_path)
    set_up(monkeypatch, tmp_path)
    uploads.delete_older_than(time.time() + 1)
    assert path.exists()


@pytest.mark.parametrize("kind", ["link", "file", "foreign"])
def test_what_somebody_put_there_first_is_neither_used_nor_swept(tmp_path, monkeypatch, caplog, kind):
    path, place = strangers_file(tmp_path / "home"), tmp_path / "weightscope-7861"
    if kind == "link":
        place.symlink_to(path.parent)
    elif kind == "file":
        place.write_text("x")
    else:
        path = strangers_file(place)
        real = os.lstat
        monkeypatch.setattr(uploads.os, "geteuid", lambda: real(tmp_path).st_uid + 1)
    folder = set_up(monkeypatch, tmp_path)
    assert folder != place and not folder.is_relative_to(path.parent) and "uploads go to" in caplog.text
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(place))
    uploads.delete_older_than(time.time() + 1)
    assert path.exists() and "nothing is deleted" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can be two users.")
def test_a_real_stranger(tmp_path, monkeypatch):
    """As root the app could delete anybody's files, and as nobody could read everybody's."""
    tmp_path.chmod(0o1777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    (tmp_path / "weightscope-7861").mkdir(mode=0o755)
    path = strangers_file(tmp_path / "weightscope-7861")
    os.chown(path.parent, 65534, 65534)
    folder = set_up(monkeypatch, tmp_path)
    assert folder != path.parent
    (folder / "net.pt").write_text("a visitor's")
    seen = subprocess.run(["cat", folder / "net.pt"], user=65534, capture_output=True, check=False)
    assert seen.returncode != 0 and b"visitor" not in seen.stdout
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(path.parent))
    uploads.delete_older_than(time.time() + 1)
    assert path.exists()


def test_links_within_are_deleted_and_not_followed(tmp_path, monkeypatch):
    folder, path = set_up(monkeypatch, tmp_path), strangers_file(tmp_path / "home")
    (folder / "a").symlink_to(path.parent)
    (folder / "b").symlink_to(path)
    uploads.delete_older_than(time.time() + 1)
    assert path.exists() and not (folder / "b").is_symlink()
