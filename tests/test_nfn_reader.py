"""Networks of other people's conventions are read exactly, and written back under their own names."""

import argparse
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from reader_files import Sine, float_entries, make_cnn, make_siren, write_safetensors
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from nfn.network import Network, SirenConvention
from nfn.reader import NetworkFileError, read_network, write_network

SIREN_WIDTHS = (2, 8, 8, 1)


def forward(network: Network, x: torch.Tensor, activation) -> torch.Tensor:
    """The slow, obvious twin: run the features layer by layer."""
    last = len(network.features) - 1
    for i, (weight, bias) in enumerate(network.features):
        weight, bias = weight[0, 0].to(x.dtype), bias[0, 0].to(x.dtype)
        if weight.dim() == 2 and x.dim() == 4:
            x = x.mean((2, 3))
        x = nn.functional.conv2d(x, weight, bias) if weight.dim() == 4 else x @ weight.T + bias
        x = activation(x) if i < last else x
    return x


def sine(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(30 * x)


def save(state: dict, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    return path


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


def test_an_order_that_names_do_not_tell_survives_writing(tmp_path):
    state = renamed(make_siren(2, 4, 4, 4, 1), "first", "second", "another", "last")
    network = read_network(save(state, tmp_path / "net.pt"))
    write_network(network, tmp_path / "copy.safetensors")
    assert read_network(tmp_path / "copy.safetensors").names == network.names


def test_a_layer_order_that_is_no_chain_is_refused(tmp_path):
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
    network = read_network(path, siren=SirenConvention(25.0, 20.0, 0.0, 1.0, "col_row"))
    write_network(network, tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    state = torch.load(path, weights_only=True) if suffix == ".pt" else load_file(path)
    copied = load_file(tmp_path / "copy.safetensors")
    assert (again.names, again.kind, again.siren) == (network.names, "siren", network.siren)
    assert copied.keys() == state.keys()
    assert all(torch.equal(copied[name], state[name]) for name in state)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_metadata_comes_back_as_it_came_with_the_convention_beside_it(tmp_path):
    metadata = {"omega_0": "20", "author": "someone", "output_range": "[0,1]"}
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata=metadata)
    write_network(read_network(tmp_path / "net.safetensors"), tmp_path / "copy.safetensors")
    with safe_open(tmp_path / "copy.safetensors", "pt") as file:
        written = file.metadata()
    convention = {"first_omega": "20.0", "hidden_omega": "20.0", "output_range": "[0.0, 1.0]"}
    assert written == {**metadata, "kind": "siren", "coordinates": "row_col", **convention}


def test_a_choice_that_overrules_the_metadata_replaces_it_when_written(tmp_path):
    save_file(
        make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata={"omega_0": "20"}
    )
    network = read_network(tmp_path / "net.safetensors", siren=SirenConvention(first_omega=10.0))
    write_network(network, tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    assert again.siren == SirenConvention(first_omega=10.0)
    assert "omega_0" not in again.metadata


@pytest.mark.parametrize(
    ("metadata", "convention"),
    [
        ({}, SirenConvention()),
        ({"omega_0": "20"}, SirenConvention(20.0, 20.0)),
        ({"w0": "1.5e1", "w0_initial": "30"}, SirenConvention(30.0, 15.0)),
        ({"first_omega": "60", "hidden_omega": "10"}, SirenConvention(60.0, 10.0)),
        ({"output_range": "[0,1]"}, SirenConvention(low=0.0, high=1.0)),
        ({"output_range": "(-0.5, 0.5)"}, SirenConvention(low=-0.5, high=0.5)),
        ({"coordinates": "(x, y)"}, SirenConvention(coordinates="col_row")),
        ({"coordinates": "(row, col) on [-1, 1]^2"}, SirenConvention()),
        ({"coordinates": "col_row"}, SirenConvention(coordinates="col_row")),
        ({"Omega-0": " 20 "}, SirenConvention(20.0, 20.0)),
    ],
)
def test_metadata_tells_the_convention(tmp_path, metadata, convention):
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata=metadata)
    assert read_network(tmp_path / "net.safetensors").siren == convention


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("omega_0", "inf"),
        ("omega_0", "nan"),
        ("omega_0", "-30"),
        ("omega_0", "0"),
        ("omega_0", "1e99"),
        ("omega_0", "thirty"),
        ("output_range", "[1, 0]"),
        ("output_range", "[0, inf]"),
        ("output_range", "255"),
        ("coordinates", "polar"),
        ("coordinates", ""),
    ],
)
def test_metadata_that_makes_no_sense_is_named_unless_the_caller_overrules_it(tmp_path, key, value):
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata={key: value})
    with pytest.raises(NetworkFileError, match=f"'{key}'.*wanted"):
        read_network(tmp_path / "net.safetensors")
    assert read_network(tmp_path / "net.safetensors", siren=SirenConvention()).siren == SirenConvention()


