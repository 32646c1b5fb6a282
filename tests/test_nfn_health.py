"""Health: each finding on a file made to have it, none on a sound one; initializations by torch.nn.init; spectra by
weightwatcher."""

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from nfn.checkpoint import open_bytes, open_checkpoint
from nfn.health import Finding, Health, examine, spectrum_of
from nfn.health.spectrum import tail_of
from zoo.catalog import Zoo


def health(state: dict[str, torch.Tensor]) -> Health:
    return examine(open_bytes(save({name: tensor.contiguous() for name, tensor in state.items()})))


def sound(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights that look trained: a heavier tail than any initialization has, and some scale of their own."""
    rng = np.random.default_rng(seed)
    shapes = {"a.weight": (64, 32, 3, 3), "b.weight": (128, 64), "b.bias": (128,), "c.weight": (10, 128)}
    draw = {name: rng.standard_t(4, shape) * 0.05 * (1 + i) for i, (name, shape) in enumerate(shapes.items())}
    return {name: torch.from_numpy(values).float() for name, values in draw.items()}


def only(state: dict[str, torch.Tensor]) -> Finding:
    (finding,) = health(state).findings
    assert finding.means and finding.advice
    return finding


def test_nothing_is_found_in_a_sound_network():
    found = health(sound())
    assert found.findings == () and found.verdict == "healthy" and (found.read, found.skipped) == (4, 0)


def changed(name: str, change) -> dict[str, torch.Tensor]:
    state = sound()
    change(state[name])
    return state


@pytest.mark.parametrize(
    ("name", "change", "kind", "severity", "seen"),
    [
        ("b.weight", lambda t: t[3, 4:6].fill_(math.nan), "not finite", "broken", "2 NaN and 0 infinite of 8,192"),
        ("b.bias", lambda t: t[7:8].fill_(-math.inf), "not finite", "broken", "0 NaN and 1 infinite of 128"),
        ("c.weight", lambda t: t.zero_(), "all zero", "warning", "all 1,280 values are 0"),
        ("c.weight", lambda t: t.fill_(0.5), "constant", "warning", "all 1,280 values are 0.5"),
        ("b.weight", lambda t: t[:5].zero_(), "dead units", "note", "5 of 128 rows (3.9%) are zero"),
        ("b.weight", lambda t: t[:100].zero_(), "dead units", "warning", "100 of 128"),
        ("b.weight", lambda t: t[9].copy_(t[2]), "duplicate units", "warning", "1 of 128 rows"),
        ("a.weight", lambda t: t[:8].copy_(t[8:16].clone()), "duplicate units", "warning", "8 of 64 rows"),
        ("b.weight", lambda t: t[0, 0].fill_(1e5), "beyond float16", "warning", "1e+05"),
        ("b.weight", lambda t: t[:4].mul_(1e-9), "lost in float16", "note", "256 of 8,192 values (3.1%)"),
        ("a.weight", lambda t: t.mul_(1e-4), "scale imbalance", "warning", "gains"),
    ],
)  # fmt: skip
def test_each_fault_is_found_and_nothing_else(name, change, kind, severity, seen):
    finding = only(changed(name, change))
    assert (finding.kind, finding.severity) == (kind, severity) and seen in finding.seen
    assert name in finding.tensors


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("b.bias", lambda t: t[7:8].fill_(-6e4)),  # not finite: large is no fault
        ("b.bias", lambda t: t.zero_()),  # all zero: a vector may be
        ("c.weight", lambda t: t.mul_(1e-3).add_(0.5)),  # constant, but for a thousandth
        ("b.weight", lambda t: t[:5, 1:].zero_()),  # dead units, but for one weight each
        ("b.weight", lambda t: t[9].copy_(t[2])[3].mul_(1.01)),  # duplicate units, but for one weight
        ("b.weight", lambda t: t[0, 0].fill_(65_504)),  # beyond float16: the largest that is not
        ("b.weight", lambda t: t[0].mul_(1e-9)),  # lost in float16: 64 of 8,192 are less than 1%
        ("a.weight", lambda t: t.mul_(5e-3)),  # scale imbalance: a factor of 200
    ],
)  # fmt: skip
def test_a_near_miss_of_each_fault_is_none(name, change):
    assert health(changed(name, change)).findings == ()


def test_the_worst_finding_comes_first_and_tensors_of_one_fault_are_grouped():
    state = changed("b.weight", lambda t: t[:2].zero_())
    state["c.weight"][0].zero_()
    state["a.weight"][0, 0, 0, 0] = math.inf
    found = health(state)
    assert found.verdict == "broken" and [one.kind for one in found.findings] == ["not finite", "dead units"]
    assert set(found.findings[1].tensors) == {"b.weight", "c.weight"}


def test_an_embedding_may_have_a_row_of_zeros_for_padding():
    state = sound() | {"embed.weight": sound(1)["b.weight"]}
    state["embed.weight"][0].zero_()
    assert health(state).findings == ()


def test_batch_norm_that_has_seen_no_batch():
    fresh = {f"n.{name}": tensor for name, tensor in nn.BatchNorm2d(8).state_dict().items()}
    assert only(sound() | fresh).kind == "untrained statistics"
    fresh["n.running_mean"] += 0.1
    assert health(sound() | fresh).findings == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_read_as_well(dtype):
    state = {name: tensor.to(dtype) for name, tensor in sound().items()}
    assert health(state).findings == ()
    state["b.weight"][5, 5] = math.nan
    assert only(state).kind == "not finite"


def test_integers_are_skipped_and_counted():
    found = health(sound() | {"q": torch.ones(3, 3, dtype=torch.int8), "n": torch.tensor(5)})
    assert (found.read, found.skipped, found.findings) == (4, 2, ())


def test_a_file_that_is_cut_is_broken_and_the_rest_is_read():
    data = save(sound())
    found = examine(open_bytes(data[:-100]))
    assert found.findings[0].kind == "damaged" and found.read == 3 and found.skipped == 1


def test_a_wrong_checksum_is_found(tmp_path):
    torch.save(sound(), tmp_path / "net.pt")
    data = bytearray((tmp_path / "net.pt").read_bytes())
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        place = max(archive.infolist(), key=lambda member: member.file_size).header_offset
    data[place + 4_000] ^= 64
    (tmp_path / "net.pt").write_bytes(data)
    assert "checksum" in next(one for one in examine(open_checkpoint(tmp_path / "net.pt")).findings).seen


def test_progress_is_reported_in_bytes():
    reports = []
    examine(open_bytes(save(sound())), lambda done, of: reports.append((done, of)))
    assert (
        reports[-1][0] == reports[-1][1] == sum(t.numel() * 4 for t in sound().values()) and len(reports) == 4
    )


INITIAL = {
    "torch's default": lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)),
    "Kaiming uniform": nn.init.kaiming_uniform_,
    "Xavier uniform": nn.init.xavier_uniform_,
    "Kaiming normal": nn.init.kaiming_normal_,
    "Kaiming normal (fan_out)": lambda w: nn.init.kaiming_normal_(w, mode="fan_out"),
    "Xavier normal": nn.init.xavier_normal_,
    "normal with deviation 0.02": lambda w: nn.init.normal_(w, std=0.02),
    "standard normal": nn.init.normal_,
}


@pytest.mark.parametrize("scheme", INITIAL)
@pytest.mark.parametrize("shape", [(128, 96), (64, 48, 3, 3)])
def test_torch_initializations_are_recognised_with_their_scheme(scheme, shape):
    torch.manual_seed(1)
    weights = {f"{i}.weight": INITIAL[scheme](torch.empty(shape)) for i in range(10)}
    found = [one for one in health(sound() | weights).findings if one.kind == "still at its initialization"]
    assert sum(len(one.tensors) for one in found) == 10
    assert any(scheme in one.seen for one in found)


def test_initializations_are_recognised_and_trained_weights_are_not():
    """The zoo's own weights of 256 values and more, at their start and after training; every fifth network here."""
    zoo = Zoo()
    for collection, count in (("mnist-inits", 3), ("cifar10-inits", 5), ("cifar10-cnns", 0), ("fashion-mnist-cnns", 0),
                               ("mnist-sirens", 0), ("cifar10-sirens", 0)):  # fmt: skip
        for row in zoo.rows(collection)[::5]:
            state = {
                name: tensor.contiguous().clone() for name, tensor in zoo.network(row["id"]).tensors().items()
            }
            found = [one for one in health(state).findings if one.kind == "still at its initialization"]
            assert sum(len(one.tensors) for one in found) == count, row["id"]


def test_one_step_of_training_is_seen():
    torch.manual_seed(0)
    model = nn.Linear(64, 64)
    assert only({**sound(), **{f"x.{n}": t for n, t in model.state_dict().items()}}).tensors == ("x.weight",)
    with torch.no_grad():
        model.weight += 0.02 * torch.randn(64, 64)
    assert health(sound() | {f"x.{n}": t.detach() for n, t in model.state_dict().items()}).findings == ()


@pytest.mark.parametrize(
    ("kind", "rows", "columns", "alpha", "distance"),
    [
        ("normal", 40, 60, 3.469760725141245, 0.16544348458604213),
        ("normal", 64, 64, 4.205596367380393, 0.16112640645288634),
        ("heavy", 128, 300, 4.37215541785816, 0.0741062344482335),
        ("heavy", 20, 500, 5.808139360694627, 0.12933428577831507),
    ],
)
def test_tail_exponents_are_those_of_weightwatcher(kind, rows, columns, alpha, distance):
    """Values of `weightwatcher.WW_powerlaw.WWFit` of 0.7.7 on the same eigenvalues, drawn one after the other."""
    values = dict(zip(((40, 60), (64, 64), (128, 300), (20, 500)), _drawn(), strict=True))[rows, columns]
    found, tail, far = tail_of(values)
    assert found == pytest.approx(alpha, rel=1e-9) and far == pytest.approx(distance, rel=1e-9)
    assert 10 <= tail <= rows


def _drawn() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    matrices = [rng.standard_normal((40, 60)), rng.standard_normal((64, 64)), rng.standard_t(3, (128, 300)),
                rng.standard_t(3, (20, 500))]  # fmt: skip
    return [np.linalg.svd(matrix, compute_uv=False) ** 2 for matrix in matrices]


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (32, 4, 3, 3)])
def test_a_spectrum_read_in_blocks_is_that_of_the_matrix(shape):
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal(shape)).float()
    opened = open_bytes(save({"w": weight}))
    found = spectrum_of(opened, opened.tensors["w"])
    singular = torch.linalg.svdvals(weight.reshape(shape[0], -1).double())
    assert found is not None and found.largest == pytest.approx(float(singular[0]), rel=1e-6)
    assert found.stable_rank == pytest.approx(float((singular**2).sum() / singular[0] ** 2), rel=1e-6)


def test_no_spectrum_of_what_is_too_small_or_a_vector():
    opened = open_bytes(save({"w": torch.randn(4, 100), "b": torch.randn(100), "z": torch.zeros(20, 20)}))
    assert [spectrum_of(opened, info) for info in opened.tensors.values()] == [None] * 3


def test_the_command_says_what_is_wrong_and_what_to_do(tmp_path):
    from safetensors.torch import save_file
    from typer.testing import CliRunner

    from zoo.__main__ import app

    path = Path(tmp_path / "net.safetensors")
    save_file(changed("b.weight", lambda t: t[0].fill_(math.nan)), path)
    shown = CliRunner().invoke(app, ["health", str(path), "--spectra"]).output
    assert "broken" in shown and "64 NaN" in shown and "diverged" in shown and "stable rank" in shown
