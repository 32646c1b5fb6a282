"""A folded MLP on coarse images is the MLP on the same images blown up again, before and after any training by SGD."""

import pytest
import torch
import torch.nn.functional as F

from nfn.coarse import CoarseImages, average_blocks
from nfn.sparse_training import SparseTraining, TrainingRecipe, default_init, logits
from nfn.spec import NetworkSpec

SHAPE = (2, 4, 8)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_folded_networks_learn_the_same(size):
    coarse, init = CoarseImages(SHAPE, size), default_init(NetworkSpec.mlp(64, 9, 7, 3), [0, 1])
    images, labels = torch.randn(30, 2, 4 // size, 8 // size), torch.randint(3, (30,))
    recipe, blown_up = TrainingRecipe(12, 30, "sgd", 0.2), F.interpolate(images, scale_factor=size)
    plain, folded = SparseTraining(init, None, recipe), SparseTraining(coarse.fold(init), None, recipe)
    for _ in range(12):
        losses = plain.step(blown_up, labels)
        torch.testing.assert_close(folded.step(coarse.scale(images), labels), losses, rtol=1e-4, atol=1e-5)
    expected, found = plain.features - init, coarse.unfold(folded.features - coarse.fold(init))
    for a, b in zip((*expected.weights, *expected.biases), (*found.weights, *found.biases), strict=True):
        assert a.abs().max() > 1e-3, "it learned"
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-5)


def test_a_folded_network_computes_the_same():
    coarse, init = CoarseImages(SHAPE, 2), default_init(NetworkSpec.mlp(64, 9, 3), [3])
    images = torch.randn(5, 2, 2, 4)
    expected = logits(init, F.interpolate(images, scale_factor=2))
    torch.testing.assert_close(logits(coarse.fold(init), coarse.scale(images)), expected)


def test_averages_are_rounded_and_whole_images_are_unchanged():
    pixels = torch.tensor([[[[0, 1], [2, 3]]]], dtype=torch.uint8)
    assert average_blocks(pixels, 2).tolist() == [[[[2]]]] and average_blocks(pixels, 1) is pixels
