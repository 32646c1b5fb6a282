"""Every argument of every endpoint of the API, given everything that it is not: a result, or a sentence of ours."""

import json

import pytest
from asking import CNN, INIT, SEVEN, answers_still, ask, result, sentence

from app.page.alerts import UNEXPECTED

ODD = {
    "text": "x", "no text": "", "a list": [], "an object": {}, "nothing": None, "true": True, "0": 0, "below": -1,
    "10^400": 10**400, "-10^400": -(10**400), "1e308": 1e308, "NaN": float("nan"), "infinity": float("inf"),
    "long text": "x" * 100_000, "half a character": "\ud800", "NUL": "a\0b", "nested": [[[]]], "a file": {"path": 7},
    "no path": {"path": ""}, "a long path": {"path": "x" * 5000}, "data": "data:;base64,AAAA", "numbers": "[0, 1e999]",
    "another digit": "\u0661",
}  # fmt: skip
GOOD = {"collection": "mnist-sirens", "style": "dilate", "files": [], "zoo_id": SEVEN}
IDS = {"/predict_generalization": CNN, "/winning_ticket": INIT}


@pytest.fixture(scope="module")
def arguments(http) -> list[tuple[str, int, list]]:
    """Each endpoint of the API, the number of one of its arguments, and good values for all of them."""
    found = []
    for name, endpoint in http.get("gradio_api/info").json()["named_endpoints"].items():
        good = [
            GOOD.get(one["parameter_name"], one.get("parameter_default")) for one in endpoint["parameters"]
        ]
        good = [IDS.get(name, value) if value == SEVEN else value for value in good]
        found += [(name, i, good) for i in range(len(good))]
    return found


@pytest.mark.parametrize("odd", ODD)
def test_every_wrong_argument_gives_a_clear_error(http, arguments, odd):
    for endpoint, number, good in arguments:
        data = [*good[:number], ODD[odd], *good[number + 1 :]]
        body, kind = json.dumps({"data": data}), {"content-type": "application/json"}
        asked = http.post(f"gradio_api/call{endpoint}", content=body, headers=kind)
        if odd == "half a character":
            assert asked.status_code == 400 and "lone surrogate" in asked.json()["error"]
            continue
        assert asked.status_code == 200, (endpoint, number, asked.text)
        answer = http.get(f"gradio_api/call{endpoint}/{asked.json()['event_id']}").text
        if "event: complete" not in answer:
            assert sentence(answer) != UNEXPECTED, (endpoint, number)
        else:
            assert "NaN" not in answer and "Infinity" not in answer, (endpoint, number)
    assert answers_still(http)


def test_all_endpoints_are_tested(http, arguments):
    """Good values are good: otherwise it would be these that are refused, whatever the odd one is."""
    asked = {name: good for name, _, good in arguments}
    assert len(asked) >= 6
    for name in ("/classify_inr", "/edit_inr", "/predict_generalization", "/winning_ticket"):
        assert result(ask(http, name[1:], None, asked[name][1]))


@pytest.mark.parametrize("strength", ["x", [], None, 10**400, True])
def test_a_strength_that_is_not_a_number_is_named(http, strength):
    body = json.dumps({"data": [None, SEVEN, "dilate", strength, *["auto"] * 5]})
    asked = http.post("gradio_api/call/edit_inr", content=body, headers={"content-type": "application/json"})
    answer = http.get(f"gradio_api/call/edit_inr/{asked.json()['event_id']}").text
    assert "strength must be a number" in sentence(answer)