def test_numbers_beside_a_state_dict_tell_the_convention(tmp_path):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save({"state_dict": state, "w0": 20.0, "output_range": (0, 1)}, tmp_path / "a.pt")
    torch.save({"model": state, "config": {"omega_0": 15}, "epoch": 3}, tmp_path / "b.pt")
    assert read_network(tmp_path / "a.pt").siren == SirenConvention(20.0, 20.0, 0.0, 1.0)
    assert read_network(tmp_path / "b.pt").siren == SirenConvention(15.0, 15.0)
    assert read_network(tmp_path / "b.pt").metadata["epoch"] == "3"


@pytest.mark.parametrize(
    ("widths", "kind"),
    [
        ((2, 8, 1), "siren"),
        ((2, 8, 3), "siren"),
        ((2, 1), "siren"),
        ((2, 8, 2), "classifier"),
        ((1, 1), "classifier"),
    ],
)
def test_the_kind_follows_from_the_shape(tmp_path, widths, kind):
    path = save(make_siren(*widths).state_dict(), tmp_path / "net.pt")
    assert read_network(path).kind == kind
    assert read_network(path, kind="init").kind == "init"


def test_the_metadata_may_name_the_kind(tmp_path):
    save_file(make_siren(*SIREN_WIDTHS).state_dict(), tmp_path / "net.safetensors", metadata={"kind": "init"})
    assert read_network(tmp_path / "net.safetensors").kind == "init"
    assert read_network(tmp_path / "net.safetensors", kind="siren").kind == "siren"


