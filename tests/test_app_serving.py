"""How the app is served: its options, the guard against URLs, the entry, and errors as toasts."""

import asyncio
import os
from pathlib import Path

import gradio as gr
import pytest
from gradio import state_holder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.networks.source import Source
from app.page.alerts import UNEXPECTED, with_alerts
from app.page.source_text import from_request, from_text, to_text
from app.runtime.errors import RequestError
from app.server import request_guard
from app.server.bodies import BodyLimits
from app.server.compression import CompressPage
from app.server.request_guard import MAX_ADDRESS, GuardRequests
from app.server.serving import LOOK_EVERY, LightSession, SessionMessages, configure_process, launch_options
from app.ui import TABS
from nfn.network import SirenConvention
from nfn.reader.limits import FILE_BYTES

ROOT = Path(__file__).parent.parent


@pytest.fixture
def guarded():
    async def echo(request: Request):
        return JSONResponse(await request.json())

    async def show(request: Request):
        return PlainTextResponse("shown")

    paths = ("/gradio_api/call/x", "/gradio_api/run/x", "/gradio_api/api/x", "/gradio_api/mcp/")
    routes = [Route("/{path:path}", show), *(Route(path, echo, methods=["POST"]) for path in paths)]
    return TestClient(
        Starlette(routes=routes[::-1], middleware=[Middleware(GuardRequests, defaults={"x": {}})])
    )


@pytest.mark.parametrize("body", [
    {"data": [{"path": "http://169.254.169.254/x", "meta": {"_type": "gradio.FileData"}}, None]},
    {"data": [{"a": [{"path": "HTTPS://example.org/x"}]}]},
    {"file": {"path": " https://example.org/x"}},
    {"params": {"arguments": {"file": "http://example.org/x"}}},
])  # fmt: skip
def test_files_by_url_are_refused(guarded, body):
    answer = guarded.post("/gradio_api/call/x", json=body)
    assert answer.status_code == 400 and "not fetched" in answer.json()["detail"]


@pytest.mark.parametrize("body", [
    {"data": [{"path": "/tmp/gradio/x", "url": "http://127.0.0.1/gradio_api/file=x"}, None]},
    {"params": {"arguments": {"file": "data:application/octet-stream;base64,AA=="}}},
    {"data": ["http://example.org is only text"]},
    {"params": {"arguments": {"file": "http://127.0.0.1/gradio_api/file=/uploaded/here"}}},
])  # fmt: skip
def test_other_requests_pass_unchanged(guarded, body):
    answer = guarded.post("/gradio_api/call/x", json=body)
    assert answer.status_code == 200 and answer.json() == body


DIRECT = ("run/x", "api/x", "api/x/", "component_server", "component_server/")


@pytest.mark.parametrize("path", [f"/gradio_api/{path}" for path in DIRECT])
def test_calls_past_the_queue_are_refused(guarded, path):
    """They would run at once however many there are, and mistakes in them were answered with status 500."""
    answer = guarded.post(path, json={"data": []})
    assert answer.status_code == 404 and "go through the queue" in answer.json()["error"]


@pytest.mark.parametrize(
    "content", [b"{", b'{"data": "\xff"}', b'{"data": %s}' % (b"9" * 9000), b"[" * 5000, b""]
)
def test_invalid_json_is_refused(guarded, content):
    headers = {"content-type": "application/json", "transfer-encoding": "chunked"}
    for path in ("/gradio_api/call/x", "/gradio_api/mcp/"):
        answer = guarded.post(path, content=iter([content]), headers=headers)
        assert answer.status_code == 400 and "not valid JSON" in answer.json()["error"]


@pytest.mark.parametrize("message", [
    [], "x", {}, {"jsonrpc": "2.0"}, {"jsonrpc": "1.0", "method": "ping"}, {"jsonrpc": "2.0", "method": ["ping"]},
    {"jsonrpc": "2.0", "method": "ping", "params": "x"}, [{"jsonrpc": "2.0", "method": "ping"}],
])  # fmt: skip
def test_a_message_that_is_not_mcp_is_refused(guarded, message):
    """The MCP server would answer with what was sent."""
    answer = guarded.post("/gradio_api/mcp/", json=message)
    assert answer.status_code == 400 and "An MCP request is an object" in answer.json()["error"]


def test_mcp_messages_pass_unchanged(guarded):
    for message in ({"method": "ping", "id": 1}, {"method": "notifications/initialized", "params": {}}):
        answer = guarded.post("/gradio_api/mcp/", json={"jsonrpc": "2.0", **message})
        assert answer.status_code == 200 and answer.json()["method"] == message["method"]


@pytest.mark.parametrize(("path", "status"), [
    ("/?" + "x" * MAX_ADDRESS, 414), ("/" + "x" * MAX_ADDRESS, 414), ("/a%00b", 400), ("/a%0ab", 400), ("/?a=%00", 200),
    ("/%C3%A9", 200),
])  # fmt: skip
def test_odd_addresses_are_refused(guarded, path, status):
    assert guarded.get(path).status_code == status


def test_an_odd_host_is_refused(guarded):
    answer = guarded.get("/", headers={"x-forwarded-host": "a\x11b"})
    assert answer.status_code == 400 and "not valid" in answer.json()["error"]


