"""Pieces of HTML: what a file wrote cannot become markup, and an untrusted verdict names no class."""

import torch

from app import panels
from app.actions import Classified, Source
from nfn.classifier import InrClassification
from nfn.features import WeightSpaceFeatures
from nfn.network import LayerNames, Network, SirenConvention

HOSTILE = '<img src=x onerror=alert(1)>&"'


def classified(typical: bool) -> Classified:
    probabilities = {"sandal": 0.9995, HOSTILE: 0.0005}
    domains = {"fashion_mnist": 1.0}
    result = InrClassification(
        "fashion_mnist", "sandal", probabilities, domains, typical, 0.9 if typical else 0.1
    )
    return Classified(result, "inr-classifier", 0.01)


def hostile_network() -> Network:
    features = WeightSpaceFeatures(
        [torch.ones(1, 1, 4, 2), torch.ones(1, 1, 1, 4)], [torch.zeros(1, 1, 4), torch.zeros(1, 1, 1)]
    )
    names = (LayerNames(f"{HOSTILE}.weight", f"{HOSTILE}.bias"), LayerNames("b.weight", "b.bias"))
    return Network(features, SirenConvention(), names, notes=(f"{HOSTILE} was read.",))


def test_a_typical_verdict_leads_with_its_label():
    html = panels.verdict(classified(True), "auto", "")
    assert '<p class="title">sandal</p>' in html and "99.9" in html and "found by itself" in html
    assert "told by you" in panels.verdict(classified(True), "fashion_mnist", "")


def test_an_untypical_verdict_names_no_class_before_the_fold():
    html = panels.verdict(classified(False), "auto", "")
    before_fold = html.split("<details>")[0]
    assert "Unlike the zoo" in before_fold and "sandal" not in before_fold


def test_nothing_from_a_file_becomes_markup():
    network = hostile_network()
    pieces = [
        panels.verdict(classified(True), "auto", ""),
        panels.verdict(classified(False), "auto", ""),
        panels.network_facts(Source(path=f"/uploads/{HOSTILE.replace('/', '')}"), network, HOSTILE),
        panels.drawn_and_read(
            "", InrClassification("mnist", HOSTILE, {HOSTILE: 1.0}, {"mnist": 1.0}, True, 1.0)
        ),
    ]
    assert all("<img" not in piece for piece in pieces)
    assert all("&lt;img" in piece for piece in pieces)


def test_long_names_are_cut():
    assert len(panels.escape("x" * 10_000)) == 80


def test_the_table_says_what_the_heat_maps_show():
    rows = panels.layer_rows(hostile_network())
    assert [row[1] for row in rows] == ["4×2", "4", "1×4", "1"]
    assert rows[0][2:] == [*["1.0000"] * 5, "0.0000"]
    assert all(len(row) == len(panels.TABLE_HEADERS) for row in rows)
