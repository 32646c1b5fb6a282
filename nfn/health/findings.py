"""`Finding`: a problem, the tensors that have it, its meaning and remedy."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["broken", "warning", "note"]
"""`broken`: the network cannot work. `warning`: something is likely wrong. `note`: possibly intended."""


@dataclass(frozen=True)
class Finding:
    """`kind` is one of `KINDS`; `tensors` are the affected ones, `seen` is the evidence in numbers."""

    kind: str
    severity: Severity
    tensors: tuple[str, ...]
    seen: str

    @property
    def means(self) -> str:
        """Its meaning, as a sentence."""
        return KINDS[self.kind][0]

    @property
    def advice(self) -> str:
        """Its remedy, as a sentence."""
        return KINDS[self.kind][1]


KINDS: dict[str, tuple[str, str]] = {
    "damaged": (
        "The file is incomplete or altered: it was truncated, padded or changed in transit.",
        "Download or save it again, and compare its checksum with the one that its source names.",
    ),
    "not finite": (
        "One NaN or infinity makes every output that it reaches NaN.",
        "The training has most likely diverged: go back to a checkpoint from before, with a lower learning rate, "
        "clipped gradients, or bfloat16 in place of float16.",
    ),
    "all zero": (
        "A weight of zeros passes nothing on.",
        "Was it saved before it was filled, or pruned away? The B of a LoRA is zero until it is trained.",
    ),
    "constant": (
        "All values of a weight are equal, so all its units compute the same.",
        "Initialize it at random; units that start equal stay equal.",
    ),
    "dead units": (
        "Units with only zero incoming weights give the same output for every input.",
        "They were pruned, or died from too high a learning rate. They can be removed.",
    ),
    "duplicate units": (
        "Units with exactly the same incoming weights compute the same.",
        "They were copied, or started equal and stayed equal. Equal units can be merged into one.",
    ),
    "beyond float16": (
        "Values beyond 65,504 become infinite in float16.",
        "Keep float32 or bfloat16, or rescale the layer before converting.",
    ),
    "lost in float16": (
        "Values below 0.00000003 become zero in float16.",
        "Keep float32 or bfloat16 for these tensors, or rescale them before converting.",
    ),
    "still at its initialization": (
        "The values are distributed exactly as a usual initialization draws them, and not as training leaves them.",
        "Was it frozen, left out of the optimizer, or is this the file of an untrained network?",
    ),
    "untrained statistics": (
        "Batch norm has never seen a batch: its means are all 0 and its variances all 1.",
        "Run some batches through the network in training mode before it is saved.",
    ),
    "scale imbalance": (
        "Layers differ so much in scale that signals vanish or grow between them, which low precision cannot hold.",
        "A normalization layer may compensate for this; without one, rescale neighbouring layers.",
    ),
}
"""Kind to meaning and remedy."""
