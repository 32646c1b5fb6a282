"""The ways in which public code writes a network down, by kind: which file, and what is to be read of it."""

import argparse
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from foreign_files import (
    AttributeDict,
    LightningLike,
    Settings,
    State,
    actor_critic,
    arrays,
    cnn,
    effective,
    flax,
    flax_state,
    folded_rows,
    grid,
    keras_names,
    keras_state,
    layers,
    legacy,
    mlp,
    npy,
    npz,
    numbered,
    omega_buffers,
    per_row,
    pruned,
    renamed,
    reparametrized,
    siren_state,
    siren_with_omegas,
    state,
    torch_zip,
    turned,
    with_,
)
from reader_files import Call
from safetensors.torch import save as save_tensors
from torch import nn


@dataclass(frozen=True)
class Way:
    """How a file is made; which tensors it holds, by the names that are read; and what else is to be found."""

    make: Callable[[], bytes]
    tensors: Callable[[], State] = state
    declared: dict[str, str] = field(default_factory=dict)
    note: str = ""
    part: str | None = None


_wn, _sn = nn.utils.weight_norm, nn.utils.spectral_norm
_new_wn, _new_sn = nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm
LEFT_OUT = "Left out, as not part of the network"

CONTAINERS: dict[str, Way] = {
    "state_dict": Way(lambda: torch_zip(state())),
    "state_dict, old format": Way(lambda: legacy(state())),
    "state_dict in a table, old format": Way(
        lambda: legacy({"net": state(), "w0": 20.0}), declared={"w0": "20.0"}
    ),
    "of Python 2, an OrderedDict as a call": Way(
        lambda: torch_zip(Call(OrderedDict, [[name, tensor] for name, tensor in state().items()]))
    ),
    "half precision, old format": Way(
        lambda: legacy({n: t.half() for n, t in state().items()}),
        lambda: {n: t.half() for n, t in state().items()},
    ),
    "list of parameters": Way(lambda: torch_zip(list(mlp().parameters())), numbered),
    "list of named parameters": Way(lambda: torch_zip(list(mlp().named_parameters()))),
    "tuple of weights alone": Way(
        lambda: torch_zip(tuple(w for w, _ in layers())),
        lambda: {str(i): w for i, (w, _) in enumerate(layers())},
    ),
    "lists of weights and of biases": Way(
        lambda: torch_zip(
            {"weights": [w for w, _ in layers()], "biases": [b for _, b in layers()], "lr": 0.1}
        ),
        lambda: {
            **{f"weights.{i}": w for i, (w, _) in enumerate(layers())},
            **{f"biases.{i}": b for i, (_, b) in enumerate(layers())},
        },
    ),
    "table of layers": Way(
        lambda: torch_zip({f"fc{i}": {"weight": w, "bias": b} for i, (w, b) in enumerate(layers())}),
        lambda: {f"fc{n}": t for n, t in numbered().items()},
    ),
    "numpy arrays in torch.save": Way(lambda: torch_zip(arrays())),
    "numpy arrays in torch.save, old format": Way(lambda: legacy({"state_dict": arrays()})),
    **{f"pickle of arrays, protocol {n}": Way(lambda n=n: pickle.dumps(arrays(), n)) for n in range(6)},
    "pickle of arrays in Fortran's order": Way(
        lambda: pickle.dumps({n: np.asfortranarray(a) for n, a in arrays().items()})
    ),
    "pickle of doubles": Way(
        lambda: pickle.dumps({n: a.astype("f8") for n, a in arrays().items()}),
        lambda: {n: t.double() for n, t in state().items()},
    ),
    "npz": Way(lambda: npz(arrays())),
    "npz, compressed": Way(lambda: npz(arrays(), np.savez_compressed)),
    "npz of unnamed arrays": Way(
        lambda: npz({f"arr_{i}": w.numpy() for i, (w, _) in enumerate(layers())}),
        lambda: {f"arr_{i}": w for i, (w, _) in enumerate(layers())},
    ),
    "npy of a dict": Way(lambda: npy(arrays())),
    "whole module": Way(lambda: torch_zip(cnn()), lambda: state(cnn())),
    "whole module, old format": Way(lambda: legacy(cnn()), lambda: state(cnn())),
    "whole module in a table": Way(
        lambda: torch_zip({"model": cnn(), "epoch": 3}), lambda: state(cnn()), declared={"epoch": "3"}
    ),
    "whole module of DataParallel": Way(
        lambda: torch_zip(nn.DataParallel(mlp())), lambda: renamed("module.")
    ),
    "pytorch_model.bin": Way(lambda: torch_zip(OrderedDict(state()))),
}

