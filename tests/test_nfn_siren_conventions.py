"""Conventions of SIRENs: every part of one against its definition, through metadata and back; edits and gradients."""

import itertools
import math
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor

from nfn.editor import DESCENT, InrEditor, InrEditorConfig
from nfn.features import WeightSpaceFeatures
from nfn.network import ClassifierConvention, LayerNames, Network
from nfn.operators import apply_style
from nfn.reader import NetworkFileError, read_network, write_network
from nfn.siren import FitRecipe, descend, error_gradient, evaluate, random_sirens, render, render_network
from nfn.siren_convention.convention import FIELDS, SirenConvention, convention_from_json, levels_of
from nfn.spec import NetworkSpec

SPECS = [NetworkSpec.mlp(2, 3), NetworkSpec.mlp(2, 5, 3), NetworkSpec.mlp(2, 6, 5, 4, 3)]
EVERY = [
    SirenConvention(first, hidden, low, high, order, scales, start, end, centres, up, output)
    for (first, hidden), (low, high), order, scales, (start, end, centres), up, output in itertools.product(
        ((7.0, 3.0),),
        ((-1.0, 1.0), (1.0, 0.0), levels_of((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))),
        ("row_col", "col_row"),
        (True, False),
        ((-1.0, 1.0, None), (0.0, 8.0, None), (0.0, 1.0, 9)),
        (False, True),
        ("linear", "sigmoid", "tanh", "sine"),
    )
]
SAMPLES = EVERY[:: len(EVERY) // 16]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def definition(
    features: WeightSpaceFeatures, convention: SirenConvention, row: int, col: int, size: int
) -> Tensor:
    """The pixel of a SIREN in its file's own units, from -1 to 1, as the docstring of the convention has it."""

    def place(i: int) -> float:
        share = i / (size - 1) if convention.pixel_centres is None else (i + 0.5) / size
        return convention.start + (convention.end - convention.start) * share

    y, x = place(size - 1 - row if convention.upwards else row), place(col)
    value = torch.tensor([y, x] if convention.coordinates == "row_col" else [x, y], dtype=torch.float64)
    for i, (weight, bias) in enumerate(features):
        product, is_last = weight[0, 0] @ value, i == len(features) - 1
        if is_last and convention.output != "sine":
            value = product + bias[0, 0]
            value = {"linear": value, "sigmoid": 1 / (1 + torch.exp(-value)), "tanh": torch.tanh(value)}[
                convention.output
            ]
        else:
            omega = convention.first_omega if i == 0 and not is_last else convention.hidden_omega
            phase = (
                omega * (product + bias[0, 0])
                if convention.omega_scales_bias
                else omega * product + bias[0, 0]
            )
            value = torch.sin(phase)
    low, high = (
        torch.tensor(convention.low, dtype=torch.float64),
        torch.tensor(convention.high, dtype=torch.float64),
    )
    return (value - low) / (high - low) * 2 - 1


def as_network(features: WeightSpaceFeatures, convention: SirenConvention) -> Network:
    names = tuple(LayerNames(f"net.{i}.weight", f"net.{i}.bias") for i in range(len(features)))
    return Network(features, convention, names)


# What a convention means


@pytest.mark.parametrize("spec", SPECS)
def test_a_rendered_pixel_is_the_definition_in_every_convention(spec):
    for convention in EVERY:
        features = random_sirens(1, spec, generator()).to(torch.float64)
        picture = convention.pixels(render(convention.normalize(features), 9, 9))
        for row, col in ((0, 8), (2, 7)):
            torch.testing.assert_close(picture[0, :, row, col], definition(features, convention, row, col, 9))


@pytest.mark.parametrize("spec", SPECS)
def test_denormalize_undoes_normalize_in_every_convention(spec):
    features = random_sirens(2, spec, generator()).to(torch.float64)
    for convention in EVERY:
        for (w1, b1), (w2, b2) in zip(
            convention.denormalize(convention.normalize(features)), features, strict=True
        ):
            torch.testing.assert_close(w1, w2)
            torch.testing.assert_close(b1, b2)


