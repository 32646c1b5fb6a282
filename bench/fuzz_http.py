"""Fuzz the running app with HTTP requests: valid ones of every route with changed bodies, headers, framing and paths.

    nice -n 19 python -m bench.fuzz_http 600          # seconds; --seed and --only replay a request

Every answer comes in time, is no internal error, repeats nothing of what was sent, and leaves the server healthy.
"""

import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import gradio
import httpx
from fastapi.openapi.utils import get_openapi
from gradio.routes import App

from bench.fuzzing import dump, fuzz, mutate_bytes, mutate_json, read_arguments
from bench.serving import serve_app

SECONDS, PATIENCE, GROWTH = 30.0, 0.3, 500
"""Seconds until an answer must be there, on a busy machine too; seconds that one is awaited that need not come; MiB by
which the server may grow."""
WARM, EVERY = 300, 100
"""Requests before the server's memory is measured, and between two measurements, each after a prediction."""
MARK = "echoed-by-nobody"
"""A text in bodies, which no error repeats."""
SIREN = "mnist-sirens/test/0"
NETWORKS = {"winning_ticket": "mnist-inits/test/1", "predict_generalization": "cifar10-cnns/test/0"}
"""By endpoint, the network that it is asked about if it is not the SIREN."""
DONE = (b"process_completed", b"close_stream", b"event: complete", b"event: error")
"""The last messages of streams."""
ALLOWED = {503, 507}
"""Documented statuses of 500 and more: too many requests, a full disk."""


@dataclass
class Request:
    """A request in parts. An answer is due unless the framing is `broken`."""

    method: str
    path: str
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes = b""
    broken: bool = False

    def raw(self) -> bytes:
        """The bytes on the line."""
        lines = [f"{self.method} {self.path} HTTP/1.1".encode(errors="surrogatepass"), b"Host: 127.0.0.1"]
        return b"\r\n".join(
            [*lines, *(name.encode() + b": " + value for name, value in self.headers), b"", self.body]
        )


# --- valid requests ---


class Valid:
    """Valid requests to a running app."""

    def __init__(self, url: str, config: dict[str, Any]):
        self._values = {
            component["id"]: component["props"].get("value") for component in config["components"]
        }
        self._handlers = config["dependencies"]
        info = httpx.get(f"{url}/gradio_api/info", timeout=60).json()["named_endpoints"]
        self._endpoints = {
            name.strip("/"): _arguments(name.strip("/"), one["parameters"]) for name, one in info.items()
        }
        routes = get_openapi(title="", version="", routes=App.create_app(gradio.Blocks()).routes)["paths"]
        self._routes = [(method.upper(), path) for path, methods in routes.items() for method in methods]

    def request(self, random: Random) -> tuple[Request, Any]:
        """A request to some route, and its body as a document; None for a form."""
        kind = random.randrange(6)
        if kind == 0:
            return self._fill(*random.choice(self._routes), random)
        if kind == 1:
            body = random.choice((b"x", random.randbytes(3000), dump({"a": [1]}), b"PK\x03\x04" + bytes(60)))
            return _form(random, body), None
        if kind == 2:
            return Request("POST", "/gradio_api/mcp/", _json_headers()), self._tool(random)
        if kind == 3:
            return Request("POST", "/gradio_api/queue/join", _json_headers()), self._event(random)
        name = random.choice(list(self._endpoints))
        route, arguments = random.choice(("call", "call/v2", "run", "api")), self._endpoints[name]
        document = arguments if route == "call/v2" else {"data": list(arguments.values())}
        return Request("POST", f"/gradio_api/{route}/{name}", _json_headers()), document

    def _fill(self, method: str, path: str, random: Random) -> tuple[Request, Any]:
        """A request to a path with parameters."""
        words = (
            "x",
            "7",
            "..",
            "../../../etc/passwd",
            "%2e%2e%2f",
            "a" * 2000,
            "%00",
            "%ff",
            "net.pt",
            *self._endpoints,
        )
        path = re.sub("{[^}]*}", lambda _: random.choice(words), path)
        query = random.choice(
            ("", "", "?session_hash=fuzz-1", "?upload_id=x", "?" + "a=b&" * 500, "?a=%ff&__theme=dark")
        )
        return Request(method, path + query, _json_headers() if method == "POST" else []), self._event(random)

    def _event(self, random: Random) -> dict[str, Any]:
        handler = random.choice(self._handlers)
        return {
            "data": [self._values.get(i) for i in handler["inputs"]], "fn_index": handler["id"],
            "session_hash": f"fuzz-{random.randrange(9)}", "event_id": random.choice((None, "x")), "trigger_id": None,
            "event_data": None, "component_id": random.choice(list(self._values)), "fn_name": "load",
        }  # fmt: skip

    def _tool(self, random: Random) -> dict[str, Any]:
        name = random.choice(list(self._endpoints))
        method = random.choice(("tools/call", "tools/call", "tools/list", "initialize", "ping"))
        parameters = {"name": name, "arguments": self._endpoints[name]}
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}