OTHER_LIBRARIES: dict[str, Way] = {
    "Flax, pickled": Way(lambda: pickle.dumps(flax()), flax_state, note="transposed"),
    "Flax, safetensors": Way(
        lambda: save_tensors(
            {k.replace("weight", "kernel"): torch.from_numpy(turned(v)) for k, v in numbered().items()}
        ),
        numbered,
        note="transposed",
    ),
    "Flax, npz of a flat table": Way(
        lambda: npz(
            {
                f"params/{k}".replace("weight", "kernel").replace(".", "/"): turned(v)
                for k, v in numbered().items()
            }
        ),
        lambda: {f"params/{k}".replace(".", "/"): v for k, v in numbered().items()},
        note="transposed",
    ),
    "Haiku": Way(
        lambda: pickle.dumps(
            {f"mlp/~/linear_{i}": {"w": turned(w), "b": b.numpy()} for i, (w, b) in enumerate(layers())}
        ),
        lambda: {
            f"mlp/~/linear_{i}.{part}": t
            for i, pair in enumerate(layers())
            for part, t in zip(("w", "b"), pair, strict=True)
        },
        note="transposed",
    ),
    "JAX, list of pairs": Way(
        lambda: pickle.dumps([(turned(w), b.numpy()) for w, b in layers()]), numbered, note="transposed"
    ),
    "Keras, variables by path": Way(lambda: npz(keras_names()), keras_state, note="transposed"),
    "Keras, names of TensorFlow 1": Way(
        lambda: npz({f"{n}:0": a for n, a in keras_names().items()}), keras_state, note="transposed"
    ),
    "Keras, get_weights": Way(
        lambda: pickle.dumps([a for w, b in layers() for a in (turned(w), b.numpy())]),
        numbered,
        note="transposed",
    ),
    "Keras, get_weights by layer": Way(
        lambda: pickle.dumps({f"dense_{i}": [turned(w), b.numpy()] for i, (w, b) in enumerate(layers())}),
        lambda: {f"dense_{n}": t for n, t in numbered().items()},
        note="transposed",
    ),
    "scikit-learn": Way(
        lambda: pickle.dumps(
            Settings(coefs_=[turned(w) for w, _ in layers()], intercepts_=[b.numpy() for _, b in layers()])
        ),
        lambda: {
            **{f"weights.{i}": w for i, (w, _) in enumerate(layers())},
            **{f"biases.{i}": b for i, (_, b) in enumerate(layers())},
        },
        note="transposed",
    ),
    "NumPy, x @ W1 + b1": Way(
        lambda: npz(
            {
                k: v
                for i, (w, b) in enumerate(layers(), 1)
                for k, v in ((f"W{i}", turned(w)), (f"b{i}", b.numpy()))
            }
        ),
        lambda: {k: v for i, (w, b) in enumerate(layers(), 1) for k, v in ((f"W{i}", w), (f"b{i}", b))},
        note="transposed",
    ),
}

