"""A Hub that fails, is down or lacks what is asked: one sentence within seconds, and nothing believed."""

import huggingface_hub
import pytest
from hub_zoo import NAME, cached, check_failure

from zoo import remote
from zoo.errors import HubError
from zoo.remote import open_hub_zoo

FAILURES = {
    "401": r"requires a login for the dataset repository someone/zoo \(401\)",
    "403": r"denies access to the dataset repository someone/zoo \(403\)",
    "404": r"has no dataset repository someone/zoo \(404\)",
    "429": r"too many requests from here \(429\)\. Try again in 120 s",
    "500": r"has an internal error \(500\)",
    "503": r"has an internal error \(503\)",
    "418": r"\(status 418\)",
    "gated": "someone/zoo is gated",
    "disabled": "has disabled the dataset repository",
    "html": "not what the Hub sends for .*, such as a web page",
    "hang": "did not answer within 1 s",
    "slow": "too slow: .* did not arrive within",
    "cut": "lost while reading",
    "corrupt": "did not arrive as announced .its checksum differs.|not what the Hub sends",
}


@pytest.mark.parametrize("path", ["/api/datasets/", "catalog.json"])
@pytest.mark.parametrize(("failure", "sentence"), FAILURES.items(), ids=FAILURES)
def test_opening_fails_in_one_sentence_within_seconds(pushed, failure, sentence, path, tmp_path):
    pushed.fail(failure, path)
    check_failure(lambda: open_hub_zoo(NAME), sentence)
    assert not [name for name in cached(tmp_path / "cache") if name not in ("hub.json",)], (
        "nothing is believed"
    )
    pushed.heal()
    assert open_hub_zoo(NAME).rows("tiny-sirens", limit=1)


@pytest.mark.parametrize("failure", ["404", "429", "500", "html", "hang", "slow", "cut", "corrupt"])
def test_reading_fails_in_one_sentence_within_seconds(pushed, failure, tmp_path):
    zoo = open_hub_zoo(NAME)
    before = cached(zoo.root)
    pushed.fail(failure, "/large/")
    check_failure(lambda: zoo.rows("tiny-sirens"), FAILURES[failure] if failure != "404" else r"\(404\)")
    check_failure(lambda: zoo.predictor("inr-editor"), FAILURES[failure] if failure != "404" else r"\(404\)")
    assert cached(zoo.root) - before <= {"spec.json", "config.json"}, "nothing half-written stays"
    pushed.heal()
    assert zoo.rows("tiny-sirens", limit=1) and zoo.predictor("inr-editor")


@pytest.mark.parametrize("failure", ["500", "hang", "cut", "html"])
def test_byte_ranges_fail_in_one_sentence_too(pushed, failure, monkeypatch):
    monkeypatch.setattr(remote, "WHOLE", 1000)
    zoo = open_hub_zoo(NAME)
    zoo.rows("tiny-sirens")
    pushed.fail(failure, "/large/")
    check_failure(lambda: zoo.network("tiny-sirens/test/7"), FAILURES[failure])


def test_sentences_tell_failures_apart():
    plain = [sentence for name, sentence in FAILURES.items() if name != "503"]
    assert len(set(plain)) == len(plain)


def test_the_hub_down_and_the_client_offline(hub, monkeypatch):
    hub.stop()
    check_failure(lambda: open_hub_zoo(NAME), r"The Hub at 127\.0\.0\.1:\d+ cannot be reached")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    check_failure(lambda: open_hub_zoo(NAME), "HF_HUB_OFFLINE is set")


def test_what_is_missing_is_named(pushed):
    with pytest.raises(HubError, match="has no revision v9"):
        open_hub_zoo(f"{NAME}@v9")
    with pytest.raises(
        HubError, match=r"requires a login for the dataset repository someone/else \(401\): .* does not exist"
    ):
        open_hub_zoo("someone/else")
    pushed.create("datasets", "someone/pictures")
    with pytest.raises(HubError, match=r"has no catalog\.json: it is not a zoo"):
        open_hub_zoo("someone/pictures")
