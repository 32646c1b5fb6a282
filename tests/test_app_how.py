"""How it works: the weights that are drawn are the network's, and a shuffle leaves what it computes."""

import json
import re
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.tabs.how import actions as how_actions
from app.tabs.how import html as how_html
from app.tabs.inr import actions

STRAIGHT = tuple(range(how_actions.SHOWN))
ORDERS = st.permutations(STRAIGHT).map(tuple)


def test_drawn_weights_are_those_of_the_file():
    one, two = how_actions.drawn_neurons()
    first, middle, last = (weight[0, 0] for weight in how_actions.network().features.weights)
    drawn = how_actions.drawn_weights()
    assert drawn.middle[3, 5] == middle[two[3], one[5]]
    assert drawn.first[4, 1] == first[one[4], 1] and drawn.last[0, 6] == last[0, two[6]]


@settings(max_examples=10, deadline=None)
@given(ORDERS, ORDERS)
def test_a_shuffle_changes_only_the_order_of_weights(one, two):
    check = how_actions.shuffle(one, two)
    middle = check.after.features.weights[1][0, 0]
    neurons = how_actions.drawn_neurons()
    block = middle[list(neurons[1])][:, list(neurons[0])]
    assert torch.equal(block, how_actions.drawn_weights().middle[list(two)][:, list(one)])
    assert check.pixel_difference < 1e-4 and check.probability_difference < 1e-4
    assert (check.moved > 0) == (one != STRAIGHT or two != STRAIGHT)


@pytest.mark.parametrize("text", [
    "", "null", "[]", "[[0],[1]]", "[[0,1,2,3,4,5,6,7]]", "[[0,1,2,3,4,5,6,6],[0,1,2,3,4,5,6,7]]",
    "[[0,1,2,3,4,5,6,8],[0,1,2,3,4,5,6,7]]", '[[0,1,2,3,4,5,6,true],[0,1,2,3,4,5,6,7]]', "[" * 10_000,
    '{"a": 1, "b": 2}', "[1, 2]",
])  # fmt: skip
def test_an_invalid_order_is_refused(text):
    with pytest.raises(how_actions.InvalidOrder):
        how_actions.parse_order(text)


@given(ORDERS, ORDERS)
def test_an_order_is_read_as_it_was_written(one, two):
    assert how_actions.parse_order(json.dumps([one, two])) == (one, two)


def test_the_picture_has_a_line_per_weight_and_a_name_per_neuron():
    text = how_html.live_picture(how_actions.drawn_weights(), "")
    assert len(re.findall("<line", text)) == sum(
        weight.numel() for weight in vars(how_actions.drawn_weights()).values()
    )
    assert len(re.findall('class="cell"', text)) == how_actions.SHOWN**2
    names = re.findall(r'class="neuron".*?<text dy="4">(\w)</text>', text)
    assert names == list(chain(how_html.ONE, how_html.TWO))


def test_the_table_follows_the_order():
    one, two = STRAIGHT[::-1], STRAIGHT
    check = how_actions.shuffle(one, two)
    text = how_html.outcome(check, actions.draw(check.after), how_actions.drawn_weights().middle, one, two)
    heads = re.findall(r'<th scope="col">(\w)</th>', text)
    assert heads == list("hgfedcba") and "The same picture" in text
