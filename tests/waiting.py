"""Servers of tests: a port for them, and waiting for one in another process."""

import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable


def wait_for(url: str, process: subprocess.Popen, seconds: float) -> str:
    """What stands at `url`, as soon as something does; fails when `process` ends or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"app.py ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"Nothing at {url} after {seconds:g} s")


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true; fails when the time is over."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"It was not so in {seconds:g} s"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody uses; Gradio's own search gives two processes that start together the same one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
