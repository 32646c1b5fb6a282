"""Bodies of requests that are too large, of the wrong kind, too slow or too many: refused soon, never given back."""

import asyncio
import json
import socket
import time
from types import SimpleNamespace

import httpx
import pytest
from asking import answers_still, kept, upload
from hostile_files import saved, siren
from starlette.types import Message

from app.server import bodies
from app.server.bodies import BodyLimits, BodyPool, RefusedError
from app.server.request_guard import MAX_VALUES

MIB = 2**20
ROUTES = [
    "call/classify_inr", "call/v2/classify_inr", "run/classify_inr", "api/classify_inr/", "queue/join", "cancel",
    "reset", "component_server", "mcp/", "process_recording", "stream/x", "nothing", "../login", "../",
]  # fmt: skip
"""Below `gradio_api/`, with and without the slash that Gradio takes at the end."""


def send(http: httpx.Client, path: str, head: str, pieces: list[bytes]) -> tuple[int, bytes]:
    """The status (0 where the line was cut) and the start of the answer to a request written by hand."""
    address = (http.base_url.host, http.base_url.port or 80)
    with socket.create_connection(address, timeout=30) as line:
        line.sendall(f"POST {path} HTTP/1.1\r\nHost: {address[0]}\r\n{head}\r\n".encode())
        try:
            for piece in pieces:
                line.sendall(piece)
            answer = line.recv(MIB)
        except ConnectionError:
            answer = b""
    return int(answer[9:12] or 0), answer


# --- size and kind ---


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_no_route_and_no_kind_takes_a_large_body(http, monkeypatch, route, kind):
    """Refused from its head, when the length is given, and while it comes, when it is not."""
    monkeypatch.setattr(bodies, "LINGER_SECONDS", 0.05)
    kinds = f"Content-Type: {kind}\r\n" if kind else ""
    path = httpx.URL(http.base_url).join(f"/gradio_api/{route}").path
    status, answer = send(http, path, f"{kinds}Content-Length: {600 * MIB}\r\n", [])
    assert status in (413, 415) and len(answer) < 1000, answer
    chunk = f"{MIB:x}\r\n".encode() + bytes(MIB) + b"\r\n"
    status, _ = send(http, path, f"{kinds}Transfer-Encoding: chunked\r\n", [chunk] * 20)
    past_the_queue = route.startswith(("run/", "api/", "component_server"))  # refused whatever the body
    assert status in ((0, 404, 415) if past_the_queue else (0, 413, 415))


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_no_method_takes_a_large_body(http, method):
    answer = http.request(method, "gradio_api/upload", content=bytes(20 * MIB))
    assert answer.status_code in (413, 415)


def test_forms_go_to_the_route_for_uploads_alone(http):
    form = {"files": ("net.pt", b"x")}
    for route in ROUTES[:10]:
        answer = http.post(f"gradio_api/{route}", files=form)
        assert answer.status_code == 415 and "JSON" in answer.json()["error"]
    answer = http.post("gradio_api/upload", json={"files": []})
    assert answer.status_code == 415 and "multipart" in answer.text


def test_a_form_holds_only_a_few_files(http):
    """Gradio keeps what is no file in memory, and every file open until the last one has come."""
    assert (
        http.post("gradio_api/upload", data={"files": "x" * 100}, files={"a": ("a", b"x")}).status_code == 400
    )
    many = [("files", (f"{i}.pt", b"x")) for i in range(201)]
    assert "Too many files" in http.post("gradio_api/upload", files=many).text
    assert len(http.post("gradio_api/upload", files=many[:200]).json()) == 200


