"""The Zoo tab without a browser: views, filters, pictures, cards of strangers, links, zoos of the Hub and none."""

import re
import shutil
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
from hub_zoo import put

from app.networks import zoos
from app.networks.source import Source
from app.page.links import Link, read_link
from app.page.markdown import MAX_CARD, card_html
from app.page.source_text import from_text, to_text
from app.runtime.errors import RequestError
from app.tabs.inr.actions import open_network
from app.tabs.zoo import browse as zoo_browse
from app.tabs.zoo import html as zoo_html
from app.tabs.zoo import views as zoo_views
from app.tabs.zoo.browse import PAGE, View, choose, first_layer, parse_view, pictures
from app.ui import TABS
from zoo.catalog import EMBEDDED, Zoo, write_catalog
from zoo.errors import HubError

HOSTILE = "<img src=x onerror=window.__ran=1>"
KEYS = [tab.key for tab in TABS]
OUTPUTS = 16


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo(EMBEDDED)


def test_a_view_survives_the_page():
    view = View("owner/name@" + "a" * 40, "mnist-sirens", "7", "best", 2, "mnist-sirens/test/17")
    assert parse_view(view.text()) == view


@pytest.mark.parametrize("text", [
    "", "[]", "{}x", '{"page": -1}', '{"page": 1.5}', '{"page": true}', '{"order": "sideways"}', '{"where": null}',
    '{"colour": "red"}', '{"network": ["a"]}', "[" * 10**5,
])  # fmt: skip
def test_a_view_written_by_hand_is_refused(text):
    with pytest.raises(RequestError, match="reload"):
        parse_view(text)