@pytest.mark.parametrize("convention", SAMPLES)
def test_pixels_and_raw_outputs_are_inverse(convention):
    pixels = torch.rand(2, 3, 4, generator=generator()) * 1.8 - 0.9
    if convention.output == "linear":
        torch.testing.assert_close(convention.finished(convention.unfinished(pixels)), pixels)
    slope = convention.pixel_slope(values := torch.randn(2, 3, 4, generator=generator(), dtype=torch.float64))
    leaf = values.clone().requires_grad_()
    convention.pixels(leaf).sum().backward()
    torch.testing.assert_close(slope, leaf.grad)


@pytest.mark.parametrize("convention", SAMPLES)
def test_a_convention_survives_json_and_a_file(convention, tmp_path):
    assert convention_from_json(asdict(convention)) == convention
    features = random_sirens(1, SPECS[2], generator())
    write_network(as_network(features, convention), tmp_path / "net.safetensors")
    again = read_network(tmp_path / "net.safetensors")
    assert (again.siren, again.undeclared) == (convention, ())
    assert list(again.tensors()) == list(as_network(features, convention).tensors())


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("first_omega", 0.0, "omega 0.0"),
        ("hidden_omega", "30", "omega '30'"),
        ("hidden_omega", math.nan, "omega nan"),
        ("start", 1.0, "two different"),
        ("end", math.inf, "coordinate inf"),
        ("coordinates", "polar", "'polar'"),
        ("output", "relu", "'relu'"),
        ("upwards", 1, "upwards"),
        ("pixel_centres", 1, "1 pixels"),
        ("pixel_centres", True, "True pixels"),
        ("low", 1.0, "differ"),
        ("low", [0.0, 0.0], "2 lowest"),
        ("high", [1.0, 1.0, "x"], "pixel 'x'"),
        ("height", 28, "no others"),
    ],
)
def test_an_impossible_convention_is_refused_by_a_sentence(part, value, words):
    with pytest.raises(ValueError, match=words):
        convention_from_json({**asdict(SirenConvention()), part: value})


# What metadata declares

METADATA = [
    ({}, SirenConvention(), set(FIELDS)),
    ({"omega_0": "20"}, SirenConvention(20.0, 20.0), set(FIELDS) - {"first_omega", "hidden_omega"}),
    ({"output_range": "[0, 1]"}, SirenConvention(low=0.0, high=1.0), set(FIELDS) - {"low", "high"}),
    ({"final_activation": "nn.Sigmoid()"}, SirenConvention(output="sigmoid"), set(FIELDS) - {"output"}),
    ({"outermost_linear": "False"}, SirenConvention(output="sine"), set(FIELDS) - {"output"}),
    ({"outermost_linear": "True"}, SirenConvention(), set(FIELDS) - {"output"}),
    ({"coordinates": "(x, y)"}, SirenConvention(coordinates="col_row"), set(FIELDS) - {"coordinates", "upwards"}),
    ({"coordinate_range": "[0, 1]"}, SirenConvention(start=0.0, end=1.0),
     set(FIELDS) - {"start", "end", "pixel_centres"}),
    ({"output_mean": "0.5", "output_std": "0.25"}, SirenConvention(low=-2.0, high=2.0), set(FIELDS) - {"low", "high"}),
    ({"first_omega": "30", "hidden_omega": "30", "output_range": "[-1, 1]", "coordinates": "row_col"},
     SirenConvention(), set()),
]  # fmt: skip


