"""Thirty visitors at once on loopback, then a thousand requests: `python -m bench.load` writes docs/load.md.

Every answer is compared with the one that a visitor got who was alone with another process, which also gives the times
of each prediction alone. One more visitor races networks all the while. All is bounded, and takes about six minutes.
"""

import os
import platform
import random
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio
import httpx
import torch

from app.actions import Source
from app.sources import to_text
from bench.questions import Question, questions
from bench.serving import ROOT, Served, serving
from bench.visitor import Answer, Visitor
from zoo.build import usable_cores

VISITORS, TURNS, REQUESTS, EVERY = 30, 4, 1000, 200
ALONE = 10
"""Questions of each kind that are asked alone, and timed."""
PAUSE = (1.0, 6.0)
"""Seconds that a visitor looks at an answer before asking again, from and to."""
RACED = to_text(Source(zoo_id="mnist-inits/test/1"))
SETTLED = 12
"""Seconds after its start at which the app has predicted its own zoo, in the background."""
TARGET = 3.0
"""Seconds within which 95% of the answers should come."""


@dataclass(frozen=True)
class Asked:
    """One question: how long it took, from which place in the queue, and what came of it: right, wrong or failed."""

    kind: str
    seconds: float
    place: int
    outcome: str


@dataclass(frozen=True)
class Alone:
    """What one visitor found who had the app for himself."""

    start: float
    memory: float
    answers: dict[str, list[Answer]]
    race: float


@dataclass(frozen=True)
class Held:
    """After so many requests: MiB of memory, files kept and their MiB."""

    requests: int
    memory: float
    files: int
    disk: float


def main() -> None:
    """Measure, and write what was measured."""
    busy = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        asked = questions(Path(folder), VISITORS)
        with serving() as served:
            alone = ask_alone(served, asked)
        crowd, races = meet(asked, alone, SETTLED)
        early, _ = meet(asked, alone, 0)
        held: list[Held] = []
        with serving() as served:
            many = list(ask_many(served, asked, alone, held))
    (ROOT / "docs" / "load.md").write_text(report(busy, alone, crowd, early, races, many, held))
    bad = [one for one in crowd + early + many if one.outcome != "right"]
    assert not bad, f"{len(bad)} visitors saw another's answer, or none: {bad[:3]}"


def ask_alone(served: Served, asked: dict[str, list[Question]]) -> Alone:
    """Every question once, and a race."""
    with Visitor(served.url, served.config) as visitor:
        memory = served.memory()
        visitor.ask("list_networks", ["mnist-sirens", 1])
        time.sleep(SETTLED)
        answers = {kind: [_ask(visitor, one) for one in several] for kind, several in asked.items()}
        return Alone(served.start_seconds, memory, answers, race(served))


def _ask(visitor: Visitor, question: Question) -> Answer:
    return visitor.ask(question.endpoint, question.arguments, question.file)


def try_question(visitor: Visitor, question: Question, number: int, alone: Alone) -> Asked:
    """A question whose answer is known."""
    start = time.perf_counter()
    try:
        answer = _ask(visitor, question)
    except (httpx.HTTPError, RuntimeError) as error:
        print(question.kind, number, repr(error))
        return Asked(question.kind, time.perf_counter() - start, 0, "failed")
    right = answer.data == alone.answers[question.kind][number].data
    return Asked(question.kind, answer.seconds, answer.place, "right" if right else "wrong")


def meet(asked: dict[str, list[Question]], alone: Alone, age: float) -> tuple[list[Asked], list[float]]:
    """What all visitors asked of a process `age` seconds old, and the races beside them."""
    with serving() as served:
        time.sleep(age)
        with racing(served) as races:
            crowd = visit_together(served, asked, alone)
        return crowd, races


def visit_together(served: Served, asked: dict[str, list[Question]], alone: Alone) -> list[Asked]:
    """All visitors at once, each with a network of his own of every kind, looking at the answers in between."""

    def visit(number: int) -> list[Asked]:
        draw, done = random.Random(number), []
        with Visitor(served.url, served.config) as visitor:
            for kind in draw.sample(list(asked), TURNS):
                time.sleep(draw.uniform(*PAUSE) if done else 0)
                done.append(try_question(visitor, asked[kind][number], number, alone))
        return done

    with ThreadPoolExecutor(VISITORS) as pool:
        return [one for visit_ in pool.map(visit, range(VISITORS)) for one in visit_]


