"""What is cancelled twice, by the button and by another choice, ends once and without an error."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx

from app.networks.source import Source
from app.page.source_text import to_text

RACE = [to_text(Source(zoo_id="mnist-inits/test/1")), 95, "best", 0]


def start_race(http: httpx.Client, session: str) -> dict:
    """A race that has shown its first state, as Gradio's cancel names it."""
    config = http.get("config").json()
    button = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "start-race")
    number = next(d["id"] for d in config["dependencies"] if [button, "click"] in map(list, d["targets"]))
    body = {"data": RACE, "fn_index": number, "session_hash": session}
    event = http.post("gradio_api/queue/join", json=body).json()["event_id"]
    with http.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            if json.loads(line.removeprefix("data: ") or "{}").get("msg") == "process_generating":
                return {"session_hash": session, "fn_index": number, "event_id": event}
    raise AssertionError("The race ended before it began.")


def test_two_simultaneous_cancels_of_a_race_are_harmless(http):
    for number in range(3):
        body = start_race(http, f"twice-{number}")
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: http.post("gradio_api/cancel", json=body), range(2)))  # noqa: B023
        assert [answer.status_code for answer in answers] == [200, 200]