def test_a_huge_request_is_refused(guarded, monkeypatch):
    small = BodyLimits(size=1000, seconds=30, rate=0, count=3, total=10_000)
    monkeypatch.setattr(request_guard, "JSON_LIMITS", small)
    assert guarded.post("/gradio_api/call/x", json={"data": ["x" * 2000]}).status_code == 413


def test_served_privately_and_with_limits():
    options = launch_options(TABS)
    assert options["max_file_size"] == FILE_BYTES
    assert options["run_history"] is False and options["enable_monitoring"] is False
    assert "server_name" not in options, "GRADIO_SERVER_NAME decides; loopback otherwise"


def test_messages_to_a_visitor_who_left_are_dropped():
    """Gradio sends every waiting visitor an estimate, also when another one comes."""
    messages = SessionMessages(2)
    messages["gone"].put_nowait("an estimate")
    assert "gone" not in messages and messages["gone"].empty()
    messages["here"] = asyncio.Queue()
    messages["here"].put_nowait("an estimate")
    assert not messages["here"].empty()


def test_gradio_looks_for_events_as_often_as_it_is_told():
    """An idle server of Gradio's own takes 6% of a core; if these names change, `serve` sets them in vain."""
    queue = gr.Blocks()._queue
    intervals = queue.sleep_when_free, queue.progress_update_sleep_when_free
    assert all(ours > theirs for ours, theirs in zip(LOOK_EVERY, intervals, strict=True))


def test_a_session_describes_its_widgets_when_asked_and_as_gradio_does():
    (plain,) = (kind for kind in LightSession.__mro__ if kind.__module__ == "gradio.state_holder")
    with gr.Blocks() as demo:
        said = gr.Textbox("here", elem_id="said")
        gr.Plot()
    light, whole = LightSession(demo), plain(demo)
    assert not light.config_values and whole.config_values
    for session in (light, whole):
        session._update_value_in_config(said._id, "changed")
    described = list(light.components)
    assert described == list(whole.components) and "changed" in [
        one["props"].get("value") for one in described
    ]
    configure_process()
    assert state_holder.SessionState is LightSession, "this is what Gradio makes for each caller"


def test_the_page_is_compressed_and_answers_to_events_are_not():
    def answer(request):
        return PlainTextResponse("x" * 10_000)

    client = TestClient(
        CompressPage(Starlette(routes=[Route("/", answer), Route("/gradio_api/queue/data", answer)]))
    )
    for path, encoding in (("/", "gzip"), ("/gradio_api/queue/data", None)):
        assert client.get(path).headers.get("content-encoding") == encoding


def test_the_port_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    assert launch_options(TABS)["server_port"] == 7999
    monkeypatch.delenv("GRADIO_SERVER_PORT")
    assert launch_options(TABS)["server_port"] == 7860


def test_a_source_survives_the_page(tmp_path):
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    source = Source(path=str(folder / "a" / "net.pt"), convention=SirenConvention(low=0.0))
    assert from_text(to_text(source)) == source
    assert from_text(to_text(Source(zoo_id="mnist-sirens/test/3"))) == Source(zoo_id="mnist-sirens/test/3")


@pytest.mark.parametrize("text", [
    "", "null", "[]", "{}", '{"zoo_id": null, "path": "/etc/passwd", "convention": null}',
    '{"zoo_id": null, "path": 7, "convention": null}', '{"zoo_id": 7, "path": null, "convention": null}',
    '{"zoo_id": "a/test/1", "path": null, "convention": {"colour": 1}}',
    '{"zoo_id": "a/test/1", "path": null, "convention": {"low": [1]}}',
    '{"zoo_id": ["a"], "path": null, "convention": null}',
])  # fmt: skip
def test_a_source_written_by_hand_is_refused(text):
    with pytest.raises(RequestError):
        from_text(text)


@pytest.mark.parametrize("file", [
    {"path": "/etc/hostname"}, {"path": "../../etc/hostname"}, {"path": None}, {}, "x", 3, {"path": "a\0b"},
])  # fmt: skip
def test_only_uploads_are_read(file):
    with pytest.raises(RequestError):
        from_request(file, None)


def test_a_data_uri_is_written_down_and_read():
    source = from_request("data:application/octet-stream;base64,PGh0bWw+", None)
    assert source.path is not None and Path(source.path).read_bytes() == b"<html>"
    with pytest.raises(RequestError, match="base64"):
        from_request("data:application/octet-stream;base64,A", None)


def fail_with(error: Exception):
    def handler():
        raise error

    return with_alerts(handler)


def test_error_messages_are_escaped():
    with pytest.raises(gr.Error) as caught:
        fail_with(RequestError("No <b>tensor</b> 'x'"))()
    assert caught.value.message == "No &lt;b&gt;tensor&lt;/b&gt; 'x'"


def test_unexpected_errors_are_logged_and_not_shown(caplog):
    with pytest.raises(gr.Error) as caught:
        fail_with(KeyError("/srv/secret/path"))()
    assert caught.value.message == UNEXPECTED
    assert "secret" in caplog.text
