"""A few cases of the fuzzers `bench/fuzz_http.py` and `bench/fuzz_zoo.py`, the same in every run."""

import copy
import json

import httpx
import pytest

from bench.fuzz_http import FuzzedApp
from bench.fuzz_zoo import FuzzedZoo
from bench.fuzzing import ODD, dump, fuzz, generator, mutate_bytes, mutate_json
from bench.small_zoo import make_zoo

SEED = 20
DOCUMENT = {"a": [1, 2.5, {"b": "text", "c": None}], "d": True}


def test_odd_requests_are_answered(app_url):
    config = httpx.get(f"{app_url}config", timeout=60).json()
    app = FuzzedApp(app_url, config, lambda: 0.0)
    outcomes = [app.check(generator(SEED, number)) for number in range(40)]
    assert "200" in outcomes and "400" in outcomes


@pytest.mark.filterwarnings("ignore:The value passed into gr.Dropdown")
def test_changed_zoos_are_shown_or_refused(hub, tmp_path):
    zoo = FuzzedZoo(hub, make_zoo(tmp_path / "zoo"))
    outcomes = [zoo.check(generator(SEED, number)) for number in range(25)]
    assert set(outcomes) == {"shown", "refused"}


@pytest.mark.parametrize(("change", "thing"), [(mutate_json, DOCUMENT), (mutate_bytes, b"some bytes")])
def test_a_case_can_be_made_again(change, thing):
    before = copy.deepcopy(thing)
    made, again = ([repr(change(thing, generator(1, n))) for n in range(200)] for _ in range(2))
    assert made == again and len(set(made)) > 50 and thing == before


def test_changed_documents_are_json():
    for number in range(2000):
        json.loads(dump(mutate_json(DOCUMENT, generator(2, number))))
    assert all(dump(odd) for odd in ODD)


def test_a_finding_can_be_replayed(capsys):
    def check(random) -> str:
        assert random.random() < 0.9, "too large"
        return "small"

    assert fuzz(check, 0.05, seed=3) > 0
    told = capsys.readouterr().out
    number = int(told.partition("--seed 3 --only ")[2].partition(":")[0])
    with pytest.raises(AssertionError, match="too large"):
        fuzz(check, 60, seed=3, only=number)
