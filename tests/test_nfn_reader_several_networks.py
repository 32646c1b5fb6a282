"""Files of several networks: which is read by default, which are offered, and what is said of those left out."""

import numpy as np
import pytest
import torch
from foreign_files import actor_critic, mlp, renamed, state, torch_zip
from safetensors.torch import save as save_tensors

from nfn.reader import NetworkFileError, read_network, write_network
from nfn.reader.normalization import Normalization
from nfn.reader.stored import StoredFile, open_file

OTHER = state(mlp(3, 9, 4))
UNCLEAR = {
    "actor and critic": (lambda: torch_zip(actor_critic()), ("actor", "critic")),
    "actor and critic, safetensors": (lambda: save_tensors(actor_critic()), ("actor", "critic")),
    "tables": (lambda: torch_zip({"generator": state(), "discriminator": OTHER}), ("generator", "discriminator")),
    "one table": (lambda: torch_zip({**renamed("netG."), **renamed("netD.", OTHER)}), ("generator", "discriminator")),
    "autoencoder": (lambda: torch_zip({**renamed("encoder."), **renamed("decoder.", OTHER)}), ("encoder", "decoder")),
    "two heads": (
        lambda: torch_zip({**renamed("body."), "head1.weight": torch.ones(2, 3), "head2.weight": torch.ones(4, 3)}),
        ("head1", "head2"),
    ),
    "numbered heads": (
        lambda: torch_zip({**renamed("body."), "heads.0.weight": torch.ones(2, 3), "heads.1.weight": torch.ones(4, 3)}),
        ("heads.0", "heads.1"),
    ),
    "three critics": (
        lambda: torch_zip({**renamed("actor."), **renamed("qf1."), **renamed("qf2."), **renamed("qf1_target.")}),
        ("actor", "critic1", "critic2"),
    ),
}  # fmt: skip


def opened(data: bytes, folder, part: str | None = None) -> StoredFile:
    (folder / "file").write_bytes(data)
    return open_file(folder / "file", part)


@pytest.mark.parametrize("name", UNCLEAR)
def test_ambiguous_files_name_their_networks_and_each_can_be_chosen(tmp_path, name):
    make, networks = UNCLEAR[name]
    with pytest.raises(NetworkFileError) as caught:
        opened(make(), tmp_path)
    for network in networks:
        assert repr(network) in str(caught.value)
        stored = opened(make(), tmp_path, network)
        assert set(networks) <= set(stored.networks)
        assert stored.tensors


def test_everything_together_is_one_of_the_choices_and_is_remembered_when_written(tmp_path):
    tensors = {**renamed("encoder."), **renamed("decoder.", OTHER)}
    (tmp_path / "net.pt").write_bytes(torch_zip(tensors))
    network = read_network(tmp_path / "net.pt", part="all")
    assert network.tensors().keys() == tensors.keys()
    write_network(network, tmp_path / "copy.safetensors")
    assert read_network(tmp_path / "copy.safetensors").names == network.names


@pytest.mark.parametrize("part", ["nobody", "actor.nobody", "", "a" * 5000])
def test_an_unknown_part_lists_the_known_ones(tmp_path, part):
    with pytest.raises(NetworkFileError, match="'actor', 'critic'"):
        opened(torch_zip(actor_critic()), tmp_path, part)


def test_a_part_of_a_part(tmp_path):
    data = torch_zip({"agent": actor_critic(), "other": OTHER})
    assert set(opened(data, tmp_path, "agent.critic").tensors) == set(
        renamed("critic.net.", state(mlp(4, 8, 8, 1)))
    )


def test_an_extra_copy_can_be_requested(tmp_path):
    data = torch_zip({"model": state(), "ema": {name: 2 * tensor for name, tensor in state().items()}})
    assert opened(data, tmp_path).networks == ("model", "ema")
    assert "'ema'" in " ".join(opened(data, tmp_path, "ema").notes)


@pytest.mark.parametrize(
    "names", [("a.ema.w", "b.ema.w"), ("target.0.weight",), ("loss.weight",), ("head.weight", "mask")]
)
def test_extras_are_kept_if_no_weight_would_be_left(tmp_path, names):
    tensors = {name: torch.ones(3, 2) for name in names}
    assert set(opened(torch_zip(tensors), tmp_path).tensors) >= set(names[:1])


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"mean": torch.tensor([0.5, 0.4, 0.3]), "std": torch.tensor([0.2, 0.2, 0.25])},
         {"pixel_mean": "[0.5, 0.4", "pixel_std": "[0.2"}),
        ({"norm.pixel_mean": torch.tensor([127.5]), "norm.pixel_std": torch.tensor([63.75])},
         {"pixel_mean": "0.5", "pixel_std": "0.25"}),
    ],
)  # fmt: skip
def test_a_layer_that_normalises_declares_the_pixels(tmp_path, tensors, expected):
    stored = opened(torch_zip({**state(), **tensors}), tmp_path)
    assert {key: stored.metadata[key][: len(text)] for key, text in expected.items()} == expected
    mean, std = (tuple(tensor.tolist()) for tensor in tensors.values())
    assert stored.normalization is not None
    np.testing.assert_allclose(stored.normalization.mean + stored.normalization.std, mean + std, rtol=1e-6)


@pytest.mark.parametrize(
    "tensors",
    [
        {"mean": torch.zeros(3), "std": torch.zeros(3)},
        {"mean": torch.zeros(3), "std": torch.ones(1)},
        {"mean": torch.zeros(784), "std": torch.ones(784)},
        {"a.mean": torch.zeros(1), "a.std": torch.ones(1), "b.mean": torch.zeros(1), "b.std": torch.ones(1)},
        {"mean": torch.zeros(3)},
    ],
)
def test_invalid_statistics_declare_nothing(tmp_path, tensors):
    stored = opened(torch_zip({**state(), **tensors}), tmp_path)
    assert stored.normalization is None and "pixel_mean" not in stored.metadata
    assert set(stored.tensors) == set(state())


def test_the_files_declaration_overrides_its_buffers(tmp_path):
    table = {
        "model": {**state(), "mean": torch.zeros(1), "std": torch.ones(1)},
        "pixel_mean": 0.1,
        "pixel_std": 0.2,
    }
    assert opened(torch_zip(table), tmp_path).metadata["pixel_mean"] == "0.1"


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("module.", "module."), ("module.model.", "module.model."), ("a.", ""), ("net/", "net/"), ("model.a.", "model.")],
)  # fmt: skip
def test_prefixes_of_wrappers_are_reported(tmp_path, prefix, expected):
    assert opened(torch_zip(renamed(prefix)), tmp_path).prefix == expected
    mixed = {**renamed(prefix), "zz.weight": torch.ones(2, 3)}
    assert opened(torch_zip(mixed), tmp_path).prefix == ""


def test_normalization_of_four_channels_is_not_declared():
    assert Normalization((0.0,) * 4, (1.0,) * 4).facts() == {}
