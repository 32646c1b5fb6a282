"""A file that was brought to the wrong tab: the refusal names the right one."""

import pytest
import torch

from app import actions, generalization, tickets
from app.actions import RequestError, Source
from app.describe import describe
from nfn.reader import write_network
from zoo.catalog import Zoo
from zoo.errors import ZooError

OPEN = {
    "INR": actions.open_network,
    "Generalization": generalization.open_classifier,
    "Tickets": tickets.open_init,
}
READ_IN = {
    "mnist-sirens/test/0": ({"INR"}, {"INR"}),
    "cifar10-sirens/test/0": ({"INR"}, {"INR"}),
    "cifar10-cnns/test/1": ({"Generalization"}, {"Generalization"}),
    "mnist-inits/test/1": ({"Tickets"}, {"Generalization", "Tickets"}),
    "cifar10-inits/test/1": ({"Tickets"}, {"Generalization", "Tickets"}),
}
"""The tabs that read a network of the zoo, and those that read it as a file: an initialization is a classifier, too."""


def refusal(tab: str, source: Source) -> str:
    with pytest.raises((RequestError, ZooError)) as caught:
        OPEN[tab](source)
    return str(caught.value)


@pytest.mark.parametrize("tab", OPEN)
@pytest.mark.parametrize("zoo_id", READ_IN)
def test_another_tabs_file_is_sent_there(zoo_id, tab, tmp_path):
    """Of the zoo, as a file that says what it is, and as one that does not."""
    network, path, bare = Zoo().network(zoo_id), tmp_path / "net.safetensors", tmp_path / "bare.pt"
    write_network(network, path)
    torch.save(network.tensors(), bare)
    in_zoo, as_file = READ_IN[zoo_id]
    for source, tabs in (
        (Source(zoo_id), in_zoo), (Source(path=str(path)), as_file), (Source(path=str(bare)), as_file),
    ):  # fmt: skip
        if tab in tabs:
            OPEN[tab](source)
        else:
            assert f"read in the {' and '.join(sorted(tabs))} tab" in refusal(tab, source)


@pytest.mark.parametrize("tab", ["INR", "Tickets"])
def test_a_classifier_of_unknown_pictures_is_sent_where_it_is_drawn(tab, tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"0.weight": torch.ones(9, 7), "0.bias": torch.ones(9), "1.weight": torch.ones(3, 9)}, path)
    assert "read in the Generalization tab" in refusal(tab, Source(path=str(path)))
    assert generalization.classifier_of(Source(path=str(path))).fault is not None


def test_a_small_cnn_before_training_gets_a_ticket_that_says_what_it_assumes(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(Zoo().network("cifar10-cnns/test/0").tensors(), path)
    assert any("MNIST is assumed" in said for said in tickets.open_init(Source(path=str(path))).assumed)


def test_one_of_several_networks_of_a_file_is_chosen_by_name(tmp_path):
    """As the refusal says; and by every tab and endpoint."""
    actor, critic = (Zoo().network(f"mnist-inits/test/{i}").tensors() for i in (0, 1))
    siren = Zoo().network("mnist-sirens/test/3").tensors()
    torch.save({"actor": actor, "critic": critic, "picture": siren}, tmp_path / "agent.pt")
    path = str(tmp_path / "agent.pt")
    for tab in OPEN:
        assert "part='actor'" in refusal(tab, Source(path=path))
    assert torch.equal(
        tickets.open_init(Source(path=path, part="critic")).weights[0][0, 0], next(iter(critic.values()))
    )
    assert generalization.open_upload(path, "actor").part == "actor"
    assert actions.classify(actions.open_upload(path, "picture")).result.label == "0"
    assert describe(Source(path=path, part="actor")).parameters == sum(
        tensor.numel() for tensor in actor.values()
    )
    with pytest.raises(RequestError, match="leave part at auto"):
        actions.part_of(Source(zoo_id="mnist-sirens/test/3"), "actor")
