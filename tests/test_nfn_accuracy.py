"""The parts of the accuracy predictor: perturbations, answers, the Gaussian process, stored pictures."""

import math

import pytest
import torch

from nfn.accuracy.answers import STATISTICS, angle, fraction, output_statistics
from nfn.accuracy.gaussian_process import SCALES, GaussianProcess
from nfn.accuracy.perturb import PERTURBATIONS, rotate
from nfn.mosaic import pack, unpack


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(30, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_keeps_shape_and_range_and_is_the_same_every_time(name, pictures):
    torch.manual_seed(1)
    first = PERTURBATIONS[name](pictures)
    torch.manual_seed(2)
    assert torch.equal(first, PERTURBATIONS[name](pictures))
    assert first.shape == pictures.shape
    assert float(first.min()) >= 0 and float(first.max()) <= 1
    assert torch.equal(first, pictures) == (name == "as they are")


def test_turning_by_nothing_changes_nothing_and_by_a_right_angle_moves_rows_to_columns(pictures):
    torch.testing.assert_close(rotate(pictures, 0, 0), pictures)
    wide = torch.nn.functional.interpolate(pictures, scale_factor=4, mode="bilinear")  # smooth
    drawn = torch.rand(2, 30, generator=torch.Generator().manual_seed(90))[0] * 2 - 1
    checked = 0
    for picture, turned, way in zip(wide, rotate(wide, 90, 0), drawn, strict=True):
        if abs(float(way)) > 0.85:
            right, wrong = (torch.rot90(picture, k if way > 0 else -k, (1, 2)) for k in (1, -1))
            assert (turned - right).abs().mean() < 0.9 * (turned - wrong).abs().mean()
            checked += 1
    assert checked


def logits(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (300,), generator=generator)
    scores = torch.randn(300, 10, generator=generator)
    scores[torch.arange(300), labels] += 1.5
    return scores, labels


def test_what_is_read_does_not_depend_on_the_unit_of_the_logits_nor_on_a_constant():
    scores, labels = logits()
    first = output_statistics(scores, labels, scores)
    assert tuple(first) == STATISTICS
    second = output_statistics(100 * scores + torch.randn(300, 1), labels, scores)
    for name in ("accuracy", "soft accuracy", "confidence", "likelihood", "margin", "low margin", "lead"):
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-5)


def test_what_is_read_is_what_a_loop_over_the_pictures_counts():
    scores, labels = logits()
    other = scores.roll(1, 0)
    read = output_statistics(scores, labels, other)
    per_class = [
        sum(int(s.argmax()) == k for s, y in zip(scores, labels, strict=True) if y == k)
        / int((labels == k).sum())
        for k in range(10)
    ]
    assert float(fraction(read["accuracy"])) == pytest.approx(sum(per_class) / 10, abs=1e-6)
    agree = sum(int(a.argmax()) == int(b.argmax()) for a, b in zip(scores, other, strict=True)) / 300
    assert float(fraction(read["agreement"])) == pytest.approx(agree, abs=1e-6)
    spread = float((scores - scores.mean(1, keepdim=True)).std())
    margins = [
        float(s[y] - max(v for k, v in enumerate(s) if k != y)) / spread
        for s, y in zip(scores, labels, strict=True)
    ]
    assert float(read["margin"]) == pytest.approx(sum(margins) / 300, rel=1e-4)
    temperature = float(read["temperature"].exp()) * spread
    assert float(read["confidence"].sin() ** 2) == pytest.approx(
        float((scores / temperature).softmax(1).amax(1).mean()), rel=1e-4
    )


def test_a_network_that_answers_the_same_for_every_picture_can_be_read():
    labels = torch.arange(10).repeat(5)
    read = output_statistics(torch.zeros(50, 10), labels, torch.zeros(50, 10))
    assert all(math.isfinite(value) for value in read.values())
    assert float(fraction(read["accuracy"])) == pytest.approx(0.1, abs=1e-6)


def test_a_network_that_always_answers_one_class_has_the_share_of_this_class_as_its_accuracy():
    labels = torch.arange(10).repeat_interleave(torch.tensor([9, 2, 5, 5, 5, 5, 5, 5, 5, 4]))
    shares = torch.tensor([0.11, 0.07] + [0.1025] * 8)
    for kind in (0, 1):
        scores = torch.randn(50, 10)
        scores[:, kind] = 9.0
        read = output_statistics(scores, labels, scores, shares)
        assert float(fraction(read["accuracy"])) == pytest.approx(float(shares[kind]), abs=1e-6)


def test_angles_are_shares_on_a_scale_of_equal_uncertainty():
    shares = torch.tensor([0.0, 0.1, 0.5, 0.99, 1.0])
    torch.testing.assert_close(fraction(angle(shares)), shares)
    assert fraction(torch.tensor([-0.2, 1.7])).tolist() == [0.0, 1.0]
    counted = torch.distributions.Binomial(400, torch.tensor([0.1, 0.5, 0.9])).sample((4000,)) / 400
    deviations = angle(counted).std(0)
    assert float(deviations.max() / deviations.min()) < 1.1


