"""Files of stacked networks: each network reads as if it came alone, and no file makes the reader do too much."""

import pytest
import torch
from safetensors.torch import save_file

from nfn.network import ClassifierConvention, Network
from nfn.reader import NetworkFileError, limits, read_network
from nfn.reader.stack import NETWORKS, read_networks


def cnn(width: int = 4, norm: bool = False) -> torch.nn.Sequential:
    layers = [torch.nn.Conv2d(1, width, 3, 2), torch.nn.ReLU(), torch.nn.Conv2d(width, width, 3, 2)]
    if norm:
        layers.append(torch.nn.BatchNorm2d(width))
    return torch.nn.Sequential(
        *layers,
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(width, 10),
    )


def states(count: int, norm: bool = False) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    found = [cnn(norm=norm).state_dict() for _ in range(count)]
    for name, tensor in ((name, tensor) for state in found for name, tensor in state.items()):
        if name.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 2)
    return found


def networks(*arguments) -> list[Network]:
    """`read_networks`, where each of them can be read."""
    return [network for network in read_networks(*arguments) if not isinstance(network, NetworkFileError)]


def stacked(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}


def same(a: Network, b: Network) -> bool:
    tensors, others = a.tensors(), b.tensors()
    return list(tensors) == list(others) and all(torch.equal(tensors[name], others[name]) for name in tensors)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_each_network_reads_as_if_it_came_alone(tmp_path, suffix, norm):
    parts = states(3, norm)
    save = torch.save if suffix == "pt" else save_file
    save(stacked(parts), tmp_path / f"stack.{suffix}")
    found = networks(tmp_path / f"stack.{suffix}")
    assert len(found) == 3
    for i, part in enumerate(parts):
        save(part, tmp_path / f"{i}.{suffix}")
        alone = read_network(tmp_path / f"{i}.{suffix}")
        assert same(found[i], alone) and found[i].notes == alone.notes
        assert found[i].spec == alone.spec and found[i].kind == "classifier"


def test_modules_stacked_by_torch_itself(tmp_path):
    models = [cnn() for _ in range(2)]
    parameters, _ = torch.func.stack_module_state(models)
    save_file({name: tensor.detach() for name, tensor in parameters.items()}, tmp_path / "stack.safetensors")
    found = networks(tmp_path / "stack.safetensors")
    assert torch.equal(found[1].features.weights[0][0, 0], models[1].state_dict()["0.weight"])


def test_any_other_file_is_one_network(tmp_path):
    save_file(states(1)[0], tmp_path / "net.safetensors", metadata={"activation": "tanh"})
    (network,) = networks(tmp_path / "net.safetensors")
    assert same(network, read_network(tmp_path / "net.safetensors"))
    assert network.classifier.activation == "tanh"


def test_a_stack_says_its_convention_once_and_can_be_overruled(tmp_path):
    save_file(
        stacked(states(2)),
        tmp_path / "stack.safetensors",
        metadata={"activation": "tanh", "pixel_range": "0,1"},
    )
    assert [n.classifier for n in networks(tmp_path / "stack.safetensors")] == [
        ClassifierConvention("tanh", 0.0, 1.0)
    ] * 2
    declared = ClassifierConvention("relu")
    assert networks(tmp_path / "stack.safetensors", declared)[0].classifier == declared
    with pytest.raises(ValueError, match="pixel std"):
        read_networks(tmp_path / "stack.safetensors", ClassifierConvention(pixel_std=-1))


def test_a_network_with_nan_does_not_stop_the_others(tmp_path):
    parts = states(3)
    parts[0]["0.weight"][1, 0, 0, 0] = torch.nan
    save_file(stacked(parts), tmp_path / "stack.safetensors")
    first, *others = read_networks(tmp_path / "stack.safetensors")
    assert isinstance(first, NetworkFileError) and "'0.weight' has NaN" in str(first)
    assert all(isinstance(network, Network) for network in others)


def refused(tmp_path, tensors, words: str, save=save_file) -> None:
    save(tensors, tmp_path / "stack.bin")
    with pytest.raises(NetworkFileError, match=words):
        read_networks(tmp_path / "stack.bin")


def test_tensors_that_stack_different_numbers(tmp_path):
    tensors = stacked(states(3))
    refused(tmp_path, {**tensors, "0.bias": tensors["0.bias"][:2].contiguous()}, "'0.bias' has 2")


def test_one_dimensional_convolutions_are_named(tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv1d(1, 4, 3), torch.nn.Conv1d(4, 10, 3))
    refused(tmp_path, model.state_dict(), "1D and 3D convolutions are not supported")


def test_an_error_common_to_all_networks_is_reported_once(tmp_path):
    tensors = stacked(states(2))
    tensors["2.weight"] = torch.zeros(2, 4, 7, 3, 3)
    refused(tmp_path, tensors, "do not form a chain")


def test_too_many_networks(tmp_path):
    refused(tmp_path, {"weight": torch.zeros(NETWORKS + 1, 1, 1)}, "stacks 1,001 networks; 1 to 1,000")


def test_no_networks(tmp_path):
    refused(tmp_path, {"weight": torch.zeros(0, 2, 2, dtype=torch.int64)}, "stacks 0 networks")


def test_too_many_values(tmp_path):
    half = torch.zeros(2, 1 + limits.ELEMENTS // 4000, 2000, dtype=torch.float16)
    refused(tmp_path, {"weight": half}, "values; at most 30,000,000")


def test_too_many_layers(tmp_path):
    deep = {f"{i}.weight": torch.zeros(200, 2, 2) for i in range(30)}
    refused(tmp_path, deep, "stacks 200 networks of 30 layers; at most 4,000 layers of all")


def test_a_stack_may_record_the_order_of_its_layers(tmp_path):
    tensors = {"b.weight": torch.randn(2, 4, 4), "a.weight": torch.randn(2, 4, 4)}
    save_file(tensors, tmp_path / "net", {"layer_order": '["b.weight", "a.weight"]'})
    assert [layer.weight for layer in networks(tmp_path / "net")[1].names] == ["b.weight", "a.weight"]


def test_a_view_that_repeats_one_network_is_refused(tmp_path):
    """Its thousand networks would each take as much memory as the file."""
    view = torch.zeros(1, 100, 100).expand(1000, 100, 100)
    refused(tmp_path, {"weight": view}, "more data than the file has", torch.save)


def test_a_thousand_networks_take_no_search_each(tmp_path, monkeypatch):
    """The order of the layers is found once, from names and shapes."""
    from nfn.reader import layers

    calls = []
    order = layers.order_layers
    monkeypatch.setattr(layers, "order_layers", lambda *args: calls.append(1) or order(*args))
    save_file(stacked(states(20)), tmp_path / "stack.safetensors")
    assert len(read_networks(tmp_path / "stack.safetensors")) == 20 and len(calls) == 1
