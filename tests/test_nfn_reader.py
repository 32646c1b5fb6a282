"""Networks of other people's conventions are read exactly, and written back under their own names."""

from collections import OrderedDict

import pytest
import torch
from reader_files import Sine, float_entries, make_siren, write_safetensors
from safetensors.torch import load_file, save_file
from state_dicts import SIREN_WIDTHS, forward, save
from torch import nn

from nfn.network import SirenConvention
from nfn.reader import NetworkFileError, read_network, write_network
from nfn.wiring.propose import Proposal


def sine(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(30 * x)


def renamed(model: nn.Module, *names: str) -> OrderedDict:
    """The model's state_dict with other stems for its layers."""
    values = list(model.state_dict().values())
    parts = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    return OrderedDict(zip(parts, values, strict=True))


CONVENTIONS = {
    "siren-pytorch": ("net.0.linear", "net.1.linear", "net.2"),
    "dws": ("seq.0", "seq.1", "seq.2"),
    "lucidrains": ("net.layers.0", "net.layers.1", "net.last_layer"),
    "nfn": ("0.linear", "1.linear", "2"),
    "doubled": ("net.0.linear.linear", "net.1.linear.linear", "net.2.linear"),
    "layers": ("layers.0", "layers.1", "layers.2"),
    "ddp": ("module.net.0", "module.net.2", "module.net.4"),
    "compiled": ("_orig_mod.fc1", "_orig_mod.fc2", "_orig_mod.out"),
    "words": ("input", "hidden", "final"),
    "reversed-alphabet": ("z", "y", "x"),
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("names", CONVENTIONS.values(), ids=CONVENTIONS)
def test_a_siren_of_any_convention_is_read_exactly(tmp_path, names, suffix):
    model = make_siren(*SIREN_WIDTHS)
    network = read_network(save(renamed(model, *names), tmp_path / f"net{suffix}"))
    x = torch.rand(50, 2) * 2 - 1
    assert network.kind == "siren"
    assert network.siren == SirenConvention()
    assert [layer.weight for layer in network.names] == [f"{name}.weight" for name in names]
    assert [layer.bias for layer in network.names] == [f"{name}.bias" for name in names]
    assert network.spec.get_num_params() == sum(p.numel() for p in model.parameters())
    torch.testing.assert_close(forward(network, x, sine), model(x))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_deep_network_of_equal_layers_keeps_its_order_past_layer_ten(tmp_path, suffix):
    model = make_siren(2, *[8] * 12, 3)
    network = read_network(save(model.state_dict(), tmp_path / f"net{suffix}"))
    assert [layer.weight for layer in network.names] == [f"{i}.linear.weight" for i in range(12)] + [
        "12.weight"
    ]


def test_layers_numbered_in_blocks_follow_both_numbers(tmp_path):
    names = [f"block{i}.fc{j}" for i in (2, 10) for j in (1, 2)]
    state = renamed(make_siren(2, *[4] * 4, 1), *names, "head")
    network = read_network(save(state, tmp_path / "net.safetensors"))
    assert [layer.weight for layer in network.names] == [f"{name}.weight" for name in (*names, "head")]


def test_equal_layers_without_numbers_are_ambiguous_only_where_the_file_has_no_order(tmp_path):
    state = renamed(make_siren(2, 4, 4, 4, 1), "first", "second", "another", "last")
    kept = read_network(save(state, tmp_path / "net.pt"))
    assert [layer.weight for layer in kept.names] == [
        f"{n}.weight" for n in ("first", "second", "another", "last")
    ]
    with pytest.raises(
        NetworkFileError, match=r"order .* unclear.*'another.weight'.*'second.weight'.*torch.save"
    ):
        read_network(save(state, tmp_path / "net.safetensors"))


def test_convolutions_in_an_unclear_order_are_a_classifier_whose_wiring_is_searched(tmp_path):
    shapes = {"first": (8, 3, 3, 3), "second": (8, 8, 3, 3), "another": (8, 8, 3, 3), "last": (10, 8)}
    state = {f"{name}.weight": torch.zeros(shape) for name, shape in shapes.items()}
    network = read_network(save(state, tmp_path / "net.safetensors"))
    assert isinstance(network.proposal, Proposal)
    rows = [[layer.path for layer in one.layers] for one in (network.proposal, *network.proposal.others)]
    assert rows == [["first", "another", "second", "last"], ["first", "second", "another", "last"]]
    assert any("order" in sentence for sentence in network.assumed)


def test_an_order_that_names_do_not_tell_survives_writing(tmp_path):
    state = renamed(make_siren(2, 4, 4, 4, 1), "first", "second", "another", "last")
    network = read_network(save(state, tmp_path / "net.pt"))
    write_network(network, tmp_path / "copy.safetensors")
    assert read_network(tmp_path / "copy.safetensors").names == network.names


def test_a_layer_order_that_is_not_a_chain_is_refused(tmp_path):
    header, body = float_entries({"a.weight": (8, 2), "b.weight": (1, 8)})
    header["__metadata__"] = {"layer_order": '["b.weight", "a.weight"]'}
    with pytest.raises(NetworkFileError, match="First mismatch at layer 1"):
        read_network(write_safetensors(tmp_path / "net.safetensors", header, body))
    header["__metadata__"] = {"layer_order": '["b.weight"]'}
    with pytest.raises(NetworkFileError, match="layer_order"):
        read_network(write_safetensors(tmp_path / "net.safetensors", header, body))


@pytest.mark.parametrize(
    "names",
    [
        {"weights.0": "biases.0", "weights.1": "biases.1", "weights.2": "biases.2"},
        {"W1": "b1", "W2": "b2", "W3": "b3"},
        {"w0": "b0", "w1": "b1", "w2": "b2"},
        {"dense.kernel": "dense.bias", "dense_1.kernel": "dense_1.bias", "dense_2.kernel": "dense_2.bias"},
        {"in": "p", "mid": "q", "out": "r"},
    ],
    ids=lambda names: next(iter(names)),
)
def test_biases_are_found_under_other_words(tmp_path, names):
    model = make_siren(2, 8, 4, 1)
    flat = [name for pair in names.items() for name in pair]
    state = dict(zip(flat, model.state_dict().values(), strict=True))
    network = read_network(save(state, tmp_path / "net.safetensors"))
    x = torch.rand(20, 2)
    assert {layer.weight: layer.bias for layer in network.names} == names
    torch.testing.assert_close(forward(network, x, sine), model(x))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_writing_gives_the_names_values_and_metadata_back(tmp_path, suffix):
    path = save(renamed(make_siren(*SIREN_WIDTHS), *CONVENTIONS["lucidrains"]), tmp_path / f"net{suffix}")
    network = read_network(path, convention=SirenConvention(25.0, 20.0, 0.0, 1.0, "col_row"))
    write_network(network, tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    state = torch.load(path, weights_only=True) if suffix == ".pt" else load_file(path)
    copied = load_file(tmp_path / "copy.safetensors")
    assert (again.names, again.kind, again.siren) == (network.names, "siren", network.siren)
    assert copied.keys() == state.keys()
    assert all(torch.equal(copied[name], state[name]) for name in state)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_same_network_is_the_same_file(tmp_path):
    metadata = {"é": "1", "note": '"x"', "zzz": "2"}
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata=metadata)
    network = read_network(tmp_path / "net.safetensors")
    paths = [tmp_path / f"{i}.safetensors" for i in range(8)]
    for path in paths:
        write_network(network, path)
    assert len({path.read_bytes() for path in paths}) == 1
    assert read_network(paths[0]).metadata.items() >= network.metadata.items()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_other_float_types_are_cast_and_said_so(tmp_path, suffix, dtype):
    state = {name: tensor.to(dtype) for name, tensor in make_siren(*SIREN_WIDTHS).state_dict().items()}
    network = read_network(save(state, tmp_path / f"net{suffix}"))
    assert any(str(dtype).removeprefix("torch.") in note for note in network.notes)
    for name, tensor in network.tensors().items():
        assert torch.equal(tensor, state[name].float()), name


def test_networks_without_biases_get_zeros_and_are_written_without_them(tmp_path):
    state = {name: t for name, t in make_siren(*SIREN_WIDTHS).state_dict().items() if name.endswith("weight")}
    network = read_network(save(state, tmp_path / "net.pt"))
    assert all(not bias.any() for bias in network.features.biases)
    assert any("zeros" in note for note in network.notes)
    write_network(network, tmp_path / "copy.safetensors")
    assert load_file(tmp_path / "copy.safetensors").keys() == state.keys()


@pytest.mark.parametrize("name", ["n" * 200, "сеть 🙂.pt", ".hidden", "<b>x<b>.pt", "none"])
def test_the_file_name_does_not_matter(tmp_path, name):
    save(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "12:30.pt").rename(tmp_path / name)
    assert read_network(str(tmp_path / name)).kind == "siren"


def test_odd_values_are_read_as_they_are(tmp_path):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    state["0.linear.bias"] = torch.tensor([1e38, -1e38, 1e-40, 0, 0, 0, 0, 0])
    state["1.linear.weight"] = torch.zeros(8, 8)
    tensors = read_network(save(state, tmp_path / "net.safetensors")).tensors()
    assert all(torch.equal(tensors[name], state[name]) for name in state)


@pytest.mark.parametrize(
    "name", ["../../x.weight", "<img src=x>", "__proto__", "🙂.weight", "\u202eweight", ""]
)
def test_odd_tensor_names_are_treated_as_text(tmp_path, name):
    header, body = float_entries({name: (3, 2)})
    network = read_network(write_safetensors(tmp_path / "net.safetensors", header, body))
    assert network.names[0].weight == name


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    network = read_network(save(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.pt"))
    (tmp_path / "out.safetensors").write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_network(network, tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pt", "out.safetensors"]


def test_modules_made_in_another_order_than_they_run_are_put_in_order(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(8, 1)
            self.first = Sine(2, 8)

    network = read_network(save(Net().state_dict(), tmp_path / "net.pt"))
    assert [layer.weight for layer in network.names] == ["first.linear.weight", "last.weight"]
