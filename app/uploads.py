"""The folder of what visitors bring and take along: nobody else's, and emptied an hour after, also of what a process
left that was killed.

Gradio forgets with the process which files it keeps, and never knew those that the API hands out.
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
SWEEP_SECONDS = 600


def own_folder(port: int) -> None:
    """Use a folder of this app's own below `GRADIO_TEMP_DIR` (or the system's): everything in it will be deleted.

    Its name is known, so that the next process finds what this one leaves. Where somebody else was there first, a
    folder of a new name is used.
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
    if _is_own(folder):
        folder.chmod(0o700)
        return folder
    other = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    logging.getLogger(__name__).warning(
        "%s is a link, no folder, or somebody else's: uploads go to %s.", folder, other
    )
    return other


def is_private(folder: Path | str) -> bool:
    """Whether it is a folder, no link to one, that only this user can read and write."""
    return _is_own(folder) and stat.S_IMODE(os.lstat(folder).st_mode) == 0o700


def _is_own(folder: Path | str) -> bool:
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def keep_sweeping() -> None:
    """Delete what is over time, now and every ten minutes for as long as the process lives."""
    sweep(time.time() - KEEP_SECONDS)
    Thread(target=_sweep_again, name="sweep uploads", daemon=True).start()


def _sweep_again() -> None:
    while True:
        time.sleep(SWEEP_SECONDS)
        sweep(time.time() - KEEP_SECONDS)


def sweep(before: float) -> None:
    """Delete files that came into the folder before that time, and folders that are empty since then.

    Nothing is deleted in a folder that others can write to, or that is a link: it may hold what is not ours.
    """
    root = get_upload_folder()
    if not is_private(root):
        logging.getLogger(__name__).warning("%s is not this app's alone: nothing is deleted there.", root)
        return
    for folder, _, names in os.walk(root, topdown=False):
        last = _changed(folder)
        for path in (os.path.join(folder, name) for name in names):
            if _changed(path) < before:
                with suppress(FileNotFoundError):
                    os.remove(path)
        if last < before and folder != root:
            with suppress(OSError):  # not empty
                os.rmdir(folder)


def _changed(path: str) -> float:
    """When something came to `path`: a copy keeps its modification time, but not this one."""
    try:
        return os.lstat(path).st_ctime
    except FileNotFoundError:  # Gradio sweeps as well
        return time.time()
