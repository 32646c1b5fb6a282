"""`compare`: describe how one checkpoint differs from another."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nfn.checkpoint.listing import Checkpoint
from nfn.compare.kinds import Row, row_of
from nfn.compare.pairs import measure_pair
from nfn.health.measure import floats

WORDS = {
    "the same": "Every value is the same, bit for bit.",
    "cast": "Every value is the other's, rounded to another type.",
    "pruned": "Some weights became zero; all others are unchanged.",
    "quantised": "The weights were rounded to at most 256 levels a row.",
    "permuted": "Every tensor holds the same values in another order of its units: the same network, in disguise.",
    "rescaled": "Units were multiplied by factors that their neighbours undo: with ReLU, the same network.",
    "a LoRA's merge": "Weights changed along a few directions each, which is what merging a LoRA does.",
    "fine-tuned": "Most weights are close to the other's: training went on from it.",
    "unrelated": "The weights have nothing in common beyond their shapes.",
    "unrelated architectures": "No tensor has a counterpart of the same name and shape.",
    "mixed": "Some parts are related and others are not; the table says which.",
}
"""The meaning of each verdict."""
CANCELS = 0.01
"""The tolerance on the product of all layers' factors, which cancel between consecutive layers."""
PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "network.", "backbone.", "encoder.", "state_dict.")


@dataclass(frozen=True)
class Comparison:
    """`verdict` is one of `WORDS`, `rows` the evidence; names that one side alone has are in `only_a` and `only_b`,
    those whose shapes differ in `reshaped`."""

    verdict: str
    rows: tuple[Row, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    reshaped: tuple[str, ...]

    @property
    def means(self) -> str:
        """The verdict as a sentence."""
        return WORDS[self.verdict]


def compare(
    a: Checkpoint, b: Checkpoint, progress: Callable[[int, int], object] = lambda done, of: None
) -> Comparison:
    """What `b` is of `a`: tensors of the same name (but for a wrapper's prefix) and shape are read together.

    Example: `compare(open_checkpoint("base.pt"), open_checkpoint("tuned.pt")).verdict` is "fine-tuned".
    """
    names = _names(a, b)
    alike = {
        mine: theirs for mine, theirs in names.items() if a.tensors[mine].shape == b.tensors[theirs].shape
    }
    readable_a, readable_b = ({info.name for info in floats(x)} if x.blocks else set() for x in (a, b))
    expected = {mine: theirs for mine, theirs in alike.items() if mine in readable_a and theirs in readable_b}
    rows, of = [], sum(a.tensors[name].nbytes for name in expected)
    done = 0
    for mine, theirs in expected.items():
        rows.append(row_of(a, b, measure_pair(a, b, mine, theirs)))
        done += a.tensors[mine].nbytes
        a.release()
        b.release()
        progress(done, of)
    only_a = tuple(name for name in a.tensors if name not in names)
    only_b = tuple(name for name in b.tensors if name not in set(names.values()))
    reshaped = tuple(name for name in names if name not in alike)
    return Comparison(verdict_of(rows), tuple(rows), only_a, only_b, reshaped)


def _names(a: Checkpoint, b: Checkpoint) -> dict[str, str]:
    """Map a's names to b's, ignoring prefixes of wrappers."""
    theirs = {_bare(name): name for name in b.tensors}
    return {name: theirs[_bare(name)] for name in a.tensors if _bare(name) in theirs}


def _bare(name: str) -> str:
    while (prefix := next((p for p in PREFIXES if name.startswith(p)), None)) is not None:
        name = name.removeprefix(prefix)
    return name


def verdict_of(rows: list[Row]) -> str:
    """The verdict on all pairs together."""
    if not rows:
        return "unrelated architectures"
    kinds = Counter(row.kind for row in rows if row.is_weight) or Counter(row.kind for row in rows)
    moved = {row.kind for row in rows}
    changed = set(kinds) - {"equal"}
    if moved <= {"equal"}:
        return "the same"
    for kind, verdict in (
        ("cast", "cast"),
        ("pruned", "pruned"),
        ("quantised", "quantised"),
        ("permuted", "permuted"),
    ):
        if kind in kinds and changed <= {kind} | ({"cast"} if kind != "cast" else set()):
            return verdict
    if changed == {"rescaled"} and abs(sum(row.factor for row in rows)) < CANCELS:
        return "rescaled"
    if changed == {"low rank"}:
        return "a LoRA's merge"
    unrelated = kinds["unrelated"] / sum(kinds.values())
    if unrelated > 0.8:
        return "unrelated"
    return "mixed" if unrelated > 0.3 else "fine-tuned"
