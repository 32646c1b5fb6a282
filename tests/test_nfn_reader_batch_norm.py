"""Batch norm folds into the layer before it, as torch computes it, or is refused where it fits several."""

import pytest
import torch
from reader_files import make_cnn
from safetensors.torch import load_file
from state_dicts import forward, save
from torch import nn

from nfn.reader import NetworkFileError, read_network, write_network


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
    from nfn.reader.batch_norm import fold
    from nfn.reader.safetensors_file import read_safetensors
    from nfn.wiring.batch_norms import find_batch_norms

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


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_folded_network_without_bias_names_is_read_back(tmp_path, suffix):
    model = with_random_statistics(nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)))
    network = read_network(save(model.state_dict(), tmp_path / f"net{suffix}"))
    write_network(network, tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    assert again.names[0].bias == "0.bias"
    assert torch.equal(again.features.biases[0], network.features.biases[0])