@pytest.mark.parametrize(("metadata", "convention", "undeclared"), METADATA)
def test_declared_parts_of_a_convention_are_not_searched(metadata, convention, undeclared, tmp_path):
    from safetensors.torch import save_file

    network = as_network(random_sirens(1, NetworkSpec.mlp(2, 6, 5, 1), generator()), SirenConvention())
    save_file(network.tensors(), tmp_path / "net.safetensors", metadata=metadata)
    read = read_network(tmp_path / "net.safetensors")
    assert (read.siren, set(read.undeclared)) == (convention, undeclared)
    assert read_network(tmp_path / "net.safetensors", convention=convention).undeclared == ()


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"output_mean": "0.5"}, "only one of"),
        ({"output_low": "[0, 0, 0]", "output_high": "[1, 1, 1]"}, "3 lowest"),
        ({"output_low": "[0, 0, 0]", "output_high": "1"}, "3 lowest"),
        ({"output_low": "1", "output_high": "1"}, "differ"),
        ({"final_activation": "softplus"}, "'final_activation'.*expected"),
        ({"coordinate_range": "[0, 0]"}, "'coordinate_range'.*expected"),
        ({"upwards": "maybe"}, "'upwards'.*expected"),
        ({"pixel_centres": "1e9"}, "'pixel_centres'.*expected"),
    ],
)
def test_impossible_metadata_is_refused(metadata, words, tmp_path):
    from safetensors.torch import save_file

    network = as_network(random_sirens(1, NetworkSpec.mlp(2, 6, 5, 1), generator()), SirenConvention())
    save_file(network.tensors(), tmp_path / "net.safetensors", metadata=metadata)
    with pytest.raises(NetworkFileError, match=words):
        read_network(tmp_path / "net.safetensors")


# Gradients and edits


@pytest.mark.parametrize("convention", SAMPLES)
@pytest.mark.parametrize("spec", SPECS)
def test_the_handwritten_gradient_is_autograds_in_every_convention(spec, convention):
    features = convention.normalize(random_sirens(2, spec, generator()).to(torch.float64))
    images = torch.rand(2, 3, 6, 5, generator=generator(), dtype=torch.float64)
    leaves = features.map(lambda x: x.clone().requires_grad_())
    (convention.pixels(render(leaves, 6, 5)) - images).square().flatten(1).mean(1).sum().backward()
    pairs = zip(error_gradient(features, images, convention), leaves, strict=True)
    for (weight, bias), (slow_weight, slow_bias) in pairs:
        torch.testing.assert_close(weight, slow_weight.grad)
        torch.testing.assert_close(bias, slow_bias.grad)


@pytest.mark.parametrize("convention", [SirenConvention(), SirenConvention(low=0.0, output="sigmoid")])
def test_descent_is_torchs_adam_and_keeps_the_best_state(convention):
    features = random_sirens(3, NetworkSpec.mlp(2, 8, 8, 1), generator()).to(torch.float64)
    images = torch.rand(3, 1, 7, 7, generator=generator(1), dtype=torch.float64) * 2 - 1
    tensors = [x.clone().requires_grad_() for pair in features for x in pair]
    optimizer, states = torch.optim.Adam(tensors, 5e-3), [features]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    for _ in range(12):
        current = WeightSpaceFeatures(tensors[0::2], tensors[1::2])
        optimizer.zero_grad()
        (convention.pixels(render(current, 7, 7)) - images).square().flatten(1).mean(1).sum().backward()
        optimizer.step()
        schedule.step()
        states.append(current.map(lambda x: x.detach().clone()))
    errors = torch.stack([
        (convention.pixels(render(state, 7, 7)).clamp(-1, 1) - images).square().flatten(1).mean(1) for state in states
    ])  # fmt: skip
    found = descend(features, images, FitRecipe(5e-3, 12), convention)
    for i, best in enumerate(errors.argmin(0).tolist()):
        for x, y in zip(found.weights, states[best].weights, strict=True):
            torch.testing.assert_close(x[i], y[i], atol=1e-6, rtol=1e-5)


def small_editor() -> InrEditor:
    torch.manual_seed(0)
    return InrEditor(InrEditorConfig(channels=4, steps=2, rounds=1)).eval()


