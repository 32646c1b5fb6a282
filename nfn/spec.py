"""`NetworkSpec`: the shapes of a feed-forward network's weights and biases, without tensors."""

import itertools
import math
from dataclasses import dataclass

ANY = -1
"""A dimension of unknown size: allowed where a layer only sums or broadcasts over it."""


@dataclass(frozen=True)
class ArraySpec:
    """The shape of one weight `(out, in[, kh, kw])` or one bias `(out,)`; `ANY` (-1) for unknown sizes."""

    shape: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))


@dataclass(frozen=True)
class NetworkSpec:
    """A feed-forward weight space (arXiv:2302.14040, section 2): layer `i` maps `n_i` units to `n_(i+1)`.

    The hidden neurons permute: the output axis of layer `i` moves together with its bias and with the
    input axis of layer `i + 1`. The inputs of the first layer and the outputs of the last stay in place.

        >>> spec = NetworkSpec.mlp(2, 32, 32, 1)
        >>> len(spec), spec.get_io(), spec.get_num_params()
        (3, (2, 1), 1185)
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
                    f"Layer {i}: expected a weight (out, in) or (out, in, kh, kw) and a bias (out,), "
                    f"got {weight.shape} and {bias.shape}."
                )

    def __len__(self) -> int:
        return len(self.weight_spec)

    @classmethod
    def mlp(cls, *widths: int) -> "NetworkSpec":
        """The spec of a multilayer perceptron, from its layer widths, inputs first."""
        pairs = list(itertools.pairwise(widths))
        return cls(tuple(ArraySpec((n, m)) for m, n in pairs), tuple(ArraySpec((n,)) for _, n in pairs))

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """Entries per (out, in) pair of each layer: 1 for linear layers, `kh * kw` for convolutions."""
        return tuple(math.prod(weight.shape[2:]) for weight in self.weight_spec)

    def get_io(self) -> tuple[int, int]:
        """The numbers of inputs and outputs of the network."""
        return self.weight_spec[0].shape[1], self.weight_spec[-1].shape[0]

    def get_num_params(self) -> int:
        """The number of weights and biases; ValueError if a dimension is unknown (`ANY`)."""
        shapes = [spec.shape for spec in (*self.weight_spec, *self.bias_spec)]
        if any(ANY in shape for shape in shapes):
            raise ValueError(f"Cannot count parameters: some dimensions are unknown (-1) in {shapes}.")
        return sum(math.prod(shape) for shape in shapes)
