"""Classifiers by scripts that share no code with the library, as uploads: right, and never surely wrong."""

import pytest

from bench.foreign import outcome, truths

ALIKE = {
    "gray_cifar_avg_pool.pt",
    "gray_cifar_half.pth",
    "gray_cifar_elu.pt",
    "gray_cifar_leaky.pt",
    "gray_cifar_tanh.pt",
    "gray_cifar_max_pool.pt",
    "checkpoint.pth.tar",
    "vgg.pth",
    "resnet8.pth",
    "gray_cifar_imagenet.pt",
    "gray_cifar_bn_after_padded.safetensors",
    "fashion_dropout.pt",
    "three_conv.pt",
    "gray_cifar_own_stats.safetensors",
    "digits_bn.pt",
}
"""Slow, and unlike another file only in what a third one has too: `python -m bench.foreign` has them all."""
FILES = [file for file in truths() if file not in ALIKE]
UNREADABLE = {"densenet.pt": "first mismatch at layer"}
"""State dicts whose wiring cannot be found, and what is said of them."""


@pytest.mark.parametrize("file", FILES)
def test_each_file_gives_a_number_or_a_reason(file):
    found = outcome(file)
    assert found.predicted or (
        UNREADABLE.get(file, "") in found.words.lower() and found.words.endswith(".")
    ), found


def test_at_least_80_percent_are_right_and_at_most_one_is_confidently_wrong():
    outcomes = [outcome(file) for file in FILES]
    others = [one for one in outcomes if not one.right]
    assert sum(one.right for one in outcomes) >= 0.8 * len(outcomes), others
    assert sum(one.wrong for one in outcomes) <= 1, others