@pytest.mark.parametrize("hidden", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("outputs", [1, 3])
def test_sirens_of_one_to_six_hidden_layers_are_edited(hidden, outputs):
    spec = NetworkSpec.mlp(2, *[20] * hidden, outputs)
    network = as_network(random_sirens(1, spec, generator()), SirenConvention())
    edit = small_editor().edit(network, "contrast")
    unedited = float((edit.before - edit.reference).square().mean())
    assert small_editor().serves(network) == (hidden == 2)
    assert edit.predictor == DESCENT, "this editor has learned nothing, and descent is better"
    assert edit.mse < 0.5 * unedited


@pytest.mark.parametrize("convention", SAMPLES)
def test_an_edit_reports_what_its_file_shows_in_its_own_convention(convention, tmp_path):
    ours = random_sirens(1, NetworkSpec.mlp(2, 12, 12, 3), generator())
    network = as_network(convention.denormalize(ours), convention)
    edit = small_editor().edit(network, "dilate", 0.5)
    assert edit.predictor == ("inr-editor" if convention.output == "linear" else DESCENT)
    write_network(edit.network, tmp_path / "edited.safetensors")
    again = read_network(tmp_path / "edited.safetensors")
    assert again.siren == convention and list(again.tensors()) == list(network.tensors())
    shown = render_network(again, 32, 32)[0].clamp(-1, 1)
    torch.testing.assert_close(shown, edit.after, atol=2e-3, rtol=0)
    reference = apply_style(render_network(network, 32, 32).clamp(-1, 1), "dilate", 0.5)[0]
    torch.testing.assert_close(edit.reference, reference, atol=0.03, rtol=0)
    assert edit.mse == pytest.approx(float((shown - edit.reference).square().mean()), abs=1e-4)


def test_permuted_copies_are_edited_by_descent_into_the_same_picture():
    from nfn.permutation import permute, random_permutations

    spec = NetworkSpec.mlp(2, 10, 10, 10, 1)
    network = as_network(random_sirens(1, spec, generator()), SirenConvention())
    copy = replace(network, chain=permute(network.features, random_permutations(spec, generator(1))))
    one, two = (small_editor().edit(x, "neon").after for x in (network, copy))
    torch.testing.assert_close(one, two, atol=1e-4, rtol=0)


def test_values_at_single_points_are_those_of_the_picture():
    convention = SAMPLES[5]
    network = as_network(random_sirens(1, SPECS[2], generator()), convention)
    values = convention.pixels(evaluate(network.normalized, torch.tensor([[-1.0, 1.0]])))
    torch.testing.assert_close(render_network(network, 4, 4)[:, :, 0, 3], values[:, :, 0])


def test_settings_at_any_depth_declare_a_convention(tmp_path):
    network = as_network(random_sirens(1, NetworkSpec.mlp(2, 6, 5, 1), generator()), SirenConvention())
    config = {
        "model": {"w0": 20.0, "final_activation": "sigmoid"},
        "data": {"output_mean": 0.5, "output_std": 0.5},
    }
    torch.save({"state_dict": network.tensors(), "config": config}, tmp_path / "net.pt")
    read = read_network(tmp_path / "net.pt")
    assert read.siren == SirenConvention(20.0, 20.0, output="sigmoid")
    assert set(FIELDS) - set(read.undeclared) == {"first_omega", "hidden_omega", "low", "high", "output"}


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [(1, 1, "a sound: 1 input"), (3, 1, "a distance field or a volume: 3 inputs"), (2, 4, r"transparency \(RGBA\)"),
     (3, 3, "a video"), (7, 1, "7 inputs"), (2, 5, "5 outputs")],
)  # fmt: skip
def test_sirens_of_sounds_and_volumes_are_named(inputs, outputs, words, tmp_path):
    features = random_sirens(1, NetworkSpec.mlp(inputs, 6, 5, outputs), generator())
    write_network(
        replace(as_network(features, SirenConvention()), convention=ClassifierConvention()),
        tmp_path / "net.safetensors",
    )
    with pytest.raises(NetworkFileError, match=f"not a SIREN of a picture.*{words}"):
        read_network(tmp_path / "net.safetensors", kind="siren")
