"""Load test: thirty and a hundred visitors at once on loopback, then a thousand requests; `python -m bench.load` writes
docs/load.md.

Every answer is compared with that of a single visitor to another process, which also gives the baseline time of each
prediction. One more visitor runs races all the time. The duration is limited, to about eight minutes.
"""

import os
import platform
import random
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio
import httpx
import torch

from app.networks.source import Source
from app.page.source_text import to_text
from bench.serving import ROOT, ServedApp, serve_app
from bench.visitor import Answer, Visitor
from bench.workload import SEARCHED, Request, searched, workload
from zoo.executor import usable_cores

VISITORS, TURNS, REQUESTS, EVERY = 30, 4, 1000, 200
RUSH = 100
"""Visitors of the largest crowd; they share the networks of the `VISITORS` first ones."""
ALONE = 10
"""Requests of each kind in the timed baseline."""
PAUSE = (1.0, 6.0)
"""The range of seconds that a visitor looks at an answer before the next request."""
RACED = to_text(Source(zoo_id="mnist-inits/test/1"))
SETTLED = 12
"""Seconds after its start by which the app has predicted its own zoo, in the background."""
TARGET = 3.0
"""Seconds within which 95% of the answers should arrive."""


@dataclass(frozen=True)
class Result:
    """One request: its duration, its position in the queue, and its outcome: right, wrong or failed."""

    kind: str
    seconds: float
    queue_position: int
    outcome: str


@dataclass(frozen=True)
class Baseline:
    """The measurements of a single visitor on an idle app."""

    start: float
    memory: float
    answers: dict[str, list[Answer]]
    race: float
    searched: float
    """Median seconds of a request in `SEARCHED`."""


@dataclass(frozen=True)
class Crowd:
    """The results of all visitors, the seconds of each race beside them, and the server's MiB before and after."""

    results: list[Result]
    races: list[float]
    memory_before: float
    memory_after: float

    @property
    def percentile_95(self) -> float:
        """Seconds within which 95% of the answers arrived."""
        return percentile([one.seconds for one in self.results], 0.95)

    @property
    def waits(self) -> str:
        """A sentence on the positions in the queue that visitors were shown."""
        waited = [one.queue_position for one in self.results if one.queue_position > 1]
        return (
            f"{len(waited)} of {len(self.results)} waited behind others and were shown their position in the queue, "
            f"{max(waited, default=0)} at most."
        )

    def count(self, outcome: str) -> int:
        """The number of requests with this outcome."""
        return sum(one.outcome == outcome for one in self.results)


@dataclass(frozen=True)
class Usage:
    """The server's usage after a number of requests: MiB of memory, stored files and their MiB."""

    requests: int
    memory: float
    files: int
    disk: float


def main() -> None:
    """Measure, and write the report."""
    system_load = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        requests = workload(Path(folder), VISITORS)
        with serve_app() as app:
            alone = measure_baseline(app, requests, searched(Path(folder), ALONE))
        crowd = run_crowd(requests, alone, VISITORS, SETTLED)
        early = run_crowd(requests, alone, VISITORS, 0)
        rush = run_crowd(requests, alone, RUSH, SETTLED)
        usage: list[Usage] = []
        with serve_app() as app:
            many = list(send_many(app, requests, alone, usage))
    (ROOT / "docs" / "load.md").write_text(report(system_load, alone, crowd, early, rush, many, usage))
    bad = [one for one in crowd.results + early.results + rush.results + many if one.outcome != "right"]
    assert not bad, f"{len(bad)} visitors saw another's answer, or none: {bad[:3]}"


def measure_baseline(app: ServedApp, requests: dict[str, list[Request]], bare: Sequence[Request]) -> Baseline:
    """Send every request once, and run a race."""
    with Visitor(app.url, app.config) as visitor:
        memory = app.memory()
        visitor.ask("list_networks", ["mnist-sirens", 1])
        time.sleep(SETTLED)
        answers = {kind: [_send(visitor, one) for one in several] for kind, several in requests.items()}
        search = statistics.median(_send(visitor, one).seconds for one in bare)
        return Baseline(app.start_seconds, memory, answers, race(app), search)


def _send(visitor: Visitor, request: Request) -> Answer:
    return visitor.ask(request.endpoint, request.arguments, request.file)


def send(visitor: Visitor, request: Request, number: int, alone: Baseline) -> Result:
    """Send a request and compare the answer with the baseline's."""
    start = time.perf_counter()
    try:
        answer = _send(visitor, request)
    except (httpx.HTTPError, RuntimeError) as error:
        print(request.kind, number, repr(error)[:120])
        return Result(request.kind, time.perf_counter() - start, 0, "failed")
    right = answer.data == alone.answers[request.kind][number].data
    return Result(request.kind, answer.seconds, answer.queue_position, "right" if right else "wrong")


def run_crowd(requests: dict[str, list[Request]], alone: Baseline, visitors: int, age: float) -> Crowd:
    """So many visitors at once to a process `age` seconds old, and one more who runs races."""
    with serve_app() as app:
        time.sleep(age)
        before = app.memory()
        with racing_visitor(app) as races:
            results = visit_concurrently(app, requests, alone, visitors)
        return Crowd(results, races, before, app.memory())


