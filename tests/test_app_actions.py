"""What the buttons do, as plain functions on the embedded zoo and on a SIREN saved by other code."""

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import FOREIGN_METADATA, fit_foreign_siren
from fourier import fit_fourier_file
from PIL import Image
from safetensors.torch import load_file, save_file

from app.networks.source import Source
from app.networks.zoos import list_networks, predictor, zoo_at
from app.page.figures import to_pixels
from app.runtime.cost import check_cost
from app.runtime.errors import RequestError
from app.tabs.inr import actions
from app.tabs.inr.edit import _cost_of_edit, edit, save_edit
from app.tabs.inr.gallery import COLUMNS, gallery_html, thumbnails
from app.tabs.inr.symmetry import check_symmetry
from nfn.editor import InrEditor
from nfn.features import WeightSpaceFeatures
from nfn.operators import STYLES
from nfn.picture_fit import SIZES, FitProgress
from nfn.reader import read_network
from nfn.siren import random_sirens
from zoo.errors import ZooError
from zoo.pictures import as_network

SEVEN = Source(zoo_id="mnist-sirens/test/0")
COLOUR = Source(zoo_id="cifar10-sirens/test/0")
GRAY_LEVEL = 2 / 255
SOURCES = pytest.mark.parametrize("source", [SEVEN, COLOUR], ids=["gray", "colour"])


@pytest.mark.parametrize("fields", [{}, {"zoo_id": "mnist-sirens/test/0", "path": "x"}])
def test_a_source_is_a_file_or_an_id(fields):
    with pytest.raises(RequestError, match="exactly one"):
        Source(**fields)


def test_every_collection_has_pictures_and_labels():
    names = [info.name for info in actions.siren_collections()]
    assert names == ["mnist-sirens", "fashion-mnist-sirens", "cifar10-sirens"]
    for name in names:
        items = thumbnails(name)
        assert len(items) >= 100
        zoo_id, _, picture = items[7]
        alone = actions.draw(actions.open_network(Source(zoo_id=zoo_id)), zoom=2)
        torch.testing.assert_close(
            picture, alone, atol=GRAY_LEVEL / 2, rtol=0
        )  # rounding, times 30 in every sine
        assert float(picture.std()) > 0.1, "a picture is not flat"


def test_all_pictures_of_a_gallery_are_in_one_small_file():
    """A file for each was 120 requests and 0.9 MB of the first page."""
    shown = gallery_html("cifar10-sirens")
    (path,) = re.findall(r"gradio_api/file=([^&]+)", shown)
    assert Path(path).stat().st_size < 100_000
    sheet = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).float()
    zoo_id, label, picture = thumbnails("cifar10-sirens")[COLUMNS + 3]
    side = picture.shape[-1]
    tile = sheet[side : 2 * side, 3 * side : 4 * side].movedim(-1, 0) / 127.5 - 1
    assert float((tile - picture).abs().mean()) < 0.05
    place = f"{100 * 3 / (COLUMNS - 1):.3f}% {100 / 9:.3f}%"
    assert (
        f'data-pick="{zoo_id}" aria-label="{label}, No. {COLUMNS + 3}" style="background-position: {place}"'
        in shown
    )


def test_the_first_network_is_in_the_zoo():
    shown = zoo_at().row(actions.first_network())
    assert shown["label"] == "horse"


@SOURCES
def test_drawing_at_a_higher_resolution_keeps_the_corners(source):
    network = actions.open_network(source)
    small, large = actions.draw(network), actions.draw(network, zoom=4)
    assert large.shape[1] == 4 * small.shape[1]
    torch.testing.assert_close(small[:, ::27, ::27][:, :1, :1], large[:, :1, :1], atol=1e-5, rtol=0)
    torch.testing.assert_close(small[:, -1, -1], large[:, -1, -1], atol=1e-5, rtol=0)


def test_the_middle_of_a_wide_picture_is_drawn_at_8x_beside_the_same_middle_of_its_enlarged_pixels(
    monkeypatch,
):
    network = actions.open_network(Source(zoo_id="mnist-sirens/test/0"))
    network = replace(network, metadata={"picture_height": "20", "picture_width": "40"})
    small, whole = actions.draw(network), actions.draw_zoomed(network, 8)
    assert small.shape == (1, 20, 40) and whole.shape == (1, 160, 320)
    monkeypatch.setattr(actions, "MAX_DRAWING", network.multiplications * 80 * 160)
    middle = actions.draw_zoomed(network, 8)
    torch.testing.assert_close(middle, whole[:, 40:120, 80:240], atol=1e-4, rtol=0)
    enlarged = actions.enlarge(small, 8, (80, 160))
    assert float((enlarged - middle).abs().mean()) < 0.1
    torch.testing.assert_close(actions.enlarge(small, 1, (20, 40)), small, atol=1e-5, rtol=0)