WRAPPERS: dict[str, Way] = {
    **{
        f"prefix {prefix}": Way(lambda p=prefix: torch_zip(renamed(p)), lambda p=prefix: renamed(p))
        for prefix in (
            "module.",
            "_orig_mod.",
            "module._orig_mod.",
            "model.",
            "net.",
            "_forward_module.model.",
        )
    },
    "Lightning": Way(
        lambda: torch_zip(
            {
                "epoch": 3,
                "state_dict": state(LightningLike()),
                "hyper_parameters": AttributeDict(w0=20.0),
                "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(8, 4)}}}],
                "loops": {"fit": {}},
            }
        ),
        lambda: renamed("net."),
        declared={"w0": "20.0"},
        note=r"a loss function \('criterion.weight'\)",
    ),
    "Lightning, torchmetrics": Way(
        lambda: torch_zip(
            {
                "state_dict": {
                    **renamed("model."),
                    "test_metrics.MulticlassConfusionMatrix.confmat": torch.zeros(3, 3),
                }
            }
        ),
        lambda: renamed("model."),
        note="measurements",
    ),
    "whole LightningModule": Way(lambda: torch_zip(LightningLike()), lambda: renamed("net."), note=LEFT_OUT),
}

LEFT_OUT_PARTS: dict[str, Way] = {
    "average in a table": Way(
        lambda: torch_zip({"model": state(), "ema": {n: 2 * t for n, t in state().items()}}),
        note="also has other networks: 'ema'",
    ),
    "average, ema_model": Way(with_(renamed("ema_model.")), note=r"a copy of the network \('ema_model"),
    "average, ema_pytorch": Way(
        lambda: torch_zip(
            {
                "initted": torch.tensor(True),
                "step": torch.tensor([7]),
                **renamed("online_model."),
                **renamed("ema_model."),
            }
        ),
        lambda: renamed("online_model."),
        note=LEFT_OUT,
    ),
    "average, LitEma": Way(
        lambda: torch_zip(
            {
                **renamed("model."),
                "model_ema.decay": torch.tensor(0.999),
                "model_ema.num_updates": torch.tensor(3),
                **{"model_ema." + n.replace(".", ""): t for n, t in state().items()},
            }
        ),
        lambda: renamed("model."),
        note=LEFT_OUT,
    ),
    "average, shadow": Way(lambda: torch_zip({"state_dict": state(), "shadow": state()})),
    "average, AveragedModel alone": Way(
        lambda: torch_zip({"n_averaged": torch.tensor(3), **renamed("module.")}),
        lambda: renamed("module."),
        note="counters",
    ),
    "target network": Way(with_(renamed("target_net.")), note="a copy of the network"),
    "teacher": Way(
        lambda: torch_zip({**renamed("student."), **renamed("teacher.", state(mlp(4, 9, 3)))}),
        lambda: renamed("student."),
        note=LEFT_OUT,
    ),
    "confusion matrix": Way(with_({"confusion_matrix": torch.zeros(3, 3)}), note="measurements"),
    "class weights": Way(
        with_({"criterion.weight": torch.ones(3), "loss_fn.pos_weight": torch.ones(3)}),
        note="a loss function",
    ),
    "counters": Way(with_({"global_step": torch.tensor(7), "decay": torch.tensor(0.9)}), note="counters"),
    "mean and std": Way(
        with_(
            {
                "normalize.mean": torch.full((1, 1, 1, 1), 0.1307),
                "normalize.std": torch.full((1, 1, 1, 1), 0.3081),
            }
        ),
        declared={"pixel_mean": "0.13", "pixel_std": "0.30"},
        note="means and deviations",
    ),
    "std alone": Way(with_({"std": torch.ones(4)}), note="means and deviations"),
    "log_std of a policy": Way(with_({"log_std": torch.zeros(3)}), note="scales of the outputs"),
    "coordinates, (row, column)": Way(
        lambda: torch_zip(siren_state(coords=grid("ij"))),
        siren_state,
        declared={"coordinates": "row_col", "coordinate_range": "[0.0, 1.0]"},
    ),
    "coordinates, y upwards": Way(
        lambda: torch_zip(siren_state(coords=grid("xy") * torch.tensor([1, -1]))),
        siren_state,
        declared={"coordinates": "col_row", "coordinate_range": "[-1.0, 1.0]", "upwards": "true"},
    ),
    "coordinates, (x, y)": Way(
        lambda: torch_zip(siren_state(grid=grid("xy")[None])),
        siren_state,
        declared={"coordinates": "col_row"},
    ),
    "auxiliary head": Way(with_(renamed("aux_head.")), note="an auxiliary head"),
    "optimizer": Way(
        lambda: torch_zip({"model": state(), "optimizer": torch.optim.Adam(mlp().parameters()).state_dict()})
    ),
    "image beside it": Way(
        lambda: torch_zip({"target_image": torch.ones(28, 28), "psnr": 33.0, "model": state()})
    ),
}

