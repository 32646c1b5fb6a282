"""Requests as no client of Gradio's sends them: wrong arguments, files of the server, addresses to fetch from."""

import json
import re
import socket
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from asking import ARGUMENTS, CNN, INIT, SEVEN, answers_still, ask, made, raw, result, sentence
from hostile_files import MARKER

from zoo.catalog import EMBEDDED, Zoo

# --- arguments of the API, row 30 ---


TOLD = ["auto"] * 5
"""What may be said of a convention."""
WRONG = {
    "zoo_id is a number": ("classify_inr", [None, 7, "auto", *TOLD]),
    "zoo_id is a list": ("winning_ticket", [None, ["a"], 0.9]),
    "neither": ("edit_inr", [None, None, "dilate", 1.0, *TOLD]),
    "both": ("predict_generalization", [{"path": "x"}, CNN, "auto", "auto", "auto"]),
    "domain is a list": ("classify_inr", [None, SEVEN, ["mnist"], *TOLD]),
    "style is an object": ("edit_inr", [None, SEVEN, {"a": 1}, 1.0, *TOLD]),
    "strength is text": ("edit_inr", [None, SEVEN, "dilate", "abc", *TOLD]),
    "strength is NaN": ("edit_inr", [None, SEVEN, "dilate", float("nan"), *TOLD]),
    "strength is a list": ("edit_inr", [None, SEVEN, "dilate", [1.0], *TOLD]),
    "strength is null": ("edit_inr", [None, SEVEN, "dilate", None, *TOLD]),
    "limit is text": ("list_networks", ["mnist-sirens", "abc"]),
    "limit is an object": ("list_networks", ["mnist-sirens", {}]),
    "limit is null": ("list_networks", ["mnist-sirens", None]),
    "collection is a list": ("list_networks", [["mnist-sirens"], 3]),
    "collection is a number": ("list_networks", [7, 3]),
    "sparsity is NaN": ("winning_ticket", [None, INIT, float("nan")]),
    "activation is a list": ("predict_generalization", [None, CNN, ["relu"], "auto", "auto"]),
    "pixels are a number": ("predict_generalization", [None, CNN, "auto", 7, "auto"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_answered_in_words(http, case):
    endpoint, data = WRONG[case]
    body = json.dumps({"data": data})
    asked = http.post(
        f"gradio_api/call/{endpoint}", content=body, headers={"content-type": "application/json"}
    )
    if asked.status_code == 200:
        sentence(http.get(f"gradio_api/call/{endpoint}/{asked.json()['event_id']}").text)
    else:
        assert 400 <= asked.status_code < 500 and "Traceback" not in asked.text


def test_a_huge_number_of_networks_is_all_of_them(http):
    (rows,) = result(raw(http, "list_networks", ["mnist-sirens", 10**9]))
    assert len(rows) == len(Zoo(EMBEDDED).rows("mnist-sirens"))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": 7}', b"{", b"\xff\xfe", b'{"data":' + b"[" * 50_000]
)
def test_requests_that_are_none_are_refused(http, body):
    answer = http.post(
        "gradio_api/call/classify_inr", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code >= 400 and "Traceback" not in answer.text
    assert answers_still(http)


@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("endpoint", ARGUMENTS)
def test_too_few_and_too_many_arguments_do_no_harm(http, endpoint, count):
    answer = raw(http, endpoint, [None] * count)
    assert "Traceback" not in answer and "event: complete" not in answer
    assert answers_still(http)


@pytest.mark.parametrize("number", [10**6, -1, "1", None, True, 1.5])
def test_events_without_a_handler_are_refused(http, number):
    body = {"data": [], "fn_index": number, "session_hash": "x"}
    answer = http.post("gradio_api/queue/join", json=body)
    assert answer.status_code == 404 and "no handler" in answer.json()["error"]


def test_events_of_the_browser_are_refused(http):
    """Handlers that are JavaScript alone."""
    handlers = http.get("config").json()["dependencies"]
    number = next(one["id"] for one in handlers if not one["backend_fn"])
    body = {"data": [], "fn_index": number, "session_hash": "x"}
    assert http.post("gradio_api/queue/join", json=body).status_code == 404


def test_unknown_endpoints_are_not_there(http):
    assert http.post("gradio_api/call/nothing", json={"data": []}).status_code in (404, 422, 500)
    with (
        suppress(httpx.RemoteProtocolError),
        http.stream("GET", "gradio_api/call/classify_inr/nothing") as answer,
    ):
        assert "Traceback" not in answer.read().decode()
    assert answers_still(http)


# --- files of the server and of others, row 31 ---


ADDRESSES = [
    "http://127.0.0.1:9/x", "https://169.254.169.254/latest/meta-data", "HTTP://[::1]/x", " https://example.org/10gb",
]  # fmt: skip
SYSTEM_FILES = [
    "/etc/hostname",
    "file:///etc/hostname",
    "../../../etc/hostname",
    "/proc/self/environ",
    "C:/x",
    "",
    "a\0b",
]


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """What the app tries to fetch from elsewhere."""
    from gradio import processing_utils

    asked: list[str] = []

    async def refuse(url: str, *_: object) -> str:
        asked.append(url)
        raise OSError("Nothing is fetched in tests.")

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", refuse)
    return asked


@pytest.mark.parametrize("endpoint", [*ARGUMENTS, "predict_generalization_batch"])
@pytest.mark.parametrize("path", SYSTEM_FILES)
def test_files_of_the_server_are_not_read(http, endpoint, path):
    for file in ({"path": path}, path):
        assert re.search("uploaded|file must be", sentence(ask(http, endpoint, file)))
    marked = ask(http, endpoint, {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert marked.startswith("event: error") and socket.gethostname() not in marked, (
        "Gradio refuses it, without words"
    )


@pytest.mark.parametrize("endpoint", [*ARGUMENTS, "predict_generalization_batch"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_is_fetched_from_an_address(http, fetched, endpoint, address):
    file = {"path": address, "meta": {"_type": "gradio.FileData"}}
    assert "not fetched" in ask(http, endpoint, file)
    assert re.search("file must be|not fetched", ask(http, endpoint, address))
    assert "not fetched" in ask(http, endpoint, {"path": "/tmp/x", "url": "x", "more": [file]})
    assert not fetched


KINDS = [
    ["application/json"], ["application/json", "multipart/form-data"], ["multipart/form-data", "application/json"],
    ["multipart/form-data; boundary=x"], ["text/plain"], [],
]  # fmt: skip


@pytest.mark.parametrize("kinds", KINDS, ids=", ".join)
@pytest.mark.parametrize(
    "route",
    ["call/classify_inr", "call/v2/classify_inr", "run/classify_inr", "api/classify_inr", "queue/join"],
)
def test_no_content_type_leads_around_the_guard(http, fetched, kinds, route):
    """Gradio takes the first of two content types; whoever looks at the last one can be led astray."""
    file = {"path": ADDRESSES[0], "meta": {"_type": "gradio.FileData"}}
    body = {"data": [file, None, "auto"], "file": file, "session_hash": "x", "fn_index": 0}
    headers = [("content-type", kind) for kind in kinds]
    http.post(f"gradio_api/{route}", content=json.dumps(body).encode(), headers=headers)
    assert answers_still(http) and not fetched


def test_the_pages_own_handlers_take_no_file_of_the_server(http, fetched):
    """The handlers behind the upload boxes are private to clients, but not to whoever sends requests by hand."""
    config = http.get("config").json()
    types = {component["id"]: component["type"] for component in config["components"]}
    taking = [one for one in config["dependencies"] if "file" in [types[i] for i in one["inputs"]]]
    assert len(taking) >= 4
    for one in taking:
        for path in ("/etc/hostname", str(Path("README.md").resolve()), "../../../../etc/hostname"):
            answer = through_queue(http, one, types, path)
            assert '"success":false' in answer and socket.gethostname() not in answer
    assert not fetched and answers_still(http)


def through_queue(http: httpx.Client, handler: dict, types: dict[int, str], path: str) -> str:
    """The last message to a page that calls a handler with a file of its choice."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "net.pt"}
    several = [file] if handler["id"] and "batch" in str(handler["api_name"]) else file
    data = [several if types[i] == "file" else None for i in handler["inputs"]]
    session = f"hostile-{handler['id']}-{len(path)}"
    body = {"data": data, "fn_index": handler["id"], "session_hash": session}
    assert http.post("gradio_api/queue/join", json=body).status_code == 200
    with http.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as lines:
        return next(line for line in lines.iter_lines() if "process_completed" in line).replace(": ", ":")


@pytest.mark.parametrize("route", ["static/", "assets/", "svelte/", "gradio_api/file="])
def test_names_that_are_too_long_for_a_file_are_not_there(http, route):
    assert http.get(route + "a" * 2000).status_code in (403, 404)


@pytest.mark.parametrize("path", [
    "/etc/hostname", "%2Fetc%2Fhostname", "../../../etc/hostname", "README.md", ".git/config", "app.py",
    "http://127.0.0.1:9/x", "https://example.org/x", "file:///etc/hostname",
])  # fmt: skip
def test_no_file_but_uploads_comes_back(http, path):
    answer = http.get(f"gradio_api/file={path}", follow_redirects=False)
    assert answer.status_code in (403, 404) and "location" not in answer.headers
    assert answer.json()["detail"] in ("File not allowed", "File not found", "Not Found"), (
        "the path is not repeated"
    )
    assert http.get(f"gradio_api/proxy={path}").status_code in (400, 403, 404)


def mcp(http: httpx.Client, name: str, arguments: dict) -> str:
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }
    headers = {"accept": "application/json, text/event-stream"}
    return http.post("gradio_api/mcp/", json=body, headers=headers).text


@pytest.mark.parametrize(
    "file", [*ADDRESSES, "/etc/hostname", "file:///etc/hostname", 7, {"path": "/etc/hostname"}]
)
def test_tools_take_data_uris_and_nothing_else(http, fetched, file):
    for name, arguments in (
        ("classify_inr", {"file": file, "zoo_id": None}),
        ("winning_ticket", {"file": file, "zoo_id": None}),
        ("predict_generalization_batch", {"files": [file]}),
        ("predict_generalization_batch", {"files": file}),
    ):
        answer = mcp(http, name, arguments)
        assert '"isError":true' in answer or "not fetched" in answer, answer
        assert socket.gethostname() not in answer and "Traceback" not in answer
    assert not fetched


@pytest.mark.parametrize("accept", ["text/html", "text/event-stream"])
@pytest.mark.parametrize("end", ["", "/gradio_api/mcp", "/gradio_api/mcp/", "/gradio_api/mcp/http"])
def test_no_link_to_the_tools_runs_a_script(http, accept, end):
    """Gradio's page about MCP has its own address in a script."""
    path = f"gradio_api/mcp/%3C/script%3E%3Cscript%3Ealert(1)%3C/script%3E{end}"
    answer = http.get(path, headers={"accept": accept})
    assert answer.status_code == 404 and "script" not in answer.text
    assert http.get("gradio_api/mcp/", headers={"accept": "text/html"}).status_code == 200


def test_a_hostile_file_through_a_tool(http):
    import base64

    uri = f"data:application/octet-stream;base64,{base64.b64encode(made('payload in a zip')).decode()}"
    assert "tries to run" in mcp(http, "classify_inr", {"file": uri, "zoo_id": None})
    assert not MARKER.exists()