def visit_concurrently(
    app: ServedApp, requests: dict[str, list[Request]], alone: Baseline, visitors: int
) -> list[Result]:
    """Run all visitors at once, each with a network of every kind, pausing between requests."""

    def visit(number: int) -> list[Result]:
        draw, done = random.Random(number), []
        with Visitor(app.url, app.config) as visitor:
            for kind in draw.sample(list(requests), TURNS):
                time.sleep(draw.uniform(*PAUSE) if done else 0)
                own = number % VISITORS
                done.append(send(visitor, requests[kind][own], own, alone))
        return done

    with ThreadPoolExecutor(visitors) as pool:
        return [one for visit_ in pool.map(visit, range(visitors)) for one in visit_]


def send_many(
    app: ServedApp, requests: dict[str, list[Request]], alone: Baseline, usage: list[Usage]
) -> Iterator[Result]:
    """Send requests one after the other, each as a new visitor; append to `usage` after every 200."""
    kinds = list(requests)
    for i in range(REQUESTS):
        kind, number = kinds[i % len(kinds)], i // len(kinds) % VISITORS
        with Visitor(app.url, app.config) as visitor:
            yield send(visitor, requests[kind][number], number, alone)
        if (i + 1) % EVERY == 0:
            usage.append(measure_usage(app, i + 1))


def measure_usage(app: ServedApp, requests: int) -> Usage:
    """The server's usage now."""
    return Usage(requests, app.memory(), *app.disk())


@contextmanager
def racing_visitor(app: ServedApp) -> Iterator[list[float]]:
    """Run races one after the other in the background; the seconds of each race."""
    done, races = threading.Event(), []

    def run() -> None:
        while not done.is_set():
            races.append(race(app))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield races
    finally:
        done.set()
        thread.join()


def race(app: ServedApp) -> float:
    """Press Race as the page does, and wait until it ends; its duration in seconds."""
    with Visitor(app.url, app.config) as visitor:
        return visitor.press("start-race", [RACED, 95, "best", 0]).seconds


def report(
    system_load: float,
    alone: Baseline,
    crowd: Crowd,
    early: Crowd,
    rush: Crowd,
    many: list[Result],
    usage: list[Usage],
) -> str:
    """The text of docs/load.md."""
    kinds = "\n".join(
        _row(kind, [one for one in crowd.results if one.kind == kind], alone) for kind in alone.answers
    )
    kept = "\n".join(f"| {h.requests:,} | {h.memory:.0f} | {h.files:,} | {h.disk:.1f} |" for h in usage)
    verdict = "kept" if crowd.percentile_95 < TARGET else "missed"
    return f"""# In a crowd

Written by `python -m bench.load` on {date.today():%Y-%m-%d}: {usable_cores()} CPU cores, torch
{torch.__version__}, gradio {gradio.__version__}, Python {platform.python_version()}. Other work on the
machine when it began: a load of {system_load:.1f}.

{VISITORS} visitors at once send {TURNS} requests each through the queue, {PAUSE[0]:g} to {PAUSE[1]:g} s after the
previous answer, to a process that started {SETTLED} s ago; one more visitor runs races without a break. Each visitor
has its own networks, of the zoo and in uploaded files that all have the same name. Every answer, and every byte of
every file in it, is compared with the answer to a single visitor.

| request | count | wrong | failed | alone, s | median, s | 95%, s | slowest, s |
| --- | --- | --- | --- | --- | --- | --- | --- |
{kinds}
{_row("all", crowd.results, alone)}

95% within {TARGET:g} s: {verdict}, {crowd.percentile_95:.2f} s. Sent to a process that has only just started:
{early.percentile_95:.2f} s.

{crowd.waits} A race takes {alone.race:.0f} s alone, and {_races(crowd.races)} in the crowd.

Not among them: {SEARCHED}, whose wiring is searched, takes {alone.searched:.1f} s alone (the median of {ALONE}).

## A hundred visitors at once

{RUSH} visitors, {TURNS} requests each: {rush.count("wrong")} wrong, {rush.count("failed")} failed, 95% within
{rush.percentile_95:.1f} s. {rush.waits} The server used {rush.memory_before:.0f} MiB before
and {rush.memory_after:.0f} MiB after.

## A thousand requests

Each by a new visitor, one after the other: {sum(one.outcome == "wrong" for one in many)} wrong,
{sum(one.outcome == "failed" for one in many)} failed. Server usage after a number of them; files are deleted an hour
after their upload.

| requests | memory, MiB | files | MiB of files |
| --- | --- | --- | --- |
{kept}

The page is available {alone.start:.1f} s after the start, using {alone.memory:.0f} MiB.
"""


def _row(kind: str, results: list[Result], alone: Baseline) -> str:
    times, outcomes = [one.seconds for one in results], [one.outcome for one in results]
    single = [answer.seconds for answer in alone.answers.get(kind, [])]
    return (
        f"| {kind} | {len(results)} | {outcomes.count('wrong')} | {outcomes.count('failed')} | "
        f"{f'{statistics.median(single):.2f}' if single else ''} | {statistics.median(times):.2f} | "
        f"{percentile(times, 0.95):.2f} | {max(times):.2f} |"
    )


def _races(races: list[float]) -> str:
    return " and ".join(f"{seconds:.0f} s" for seconds in races)


def percentile(values: list[float], fraction: float) -> float:
    """The value that a fraction of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


if __name__ == "__main__":
    main()