FOLDED: dict[str, Way] = {
    "weight_norm": Way(
        lambda: torch_zip(state(reparametrized(_wn))),
        lambda: effective(reparametrized(_wn)),
        note="weight norm",
    ),
    "weight_norm of columns": Way(
        lambda: torch_zip(state(reparametrized(_wn, dim=1))), lambda: effective(reparametrized(_wn, dim=1))
    ),
    "weight_norm of all": Way(
        lambda: torch_zip(state(reparametrized(_wn, dim=None))),
        lambda: effective(reparametrized(_wn, dim=None)),
    ),
    "weight_norm, parametrized": Way(
        lambda: torch_zip(state(reparametrized(_new_wn))), lambda: effective(reparametrized(_new_wn))
    ),
    "weight_norm, whole module": Way(
        lambda: torch_zip(reparametrized(_wn)), lambda: effective(reparametrized(_wn))
    ),
    "spectral_norm": Way(
        lambda: torch_zip(state(reparametrized(_sn))),
        lambda: effective(reparametrized(_sn)),
        note="spectral norm",
    ),
    "spectral_norm, parametrized": Way(
        lambda: torch_zip(state(reparametrized(_new_sn))), lambda: effective(reparametrized(_new_sn))
    ),
    "pruning": Way(lambda: torch_zip(state(pruned())), lambda: effective(pruned()), note="a pruning mask"),
    "mask beside the weight": Way(
        lambda: torch_zip({**state(), "0.mask": torch.tensor([[True, False, True, True]] * 8)}),
        lambda: {**state(), "0.weight": state()["0.weight"] * torch.tensor([1.0, 0, 1, 1])},
    ),
}


ROWS = torch.tensor([[5.0], [10], [10], [10], [10], [10], [20], [10]])
SIREN: Callable[[], State] = lambda: state(siren_with_omegas((30.0, 10.0)))  # noqa: E731
BOTH = {"first_omega": "30.0", "hidden_omega": "10.0"}
OMEGAS: dict[str, Way] = {
    "buffer per layer": Way(lambda: torch_zip(omega_buffers()), SIREN, declared=BOTH, note="Omegas"),
    "buffer per layer, safetensors": Way(lambda: save_tensors(omega_buffers()), SIREN, declared=BOTH),
    "attribute of each module": Way(lambda: torch_zip(siren_with_omegas((30.0, 10.0))), SIREN, declared=BOTH),
    "per-row omega_0_scale": Way(
        lambda: torch_zip(per_row(torch.full((8, 1), 10.0))),
        lambda: state(siren_with_omegas((30.0, 30.0))),
        declared=BOTH,
    ),
    "per-row omegas that differ": Way(
        lambda: torch_zip(per_row(ROWS)), lambda: folded_rows(ROWS), declared=BOTH, note="folded"
    ),
    "one buffer w0": Way(
        lambda: torch_zip({**SIREN(), "w0": torch.tensor(12.0)}),
        SIREN,
        declared={"first_omega": "12.0", "hidden_omega": "12.0"},
    ),
    "args": Way(
        lambda: torch_zip({"args": argparse.Namespace(omega_0=20, lr=0.1), "model": SIREN()}),
        SIREN,
        declared={"omega_0": "20"},
    ),
    "nested config": Way(
        lambda: torch_zip({"config": {"model": {"siren": {"w0": 20}}}, "state_dict": SIREN()}),
        SIREN,
        declared={"w0": "20"},
    ),
    "objects of OmegaConf": Way(
        lambda: torch_zip(
            {
                "cfg": Settings(_content={"model": Settings(_content={"hidden_omega": Settings(_val=5.0)})}),
                "model": SIREN(),
            }
        ),
        SIREN,
        declared={"hidden_omega": "5.0"},
    ),
    "text in YAML": Way(
        lambda: torch_zip({"cfg": "model:\n  kind: siren\n  w0: 15\n", "model": SIREN()}),
        SIREN,
        declared={"w0": "15"},
    ),
    "text of a Namespace": Way(
        lambda: torch_zip({"cfg": "Namespace(lr=0.1, w0=15.5, x='y')", "model": SIREN()}),
        SIREN,
        declared={"w0": "15.5"},
    ),
    "JSON in safetensors": Way(
        lambda: save_tensors(
            SIREN(), {"config": json.dumps({"model": {"first_omega_0": 60, "hidden_omega_0": 3}})}
        ),
        SIREN,
        declared={"first_omega_0": "60", "hidden_omega_0": "3"},
    ),
    "NumPy's number": Way(
        lambda: torch_zip({"omega": np.float32(25), "model": SIREN()}), SIREN, declared={"omega": "25.0"}
    ),
    "a setting of something else": Way(
        lambda: torch_zip({"args": {"data": {"range": 5, "act": "maybe"}}, "model": SIREN()}), SIREN
    ),
}

