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
from threading import Semaphore

import httpx
import pytest
from asking import files_in
from waiting import free_port, wait_for, wait_until

from app.networks.source import Source
from app.page.source_text import to_text
from app.server import uploads
from app.server.shutdown import KILL_SECONDS, RESTARTING

ROOT = Path(__file__).parent.parent
FORGET_AT_ONCE = (
    "import runpy, app.server.uploads as uploads; uploads.KEEP_SECONDS = 0; "
    "runpy.run_path('app.py', run_name='__main__')"
)
CLASSIFY = {"data": [None, "mnist-sirens/test/17", *["auto"] * 6]}


def ticket_of(number: int) -> dict:
    return {"data": [None, f"mnist-inits/test/{number}", 0.9]}


class Served:
    """`python app.py` on a port, its temporary files in a folder."""

    def __init__(self, port: int, folder: Path, arguments: tuple[str, ...] = ("app.py",)):
        environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder)}
        self.url, self.folder, self.answering = f"http://127.0.0.1:{port}", folder, Semaphore(0)
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(f"{self.url}/config", self.process, seconds=60)

    def call(self, endpoint: str, body: dict) -> str:
        """The last event of an API call: complete or error, and its data."""
        stop_requested = httpx.post(f"{self.url}/gradio_api/call/{endpoint}", json=body, timeout=60).json()
        return self.events(f"call/{endpoint}/{stop_requested['event_id']}")

    def race(self) -> str:
        """Everything that the page hears of a race, to its end."""
        config = httpx.get(f"{self.url}/config", timeout=60).json()
        ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
        number = next(
            d for d in config["dependencies"] if [ids["start-race"], "click"] in map(list, d["targets"])
        )
        body = {
            "data": [to_text(Source("mnist-inits/test/1")), 95, "best", 0],
            "fn_index": number["id"],
            "session_hash": "racer",
        }
        httpx.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=60).raise_for_status()
        return self.events("queue/data?session_hash=racer")

    def events(self, address: str) -> str:
        """All events of a stream; `answering` counts those that have begun."""
        with httpx.stream("GET", f"{self.url}/gradio_api/{address}", timeout=60) as stream:
            self.answering.release()
            return stream.read().decode()

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
        _, said = self.process.communicate(timeout=KILL_SECONDS + 7)
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
    """Requests that the app has begun to answer, and the answers: a race, then tickets and classifications."""
    answers: list[Callable[[], str]] = [served.race]
    answers += [partial(served.call, "winning_ticket", ticket_of(i)) for i in range(12)]
    answers += [partial(served.call, "classify_inr", CLASSIFY)] * 4
    futures = [pool.submit(answer) for answer in answers]
    assert all(served.answering.acquire(timeout=60) for _ in futures)
    return futures


def test_sigterm_answers_all_requests_and_deletes_uploads(start):
    served = start()
    content = (ROOT / "zoo/embedded/predictors/inr-classifier/model.safetensors").read_bytes()
    served.upload(content)
    with ThreadPoolExecutor(20) as pool, served.upload_half():
        stop_requested = busy(served, pool)
        assert served.files()
        code, said = served.end(signal.SIGTERM)
        answers = [future.result(60) for future in stop_requested]
    assert code == 0 and "Traceback" not in said, said
    assert RESTARTING in answers[0], "the race was cut short"
    assert all("event: complete" in answer or RESTARTING in answer for answer in answers[1:])
    assert not served.files()


def test_uploads_survive_a_kill_until_they_expire(start):
    served = start()  # where one ended before
    kept = served.upload(b"kept for an hour")
    with ThreadPoolExecutor(20) as pool, served.upload_half():
        stop_requested = busy(served, pool)
        wait_until(lambda: len(served.files()) >= 2)
        code, _ = served.end(signal.SIGKILL)
        assert all(future.exception(60) for future in stop_requested[:1])
    assert code == -signal.SIGKILL
    assert len(served.files()) >= 2, "an upload, and the half of one"
    again = start("-c", FORGET_AT_ONCE)
    page = httpx.get(f"{again.url}/?tab=inr&network=mnist-sirens/test/17", timeout=60)
    assert page.status_code == 200 and "Weightscope" in page.text
    assert again.call("classify_inr", CLASSIFY).startswith("event: complete")
    assert not Path(kept).exists() and not again.files(), "whoever starts next takes away what is over time"


def test_uploads_are_kept_for_an_hour(tmp_path, monkeypatch):
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(tmp_path))
    path = tmp_path / "a" / "net.pt"
    path.parent.mkdir()
    path.write_bytes(b"1")
    os.utime(path, (0, 0))  # a copy keeps the age of what it was copied from
    uploads.start_cleanup()
    assert path.exists()
    uploads.delete_older_than(time.time() + 1)
    assert list(tmp_path.iterdir()) == []
