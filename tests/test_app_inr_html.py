"""Pieces of HTML: what a file wrote cannot become markup, and an untrusted verdict names no class."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import torch

from app.networks.source import Source
from app.page.html import TABLE_HEADERS, escape, layer_rows
from app.tabs.inr import html as inr_html
from app.tabs.inr.actions import Classified
from nfn.classifier import InrClassification
from nfn.features import WeightSpaceFeatures
from nfn.network import LayerNames, Network, SirenConvention

HOSTILE = '<img src=x onerror=alert(1)>&"'


def classified(typical: bool) -> Classified:
    probabilities = {"sandal": 0.9995, HOSTILE: 0.0005}
    domains = {"fashion_mnist": 1.0}
    result = InrClassification(
        "fashion_mnist",
        "sandal",
        probabilities,
        domains,
        typical,
        0.9 if typical else 0.1,
        none_of_these=not typical,
    )
    return Classified(result, "inr-classifier", 0.01)


def hostile_network() -> Network:
    features = WeightSpaceFeatures(
        [torch.ones(1, 1, 4, 2), torch.ones(1, 1, 1, 4)], [torch.zeros(1, 1, 4), torch.zeros(1, 1, 1)]
    )
    names = (LayerNames(f"{HOSTILE}.weight", f"{HOSTILE}.bias"), LayerNames("b.weight", "b.bias"))
    return Network(features, SirenConvention(), names, notes=(f"{HOSTILE} was read.",))


def test_a_typical_verdict_leads_with_its_label():
    html = inr_html.verdict(classified(True), "auto", "")
    assert '<p class="title">sandal</p>' in html and "99.9" in html and "(detected)" in html
    assert "chosen by you" in inr_html.verdict(classified(True), "fashion_mnist", "")


def test_a_picture_of_something_else_is_none_of_these_ten_with_the_nearest_and_no_bars():
    html = inr_html.verdict(classified(False), "auto", "")
    assert '<p class="title">None of these ten</p>' in html and "The nearest label is <b>sandal</b>" in html
    assert "<ol" not in html and "99.9" not in html


def test_a_doubtful_reading_is_not_called_a_picture_of_something_else():
    doubtful = classified(False)
    doubtful = replace(doubtful, result=replace(doubtful.result, none_of_these=False))
    html = inr_html.verdict(doubtful, "auto", "")
    assert "No reliable answer" in html and "None of these ten" not in html and "bars muted" in html


def test_an_edited_network_is_read_again_beside_the_original():
    yes, no = classified(True).result, classified(False).result
    assert "read as before: <b>sandal, &gt;99.9%</b>" in inr_html.read_again(yes, yes)
    changed = inr_html.read_again(yes, no)
    assert "read as <b>none of these ten</b>; the original as <b>sandal, &gt;99.9%</b>" in changed


def test_an_edit_of_strength_0_says_that_nothing_changes():
    seven = classified(True).result
    edited = SimpleNamespace(result=SimpleNamespace(style="neon", strength=0), reading=seven)
    line = inr_html.edit_line(cast(Any, edited), seven)
    assert "At strength 0 nothing changes." in line and "outlines" not in line and "dB" not in line


def test_text_from_a_file_is_escaped():
    network = hostile_network()
    pieces = [
        inr_html.verdict(classified(True), "auto", ""),
        inr_html.verdict(classified(False), "auto", ""),
        inr_html.network_facts(Source(path=f"/uploads/{HOSTILE.replace('/', '')}"), network, HOSTILE),
        inr_html.drawn_and_read(
            "", InrClassification("mnist", HOSTILE, {HOSTILE: 1.0}, {"mnist": 1.0}, True, 1.0)
        ),
    ]
    assert all("<img" not in piece for piece in pieces)
    assert all("&lt;img" in piece for piece in (pieces[0], *pieces[2:]))


def test_long_names_are_cut():
    assert len(escape("x" * 10_000)) == 80


def test_the_table_says_what_the_heat_maps_show():
    rows = layer_rows(hostile_network())
    assert [row[1] for row in rows] == ["4×2", "4", "1×4", "1"]
    assert rows[0][2:] == [*["1.0000"] * 5, "0.0000"]
    assert all(len(row) == len(TABLE_HEADERS) for row in rows)
