"""Weight spaces without tensors: which shapes a network has and which of its axes permute together."""

import itertools
import math
from dataclasses import dataclass

ANY = -1
"""A dimension that a layer need not know, because it only sums or broadcasts over it."""


@dataclass(frozen=True)
class ArraySpec:
    """The shape of one weight `(out, in[, kh, kw])` or one bias `(out,)`; `ANY` (-1) where it is left open."""

    shape: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))


@dataclass(frozen=True)
class NetworkSpec:
    """A feed-forward weight space (arXiv:2302.14040, section 2): layer `i` maps `n_i` units to `n_(i+1)`.

    The hidden neurons permute: the output axis of layer `i` moves together with its bias and with the
    input axis of layer `i + 1`. The inputs of the first layer and the outputs of the last stay in place.
    """

    weight_spec: tuple[ArraySpec, ...]
    bias_spec: tuple[ArraySpec, ...]

    def __post_init__(self):
        object.__setattr__(self, "weight_spec", tuple(self.weight_spec))
        object.__setattr__(self, "bias_spec", tuple(self.bias_spec))
        if not self.weight_spec:
            raise ValueError("A network needs at least one layer; got none.")
        if len(self.weight_spec) != len(self.bias_spec):
            raise ValueError(
                f"Got {len(self.weight_spec)} weights and {len(self.bias_spec)} biases: one each per layer."
            )
        for i, (weight, bias) in enumerate(zip(self.weight_spec, self.bias_spec, strict=True)):
            if len(weight.shape) not in (2, 4) or len(bias.shape) != 1:
                raise ValueError(
                    f"Layer {i}: wanted a weight (out, in) or (out, in, kh, kw) and a bias (out,), "
                    f"got {weight.shape} and {bias.shape}."
                )

    def __len__(self) -> int:
        return len(self.weight_spec)

    @classmethod
    def mlp(cls, *widths: int) -> "NetworkSpec":
        """The spec of a multilayer perceptron: `NetworkSpec.mlp(2, 32, 32, 1)` is our SIREN."""
        pairs = list(itertools.pairwise(widths))
        return cls(tuple(ArraySpec((n, m)) for m, n in pairs), tuple(ArraySpec((n,)) for _, n in pairs))

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """Entries per (out, in) pair in each layer: 1 for linear layers, `kh * kw` for convolutions."""
        return tuple(math.prod(weight.shape[2:]) for weight in self.weight_spec)

    def get_io(self) -> tuple[int, int]:
        """The number of inputs and of outputs of the network."""
        return self.weight_spec[0].shape[1], self.weight_spec[-1].shape[0]

    def get_num_params(self) -> int:
        """The number of weights and biases; every dimension must be known."""
        shapes = [spec.shape for spec in (*self.weight_spec, *self.bias_spec)]
        if any(ANY in shape for shape in shapes):
            raise ValueError(f"Cannot count parameters: some dimensions are open in {shapes}.")
        return sum(math.prod(shape) for shape in shapes)
