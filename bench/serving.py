"""Run `python app.py` in its own process, and measure its usage from outside."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from zoo.files import files_below

ROOT = Path(__file__).parents[1]
READY_SECONDS = 300
PAGE = 2**20


@dataclass(frozen=True)
class ServedApp:
    """A running app: its start-up time, and its files."""

    url: str
    process: subprocess.Popen
    folder: Path
    start_seconds: float
    config: dict[str, Any]

    def memory(self) -> float:
        """The memory of the process in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def disk(self) -> tuple[int, float]:
        """The number of stored files of visitors, and their MiB."""
        sizes = [info.st_size for _, info in files_below(self.folder)]
        return len(sizes), sum(sizes) / PAGE


@contextmanager
def serve_app() -> Iterator[ServedApp]:
    """Run the app on a free port, with an empty folder for files; ended by SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": folder}
        start, url = time.perf_counter(), f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            config = _first_answer(url, process)
            yield ServedApp(url, process, Path(folder), time.perf_counter() - start, config)
        finally:
            process.terminate()
            process.wait(20)


def _first_answer(url: str, process: subprocess.Popen) -> dict[str, Any]:
    """Request the page, then its config."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(url, timeout=READY_SECONDS).raise_for_status()
            return httpx.get(f"{url}/config", timeout=READY_SECONDS).json()
        except httpx.HTTPError:
            time.sleep(0.05)
    raise TimeoutError("The app does not answer.")