@pytest.mark.parametrize("name", ["mnist-sirens", "cifar10-cnns"])
def test_every_network_is_on_exactly_one_page(zoo, name):
    count = len(zoo.collection(name))
    pages = [choose(zoo, View(entry=name, page=page)) for page in range(-(-count // PAGE))]
    assert sorted(place for shown in pages for place in shown.places) == list(range(count))
    assert choose(zoo, View(entry=name, page=999)).page == len(pages) - 1


def test_filters_and_orders(zoo):
    rows = zoo.rows("mnist-sirens")
    shown = choose(zoo, View(entry="mnist-sirens", group="7", order="best"))
    wanted = sorted((row for row in rows if row["label"] == "7"), key=lambda row: -row["psnr"])
    assert shown.count == len(wanted)
    assert zoo_browse.ids_of(zoo, "mnist-sirens", shown.places) == [row["id"] for row in wanted[:PAGE]]
    assert set(shown.groups) == {row["label"] for row in rows}
    assert choose(zoo, View(entry="mnist-sirens", group="no such label")).count == 0
    worst = choose(zoo, View(entry="cifar10-cnns", order="worst")).values
    assert (np.diff(worst) >= 0).all()


def test_a_network_is_found_on_its_page(zoo):
    view = zoo_browse.view_of_network(zoo, "", "mnist-sirens/test/77")
    ids = zoo_browse.ids_of(zoo, "mnist-sirens", choose(zoo, view).places)
    assert view.network in ids and view.page == 77 // PAGE


def test_pictures_are_what_the_networks_draw(zoo):
    from app.page.figures import to_pixels
    from app.tabs.inr.actions import draw

    picture = pictures("", "cifar10-sirens", (3, 5))[1]
    assert np.array_equal(picture, to_pixels(draw(open_network(Source(zoo_id="cifar10-sirens/test/5")))))


def test_first_layers_are_red_below_zero_and_blue_above():
    weight = torch.zeros(16, 1, 3, 3)
    weight[0, 0, 0, 0], weight[5, 0, 2, 2] = 1.0, -1.0
    sheet = first_layer(weight)
    assert sheet.shape == (15, 15, 3)
    assert sheet[0, 0, 2] > sheet[0, 0, 0] and sheet[6, 6, 0] > sheet[6, 6, 2]
    assert (sheet[1, 1] == 255).all() and (sheet[3, 3] == 200).all()
    for other in (
        torch.randn(3, 2),
        torch.zeros(40, 5, 1, 1),
        torch.full((2, 1, 9, 9), torch.inf).nan_to_num(),
    ):
        assert first_layer(other).dtype == np.uint8


@pytest.mark.parametrize("entry", ["mnist-sirens", "cifar10-cnns", "inr-classifier", "inr-editor"])
def test_every_entry_is_shown(entry):
    shown = zoo_views.show(TABS, lambda: View(entry=entry), OUTPUTS)
    assert len(shown) == OUTPUTS + 1 and shown[-1] == ""
    about = shown[4] if isinstance(shown[4], str) else shown[4].value
    assert f"<code>{entry}</code>" in about


def test_a_filter_that_no_network_passes_shows_none():
    shown = zoo_views.show(TABS, lambda: View(entry="mnist-sirens", group="gone"), OUTPUTS)
    assert shown[-1] == "" and any("0 networks" in str(value) for value in shown)


@pytest.mark.parametrize("view", [
    View(entry="nothing-here"), View(entry=HOSTILE), View(entry="mnist-sirens", network="mnist-sirens/test/999"),
    View(where="../../etc", entry="x"), View(where="http://127.0.0.1/x/y", entry="x"),
])  # fmt: skip
def test_missing_entries_give_a_clear_error_and_change_nothing(view):
    *rest, said = zoo_views.show(TABS, lambda: view, OUTPUTS)
    assert "refusal" in said and "<img" not in said
    assert all(isinstance(value, dict) and value["__type__"] == "update" for value in rest)


CARD = f"""---
license: mit
---
# Title {HOSTILE}

| a | b |
| --- | --- |
| `<b>` | {HOSTILE} |

[good](https://example.org/?a=1&b=2) [bad](javascript:alert(1))
[file](file:///etc/passwd) ![picture](https://x.org/a.png)
[data](data:text/html;base64,AAAA) <script>alert(1)</script> [quote](https://x.org/" onmouseover="alert(1))
"""


def test_a_hostile_card_is_only_text():
    html = card_html(CARD)
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", html))
    assert tags <= {"div", "h1", "table", "thead", "tbody", "tr", "th", "td", "code", "p", "a"}
    assert not re.search(r"<[^>]*\son\w+=", html)
    links = re.findall(r'href="([^"]*)"', html)
    assert links and all(link.startswith("https://") for link in links)
    assert "license" not in html and "noopener" in html


def test_a_long_card_is_cut():
    html = card_html("word " * MAX_CARD)
    assert "left out" in html and len(html) < 2 * MAX_CARD


def test_facts_of_other_zoos_are_escaped():
    html = zoo_html.network(
        np.zeros((2, 2, 3), np.uint8), {"id": HOSTILE, HOSTILE: HOSTILE, "psnr": 1.0}, HOSTILE
    )
    assert HOSTILE not in html and "1.0 dB" in html


@pytest.mark.parametrize("link", [
    Link(), Link(network="mnist-sirens/test/17", tab="inr", style="neon"),
    Link("owner/name@" + "0" * 40, "a/test/1", "zoo"),
])  # fmt: skip
def test_links_survive_the_address(link):
    params = {key: values[0] for key, values in parse_qs(link.query().lstrip("?")).items()}
    assert read_link(params, KEYS) == (link, [])


@pytest.mark.parametrize(("name", "value"), [
    ("zoo", "../../x"), ("zoo", "http://x/y/z"), ("zoo", "a" * 10**5), ("zoo", "name"), ("zoo", "a/b\0"),
    ("network", "<script>"), ("network", "mnist-sirens/test/1x"), ("network", ["a", "b"]), ("network", 7),
    ("tab", "Settings"), ("tab", "__proto__"), ("style", "lasers"), ("style", "neon\n"),
])  # fmt: skip
def test_a_hostile_link_is_ignored_and_reported(name, value):
    link, remarks = read_link({name: value, "unknown": "x"}, KEYS)
    assert link == Link() and len(remarks) == 1 and name in remarks[0]


def test_a_source_remembers_its_zoo():
    source = Source(zoo_id="mnist-sirens/test/3", zoo="owner/name@" + "b" * 40)
    assert from_text(to_text(source)) == source
    with pytest.raises(RequestError):
        from_text(to_text(source).replace("owner/name", "../name"))


@pytest.fixture
def fresh():
    """No zoo is remembered from before, nor after."""
    caches = (zoos.own_zoo, zoos._pinned, zoo_browse.pictures, open_network)
    for kept in caches:
        kept.cache_clear()
    yield
    for kept in caches:
        kept.cache_clear()


def test_a_zoo_of_the_hub_is_browsed_and_opened(fresh, hub, made):
    sha = put(hub, made, "owner/zoo")
    view = zoo_views.typed(" owner/zoo ")
    assert view.where == f"owner/zoo@{sha}"
    shown = zoo_views.show(TABS, lambda: view, OUTPUTS)
    assert shown[-1] == "" and sha in shown[1]
    zoo = zoos.zoo_at(view.where)
    network = zoo.rows(zoo.collections()[0].name, 1)[0]["id"]
    if zoo.collections()[0].kind == "siren":
        assert open_network(Source(zoo_id=network, zoo=view.where)).kind == "siren"


@pytest.mark.parametrize("kind", ["401", "403", "404", "429", "500", "html"])
def test_a_failing_hub_gives_a_clear_error(fresh, hub, kind):
    hub.fail(kind)
    said = zoo_views.show(TABS, lambda: zoo_views.typed("owner/zoo"), OUTPUTS)[-1]
    assert "refusal" in said and len(re.sub("<[^>]*>", "", said)) > 20
    assert zoo_views.show(TABS, zoo_views.home, OUTPUTS)[-1] == "", "the app's own zoo still works"


def test_a_failing_configured_zoo_is_reported(fresh, monkeypatch):
    def fail(where):
        raise HubError("The Hub is down.")

    monkeypatch.setenv("WEIGHTSCOPE_ZOO", "owner/zoo")
    monkeypatch.setattr(zoos, "open_zoo", fail)
    own = zoos.own_zoo()
    assert own.zoo.root == EMBEDDED and "owner/zoo" in own.notice and "The Hub is down." in own.notice


def test_a_configured_folder_is_used(fresh, monkeypatch):
    monkeypatch.setenv("WEIGHTSCOPE_ZOO", str(EMBEDDED))
    assert zoos.own_zoo().notice == ""


def test_a_configured_zoo_needs_no_networks_of_many_architectures(fresh, monkeypatch, tmp_path):
    older = tmp_path / "zoo"
    shutil.copytree(EMBEDDED, older, ignore=shutil.ignore_patterns("*-wild"))
    write_catalog(older)
    monkeypatch.setenv("WEIGHTSCOPE_ZOO", str(older))
    assert zoos.own_zoo().notice == "" and zoos.own_zoo().zoo.root == older
