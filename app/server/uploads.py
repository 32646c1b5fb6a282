"""The folder of uploads and downloads: private to this user, and cleaned of files older than an hour.

This includes the files of an earlier process. Gradio's own cleanup forgets its files when the process ends, and does
not know the files that the API returns.
"""

import logging
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from gradio.utils import get_upload_folder

FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
KEEP_SECONDS = 3600
CLEANUP_SECONDS = 600


def use_private_folder(port: int) -> None:
    """Use a folder of this app below `GRADIO_TEMP_DIR` (or the system's temporary folder); all its files are deleted.

    Its name depends only on the port, so that the next process finds the files that this one leaves. If the path is
    taken by someone else, a new name is used.
    """
    parent = Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir()).resolve()
    name = f"weightscope-{port}"
    if is_private(parent) and (parent.name == name or parent.name.startswith(f"{name}-")):
        return
    parent.mkdir(parents=True, exist_ok=True)
    os.environ[FOLDER_VARIABLE] = str(_private_folder(parent, name))


def _private_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    if _is_own_folder(folder):
        folder.chmod(0o700)
        return folder
    other = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    logging.getLogger(__name__).warning(
        "%s is a link, not a folder, or another user's: uploads go to %s.", folder, other
    )
    return other


def is_private(folder: Path | str) -> bool:
    """Whether `folder` is a folder (not a link to one) that only this user can read and write."""
    return _is_own_folder(folder) and stat.S_IMODE(os.lstat(folder).st_mode) == 0o700


def _is_own_folder(folder: Path | str) -> bool:
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def start_cleanup() -> None:
    """Delete expired files now, and every ten minutes in a background thread."""
    delete_older_than(time.time() - KEEP_SECONDS)
    Thread(target=_cleanup_loop, name="delete old uploads", daemon=True).start()


def _cleanup_loop() -> None:
    while True:
        time.sleep(CLEANUP_SECONDS)
        delete_older_than(time.time() - KEEP_SECONDS)


def delete_older_than(before: float) -> None:
    """Delete files that arrived before this time, and folders that have been empty since then.

    Nothing is deleted if others can write to the folder, or if it is a link: it may hold files that are not ours.
    """
    root = get_upload_folder()
    if not is_private(root):
        logging.getLogger(__name__).warning("%s is not private to this app: nothing is deleted there.", root)
        return
    for folder, _, names in os.walk(root, topdown=False):
        changed = _ctime(folder)
        for path in (os.path.join(folder, name) for name in names):
            if _ctime(path) < before:
                with suppress(FileNotFoundError):
                    os.remove(path)
        if changed < before and folder != root:
            with suppress(OSError):  # not empty
                os.rmdir(folder)


def _ctime(path: str) -> float:
    """When `path` arrived: unlike the modification time, a copy does not keep this one."""
    try:
        return os.lstat(path).st_ctime
    except FileNotFoundError:  # Gradio sweeps as well
        return time.time()
