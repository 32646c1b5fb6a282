"""A pickled module declares its layers: classes and settings are read as data, by path and in order."""

import torch
from foreign_files import LightningLike, cnn, legacy, mlp, torch_zip
from foreign_ways import WAYS
from torch import nn

from nfn.reader.contents import ModuleFacts
from nfn.reader.stored import StoredFile, open_file


def opened(data: bytes, folder, part: str | None = None) -> StoredFile:
    (folder / "file").write_bytes(data)
    return open_file(folder / "file", part)


def test_the_layers_of_a_module_are_declared_in_either_format(tmp_path):
    for write in (torch_zip, legacy):
        modules = opened(write(cnn()), tmp_path).modules
        assert list(modules) == ["", *(str(i) for i in range(9))]
        short = [facts.class_name.rpartition(".")[2] for facts in modules.values()]
        assert short == ["Sequential", *(type(layer).__name__ for layer in cnn())]
        for path, layer in cnn().named_children():
            attributes = modules[path].attributes
            for name in (
                "stride",
                "padding",
                "kernel_size",
                "inplace",
                "negative_slope",
                "eps",
                "p",
                "groups",
            ):
                assert attributes.get(name) == getattr(layer, name, None), (path, name)


def test_modules_keep_the_paths_of_the_tensors(tmp_path):
    stored = opened(torch_zip({"model": nn.DataParallel(mlp())}), tmp_path)
    assert stored.prefix == "module."
    assert stored.modules["module.0"] == ModuleFacts(
        "torch.nn.modules.linear.Linear", {"in_features": 4, "out_features": 8}
    )
    assert {name.rpartition(".")[0] for name in stored.tensors} < stored.modules.keys()


def test_an_activation_used_twice_is_declared_at_both_places(tmp_path):
    act = nn.LeakyReLU(0.3)
    modules = opened(
        torch_zip(nn.Sequential(nn.Linear(2, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 1))), tmp_path
    ).modules
    assert list(modules) == ["", "0", "1", "2", "3", "4"]
    assert modules["1"].attributes["negative_slope"] == modules["3"].attributes["negative_slope"] == 0.3


class WithFunction(nn.Module):
    """Its activation is a function, its settings are of several kinds, and one module holds it again."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 1)
        self.activation = nn.functional.relu
        self.sizes, self.name, self.big = [1, 2], "net", {"a": torch.ones(3)}


def test_attributes_are_plain_data_and_functions_are_names(tmp_path):
    facts = opened(torch_zip(WithFunction()), tmp_path).modules[""]
    assert facts.class_name.endswith(".WithFunction")
    assert facts.attributes == {"activation": "torch.nn.functional.relu", "sizes": (1, 2), "name": "net"}


def test_a_module_inside_itself_terminates(tmp_path):
    net = WithFunction()
    net._modules["again"] = net
    stored = opened(torch_zip(net), tmp_path)
    assert set(stored.tensors) == {"fc.weight", "fc.bias"}


def test_modules_beside_the_network_are_left_out_with_their_tensors(tmp_path):
    modules = opened(torch_zip(LightningLike()), tmp_path).modules
    assert {"", "net", "net.0", "net.1"} <= modules.keys()
    assert not {"criterion", "val_acc"} & modules.keys()


def test_a_state_dict_declares_no_modules(tmp_path):
    assert not opened(WAYS["container: state_dict"].make(), tmp_path).modules
