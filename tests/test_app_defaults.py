"""Calls are completed with defaults, and those that cannot be are refused in words."""

import json

import pytest

from app.server.bodies import RefusedError
from app.server.defaults import REQUIRED, endpoint_defaults, fill_defaults


def paint(colour: str, size: int = 3, name: str | None = None) -> None:
    """An endpoint."""


DEFAULTS = endpoint_defaults([paint])
PLACE, NAMED = "/gradio_api/call/paint", "/gradio_api/call/v2/paint"


@pytest.mark.parametrize(
    ("given", "data"),
    [(["red"], ["red", 3, None]), (["red", 5], ["red", 5, None]), (["red", 5, "x"], ["red", 5, "x"]),
     (["red", 5, "x", 1], ["red", 5, "x", 1])],
)  # fmt: skip
def test_omitted_arguments_take_their_defaults(given, data):
    body = json.dumps({"data": given, "session_hash": "s"}).encode()
    filled = json.loads(fill_defaults(PLACE, body, DEFAULTS))
    assert filled == {"data": data, "session_hash": "s"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"data": 3}', b"null", b"[" * 9000])
def test_other_bodies_are_unchanged(body):
    assert fill_defaults(PLACE, body, DEFAULTS) == body


def test_other_routes_are_unchanged():
    body = b'{"data": ["red"]}'
    for path in ("/gradio_api/queue/join", "paint"):
        assert fill_defaults(path, body, DEFAULTS) == body
    assert fill_defaults(NAMED, b'{"colour": "red"}', DEFAULTS) == b'{"colour": "red"}'


@pytest.mark.parametrize(("path", "body", "status", "words"), [
    (PLACE, {"data": []}, 422, "paint needs colour."), (NAMED, {}, 422, "paint needs colour."),
    (NAMED, {"colour": "red", "hue": 1}, 422, "names no argument of paint; there are colour, size, name"),
    ("/gradio_api/call/draw", {"data": []}, 404, "no endpoint of that name. Choose one of paint"),
    ("/gradio_api/call/v2/draw/", {}, 404, "no endpoint"), ("/gradio_api/call/", {}, 404, "no endpoint"),
])  # fmt: skip
def test_impossible_calls_are_refused_with_clear_errors(path, body, status, words):
    with pytest.raises(RefusedError, match=words) as caught:
        fill_defaults(path, json.dumps(body).encode(), DEFAULTS)
    assert caught.value.status == status


def test_an_argument_without_a_default_has_none():
    assert DEFAULTS["paint"]["colour"] is REQUIRED
