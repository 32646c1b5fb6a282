"""Compare: each kind of copy, made here by plain NumPy and torch, and a near miss of each."""

import numpy as np
import pytest
import torch
from safetensors.torch import save

from nfn.checkpoint import open_bytes
from nfn.compare import Comparison, compare

State = dict[str, torch.Tensor]


def base(seed: int = 0) -> State:
    """A convolution, two linear layers and their biases, with weights as training leaves them."""
    rng = np.random.default_rng(seed)
    shapes = {"c.weight": (32, 16, 3, 3), "c.bias": (32,), "a.weight": (64, 32), "a.bias": (64,), "b.weight": (48, 64),
              "b.bias": (48,)}  # fmt: skip
    return {name: torch.from_numpy(rng.standard_t(5, shape) * 0.05).float() for name, shape in shapes.items()}


def compared(a: State, b: State) -> Comparison:
    one, other = (open_bytes(save({name: t.contiguous() for name, t in state.items()})) for state in (a, b))
    return compare(one, other)


def weights(state: State, change) -> State:
    return {name: change(tensor) if tensor.dim() > 1 else tensor for name, tensor in state.items()}


def permuted(state: State, consistent: bool = True) -> State:
    """The hidden units of `c` and `a` reordered; not `consistent`: the columns of each row in an order of its own."""
    torch.manual_seed(1)
    p, q = torch.randperm(32), torch.randperm(64)
    columns = (
        state["b.weight"][:, q]
        if consistent
        else torch.stack([row[torch.randperm(64)] for row in state["b.weight"]])
    )
    return {"c.weight": state["c.weight"][p], "c.bias": state["c.bias"][p], "a.weight": state["a.weight"][q][:, p],
            "a.bias": state["a.bias"][q], "b.weight": columns, "b.bias": state["b.bias"]}  # fmt: skip


def rescaled(state: State, noise: float = 0.0) -> State:
    torch.manual_seed(2)
    r, s = torch.rand(32) + 0.5, torch.rand(64) + 0.5
    out = {"c.weight": state["c.weight"] * r[:, None, None, None], "c.bias": state["c.bias"] * r,
           "a.weight": state["a.weight"] * s[:, None] / r, "a.bias": state["a.bias"] * s,
           "b.weight": state["b.weight"] / s, "b.bias": state["b.bias"]}  # fmt: skip
    return weights(out, lambda t: t * (1 + noise * torch.randn(t.shape)))


def tuned(state: State, size: float = 0.02) -> State:
    torch.manual_seed(3)
    return {name: t + size * t.std() * torch.randn(t.shape) for name, t in state.items()}


def merged(state: State, rank: int = 4, dtype=torch.float32) -> State:
    torch.manual_seed(4)

    def add(t: torch.Tensor) -> torch.Tensor:
        flat = t.reshape(len(t), -1)
        low = torch.randn(len(t), rank) @ torch.randn(rank, flat.shape[1])
        return (flat + 0.01 * low).reshape(t.shape).to(dtype)

    return {name: add(t) if name in ("a.weight", "b.weight") else t.to(dtype) for name, t in state.items()}


def quantised(state: State, bits: int, by_row: bool) -> State:
    top = 2 ** (bits - 1) - 1

    def rounded(t: torch.Tensor) -> torch.Tensor:
        flat = t.reshape(len(t), -1)
        scale = (flat.abs().amax(1, keepdim=True) if by_row else flat.abs().max()) / top
        return ((flat / scale).round() * scale).reshape(t.shape)

    return weights(state, rounded)


def pruned(state: State, share: float = 0.6) -> State:
    return weights(state, lambda t: torch.where(t.abs() > t.abs().quantile(share), t, 0.0))


