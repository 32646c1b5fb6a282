"""Find the batch norms in a state_dict."""

from dataclasses import dataclass


class WiringError(ValueError):
    """The tensors cannot be arranged as layers; the message names them, for the visitor."""


class UnclearOrderError(WiringError):
    """Neither the file nor names and shapes tell the order of the layers."""


@dataclass(frozen=True)
class BatchNorm:
    """The tensor names of one batch norm; `weight` and `bias` are None if it is not affine."""

    stem: str
    mean: str
    variance: str
    weight: str | None
    bias: str | None

    @property
    def parent(self) -> str:
        """The module that the batch norm is in."""
        return self.stem.rpartition(".")[0]

    @property
    def names(self) -> list[str]:
        return [name for name in (self.mean, self.variance, self.weight, self.bias) if name is not None]


def find_batch_norms(vectors: list[str]) -> list[BatchNorm]:
    """Every group `<stem>.running_mean`, `.running_var`[, `.weight`, `.bias`] of vectors."""
    present, norms = set(vectors), []
    for name in vectors:
        if name.endswith("running_mean"):
            stem = name.removesuffix("running_mean")
            if stem + "running_var" not in present:
                raise WiringError(
                    f"Batch norm {name[:60]!r} has no {(stem + 'running_var')[:60]!r} beside it."
                )
            affine = [stem + part if stem + part in present else None for part in ("weight", "bias")]
            norms.append(BatchNorm(stem.rstrip("."), name, stem + "running_var", affine[0], affine[1]))
    return norms