def test_a_network_that_is_no_siren_is_told_what_a_siren_is(tmp_path):
    path = save(make_siren(3, 8, 1).state_dict(), tmp_path / "net.pt")
    with pytest.raises(NetworkFileError, match=r"3 inputs.*2 inputs .*1 or 3 outputs"):
        read_network(path, kind="siren")
    with pytest.raises(NetworkFileError, match="convolutions"):
        read_network(save(make_cnn().state_dict(), tmp_path / "cnn.pt"), kind="siren")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "gan"}, "'gan'"),
        ({"siren": SirenConvention(first_omega=float("nan"))}, "omega nan"),
        ({"siren": SirenConvention(low=1.0, high=0.0)}, "low < high"),
    ],
)
def test_a_wrong_argument_is_the_callers_mistake(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_network(tmp_path / "unread.pt", **arguments)
    assert not isinstance(caught.value, NetworkFileError)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_batch_norm_folds_into_the_layer_before_it(tmp_path, suffix, dtype, bias):
    model = with_random_statistics(make_cnn(bias)).to(dtype)
    path = save(model.state_dict(), tmp_path / f"net{suffix}")
    network = read_network(path)
    x = torch.randn(5, 1, 9, 9, dtype=torch.float64)
    expected = model.double().eval()(x)
    torch.testing.assert_close(forward(network, x, torch.relu), expected, rtol=1e-5, atol=1e-6)
    assert any("Batch norm was folded" in note and "1e-5" in note for note in network.notes)
    write_network(network, tmp_path / "copy.safetensors")
    copied = load_file(tmp_path / "copy.safetensors")
    assert sorted(copied) == ["0.bias", "0.weight", "3.bias", "3.weight", "8.bias", "8.weight"]


def with_random_statistics(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 2.0)
    return model


def test_the_fold_is_exact_in_double_precision(tmp_path):
    from nfn.reader.batch_norm import find_batch_norms, fold
    from nfn.reader.safetensors_file import read_safetensors

    conv = nn.Conv2d(2, 4, 3)
    model = with_random_statistics(nn.Sequential(conv, nn.BatchNorm2d(4)).double()).eval()
    tensors, _ = read_safetensors(save(model.state_dict(), tmp_path / "net.safetensors").read_bytes())
    (norm,) = find_batch_norms([name for name, t in tensors.items() if len(t.shape) == 1 and name[0] == "1"])
    assert conv.bias is not None
    weight, bias = fold(norm, tensors, conv.weight.detach().numpy(), conv.bias.detach().numpy())
    x = torch.randn(3, 2, 7, 7, dtype=torch.float64)
    folded = nn.functional.conv2d(x, torch.from_numpy(weight), torch.from_numpy(bias))
    torch.testing.assert_close(folded, model(x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    "names", [("conv1", "bn1", "conv2", "bn2", "fc"), ("conv_2", "norm_2", "conv_10", "norm_10", "fc")]
)
def test_batch_norm_is_matched_by_its_number_where_the_file_has_no_order(tmp_path, names):
    a, norm_a, b, norm_b, head = names
    model = with_random_statistics(make_cnn())
    stems = {"0": a, "1": norm_a, "3": b, "4": norm_b, "8": head}
    state = {f"{stems[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in model.state_dict().items()}
    state[f"{a}.weight"] = state[f"{a}.weight"]
    network = read_network(save(state, tmp_path / "net.safetensors"))
    x = torch.randn(5, 1, 9, 9)
    torch.testing.assert_close(forward(network, x, torch.relu), model.eval()(x), rtol=1e-4, atol=1e-5)


def test_batch_norm_that_fits_several_layers_is_refused(tmp_path):
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
    stems = {"0": "a1", "1": "norm", "2": "a2"}
    state = {f"{stems[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in model.state_dict().items()}
    with pytest.raises(NetworkFileError, match=r"Batch norm 'norm' .* could not be matched"):
        read_network(save(state, tmp_path / "net.safetensors"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_other_float_types_are_cast_and_said_so(tmp_path, suffix, dtype):
    state = {name: tensor.to(dtype) for name, tensor in make_siren(*SIREN_WIDTHS).state_dict().items()}
    network = read_network(save(state, tmp_path / f"net{suffix}"))
    assert any(str(dtype).removeprefix("torch.") in note for note in network.notes)
    for name, tensor in network.tensors().items():
        assert torch.equal(tensor, state[name].float()), name


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_folded_network_without_bias_names_is_read_back(tmp_path, suffix):
    model = with_random_statistics(nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)))
    network = read_network(save(model.state_dict(), tmp_path / f"net{suffix}"))
    write_network(network, tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    assert again.names[0].bias == "0.bias"
    assert torch.equal(again.features.biases[0], network.features.biases[0])


def test_networks_without_biases_get_zeros_and_are_written_without_them(tmp_path):
    state = {name: t for name, t in make_siren(*SIREN_WIDTHS).state_dict().items() if name.endswith("weight")}
    network = read_network(save(state, tmp_path / "net.pt"))
    assert all(not bias.any() for bias in network.features.biases)
    assert any("zeros" in note for note in network.notes)
    write_network(network, tmp_path / "copy.safetensors")
    assert load_file(tmp_path / "copy.safetensors").keys() == state.keys()


def test_strided_and_shared_storages_are_read_as_torch_reads_them(tmp_path):
    flat = torch.randn(100)
    state = {
        "0.weight": flat[3:19].view(2, 8).t(),
        "0.bias": flat[20:36:2],
        "1.weight": nn.Parameter(flat[40:80].view(5, 8)[1:2]),
        "1.bias": flat[7:8],
    }
    torch.save(state, tmp_path / "net.pt")
    network = read_network(tmp_path / "net.pt")
    for name, tensor in network.tensors().items():
        assert torch.equal(tensor, state[name].detach()), name


WRAPPED = {
    "state_dict": lambda s: {"state_dict": s, "epoch": 7, "loss": torch.tensor(0.5)},
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(8, 2)}}}, "args": None},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "net": lambda s: {"net": s, "step": 3},
    "deep": lambda s: {"checkpoint": {"best": {"weights": s}}},
    "unusual": lambda s: {"my_siren": s, "name": "cat"},
    "beside its average": lambda s: {"model": s, "ema": {k: 2 * v for k, v in s.items()}},
    "numpy scalar": lambda s: {"acc": np.float64(0.5), "state_dict": s},
    "namespace": lambda s: {"args": argparse.Namespace(lr=0.1), "model": s},
    "path": lambda s: {"cfg": Path("/data"), "device": torch.device("cpu"), "dtype": torch.half, "model": s},
    "scalars among tensors": lambda s: {**s, "epoch": 3, "note": "hi"},
    "default dict": lambda s: {"history": __import__("collections").defaultdict(list, {"a": [1]}), "net": s},
    "tuple keys": lambda s: {"table": {(1, 2): 3, 1.5: 2, b"x": 1}, "net": s},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_checkpoints_are_unwrapped(tmp_path, wrap):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save(wrap(state), tmp_path / "net.pt")
    tensors = read_network(tmp_path / "net.pt").tensors()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_a_training_checkpoint_with_optimizer_state_is_read(tmp_path):
    model = make_siren(*SIREN_WIDTHS)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(4, 2)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "net.pt")
    assert read_network(tmp_path / "net.pt").names[0].weight == "0.linear.weight"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_of_torch_save_is_read(tmp_path, protocol):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save({"state_dict": state}, tmp_path / "net.pt", pickle_protocol=protocol)
    assert read_network(tmp_path / "net.pt").tensors().keys() == state.keys()


def test_content_decides_and_a_misleading_file_name_is_mentioned(tmp_path):
    state = make_siren(*SIREN_WIDTHS).state_dict()
    torch.save(state, tmp_path / "net.safetensors")
    save_file(state, tmp_path / "net.pt")
    for name in ("net.safetensors", "net.pt"):
        network = read_network(tmp_path / name)
        assert any("read as such" in note for note in network.notes)
        assert network.tensors().keys() == state.keys()


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
def test_odd_tensor_names_are_only_names(tmp_path, name):
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