KINDS = {
    "itself": (lambda s: s, "the same"),
    "one value moved": (lambda s: {**s, "a.bias": s["a.bias"] + torch.eye(64)[0]}, "fine-tuned"),
    "float16": (lambda s: {n: t.half() for n, t in s.items()}, "cast"),
    "bfloat16": (lambda s: {n: t.bfloat16() for n, t in s.items()}, "cast"),
    "float64": (lambda s: {n: t.double() for n, t in s.items()}, "cast"),
    "bfloat16 of a tuned copy": (lambda s: {n: t.bfloat16() for n, t in tuned(s).items()}, "fine-tuned"),
    "permuted": (permuted, "permuted"),
    "rows shuffled each in its own order": (lambda s: permuted(s, False), "mixed"),
    "rescaled": (rescaled, "rescaled"),
    "all weights times 1.1": (lambda s: weights(s, lambda t: 1.1 * t), "fine-tuned"),
    "rescaled, with noise of 2%": (lambda s: rescaled(s, 0.02), "fine-tuned"),
    "fine-tuned": (tuned, "fine-tuned"),
    "fine-tuned far": (lambda s: tuned(s, 0.5), "fine-tuned"),
    "half of it new": (lambda s: {n: t if n[0] != "a" else base(9)[n] for n, t in tuned(s).items()}, "mixed"),
    "pruned": (pruned, "pruned"),
    "pruned and tuned": (lambda s: weights(pruned(s), lambda t: t * 1.01), "fine-tuned"),
    "int8 a row": (lambda s: quantised(s, 8, True), "quantised"),
    "int8 a tensor": (lambda s: quantised(s, 8, False), "quantised"),
    "int4 a row, as bfloat16": (lambda s: {n: t.bfloat16() for n, t in quantised(s, 4, True).items()}, "quantised"),
    "12 bits": (lambda s: quantised(s, 12, True), "fine-tuned"),
    "a LoRA's merge": (merged, "a LoRA's merge"),
    "a LoRA's merge in bfloat16": (lambda s: merged(s, 2, torch.bfloat16), "fine-tuned"),
    "a merge of nearly full rank": (lambda s: merged(s, 40), "fine-tuned"),
    "another seed": (lambda s: base(7), "unrelated"),
    "wrapped": (lambda s: {f"module.{n}": t for n, t in s.items()}, "the same"),
    "other names": (lambda s: {f"x{n}": t for n, t in s.items()}, "unrelated architectures"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_copy_and_its_near_miss(kind):
    change, verdict = KINDS[kind]
    found = compared(base(), change(base()))
    assert found.verdict == verdict, [(row.name, row.kind, row.rank, row.cosine) for row in found.rows]
    assert found.means


def test_the_evidence_stands_in_the_rows():
    rows = {row.name: row for row in compared(base(), merged(base())).rows}
    assert rows["a.weight"].rank == 4 and rows["a.weight"].kind == "low rank" and rows["a.weight"].side == 32
    assert (
        rows["c.weight"].kind == "equal" and rows["c.weight"].distance == 0 and rows["c.weight"].changed == 0
    )
    far = {row.name: row for row in compared(base(), tuned(base(), 0.1)).rows}
    assert far["a.weight"].distance == pytest.approx(0.1, rel=0.1) and far["a.weight"].changed == 1


def test_tensors_missing_on_one_side_are_named():
    other = {**base(), "b.weight": torch.zeros(5, 64), "new.weight": torch.zeros(2, 2)}
    del other["a.bias"]
    found = compared(base(), other)
    assert (found.only_a, found.only_b, found.reshaped) == (("a.bias",), ("new.weight",), ("b.weight",))


def test_nan_equals_only_nan():
    broken = {**base(), "a.weight": base()["a.weight"].clone()}
    broken["a.weight"][3, 4] = torch.nan
    assert compared(broken, broken).verdict == "the same"
    (row,) = [row for row in compared(base(), broken).rows if row.name == "a.weight"]
    assert row.kind == "changed" and row.distance < 0.1 and 0 < row.changed < 0.001


def test_unreadable_values_are_skipped():
    found = compared({**base(), "n": torch.tensor([1])}, {**base(), "n": torch.tensor([2])})
    assert found.verdict == "the same" and len(found.rows) == 6


def test_the_command_prints_the_verdict_and_the_table(tmp_path):
    from safetensors.torch import save_file
    from typer.testing import CliRunner

    from zoo.__main__ import app

    save_file(base(), tmp_path / "a.safetensors")
    save_file(merged(base()), tmp_path / "b.safetensors")
    shown = CliRunner().invoke(app, ["compare", *(str(tmp_path / f"{x}.safetensors") for x in "ab")]).output
    assert "a LoRA's merge" in shown and "4 of 32" in shown and "low rank" in shown
