"""Asking the running app over HTTP, as Gradio's clients do it: uploads, arguments, answers and refusals."""

import html
import json
import os
import re
from functools import cache
from pathlib import Path

import httpx
from hostile_files import REFUSED

from zoo.files import files_below

SEVEN, CNN, INIT = "mnist-sirens/test/0", "cifar10-cnns/test/0", "mnist-inits/test/1"
ARGUMENTS = {
    "classify_inr": ["auto", *["auto"] * 5],
    "edit_inr": ["dilate", 1.0, *["auto"] * 5],
    "predict_generalization": ["auto"] * 5,
    "winning_ticket": [0.95],
}
"""By endpoint that takes a file, what comes after the file and the zoo id."""


def folder() -> Path:
    """Where the app keeps uploads."""
    return Path(os.environ["GRADIO_TEMP_DIR"])


@cache
def made(name: str) -> bytes:
    return REFUSED[name].make()


def upload(http: httpx.Client, data: bytes, name: str = "net.pt") -> dict:
    """The uploaded file, as arguments name it."""
    answer = http.post("gradio_api/upload", files={"files": (name, data)})
    assert answer.status_code == 200, answer.text
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


def raw(http: httpx.Client, endpoint: str, data: object) -> str:
    """The text of the answer to any arguments: a refusal, or the stream of events."""
    asked = http.post(f"gradio_api/call/{endpoint}", json={"data": data})
    if asked.status_code != 200:
        return asked.text
    return http.get(f"gradio_api/call/{endpoint}/{asked.json()['event_id']}").text


def ask(http: httpx.Client, endpoint: str, file: object, zoo_id: str | None = None) -> str:
    data = [[file]] if endpoint.endswith("batch") else [file, zoo_id, *ARGUMENTS[endpoint]]
    return raw(http, endpoint, data)


def result(answer: str) -> list:
    assert "event: complete" in answer, answer
    return json.loads(answer.partition("event: complete\ndata: ")[2])


def sentence(answer: str) -> str:
    """The words of a refusal, which are a sentence and tell nothing of this machine."""
    assert answer.startswith("event: error"), answer
    words = html.unescape(json.loads(answer.partition("data: ")[2])["error"])
    assert words.endswith((".", "?")) and " " in words and words.isprintable() and len(words) < 900, words
    assert not re.search(r"Traceback|\.py\b|weights_only|/tmp/", words), words
    return words


def files_in(root: Path) -> set[str]:
    """The files below a folder, some of which Gradio may be deleting."""
    return {str(path) for path, _ in files_below(root)}


def kept() -> set[str]:
    """The files in the folder of uploads."""
    return files_in(folder())


def answers_still(http: httpx.Client) -> bool:
    return result(ask(http, "classify_inr", None, SEVEN))[0]["label"] == "7"