def _arguments(endpoint: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """The arguments of an endpoint by name: defaults, and a network."""
    arguments = {one["parameter_name"]: one.get("parameter_default") for one in parameters}
    return {**arguments, "zoo_id": NETWORKS.get(endpoint, SIREN)} if "zoo_id" in arguments else arguments


def _json_headers() -> list[tuple[str, bytes]]:
    return [("Content-Type", b"application/json"), ("Accept", b"application/json, text/event-stream")]


def _form(random: Random, content: bytes) -> Request:
    """An upload of some files."""
    boundary = random.choice((b"x", b"--", b"a" * 60))
    part = b'--%s\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
    names = (b"net.pt", b"../../x", MARK.encode() + b".pt", b"a" * 300, b"\xff\xfe", b"", b'"')
    parts = b"".join(
        part % (boundary, random.choice(names), content) for _ in range(random.choice((1, 1, 2, 5)))
    )
    headers = [("Content-Type", b"multipart/form-data; boundary=" + boundary)]
    return Request("POST", "/gradio_api/upload", headers, parts + b"--" + boundary + b"--\r\n")


# --- changes ---


def mutate(request: Request, document: Any, random: Random) -> Request:
    """The request with a body, and some changes of body, headers, path and framing."""
    if request.method == "POST" and document is not None:
        request.body = _body(document, random)
    elif request.body and random.random() < 0.6:
        request.body = mutate_bytes(request.body, random)
    for change in random.choices(CHANGES, k=random.choice((0, 0, 1, 1, 2))):
        change(request, random)
    _frame(request, random)
    return request


def _body(document: Any, random: Random) -> bytes:
    """A document as it is, with changes, or as something that is none."""
    kind, count = random.random(), random.choice((10, 1000, 9_990, 200_000))
    if kind < 0.2:
        return dump(document)
    if kind < 0.65:
        return dump(_marked(mutate_json(document, random), random))
    text = dump(document)
    return random.choice((
        mutate_bytes(text, random), b"", text[:-1], text * 2, b"null", dump(MARK * 1000), b"\xef\xbb\xbf" + text,
        text.replace(b'"', b'"\xff', 4), text.decode().encode("utf-16"), b"[" * count, b'{"data":' * count,
        b'{"data":' + b"[" * count + b"]" * count + b"}", b'{"data":[' + b"1," * count + b"1]}",
        b'{"data":["' + b"x" * 10 * count + b'"]}', b'{"data":[' + b"9" * count + b"]}",
        b"{%s}" % b",".join(b'"%d":0' % i for i in range(count // 10)),
    ))  # fmt: skip


def _marked(document: Any, random: Random) -> Any:
    """The document with a text that may not come back."""
    if isinstance(document, dict) and random.random() < 0.5:
        document[random.choice(("data", "session_hash", "fn_index", MARK, *document))] = random.choice(
            (MARK, [MARK], {MARK: 1})
        )
    return document


def _change_method(request: Request, random: Random) -> None:
    request.method = random.choice(
        ("GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "post", "X" * 300, "CONNECT")
    )


def _change_path(request: Request, random: Random) -> None:
    cut = random.randrange(len(request.path) + 1)
    odd = random.choice(
        ("/", "//", "/..", "%2f", "%", "%00", "?", "#", ";", "/" * 3000, "\udcff", "é", "?x=" + "y" * 70_000)
    )
    request.path = random.choice(
        (request.path + odd, request.path[:cut] + odd + request.path[cut:], "*", f"http://a{odd}")
    )


def _change_headers(request: Request, random: Random) -> None:
    """A header fewer, another one, or one twice."""
    kind = random.random()
    if kind < 0.3 and request.headers:
        request.headers.pop(random.randrange(len(request.headers)))
    elif kind < 0.4:
        request.headers *= 2
    else:
        request.headers.insert(random.randrange(len(request.headers) + 1), random.choice(HEADERS))


KINDS = (
    b"text/plain", b"application/json", b"application/json; charset=utf-16", b"multipart/form-data", b"", b"a" * 9000,
    b"multipart/form-data; boundary=", b"multipart/form-data; boundary=" + b"y" * 900, b"\xff\x00",
    b'multipart/form-data; boundary="x"; boundary=y', b"application/x-www-form-urlencoded",
)  # fmt: skip
HEADERS = [
    *(("Content-Type", kind) for kind in KINDS),
    *(("Host", host) for host in (b"", b"a", b"a:99999999", b"[<b>")),
    ("Expect", b"100-continue"), ("Expect", b"x"), ("Connection", b"close"), ("Upgrade", b"websocket"),
    ("Upgrade", b"h2c"), ("Origin", b"http://a"), ("Cookie", b"a=" + b"b" * 3000), ("Content-Encoding", b"gzip"),
    ("Accept", b"text/html"), ("Accept-Encoding", b"gzip"), ("Range", b"bytes=5-2"), ("Range", b"bytes=0-,0-,0-,0-"),
    ("X-Forwarded-Host", b"a/<b>"), ("X-Forwarded-Host", b"a" * 9000), ("X-Forwarded-Proto", b"x"),
    ("Authorization", b"Bearer \xff"), ("Referer", b"http://127.0.0.1/?__theme=dark"), ("x-gradio-user", b"x"),
    ("mcp-session-id", b"x"), ("X", b"y" * 70_000), ("a b", b"c"), ("", b""),
]  # fmt: skip
CHANGES = (_change_method, _change_path, _change_headers, _change_headers, _change_headers)


def _frame(request: Request, random: Random) -> None:
    """Say how long the body is: by its length, in chunks, or wrongly."""
    length, kind = str(len(request.body)).encode(), random.random()
    if kind < 0.65:
        if request.body or request.method == "POST":
            request.headers.append(("Content-Length", length))
        return
    chunks = _chunks(request.body, random)
    if kind < 0.8:
        request.headers.append(("Transfer-Encoding", b"chunked"))
        request.body = chunks
        return
    request.broken = True
    lengths = (
        b"-1",
        b"+5",
        b"0x10",
        b"",
        b"9" * 30,
        length + b"0",
        b"1",
        b"5, 6",
        b"\xb2",
        str(2**63).encode(),
    )
    request.headers += random.choice((
        [("Content-Length", random.choice(lengths))], [("Content-Length", length), ("Content-Length", b"7")], [],
        [("Transfer-Encoding", b"chunked"), ("Content-Length", length)], [("Transfer-Encoding", b"gzip, chunked")],
        [("Transfer-Encoding", random.choice((b"chunked", b"chunked, chunked", b"x")))],
    ))  # fmt: skip
    request.body = random.choice((request.body, request.body, mutate_bytes(chunks, random), chunks[:-2]))


def _chunks(body: bytes, random: Random) -> bytes:
    size = random.choice((1 + len(body) // 9, 100_000))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


# --- answers ---


class FuzzedApp:
    """A running app that is sent requests; `memory` measures the MiB of its process."""

    def __init__(self, url: str, config: dict[str, Any], memory: Callable[[], float]):
        self._url, self._memory = url.strip("/"), memory
        self._valid = Valid(self._url, config)
        self._address = ("127.0.0.1", int(self._url.rpartition(":")[2]))
        self._count, self._usual = 0, 0.0

    def check(self, random: Random) -> str:
        """Send a changed request; the status of the answer."""
        request = mutate(*self._valid.request(random), random)
        raw = request.raw()
        if random.random() < 0.05:
            raw += Request("GET", "/robots.txt").raw() * random.choice((1, 3))
        broken = request.broken or random.random() < 0.03
        if broken and not request.broken:
            raw = random.choice((raw[: random.randrange(1, len(raw))], mutate_bytes(raw, random)))
        answer = self._exchange(raw, PATIENCE if broken else SECONDS)
        assert answer or broken, f"no answer to {raw[:300]!r}"
        status = _judge(answer, raw) if answer else "silence"
        if status == "200" and b'"event_id"' in answer:
            self._follow(request.path, answer)
        self._check_health(random)
        return status

    def _exchange(self, raw: bytes, seconds: float) -> bytes:
        """The answer, or what came of it in time."""
        answer, end = b"", time.monotonic() + seconds
        with (
            socket.create_connection(self._address, timeout=SECONDS) as line,
            suppress(ConnectionError, TimeoutError),
        ):
            with suppress(ConnectionError):  # refused before all was sent
                line.sendall(raw)
            while not _is_whole(answer, raw.startswith(b"HEAD")) and (left := end - time.monotonic()) > 0:
                line.settimeout(left)
                piece = line.recv(2**20)
                if not piece:
                    break
                answer += piece
        return answer

    def _follow(self, path: str, answer: bytes) -> None:
        """Read what becomes of an event; one of the API has an end, one of the page may be a race."""
        event = re.search(rb'"event_id":\s*"(\w+)"', answer)
        if event is not None:
            ends = "/call/" in path
            raw = Request("GET", f"/gradio_api/call/x/{event[1].decode()}").raw()
            told = self._exchange(raw, SECONDS if ends else 1)
            assert any(word in told for word in DONE) or not ends, f"{path}: {told[:300]!r}"
            _judge(told, raw)

    def _check_health(self, random: Random) -> None:
        """The server still answers; now and then also with a prediction, and with the memory that it had."""
        self._count += 1
        assert b"200" in self._exchange(Request("GET", "/robots.txt").raw(), SECONDS)[:20], (
            "The server does not answer."
        )
        if self._count % EVERY == 0:
            body = {"data": [None, SIREN, *["auto"] * 6]}
            event = httpx.post(f"{self._url}/gradio_api/call/classify_inr", json=body, timeout=60).json()[
                "event_id"
            ]
            told = httpx.get(f"{self._url}/gradio_api/call/classify_inr/{event}", timeout=60).text
            assert '"label": "7"' in told, told[:300]
            self._check_memory()

    def _check_memory(self) -> None:
        memory = self._memory()
        if self._count <= WARM:
            self._usual = memory
        assert memory < self._usual + GROWTH, f"{memory:.0f} MiB, after {self._usual:.0f} MiB"


def _is_whole(answer: bytes, head_only: bool) -> bool:
    """Whether an answer has come to its end."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end or head_only:
        return bool(end)
    if head.startswith(b"HTTP/1.1 1"):
        return _is_whole(body, head_only)
    if b"event-stream" in head:
        return any(word in body for word in DONE)
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return length is None or len(body) >= int(length[1])


def _judge(answer: bytes, raw: bytes) -> str:
    """The status of an answer, which is no internal error and repeats nothing."""
    head, _, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    status = int(head[9:12])
    told = f"{raw[:600]!r} was answered with {answer[:600]!r}"
    assert status < 500 or status in ALLOWED, told
    assert status < 400 or (MARK.encode() not in body and len(body) < 2000), told
    assert not re.search(rb"Traceback|site-packages|File \"", body), told
    return str(status)


@contextmanager
def fuzzed_app() -> Iterator[FuzzedApp]:
    """Serve the app in its own process, with no Hub, for as long as it is fuzzed."""
    os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
    with serve_app() as app:
        yield FuzzedApp(app.url, app.config, app.memory)


def main() -> None:
    """Fuzz for a time; exit status 1 if there are findings."""
    arguments = read_arguments(__doc__)
    with fuzzed_app() as app:
        sys.exit(fuzz(app.check, arguments.seconds, arguments.seed, arguments.only) > 0)


if __name__ == "__main__":
    main()