@pytest.mark.parametrize("collection", ["mnist-sirens", "fashion-mnist-sirens"])
def test_zoo_networks_are_classified_correctly(collection):
    right = 0
    for row in zoo_at().rows(collection, limit=25):
        done = actions.classify(Source(zoo_id=row["id"]))
        assert math.isclose(sum(done.result.probabilities.values()), 1, abs_tol=1e-4)
        right += done.result.label == row["label"]
    assert right >= 20, "held-out images are recognised"


def test_the_domain_can_be_given():
    result = actions.classify(SEVEN, "fashion_mnist").result
    assert result.domain == "fashion_mnist" and "sneaker" in result.probabilities


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: actions.classify(SEVEN, "imagenet"), "imagenet"),
        (lambda: edit(SEVEN, "melt", 1.0), "melt.*dilate"),
        (lambda: edit(SEVEN, "dilate", 2.5), "2.5.*0 to 2"),
        (lambda: edit(SEVEN, "dilate", math.nan), "nan"),
        (lambda: list_networks("mnist-sirens", 0), "at least 1"),
        (lambda: actions.open_upload(None), "Upload a file"),
        (lambda: actions.open_network(Source(path="/nowhere/x.safetensors")), "no longer"),
    ],
)
def test_impossible_requests_give_a_clear_error(call, words):
    with pytest.raises(RequestError, match=words):
        call()


def test_a_misspelled_id_gets_the_right_spelling():
    with pytest.raises(ZooError, match="mnist-sirens/test/17"):
        actions.open_network(Source(zoo_id="MNIST_sirens/test/17"))


def test_a_network_that_is_not_a_picture_is_refused(tmp_path):
    path = tmp_path / "mlp.safetensors"
    save_file({"a.weight": torch.randn(8, 4), "a.bias": torch.randn(8), "b.weight": torch.randn(3, 8)}, path)
    with pytest.raises(RequestError, match="4 inputs"):
        actions.open_upload(str(path))


@SOURCES
@pytest.mark.parametrize("style", STYLES)
def test_edits_come_closer_to_the_reference_than_no_edit(source, style):
    result = edit(source, style, 1.0).result
    untouched = float((result.before - result.reference).square().mean())
    assert result.mse < untouched
    assert math.isclose(result.mse, float((result.after - result.reference).square().mean()), rel_tol=1e-3)
    drawn = actions.draw(result.network)
    torch.testing.assert_close(drawn, result.after, atol=2e-3, rtol=0)


def test_strength_zero_gives_the_picture_back():
    result = edit(SEVEN, "dilate", 0.0).result
    assert float((result.after - result.before).square().mean()) < 0.01


def test_a_foreign_file_comes_back_under_its_names(foreign_file, tmp_path):
    source = actions.open_upload(str(foreign_file))
    done = edit(source, "dilate", 1.0)
    weights, png = save_edit(source, done, tmp_path)
    came, went = load_file(foreign_file), load_file(weights)
    assert {k: v.shape for k, v in came.items()} == {k: v.shape for k, v in went.items()}
    assert "somebody-s-net-dilate" in weights.name
    again = actions.draw(read_network(weights))
    torch.testing.assert_close(again, actions.draw(done.result.network), atol=1e-4, rtol=0)
    with Image.open(png) as picture:
        assert picture.size == (224, 224)


def test_a_foreign_file_draws_its_image(foreign_file, real_images):
    image, _ = real_images("mnist", 0)
    drawn = to_pixels(actions.draw(actions.open_network(Source(path=str(foreign_file)))))[..., 0]
    assert np.abs(drawn.astype(int) - image[0].numpy()).mean() < 12


def test_the_convention_of_an_undeclared_file_can_be_given(real_images, tmp_path):
    image, _ = real_images("mnist", 0)
    path = tmp_path / "silent.pth"
    torch.save(fit_foreign_siren(image).state_dict(), path)
    facts = FOREIGN_METADATA
    declared = {
        "omega": f"{facts['first_omega']},{facts['hidden_omega']}",
        "pixels": "0,1",
        "coordinates": "x,y",
    }
    sources = [actions.open_upload(str(path), **how) for how in ({"omega": "90"}, declared)]
    wrong, right = (to_pixels(actions.draw(actions.open_network(source)))[..., 0] for source in sources)
    assert actions.open_network(sources[0]).assumed
    target = image[0].numpy()
    assert np.abs(right.astype(int) - target).mean() < 12 < np.abs(wrong.astype(int) - target).mean()


@SOURCES
@pytest.mark.parametrize("how", ["permute", "flip"])
def test_permuted_and_flipped_copies_change_only_the_weights(source, how):
    check = check_symmetry(source, how, seed=3)
    assert check.moved > check.total / 3
    assert check.pixel_difference < 1e-4 and check.probability_difference < 1e-4
    assert check.verdict_before.label == check.verdict_after.label
    other = check_symmetry(source, how, seed=4)
    assert any(
        (a != b).any()
        for a, b in zip(check.after.features.weights, other.after.features.weights, strict=True)
    )


