"""Arguments that a call by place leaves out at the end are their defaults."""

import inspect
import json

import pytest

from app.defaults import defaults_of, with_defaults


def paint(colour: str, size: int = 3, name: str | None = None) -> None:
    """An endpoint."""


DEFAULTS = defaults_of([paint])


@pytest.mark.parametrize(
    ("given", "data"),
    [(["red"], ["red", 3, None]), (["red", 5], ["red", 5, None]), (["red", 5, "x"], ["red", 5, "x"]),
     (["red", 5, "x", 1], ["red", 5, "x", 1]), ([], [])],
)  # fmt: skip
def test_what_is_left_out_is_the_default(given, data):
    body = json.dumps({"data": given, "session_hash": "s"}).encode()
    filled = json.loads(with_defaults("/gradio_api/call/paint", body, DEFAULTS))
    assert filled == {"data": data, "session_hash": "s"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"data": 3}', b"null", b"[" * 9000])
def test_other_bodies_stay_as_they_are(body):
    assert with_defaults("/gradio_api/call/paint", body, DEFAULTS) == body


def test_other_routes_stay_as_they_are():
    body = b'{"data": ["red"]}'
    for path in ("/gradio_api/call/draw", "/gradio_api/queue/join", "/gradio_api/call/", "paint"):
        assert with_defaults(path, body, DEFAULTS) == body


def test_an_argument_without_a_default_has_none():
    assert DEFAULTS["paint"][0] is inspect.Parameter.empty
