"""A finding: what was seen in which tensors, what that means, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["broken", "warning", "note"]
"""`broken`: the network cannot work. `warning`: something is likely wrong. `note`: worth knowing, and may be meant."""


@dataclass(frozen=True)
class Finding:
    """`kind` is one of `KINDS`; `tensors` are all that it is about, `seen` the evidence in numbers."""

    kind: str
    severity: Severity
    tensors: tuple[str, ...]
    seen: str

    @property
    def means(self) -> str:
        """What it means, in a sentence."""
        return KINDS[self.kind][0]

    @property
    def advice(self) -> str:
        """What to do, in a sentence."""
        return KINDS[self.kind][1]


KINDS: dict[str, tuple[str, str]] = {
    "damaged": (
        "The file itself is not whole: it was cut, padded or changed on its way.",
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
        "All values of a weight are the same, so that its units all compute the same.",
        "Initialize it at random; units that start equal stay equal.",
    ),
    "dead units": (
        "Units whose incoming weights are all zero give the same whatever the input.",
        "They may be pruned, or dead by too high a rate: they can be removed without any change.",
    ),
    "duplicate units": (
        "Units with exactly the same incoming weights compute the same.",
        "They were copied or never told apart: one of each can stand for all.",
    ),
    "beyond float16": (
        "Values beyond 65,504 become infinite in float16.",
        "Keep float32 or bfloat16, or rescale the layer before a conversion.",
    ),
    "lost in float16": (
        "Values below 0.00000003 become zero in float16.",
        "Keep float32 or bfloat16 for these tensors, or rescale them before a conversion.",
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
        "A norm may make up for it; without one, rescale neighbouring layers against each other.",
    ),
}
"""By kind, what it means and what to do."""