SEVERAL: dict[str, Way] = {
    "actor of actor and critic": Way(
        lambda: torch_zip(actor_critic()), lambda: renamed("actor.net."), part="actor"
    ),
    "critic of actor and critic": Way(
        lambda: torch_zip(actor_critic()),
        lambda: renamed("critic.net.", state(mlp(4, 8, 8, 1))),
        part="critic",
    ),
    "policy of stable-baselines": Way(
        lambda: torch_zip(
            {
                "log_std": torch.zeros(3),
                "mlp_extractor.policy_net.0.weight": state()["0.weight"],
                "mlp_extractor.value_net.0.weight": torch.ones(8, 4),
                "action_net.weight": state()["4.weight"],
                "value_net.weight": torch.ones(1, 8),
            }
        ),
        lambda: {
            "mlp_extractor.policy_net.0.weight": state()["0.weight"],
            "action_net.weight": state()["4.weight"],
        },
        part="actor",
    ),
    "generator": Way(
        lambda: torch_zip({"generator": state(), "discriminator": state(mlp(3, 8, 1))}), part="generator"
    ),
    "second critic": Way(
        lambda: torch_zip({**renamed("actor."), **renamed("critic1."), **renamed("critic2.")}),
        lambda: renamed("critic2."),
        part="critic2",
    ),
    "encoder": Way(
        lambda: torch_zip({**renamed("encoder."), **renamed("decoder.", state(mlp(3, 8, 4)))}),
        lambda: renamed("encoder."),
        part="encoder",
    ),
    "autoencoder": Way(
        lambda: torch_zip({**renamed("encoder."), **renamed("decoder.", state(mlp(3, 8, 4)))}),
        lambda: {**renamed("encoder."), **renamed("decoder.", state(mlp(3, 8, 4)))},
        part="all",
    ),
    "one of two heads": Way(
        lambda: torch_zip(
            {**renamed("trunk."), "head_a.weight": torch.ones(2, 3), "head_b.weight": torch.ones(5, 3)}
        ),
        lambda: {**renamed("trunk."), "head_b.weight": torch.ones(5, 3)},
        part="head_b",
    ),
    "average, asked for": Way(
        lambda: torch_zip({**state(), **renamed("ema_model.")}),
        lambda: renamed("ema_model."),
        part="ema_model",
    ),
}

WAYS = {
    f"{group}: {name}": way
    for group, ways in {
        "container": CONTAINERS,
        "library": OTHER_LIBRARIES,
        "wrapper": WRAPPERS,
        "beside": LEFT_OUT_PARTS,
        "folded": FOLDED,
        "omega": OMEGAS,
        "several": SEVERAL,
    }.items()
    for name, way in ways.items()
}
