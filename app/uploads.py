"""The folder of what visitors bring and take along: emptied an hour after, also by the process that comes after a kill.

Gradio forgets with the process which files it keeps, and never knew those that the API hands out.
"""

import os
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
    """Use a folder of this app's own where `GRADIO_TEMP_DIR` names none: all Gradio apps share the usual one."""
    folder = Path(tempfile.gettempdir(), f"weightscope-{port}").resolve()
    os.environ.setdefault(FOLDER_VARIABLE, str(folder))


def keep_sweeping() -> None:
    """Delete what is over time, now and every ten minutes for as long as the process lives."""
    sweep(time.time() - KEEP_SECONDS)
    Thread(target=_sweep_again, name="sweep uploads", daemon=True).start()


def _sweep_again() -> None:
    while True:
        time.sleep(SWEEP_SECONDS)
        sweep(time.time() - KEEP_SECONDS)


def sweep(before: float) -> None:
    """Delete files that came into the folder before that time, and folders that are empty since then."""
    root = get_upload_folder()
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