@pytest.fixture(scope="module")
def fourier_file(real_images, tmp_path_factory):
    """A 7 behind Fourier features: no chain of layers, and nothing in it is a hidden sine."""
    path = tmp_path_factory.mktemp("fourier") / "seven.safetensors"
    fit_fourier_file(real_images("mnist", 0)[0], path)
    return str(path)


def test_a_picture_of_any_declared_graph_is_read_drawn_and_edited(fourier_file, real_images, tmp_path):
    source = actions.open_upload(fourier_file)
    image = real_images("mnist", 0)[0].float() / 127.5 - 1
    assert float((actions.draw(actions.open_network(source)) - image).square().mean()) < 0.02
    done = actions.classify(source).result
    assert (done.domain, done.label) == ("mnist", "7") and "(x, y) from 0 to 1" in done.assumed[0]
    edited = edit(source, "dilate", 1.0)
    before = float((edited.result.before - edited.result.reference).square().mean())
    assert edited.result.mse < before / 5
    weights, _ = save_edit(source, edited, tmp_path)
    again = actions.draw(read_network(weights, convention=edited.result.network.convention))
    torch.testing.assert_close(again, edited.result.after, atol=1e-4, rtol=0)


def test_a_picture_of_any_declared_graph_is_permuted(fourier_file):
    source = Source(path=fourier_file)
    check = check_symmetry(source, "permute", seed=3)
    assert 0 < check.moved < check.total and check.pixel_difference < 1e-4
    assert check.verdict_before.label == check.verdict_after.label == "7"
    with pytest.raises(RequestError, match="all sines"):
        check_symmetry(source, "flip", seed=3)


def sine_network(*widths: int) -> dict[str, torch.Tensor]:
    return {f"net.{i}.weight": torch.randn(n, m) / m for i, (m, n) in enumerate(pairwise(widths))}


def test_a_network_of_any_depth_is_edited(tmp_path):
    save_file(sine_network(2, 16, 16, 16, 1), tmp_path / "net.safetensors")
    edited = edit(actions.open_upload(str(tmp_path / "net.safetensors")), "dilate", 1.0)
    assert edited.result.predictor == edited.predictor == "gradient descent"


@pytest.mark.parametrize("size", ["medium", "large"])
def test_fits_of_256_pixels_may_be_edited(size):
    start = random_sirens(1, SIZES[size].spec(3), torch.Generator())
    network = as_network(FitProgress(0, 1, start, torch.zeros(3, 256, 256), 0.0))
    check_cost(_cost_of_edit(network, predictor("inr-editor", InrEditor)))


def test_networks_too_large_to_edit_are_still_drawn_and_classified(tmp_path):
    save_file(sine_network(2, 600, 600, 1), tmp_path / "net.safetensors")
    source = actions.open_upload(str(tmp_path / "net.safetensors"))
    with pytest.raises(RequestError, match=r"250,000.*still"):
        edit(source, "dilate", 1.0)
    assert actions.draw(actions.open_network(source)).shape == (1, 28, 28)
    assert actions.classify(source).result.probabilities


def test_a_picture_that_would_take_minutes_is_refused(tmp_path):
    save_file(sine_network(2, 1200, 1200, 1), tmp_path / "net.safetensors")
    network = actions.open_network(Source(path=str(tmp_path / "net.safetensors")))
    assert actions.draw(network).shape == (1, 28, 28)
    with pytest.raises(RequestError, match="224 × 224"):
        actions.draw(network, zoom=8)


def test_drawing_in_parts_gives_the_same_picture(monkeypatch):
    whole = actions.draw(actions.open_network(COLOUR))
    monkeypatch.setattr(actions, "MAX_ACTIVATIONS", 32 * 100)
    torch.testing.assert_close(actions.draw(actions.open_network(COLOUR)), whole, atol=1e-5, rtol=0)


def test_noise_is_out_of_distribution(tmp_path):
    generator = torch.Generator().manual_seed(0)
    shapes = {"net.0": (32, 2), "net.1": (32, 32), "net.2": (1, 32)}
    tensors = {f"{name}.weight": torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "noise.safetensors")
    assert not actions.classify(actions.open_upload(str(tmp_path / "noise.safetensors"))).result.typical


def test_a_digit_that_is_dark_on_light_is_read_in_negative():
    network = actions.open_network(Source(zoo_id="mnist-sirens/test/0"))
    weights, biases = network.normalized.weights, network.normalized.biases
    inverted = WeightSpaceFeatures([*weights[:-1], -weights[-1]], [*biases[:-1], -biases[-1]])
    dark = network.with_normalized(inverted)
    result = actions.classify_network(dark).result
    negative = actions.classify_negative(dark, result)
    assert result.none_of_these and negative is not None and negative.label == "7"
    assert actions.classify_negative(network, actions.classify_network(network).result) is None