def ask_many(
    served: Served, asked: dict[str, list[Question]], alone: Alone, held: list[Held]
) -> Iterator[Asked]:
    """A request after the other, each by a new visitor; `held` gets what the server holds after every 200."""
    kinds = list(asked)
    for request in range(REQUESTS):
        kind, number = kinds[request % len(kinds)], request // len(kinds) % VISITORS
        with Visitor(served.url, served.config) as visitor:
            yield try_question(visitor, asked[kind][number], number, alone)
        if (request + 1) % EVERY == 0:
            held.append(hold(served, request + 1))


def hold(served: Served, requests: int) -> Held:
    """What the server holds now."""
    return Held(requests, served.memory(), *served.disk())


@contextmanager
def racing(served: Served) -> Iterator[list[float]]:
    """A visitor who races one network after the other meanwhile; the seconds of each race."""
    done, races = threading.Event(), []

    def run() -> None:
        while not done.is_set():
            races.append(race(served))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield races
    finally:
        done.set()
        thread.join()


def race(served: Served) -> float:
    """Press Race as the page does, and follow it to its end; its seconds."""
    with Visitor(served.url, served.config) as visitor:
        return visitor.press("start-race", [RACED, 95, 0]).seconds


def report(
    busy: float,
    alone: Alone,
    crowd: list[Asked],
    early: list[Asked],
    races: list[float],
    many: list[Asked],
    held: list[Held],
) -> str:
    """docs/load.md."""
    kinds = "\n".join(_row(kind, [one for one in crowd if one.kind == kind], alone) for kind in alone.answers)
    kept = "\n".join(f"| {h.requests:,} | {h.memory:.0f} | {h.files:,} | {h.disk:.1f} |" for h in held)
    waited = [one.place for one in crowd if one.place > 1]
    late, later = (percentile([one.seconds for one in asked], 0.95) for asked in (crowd, early))
    verdict = "kept" if late < TARGET else "missed"
    return f"""# In a crowd

Written by `python -m bench.load` on {date.today():%Y-%m-%d}: {usable_cores()} CPU cores, torch
{torch.__version__}, gradio {gradio.__version__}, Python {platform.python_version()}. Other work on the
machine when it began: a load of {busy:.1f}.

{VISITORS} visitors at once ask {TURNS} questions each through the queue, {PAUSE[0]:g} to {PAUSE[1]:g} s after the
answer before, of a process that started {SETTLED} s ago; one more visitor races networks without a break. Each visitor
has networks of his own, of the zoo and in uploaded files that all have one name. Every answer, and every byte of every
file that comes with it, is compared with what a visitor got who was alone.

| question | asked | wrong | failed | alone, s | median, s | 95%, s | slowest, s |
| --- | --- | --- | --- | --- | --- | --- | --- |
{kinds}
{_row("all", crowd, alone)}

95% within {TARGET:g} s: {verdict}, {late:.2f} s. Of a process that has only just started, and predicts its zoo
meanwhile: {later:.2f} s.

{len(waited)} of {len(crowd)} waited behind others and were told their place in the queue, the farthest
{max(waited, default=0)}. A race takes {alone.race:.0f} s alone, and {_races(races)} in the crowd.

## A thousand requests

Each by a new visitor, one after the other: {sum(one.outcome == "wrong" for one in many)} wrong,
{sum(one.outcome == "failed" for one in many)} failed. What the server holds after so many of them; files are deleted an
hour after they came.

| requests | memory, MiB | files | MiB of files |
| --- | --- | --- | --- |
{kept}

The page is there {alone.start:.1f} s after the start, with {alone.memory:.0f} MiB.
"""


def _row(kind: str, asked: list[Asked], alone: Alone) -> str:
    times, outcomes = [one.seconds for one in asked], [one.outcome for one in asked]
    single = [answer.seconds for answer in alone.answers.get(kind, [])]
    return (
        f"| {kind} | {len(asked)} | {outcomes.count('wrong')} | {outcomes.count('failed')} | "
        f"{f'{statistics.median(single):.2f}' if single else ''} | {statistics.median(times):.2f} | "
        f"{percentile(times, 0.95):.2f} | {max(times):.2f} |"
    )


def _races(races: list[float]) -> str:
    return " and ".join(f"{seconds:.0f} s" for seconds in races)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


if __name__ == "__main__":
    main()
