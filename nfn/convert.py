"""Convert between state dicts and features. Each layer is a key ending in `weight`, and possibly its `bias`."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures


def layer_keys(keys: Iterable[str]) -> list[tuple[str, str | None]]:
    """`(weight key, bias key or None)` per layer, in order of the weights.

    Raises ValueError, naming the key, for one that is neither, and for a bias without its weight.
    """
    keys = list(keys)
    layers = {key.removesuffix("weight"): key for key in keys if key.endswith("weight")}
    biases: dict[str, str] = {}
    for key in keys:
        if key.endswith("weight"):
            continue
        prefix = key.removesuffix("bias")
        if prefix == key or prefix not in layers:
            raise ValueError(
                f"Key {key!r} is neither a weight nor the bias of one; `nfn.read_network` handles files "
                "with more than linear and convolutional layers."
            )
        biases[prefix] = key
    return [(key, biases.get(prefix)) for prefix, key in layers.items()]


def state_dict_to_tensors(state_dict: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor | None]]:
    """Weights `(1, out, in[, kh, kw])` and biases `(1, out)` of a state dict; None where a bias is missing.

    Raises ValueError, naming the key, for tensors that are not of a linear or 2-d convolutional layer.
    """
    weights, biases = [], []
    for weight_key, bias_key in layer_keys(state_dict):
        weight, bias = state_dict[weight_key], None if bias_key is None else state_dict[bias_key]
        if weight.dim() not in (2, 4):
            raise ValueError(
                f"{weight_key!r} is {tuple(weight.shape)}, expected (out, in) or (out, in, kh, kw); fold batch "
                "norms into the layer before them first, as `nfn.read_network` does."
            )
        if bias is not None and bias.shape != weight.shape[:1]:
            raise ValueError(f"{bias_key!r} is {tuple(bias.shape)}, expected {tuple(weight.shape[:1])}.")
        weights.append(weight[None])
        biases.append(None if bias is None else bias[None])
    return weights, biases


def state_dicts_to_features(state_dicts: Sequence[Mapping[str, Tensor]]) -> WeightSpaceFeatures:
    """Stack state dicts of the same shapes as features with one channel; a missing bias is zero.

    Raises ValueError if the shapes differ, or as `state_dict_to_tensors` does.
    """
    networks = [state_dict_to_tensors(state_dict) for state_dict in state_dicts]
    if not networks:
        raise ValueError("Got no state dict; expected at least one.")
    shapes = [[tuple(weight.shape[1:]) for weight in weights] for weights, _ in networks]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(f"Network {i} has weights {shape}, network 0 has {shapes[0]}.")
    pairs = []
    for layer in range(len(shapes[0])):
        weights = [network_weights[layer] for network_weights, _ in networks]
        biases = [network_biases[layer] for _, network_biases in networks]
        filled = [
            w.new_zeros(1, w.shape[1]) if b is None else b for w, b in zip(weights, biases, strict=True)
        ]
        pairs.append((torch.stack(weights), torch.stack(filled)))
    return WeightSpaceFeatures.from_zipped(pairs)


def params_to_state_dicts(keys: Iterable[str], wsfeat: WeightSpaceFeatures) -> list[OrderedDict[str, Tensor]]:
    """One state dict per network of features `(B, 1, ...)`, under these keys.

    Raises ValueError if there is more than one channel, if the number of layers differs, or if `keys` lack a
    bias that is not zero.
    """
    keys = list(keys)
    layers = layer_keys(keys)
    if len(layers) != len(wsfeat):
        raise ValueError(f"The keys name {len(layers)} layers, the features have {len(wsfeat)}.")
    named: dict[str, Tensor] = {}
    for (weight_key, bias_key), (weight, bias) in zip(layers, wsfeat, strict=True):
        if weight.shape[1] != 1:
            raise ValueError(f"Features for {weight_key!r} have {weight.shape[1]} channels; a network has 1.")
        named[weight_key] = weight[:, 0]
        if bias_key is not None:
            named[bias_key] = bias[:, 0]
        elif bool(bias.any()):
            raise ValueError(
                f"The keys have no bias beside {weight_key!r}, but the features' bias is not zero."
            )
    return [OrderedDict((key, named[key][i]) for key in keys) for i in range(len(wsfeat.weights[0]))]


def params_to_func_params(params: WeightSpaceFeatures) -> tuple[Tensor, ...]:
    """Weight 0, bias 0, weight 1, ... as a tuple for a functional model, a single channel squeezed away."""
    return tuple(tensor.squeeze(1) if tensor.shape[1] == 1 else tensor for tensor in params.tensors)