def test_an_upload_that_is_refused_or_cut_leaves_nothing(http):
    before, total = kept(), bodies.UPLOAD_LIMITS.size
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="net.pt"\r\n\r\n'
    kind = "Content-Type: multipart/form-data; boundary=x\r\n"
    chunk = f"{MIB:x}\r\n".encode() + bytes(MIB) + b"\r\n"
    opening = f"{len(head):x}\r\n".encode() + head + b"\r\n"
    pieces = [opening, *[chunk] * (total // MIB + 1)]
    assert send(http, "/gradio_api/upload", f"{kind}Transfer-Encoding: chunked\r\n", pieces)[0] in (0, 413)
    with socket.create_connection((http.base_url.host, http.base_url.port or 80)) as cut:
        cut.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\n{kind}Content-Length: {9 * MIB}\r\n\r\n".encode()
        )
        cut.sendall(head + bytes(5 * MIB))
    assert answers_still(http)
    end = time.monotonic() + 10
    while kept() - before and time.monotonic() < end:
        time.sleep(0.05)
    assert kept() <= before


def test_json_of_many_values_is_not_even_parsed(http):
    for values in ("[]," * MAX_VALUES, '{"a":1},' * MAX_VALUES, "1," * MIB, "[" * (MAX_VALUES + 1)):
        start = time.process_time()
        answer = http.post("gradio_api/call/classify_inr", content=f'{{"data":[{values}0]}}',
                           headers={"content-type": "application/json"})  # fmt: skip
        assert answer.status_code == 413 and time.process_time() - start < 1


def test_long_names_of_sessions_are_not_kept(http):
    for key in ("session_hash", "event_id", "trigger_id"):
        body = {"data": [None, None, "auto"], "fn_index": 0, key: "x" * 1000}
        answer = http.post("gradio_api/queue/join", json=body)
        assert answer.status_code == 400 and "200 characters" in answer.json()["error"]


MARK = "echoed-by-nobody"


@pytest.mark.parametrize("body", [
    {"data": MARK * 1000}, {"data": [MARK], "session_hash": 7}, {"data": {MARK: MARK}}, [MARK] * 100, MARK, {MARK: 1},
    {"data": None, "fn_index": MARK * 1000}, {"\ud800" + MARK: 1, "data": 7},
])  # fmt: skip
@pytest.mark.parametrize("route", ROUTES[:8])
def test_no_body_is_echoed(http, route, body):
    answer = http.post(
        f"gradio_api/{route}", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code >= 400 or route in ("cancel", "reset"), answer.text
    assert MARK not in answer.text and len(answer.text) < 1000


# --- time and number ---


LIMITS = BodyLimits(size=1000, seconds=0.4, rate=0, count=3, total=2000, grace=0.1)


class Line:
    """A connection on which a body comes in pieces, and then nothing more."""

    def __init__(self, *pieces: bytes, ends: bool = False):
        self._messages: list[Message] = [
            {"type": "http.request", "body": p, "more_body": True} for p in pieces
        ]
        if ends:
            self._messages[-1]["more_body"] = False

    async def __call__(self) -> Message:
        if not self._messages:
            await asyncio.sleep(60)
        return self._messages.pop(0)


async def receive_all(among: BodyPool, line: Line, hold: float = 0.0) -> bytes | int | None:
    """What came, or the status with which it was refused; held for a while as by an endpoint."""
    try:
        with among.receiving(line) as body:
            content = await body.read_all()
            await asyncio.sleep(hold)
            return content
    except RefusedError as refused:
        return refused.status


def test_waiting_for_a_body_has_a_time_limit():
    start = time.monotonic()
    assert asyncio.run(receive_all(BodyPool(LIMITS), Line(b"a"))) == 408
    assert 0.3 < time.monotonic() - start < 5


def test_a_body_must_keep_up_its_rate():
    rated = BodyLimits(size=10**6, seconds=60, rate=1000, count=3, total=10**7, grace=0.1)

    async def drip() -> float:
        start = time.monotonic()
        assert await receive_all(BodyPool(rated), Line(b"a" * 200)) == 408
        return time.monotonic() - start

    assert 0.25 < asyncio.run(drip()) < 5


def test_a_body_that_is_larger_than_it_said_is_refused_as_it_comes():
    assert asyncio.run(receive_all(BodyPool(LIMITS), Line(b"a" * 600, b"a" * 600, ends=True))) == 413


@pytest.mark.parametrize("size", [1, 900])
def test_slow_senders_are_dropped_for_quick_ones(monkeypatch, size):
    """Three places, 2,000 bytes in all: the slowest goes when another one comes; the young are left alone."""
    now = 0.0
    monkeypatch.setattr(bodies, "time", SimpleNamespace(monotonic=lambda: now))

    async def crowd() -> tuple[list[int | bytes | None], bytes | int | None, bytes | int | None]:
        among = BodyPool(LIMITS)
        slow = [
            asyncio.create_task(receive_all(among, Line(b"a" * size))) for _ in range(2 if size > 1 else 3)
        ]
        await asyncio.sleep(0.02)
        young = await receive_all(among, Line(b"b" * size, ends=True))
        nonlocal now
        now = 2 * LIMITS.grace
        quick = await receive_all(among, Line(b"b" * size, ends=True))
        first = [task.result() for task in slow if task.done()]
        for task in slow:
            task.cancel()
        return first, young, quick

    gone, young, quick = asyncio.run(crowd())
    assert gone in ([], [408]) and young == 503 and quick == b"b" * size


def test_what_is_held_for_an_answer_counts_and_is_not_cut():
    async def crowd() -> list[bytes | int | None]:
        among = BodyPool(LIMITS)
        held = [
            asyncio.create_task(receive_all(among, Line(b"a" * 900, ends=True), hold=0.5)) for _ in range(2)
        ]
        await asyncio.sleep(0.2)
        late = await receive_all(among, Line(b"b" * 900, ends=True))
        return [late, *await asyncio.gather(*held)]

    assert asyncio.run(crowd()) == [503, b"a" * 900, b"a" * 900]


def test_sixty_slow_senders_hold_nobody_up(http):
    """Each promises what it may and sends most of it: together they keep no more than the total."""
    address, size = (http.base_url.host, http.base_url.port or 80), bodies.JSON_LIMITS.size
    head = "POST /gradio_api/call/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {size}\r\n\r\n"
    lines = [socket.create_connection(address, timeout=5) for _ in range(60)]
    try:
        for line in lines:
            line.sendall(head.encode() + b" " * (size - 9))
        start = time.monotonic()
        assert upload(http, saved(siren())) and answers_still(http)
        assert time.monotonic() - start < 10
        refused = 0
        for line in lines:
            line.settimeout(0.1)
            try:
                refused += b"503" in line.recv(100)
            except TimeoutError:
                continue
        assert refused >= 60 - bodies.JSON_LIMITS.total // (size - 9) - 1
    finally:
        for line in lines:
            line.close()
