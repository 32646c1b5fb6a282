"""Fits of one picture: how good they get, what they depend on, and how far they say they are."""

import itertools
import time

import pytest
import torch

from nfn import picture_fit
from nfn.picture_fit import BATCH, SIZES, FitSize, _gradient, descend_in_batches, fit_picture
from nfn.siren import evaluate, random_sirens, render

TINY = FitSize((16, 16), 5e-3, 200)


def stripes(side: int, channels: int = 1) -> torch.Tensor:
    """A picture of waves, in [-1, 1]."""
    rows, columns = torch.meshgrid(*[torch.linspace(0, 6, side)] * 2, indexing="ij")
    return torch.stack([torch.sin(rows + c) * torch.cos(columns) for c in range(channels)])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fit_shows_the_picture(channels):
    image = stripes(24, channels)
    *_, done = fit_picture(image, TINY)
    assert done.step == done.steps == 150 and done.psnr > 30
    torch.testing.assert_close(render(done.features, 24, 24)[0].clamp(-1, 1), done.picture)


@pytest.mark.parametrize(("hidden", "count"), [((16, 16), 64), ((128, 64, 64), 4096)])
def test_the_gradient_by_hand_is_that_of_autograd(hidden, count):
    generator = torch.Generator().manual_seed(0)
    points, colours = (
        torch.rand(count, 2, generator=generator) * 2 - 1,
        torch.rand(count, 3, generator=generator),
    )
    start = random_sirens(1, FitSize(hidden, 0.0, 0).spec(3), generator).map(torch.Tensor.requires_grad_)
    loss = (evaluate(start, points)[0].T - colours).square().mean()
    wanted = torch.autograd.grad(loss, [x for pair in start for x in pair])
    by_hand = _gradient([(w.detach()[0, 0], b.detach()[0, 0]) for w, b in start], points, colours)
    for ours, theirs in zip(by_hand, wanted, strict=True):
        torch.testing.assert_close(ours, theirs[0, 0], rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_progress_reports_do_not_change_the_fit():
    image = stripes(12)
    *often, a = fit_picture(image, TINY, steps=30, every=0.0)
    *seldom, b = fit_picture(image, TINY, steps=30, every=99.0)
    assert often[0].step == 1 and not seldom and often[0].psnr < a.psnr
    assert all(torch.equal(x, y) for x, y in zip(a.features.weights, b.features.weights, strict=True))
    *_, other = fit_picture(image, TINY, steps=30, seed=1)
    assert not torch.equal(a.features.weights[0], other.features.weights[0])


def test_progress_takes_a_small_part_of_the_time(monkeypatch):
    """At 256 x 256 pixels, a report every half second took a fifth of it."""
    report = picture_fit._progress

    def slow_report(*args):
        time.sleep(0.05)
        return report(*args)

    monkeypatch.setattr(picture_fit, "_progress", slow_report)
    assert len(list(fit_picture(stripes(8), TINY, steps=100, every=0.0))) <= 3


def test_a_fit_that_gets_little_of_the_processor_still_reports_every_few_seconds(monkeypatch):
    """Only at a report can it be stopped; every look at this clock takes a second."""
    clock = itertools.count()
    monkeypatch.setattr(picture_fit.time, "monotonic", lambda: float(next(clock)))
    steps = [progress.step for progress in fit_picture(stripes(12), TINY, steps=30)]
    assert max(b - a for a, b in itertools.pairwise(steps)) <= picture_fit.MAX_PAUSE + 1


def test_larger_pictures_are_learned_in_batches_of_all_their_pixels():
    side = 72
    assert side**2 > BATCH
    *_, done = fit_picture(stripes(side), TINY)
    assert done.psnr > 30
    corners = (done.picture - stripes(side))[0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.abs().max() < 0.3


def test_the_sizes_are_as_documented():
    counts = {name: size.spec(3).get_num_params() for name, size in SIZES.items()}
    assert counts == {"small": 1251, "medium": 33_795, "large": 133_123}
    assert [SIZES["medium"].steps(side**2) for side in (28, 128, 256)] == [150, 360, 900]


def test_frequencies_grow_with_the_sides_of_the_picture():
    """A wide picture of fine stripes is learned in few steps; the usual start gives 12 dB."""
    stripes = torch.sin(torch.linspace(0, 250, 256)).expand(1, 16, 256)
    *_, done = fit_picture(stripes, FitSize((32, 32), 5e-3, 100), 100)
    assert done.psnr > 20


def test_a_network_is_moved_to_another_picture():
    start = random_sirens(1, TINY.spec(1), torch.Generator().manual_seed(0))
    image = stripes(70)
    before, after = start, descend_in_batches(start, image, 5e-3, 120)
    errors = [float((render(x, 70, 70)[0] - image).square().mean()) for x in (before, after)]
    assert errors[1] < errors[0] / 20