def examples(n: int = 40, d: int = 3) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(n, d, generator=generator)
    group, run = torch.randint(3, (n,), generator=generator), torch.arange(n) // 2
    targets = torch.sin(inputs[:, 0]) + 0.2 * group + 0.05 * torch.randn(n, generator=generator)
    return inputs, targets, group, run, torch.full((n,), 1e-4)


def slow_process(process: GaussianProcess, given: tuple, inputs, group) -> tuple[torch.Tensor, torch.Tensor]:
    """The textbook's formula, entry by entry, with an inverse."""
    x, y, own_group, run, known = given
    s = dict(zip(SCALES, process.scales.double().exp().tolist(), strict=True))
    spread = x.std(0).double() + 1e-3
    x, z = (x - x.mean(0)).double() / spread, (inputs - x.mean(0)).double() / spread

    def kernel(a, g, b, h):
        same = float(g == h)
        near = math.exp(-float(((a - b) ** 2).sum()) / (2 * s["length"] ** 2))
        return (
            (s["smooth"] ** 2 + s["smooth_own"] ** 2 * same) * near
            + (s["linear"] ** 2 + s["linear_own"] ** 2 * same) * float(a @ b) / len(a)
            + s["level"] ** 2 * (1 / 3 + same)
        )

    rough = [math.exp(float(row @ process.roughness.detach().double())) for row in x]
    n = len(x)
    covariance = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            covariance[i, j] = kernel(x[i], own_group[i], x[j], own_group[j])
            covariance[i, j] += rough[i] * rough[j] * s["run"] ** 2 * float(run[i] == run[j])
        covariance[i, i] += (rough[i] * s["noise"]) ** 2 + known[i] + 1e-6
    inverse = covariance.inverse()
    means, deviations = [], []
    for a, g in zip(z, group, strict=True):
        row = torch.tensor([kernel(a, g, x[j], own_group[j]) for j in range(n)], dtype=torch.float64)
        means.append(row @ inverse @ y.double())
        own_rough = math.exp(float(a @ process.roughness.detach().double()))
        own = kernel(a, g, a, g) + own_rough**2 * (s["run"] ** 2 + s["noise"] ** 2)
        deviations.append((own - row @ inverse @ row).sqrt())
    return torch.stack(means), torch.stack(deviations)


def test_the_process_is_the_textbooks():
    given = examples()
    process = GaussianProcess(40, 3)
    process.set_examples(*given)
    process.roughness.data = torch.tensor([0.3, -0.2, 0.1])
    inputs, group = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 1])
    with torch.no_grad():
        mine = process(inputs, group)
    for a, b in zip(mine, slow_process(process, given, inputs, group), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_the_process_learns_and_is_unsure_far_away_and_leaves_out_what_it_should():
    given = examples(200)
    process = GaussianProcess(200, 3)
    process.set_examples(*given)
    optimizer = torch.optim.Adam(process.parameters(), 0.1)
    first = float(process.loss().detach())
    for _ in range(60):
        optimizer.zero_grad()
        process.loss().backward()
        optimizer.step()
    assert float(process.loss().detach()) < first - 100
    process.forget()
    mean, deviation = process(given[0], given[2])
    assert float((mean - given[1]).square().mean().sqrt()) < 0.1
    far = process(given[0] + 4, given[2])[1]
    assert float(far.mean()) > 3 * float(deviation.mean())
    some = torch.arange(200) % 2 == 0
    smaller = GaussianProcess(100, 3)
    smaller.load_state_dict(
        {**smaller.state_dict(), "scales": process.scales, "roughness": process.roughness}
    )
    smaller.set_examples(*(values[some] for values in given))
    smaller.center.copy_(process.center)
    smaller.spread.copy_(process.spread)
    left = process.predict_from(some, given[0][~some], given[2][~some])
    for a, b in zip(left, smaller(given[0][~some], given[2][~some]), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("count", "channels", "lossless"), [(80, 1, True), (53, 1, True), (53, 3, True), (53, 3, False)]
)
def test_pictures_come_back_from_a_mosaic(count, channels, lossless):
    base = torch.randint(0, 256, (count, channels, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    images = torch.nn.functional.interpolate(base, (32, 32), mode="bilinear").to(torch.uint8)
    data = pack(images, lossless)
    back = unpack(data, (count, channels, 32, 32))
    assert back.shape == images.shape
    error = (back.float() - images.float()).square().mean().sqrt()
    assert float(error) == 0 if lossless else 0 < float(error) < 255 / 10 ** (40 / 20)
    with pytest.raises(ValueError, match="damaged"):
        unpack(data[:100], (count, channels, 32, 32))
    with pytest.raises(ValueError, match="damaged"):
        unpack(data, (count + 40, channels, 32, 32))
