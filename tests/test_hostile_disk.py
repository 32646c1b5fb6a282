"""A disk that is full, or nearly, when something is to be written on it: a sentence, and nothing half written."""

import errno
from collections import namedtuple

import pytest
from asking import answers_still, ask, kept, sentence
from gradio.route_utils import GradioUploadFile

from app.page import widgets
from app.server import request_guard

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_an_upload_that_does_not_fit_gets_a_sentence(http, monkeypatch, number):
    async def full(*_: object) -> None:
        raise OSError(number, "full")

    before = kept()
    with monkeypatch.context() as patch:
        patch.setattr(GradioUploadFile, "write", full)
        answer = http.post("gradio_api/upload", files={"files": ("net.pt", b"x" * 1000)})
    assert answer.status_code == 507 and answer.text == request_guard.DISK_FULL
    assert kept() == before and answers_still(http)


def test_uploads_leave_room_for_the_rest_of_the_machine(http, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(request_guard.shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 2**29))
        answer = http.post("gradio_api/upload", files={"files": ("net.pt", b"x")})
    assert answer.status_code == 507 and "full" in answer.text
    assert http.post("gradio_api/upload", files={"files": ("net.pt", b"x")}).status_code == 200


def test_too_many_open_files_are_a_busy_moment(http, monkeypatch):
    async def full(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(GradioUploadFile, "write", full)
        answer = http.post("gradio_api/upload", files={"files": ("net.pt", b"x")})
    assert answer.status_code == 503 and "try again" in answer.text


def test_a_result_that_cannot_be_written_gets_a_sentence(http, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    uri = "data:application/octet-stream;base64,c29tZWJvZHk="
    before = kept()
    with monkeypatch.context() as patch:
        patch.setattr(widgets.os, "replace", full)
        assert "disk" in sentence(ask(http, "edit_inr", None, "mnist-sirens/test/40"))
        assert "disk" in sentence(ask(http, "classify_inr", uri))
    assert kept() == before
    assert "short" in sentence(ask(http, "classify_inr", uri)), "the file is written, and is no network"
    assert answers_still(http)
