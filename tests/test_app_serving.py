"""How the app is served: its options, the guard against URLs, the entry, and errors as toasts."""

import os
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from waiting import free_port, wait_for

from app import request_guard
from app.actions import RequestError, Source
from app.alerts import UNEXPECTED, alerting
from app.bodies import BodyLimits
from app.request_guard import GuardRequests
from app.serving import launch_options
from app.sources import from_request, from_text, to_text
from nfn.network import SirenConvention
from nfn.reader.limits import FILE_BYTES

ROOT = Path(__file__).parent.parent


@pytest.fixture
def guarded():
    async def echo(request: Request):
        return JSONResponse(await request.json())

    route = Route("/gradio_api/call/x", echo, methods=["POST"])
    return TestClient(Starlette(routes=[route], middleware=[Middleware(GuardRequests, defaults={})]))


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
])  # fmt: skip
def test_other_requests_pass_whole(guarded, body):
    answer = guarded.post("/gradio_api/call/x", json=body)
    assert answer.status_code == 200 and answer.json() == body


def test_a_huge_request_is_refused(guarded, monkeypatch):
    small = BodyLimits(size=1000, seconds=30, rate=0, count=3, total=10_000)
    monkeypatch.setattr(request_guard, "JSON_LIMITS", small)
    assert guarded.post("/gradio_api/call/x", json={"data": ["x" * 2000]}).status_code == 413


def test_served_privately_and_with_limits():
    options = launch_options()
    assert options["max_file_size"] == FILE_BYTES
    assert options["run_history"] is False and options["enable_monitoring"] is False
    assert "server_name" not in options, "GRADIO_SERVER_NAME decides; loopback otherwise"


def test_the_port_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    assert launch_options()["server_port"] == 7999
    monkeypatch.delenv("GRADIO_SERVER_PORT")
    assert launch_options()["server_port"] == 7860


def test_python_app_py_serves_the_page(tmp_path):
    """The page is there within ten seconds on an idle machine; a busy one gets more."""
    port = free_port()
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        page = wait_for(f"http://127.0.0.1:{port}/", process, seconds=60)
    finally:
        process.terminate()
        process.wait(20)
    assert "Weightscope" in page


def test_a_source_survives_the_page(tmp_path):
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    told = Source(path=str(folder / "a" / "net.pt"), convention=SirenConvention(low=0.0))
    assert from_text(to_text(told)) == told
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

    return alerting(handler)


def test_sentences_reach_the_visitor_escaped():
    with pytest.raises(gr.Error) as caught:
        fail_with(RequestError("No <b>tensor</b> 'x'"))()
    assert caught.value.message == "No &lt;b&gt;tensor&lt;/b&gt; 'x'"


def test_surprises_are_logged_and_not_shown(caplog):
    with pytest.raises(gr.Error) as caught:
        fail_with(KeyError("/srv/secret/path"))()
    assert caught.value.message == UNEXPECTED
    assert "secret" in caplog.text
