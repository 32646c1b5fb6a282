"""A file that was brought to the wrong tab: the refusal offers to open it in the right one."""

import html
import re
from itertools import product
from pathlib import Path

import pytest
import torch

from app.api.describe import describe
from app.networks.source import Source, with_part
from app.page import source_text
from app.page.refusal import refusal_html
from app.page.source_text import from_text
from app.runtime.errors import RequestError
from app.tabs.generalization import actions as generalization_actions
from app.tabs.inr import actions
from app.tabs.tickets import actions as tickets_actions
from app.ui import TABS
from nfn.reader import write_network
from zoo.catalog import Zoo
from zoo.errors import ZooError


@pytest.fixture
def uploads(tmp_path, monkeypatch) -> Path:
    """A folder whose files count as uploaded."""
    monkeypatch.setattr(source_text, "get_upload_folder", lambda: str(tmp_path))
    return tmp_path


OPEN = {
    "inr": actions.open_network,
    "generalization": generalization_actions.open_classifier,
    "tickets": tickets_actions.open_initialization,
}
READ_IN = {
    "mnist-sirens/test/0": {"inr"},
    "cifar10-sirens/test/0": {"inr"},
    "cifar10-cnns/test/1": {"generalization"},
    "mnist-inits/test/1": {"generalization", "tickets"},
    "cifar10-inits/test/1": {"generalization", "tickets"},
}
"""The tabs that read a network of the zoo as a file: an initialization is a classifier, too."""


def offered(tab: str, path: Path) -> set[str]:
    """The tabs that the refusal of a file offers, besides the one that looks at any file."""
    with pytest.raises((RequestError, ZooError)) as caught:
        OPEN[tab](Source(path=str(path)))
    shown = refusal_html(TABS, tab, str(path), caught.value)
    picks = [pick.partition(" ") for pick in re.findall(r'data-pick="([^"]*)"', shown)]
    assert all(from_text(html.unescape(source)) == Source(path=str(path)) for _, _, source in picks)
    assert "checkpoint" in {key for key, _, _ in picks} and "tab" not in str(caught.value).split()
    return {key for key, _, _ in picks} - {"checkpoint"}


@pytest.mark.parametrize("zoo_id", READ_IN)
def test_a_file_refused_by_a_tab_is_offered_to_tabs_that_read_it(zoo_id, uploads):
    """As a file that says what it is, and as one that does not."""
    network, path, bare = Zoo().network(zoo_id), uploads / "net.safetensors", uploads / "bare.pt"
    write_network(network, path)
    torch.save(network.tensors(), bare)
    for tab, file in product(OPEN, (path, bare)):
        if tab in READ_IN[zoo_id]:
            OPEN[tab](Source(path=str(file)))
        else:
            assert offered(tab, file) == READ_IN[zoo_id]


@pytest.mark.parametrize("tab", ["inr", "tickets"])
def test_a_classifier_of_unknown_images_is_opened_where_it_is_drawn(tab, uploads):
    path = uploads / "net.pt"
    torch.save({"0.weight": torch.ones(9, 7), "0.bias": torch.ones(9), "1.weight": torch.ones(3, 9)}, path)
    assert offered(tab, path) == {"generalization"}
    assert generalization_actions.classifier_of(Source(path=str(path))).fault is not None


def test_a_small_cnn_before_training_gets_a_ticket_that_says_what_it_assumes(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(Zoo().network("cifar10-cnns/test/0").tensors(), path)
    assert any(
        "MNIST is assumed" in said
        for said in tickets_actions.open_initialization(Source(path=str(path))).assumed
    )


def test_one_of_several_networks_of_a_file_is_chosen_by_name(tmp_path):
    """As the refusal says; and by every tab and endpoint."""
    actor, critic = (Zoo().network(f"mnist-inits/test/{i}").tensors() for i in (0, 1))
    siren = Zoo().network("mnist-sirens/test/3").tensors()
    torch.save({"actor": actor, "critic": critic, "picture": siren}, tmp_path / "agent.pt")
    path = str(tmp_path / "agent.pt")
    for read in OPEN.values():
        with pytest.raises((RequestError, ZooError), match="part='actor'"):
            read(Source(path=path))
    assert torch.equal(
        tickets_actions.open_initialization(Source(path=path, part="critic")).weights[0][0, 0],
        next(iter(critic.values())),
    )
    assert generalization_actions.open_upload(path, "actor").part == "actor"
    assert actions.classify(actions.open_upload(path, "picture")).result.label == "0"
    assert describe(Source(path=path, part="actor")).parameters == sum(
        tensor.numel() for tensor in actor.values()
    )
    with pytest.raises(RequestError, match="leave part at auto"):
        with_part(Source(zoo_id="mnist-sirens/test/3"), "actor")
