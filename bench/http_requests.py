"""Requests for `bench.fuzz_http`: valid ones of every route, and changes of bodies, headers, framing and paths."""

import re
from dataclasses import dataclass, field
from random import Random
from typing import Any

import gradio
import httpx
from fastapi.openapi.utils import get_openapi
from gradio.routes import App

from bench.fuzzing import dump, mutate_bytes, mutate_json

MARK, MARKUP = "echoed-by-nobody", "<b>echoed"
"""A text in bodies, which no error repeats, and one in paths, which no answer repeats."""
SIREN = "mnist-sirens/test/0"
NETWORKS = {"winning_ticket": "mnist-inits/test/1", "predict_generalization": "cifar10-cnns/test/0"}
"""By endpoint, the network that it is asked about if it is not the SIREN."""
WORDS = (
    "x",
    "7",
    "..",
    "../../../etc/passwd",
    "%2e%2e%2f",
    "a" * 2000,
    "%00",
    "%ff",
    "net.pt",
    MARKUP.replace("<", "%3C"),
)
QUERIES = ("", "", "?session_hash=fuzz-1", "?upload_id=x", "?" + "a=b&" * 500, "?a=%ff&__theme=dark")
METHODS = ("GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "post", "X" * 300, "CONNECT")
ODD_PATHS = ("/", "//", "/..", "%2f", "%", "%00", "?", "#", ";", "/" * 3000, "\udcff", "é", "?x=" + "y" * 70_000,
             "/%3Cb%3Eechoed/gradio_api/mcp/")  # fmt: skip
LENGTHS = (b"-1", b"+5", b"0x10", b"", b"1", b"5, 6", b"9" * 30, b"\xb2", str(2**63).encode())


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


class Valid:
    """Valid requests to a running app."""

    def __init__(self, url: str, config: dict[str, Any]):
        self._values = {one["id"]: one["props"].get("value") for one in config["components"]}
        self._handlers = config["dependencies"]
        info = httpx.get(f"{url}/gradio_api/info", timeout=60).json()["named_endpoints"]
        names = {name.strip("/"): one["parameters"] for name, one in info.items()}
        self._endpoints = {name: _arguments(name, parameters) for name, parameters in names.items()}
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
        words = (*WORDS, *self._endpoints)
        path = re.sub("{[^}]*}", lambda _: random.choice(words), path)
        query = random.choice(QUERIES)
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
        key = random.choice(("data", "session_hash", "fn_index", MARK, *document))
        document[key] = random.choice((MARK, [MARK], {MARK: 1}))
    return document


def _change_method(request: Request, random: Random) -> None:
    request.method = random.choice(METHODS)


def _change_path(request: Request, random: Random) -> None:
    cut = random.randrange(len(request.path) + 1)
    odd = random.choice(ODD_PATHS)
    inside = request.path[:cut] + odd + request.path[cut:]
    request.path = random.choice((request.path + odd, inside, "*", f"http://a{odd}"))


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
    lengths = (*LENGTHS, length + b"0")
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
