"""A visitor who sends requests like the page and gradio_client: in a session, through the queue, reading events."""

import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

TIMEOUT = 120
FILE_NAME = "network.safetensors"
"""The name of every visitor's file."""


@dataclass(frozen=True)
class Answer:
    """The answer without what differs between calls, its duration, and its position in the queue."""

    data: Any
    seconds: float
    queue_position: int


class Visitor:
    """One session at a running app; `config` is the page's Gradio config."""

    def __init__(self, url: str, config: dict[str, Any]):
        self.url, self.config, self.session = url, config, uuid.uuid4().hex
        # No certificates are read, which would take the CPU from the server: loopback needs none.
        self.client = httpx.Client(base_url=f"{url}/gradio_api", timeout=TIMEOUT, verify=False)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(self, endpoint: str, arguments: list, file: Path | None = None) -> Answer:
        """Call an endpoint of the API, uploading the file first if there is one; RuntimeError if it fails.

        Arguments at the end may be left out: they keep their defaults.
        """
        start = time.perf_counter()
        if file is not None:
            arguments = [self._upload(file), *arguments[1:]]
        dependency = next(d for d in self.config["dependencies"] if d["api_name"] == endpoint)
        defaults = {c["id"]: c["props"].get("value") for c in self.config["components"]}
        left_out = [defaults[number] for number in dependency["inputs"][len(arguments) :]]
        output, queue_position = self._run(dependency["id"], [*arguments, *left_out])
        seconds = time.perf_counter() - start
        return Answer(self._comparable(output["data"]), seconds, queue_position)

    def press(self, button: str, arguments: list) -> Answer:
        """Press a button of the page, by its elem_id."""
        start = time.perf_counter()
        component = next(c["id"] for c in self.config["components"] if c["props"].get("elem_id") == button)
        number = next(
            d["id"] for d in self.config["dependencies"] if [component, "click"] in map(list, d["targets"])
        )
        output, queue_position = self._run(number, arguments)
        return Answer(output["data"], time.perf_counter() - start, queue_position)

    def _upload(self, file: Path) -> dict[str, Any]:
        answer = self.client.post("/upload", files={"files": (FILE_NAME, file.read_bytes())})
        answer.raise_for_status()
        return {"path": answer.json()[0], "orig_name": FILE_NAME, "meta": {"_type": "gradio.FileData"}}

    def _run(self, number: int, arguments: list) -> tuple[dict[str, Any], int]:
        body = {"data": arguments, "fn_index": number, "session_hash": self.session}
        self.client.post("/queue/join", json=body).raise_for_status()
        queue_position = 0
        with self.client.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ") or "{}")
                queue_position = max(queue_position, message.get("rank", -1) + 1)
                if message.get("msg") == "process_completed" and message["success"]:
                    return message["output"], queue_position
                if message.get("msg") in ("process_completed", "unexpected_error"):
                    raise RuntimeError(f"{number}: {str(message)[:300]}")
        raise RuntimeError(f"{number}: the stream ended without an answer")

    def _comparable(self, value: Any) -> Any:
        """The answer without durations; a file becomes the hash of its content."""
        if isinstance(value, list):
            return [self._comparable(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("meta", {}).get("_type") == "gradio.FileData":
            content = self.client.get(f"/file={value['path']}").raise_for_status().content
            return hashlib.sha256(content).hexdigest()
        return {key: self._comparable(item) for key, item in value.items() if key != "seconds"}
