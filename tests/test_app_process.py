"""The life of `python app.py`: SIGTERM answers everybody and cleans up, and a kill loses nothing that was promised."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest
from asking import files_in
from waiting import free_port, wait_for

from app import uploads
from app.actions import Source
from app.leaving import LAST_SECONDS, SENTENCE
from app.sources import to_text

ROOT = Path(__file__).parent.parent
FORGET_AT_ONCE = (
    "import runpy, app.uploads; app.uploads.KEEP_SECONDS = 0; runpy.run_path('app.py', run_name='__main__')"
)
CLASSIFY = {"data": [None, "mnist-sirens/test/17", *["auto"] * 6]}


def ticket_of(number: int) -> dict:
    return {"data": [None, f"mnist-inits/test/{number}", 0.9]}


class Served:
    """`python app.py` on a port, its temporary files in a folder."""

    def __init__(self, port: int, folder: Path, arguments: tuple[str, ...] = ("app.py",)):
        environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder)}
        self.url, self.folder = f"http://127.0.0.1:{port}", folder
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(f"{self.url}/config", self.process, seconds=60)

    def call(self, endpoint: str, body: dict) -> str:
        """The last event of an API call: complete or error, and its data."""
        asked = httpx.post(f"{self.url}/gradio_api/call/{endpoint}", json=body, timeout=60).json()
        url = f"{self.url}/gradio_api/call/{endpoint}/{asked['event_id']}"
        return httpx.get(url, timeout=60).text

    def race(self) -> str:
        """Everything that the page hears of a race, to its end."""
        config = httpx.get(f"{self.url}/config", timeout=60).json()
        ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
        number = next(
            d for d in config["dependencies"] if [ids["start-race"], "click"] in map(list, d["targets"])
        )
        body = {
            "data": [to_text(Source("mnist-inits/test/1")), 95, 0],
            "fn_index": number["id"],
            "session_hash": "racer",
        }
        httpx.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=60).raise_for_status()
        return httpx.get(f"{self.url}/gradio_api/queue/data?session_hash=racer", timeout=60).text

    def upload(self, content: bytes) -> str:
        """Where an uploaded file is kept."""
        files = {"files": ("net.safetensors", content)}
        return httpx.post(f"{self.url}/gradio_api/upload", files=files, timeout=60).json()[0]

    def upload_half(self) -> socket.socket:
        """A connection in the middle of an upload."""
        half = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=60)
        head = '--x\r\nContent-Disposition: form-data; name="files"; filename="half.pt"\r\n\r\n'
        half.sendall(
            "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\n\r\n{head}{'0' * 200_000}".encode()
        )
        return half

    def files(self) -> set[str]:
        """What lies in the folder."""
        return files_in(self.folder)

    def end(self, number: int) -> tuple[int, str]:
        """The exit code and what was written to stderr, after a signal."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=LAST_SECONDS + 7)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """`start(*arguments)` serves the app, on the same port and folder each time."""
    folder = tmp_path_factory.mktemp("served") / "files"
    port, started = free_port(), []

    def serve(*arguments: str) -> Served:
        started.append(Served(port, folder, arguments or ("app.py",)))
        return started[-1]

    yield serve
    for served in started:
        served.process.kill()
        served.process.communicate()


def busy(served: Served, pool: ThreadPoolExecutor) -> list[Future[str]]:
    """Requests under way, and what they will be answered: a race, then tickets and classifications."""
    answers: list[Callable[[], str]] = [served.race]
    answers += [partial(served.call, "winning_ticket", ticket_of(i)) for i in range(12)]
    answers += [partial(served.call, "classify_inr", CLASSIFY)] * 4
    return [pool.submit(answer) for answer in answers]


def test_sigterm_answers_everybody_and_leaves_nothing_behind(start):
    served = start()
    content = (ROOT / "zoo/embedded/predictors/inr-classifier/model.safetensors").read_bytes()
    served.upload(content)
    with ThreadPoolExecutor(20) as pool, served.upload_half():
        asked = busy(served, pool)
        time.sleep(1.5)
        assert served.files()
        code, said = served.end(signal.SIGTERM)
        answers = [future.result(60) for future in asked]
    assert code == 0 and "Traceback" not in said, said
    assert SENTENCE in answers[0], "the race was cut short"
    assert all("event: complete" in answer or SENTENCE in answer for answer in answers[1:])
    assert not served.files()


def test_a_kill_loses_nothing_that_was_promised(start):
    served = start()  # where one ended before
    kept = served.upload(b"kept for an hour")
    with ThreadPoolExecutor(20) as pool, served.upload_half():
        asked = busy(served, pool)
        time.sleep(1)
        code, _ = served.end(signal.SIGKILL)
        assert all(future.exception(60) for future in asked[:1])
    assert code == -signal.SIGKILL
    assert len(served.files()) >= 2, "an upload, and the half of one"
    again = start("-c", FORGET_AT_ONCE)
    page = httpx.get(f"{again.url}/?tab=inr&network=mnist-sirens/test/17", timeout=60)
    assert page.status_code == 200 and again.call("classify_inr", CLASSIFY).startswith("event: complete")
    assert not Path(kept).exists() and not again.files(), "whoever starts next takes away what is over time"


def test_what_is_younger_than_an_hour_stays(tmp_path, monkeypatch):
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(tmp_path))
    path = tmp_path / "a" / "net.pt"
    path.parent.mkdir()
    path.write_bytes(b"1")
    os.utime(path, (0, 0))  # a copy keeps the age of what it was copied from
    uploads.keep_sweeping()
    assert path.exists()
    uploads.sweep(time.time() + 1)
    assert list(tmp_path.iterdir()) == []
