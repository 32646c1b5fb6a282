"""What the buttons do, as plain functions on the embedded zoo and on a SIREN saved by other code."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from foreign import FOREIGN_METADATA, fit_foreign_siren
from fourier import fit_fourier_file
from PIL import Image
from safetensors.torch import load_file, save_file

from app import actions
from app.actions import RequestError, Source
from app.figures import to_pixels
from nfn.operators import STYLES
from nfn.reader import read_network
from zoo.errors import ZooError

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
        items = actions.thumbnails(name)
        assert len(items) >= 100
        zoo_id, _, picture = items[7]
        alone = actions.draw(actions.open_network(Source(zoo_id=zoo_id)), zoom=2)
        torch.testing.assert_close(
            picture, alone, atol=GRAY_LEVEL / 2, rtol=0
        )  # rounding, times 30 in every sine
        assert float(picture.std()) > 0.1, "a picture is not flat"


def test_the_first_network_is_in_the_zoo():
    assert actions.first_network() == "mnist-sirens/test/0"


@SOURCES
def test_drawing_at_a_higher_resolution_keeps_the_corners(source):
    network = actions.open_network(source)
    small, large = actions.draw(network), actions.draw(network, zoom=4)
    assert large.shape[1] == 4 * small.shape[1]
    torch.testing.assert_close(small[:, ::27, ::27][:, :1, :1], large[:, :1, :1], atol=1e-5, rtol=0)
    torch.testing.assert_close(small[:, -1, -1], large[:, -1, -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("collection", ["mnist-sirens", "fashion-mnist-sirens"])
def test_zoo_networks_are_named_rightly(collection):
    right = 0
    for row in actions.zoo().rows(collection, limit=25):
        done = actions.classify(Source(zoo_id=row["id"]))
        assert math.isclose(sum(done.result.probabilities.values()), 1, abs_tol=1e-4)
        right += done.result.label == row["label"]
    assert right >= 20, "held-out images are recognised"


def test_the_domain_can_be_told():
    result = actions.classify(SEVEN, "fashion_mnist").result
    assert result.domain == "fashion_mnist" and "sneaker" in result.probabilities


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: actions.classify(SEVEN, "imagenet"), "imagenet"),
        (lambda: actions.edit(SEVEN, "melt", 1.0), "melt.*dilate"),
        (lambda: actions.edit(SEVEN, "dilate", 2.5), "2.5.*0 to 2"),
        (lambda: actions.edit(SEVEN, "dilate", math.nan), "nan"),
        (lambda: actions.list_networks("mnist-sirens", 0), "at least 1"),
        (lambda: actions.open_upload(None), "Upload a file"),
        (lambda: actions.open_network(Source(path="/nowhere/x.safetensors")), "no longer"),
    ],
)
def test_what_cannot_be_done_is_said(call, words):
    with pytest.raises(RequestError, match=words):
        call()


def test_a_misspelled_id_gets_the_right_spelling():
    with pytest.raises(ZooError, match="mnist-sirens/test/17"):
        actions.open_network(Source(zoo_id="MNIST_sirens/test/17"))


def test_a_network_that_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "mlp.safetensors"
    save_file({"a.weight": torch.randn(8, 4), "a.bias": torch.randn(8), "b.weight": torch.randn(3, 8)}, path)
    with pytest.raises(RequestError, match="4 inputs"):
        actions.open_upload(str(path))


@SOURCES
@pytest.mark.parametrize("style", STYLES)
def test_edits_come_closer_to_the_reference_than_no_edit(source, style):
    result = actions.edit(source, style, 1.0).result
    untouched = float((result.before - result.reference).square().mean())
    assert result.mse < untouched
    assert math.isclose(result.mse, float((result.after - result.reference).square().mean()), rel_tol=1e-3)
    drawn = actions.draw(result.network)
    torch.testing.assert_close(drawn, result.after, atol=2e-3, rtol=0)


def test_strength_zero_gives_the_picture_back():
    result = actions.edit(SEVEN, "dilate", 0.0).result
    assert float((result.after - result.before).square().mean()) < 0.01


def test_a_foreign_file_comes_back_under_its_names(foreign_file, tmp_path):
    source = actions.open_upload(str(foreign_file))
    done = actions.edit(source, "dilate", 1.0)
    weights, png = actions.save_edit(source, done, tmp_path)
    came, went = load_file(foreign_file), load_file(weights)
    assert {k: v.shape for k, v in came.items()} == {k: v.shape for k, v in went.items()}
    assert "somebody-s-net-dilate" in weights.name
    again = actions.draw(read_network(weights))
    torch.testing.assert_close(again, actions.draw(done.result.network), atol=1e-4, rtol=0)
    assert Image.open(png).size == (224, 224)


def test_a_foreign_file_draws_its_image(foreign_file, real_images):
    image, _ = real_images("mnist", 0)
    drawn = to_pixels(actions.draw(actions.open_network(Source(path=str(foreign_file)))))[..., 0]
    assert np.abs(drawn.astype(int) - image[0].numpy()).mean() < 12


def test_the_convention_of_a_silent_file_can_be_told(real_images, tmp_path):
    image, _ = real_images("mnist", 0)
    path = tmp_path / "silent.pth"
    torch.save(fit_foreign_siren(image).state_dict(), path)
    facts = FOREIGN_METADATA
    told = {"omega": f"{facts['first_omega']},{facts['hidden_omega']}", "pixels": "0,1", "coordinates": "x,y"}
    sources = [actions.open_upload(str(path), **how) for how in ({"omega": "90"}, told)]
    wrong, right = (to_pixels(actions.draw(actions.open_network(source)))[..., 0] for source in sources)
    assert actions.open_network(sources[0]).assumed
    target = image[0].numpy()
    assert np.abs(right.astype(int) - target).mean() < 12 < np.abs(wrong.astype(int) - target).mean()


@SOURCES
@pytest.mark.parametrize("how", ["permute", "flip"])
def test_disguises_move_the_weights_and_nothing_else(source, how):
    check = actions.check_symmetry(source, how, seed=3)
    assert check.moved > check.total / 3
    assert check.pixel_difference < 1e-4 and check.probability_difference < 1e-4
    assert check.verdict_before.label == check.verdict_after.label
    other = actions.check_symmetry(source, how, seed=4)
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
    edited = actions.edit(source, "dilate", 1.0)
    before = float((edited.result.before - edited.result.reference).square().mean())
    assert edited.result.mse < before / 5
    weights, _ = actions.save_edit(source, edited, tmp_path)
    again = actions.draw(read_network(weights, convention=edited.result.network.convention))
    torch.testing.assert_close(again, edited.result.after, atol=1e-4, rtol=0)


def test_a_picture_of_any_declared_graph_is_permuted(fourier_file):
    source = Source(path=fourier_file)
    check = actions.check_symmetry(source, "permute", seed=3)
    assert 0 < check.moved < check.total and check.pixel_difference < 1e-4
    assert check.verdict_before.label == check.verdict_after.label == "7"
    with pytest.raises(RequestError, match="all sines"):
        actions.check_symmetry(source, "flip", seed=3)


def sine_network(*widths: int) -> dict[str, torch.Tensor]:
    return {f"net.{i}.weight": torch.randn(n, m) / m for i, (m, n) in enumerate(pairwise(widths))}


def test_a_network_of_any_depth_is_edited(tmp_path):
    save_file(sine_network(2, 16, 16, 16, 1), tmp_path / "net.safetensors")
    edited = actions.edit(actions.open_upload(str(tmp_path / "net.safetensors")), "dilate", 1.0)
    assert edited.result.predictor == edited.predictor == "gradient descent"


def test_what_cannot_be_edited_is_still_drawn_and_classified(tmp_path):
    save_file(sine_network(2, 600, 600, 1), tmp_path / "net.safetensors")
    source = actions.open_upload(str(tmp_path / "net.safetensors"))
    with pytest.raises(RequestError, match=r"250,000.*still"):
        actions.edit(source, "dilate", 1.0)
    assert actions.draw(actions.open_network(source)).shape == (1, 28, 28)
    assert actions.classify(source).result.probabilities


def test_a_picture_that_would_take_minutes_is_refused(tmp_path):
    save_file(sine_network(2, 1200, 1200, 1), tmp_path / "net.safetensors")
    network = actions.open_network(Source(path=str(tmp_path / "net.safetensors")))
    assert actions.draw(network).shape == (1, 28, 28)
    with pytest.raises(RequestError, match="224 × 224"):
        actions.draw(network, zoom=8)


def test_drawing_in_parts_is_drawing(monkeypatch):
    whole = actions.draw(actions.open_network(COLOUR))
    monkeypatch.setattr(actions, "MAX_ACTIVATIONS", 32 * 100)
    torch.testing.assert_close(actions.draw(actions.open_network(COLOUR)), whole, atol=1e-5, rtol=0)


def test_noise_is_unlike_the_zoo(tmp_path):
    generator = torch.Generator().manual_seed(0)
    shapes = {"net.0": (32, 2), "net.1": (32, 32), "net.2": (1, 32)}
    tensors = {f"{name}.weight": torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "noise.safetensors")
    assert not actions.classify(actions.open_upload(str(tmp_path / "noise.safetensors"))).result.typical
