"""Gaussian process regression (Rasmussen and Williams 2006, algorithm 2.1) on grouped examples."""

import math

import torch
from torch import Tensor, nn

SCALES = ("length", "smooth", "smooth_own", "linear", "linear_own", "level", "run", "noise")
JITTER = 1e-6
ROUGHEST = 2.0


class GaussianProcess(nn.Module):
    """A function of `d` features, partly shared by all groups and partly specific to each group.

    k(x, x') = (s^2 + s_own^2 [same group]) exp(-|x - x'|^2 / 2 length^2)
             + (l^2 + l_own^2 [same group]) x.x' / d + level^2 (1 / 3 + [same group]),
    plus, for the examples, noise r(x)^2 noise^2 each, r(x) r(x') run^2 between those of one training run, and the
    known measurement variance, where r(x) = exp(roughness . x) makes the noise input-dependent. The predicted
    standard deviation grows with the distance from all examples. `scales` are logarithms.
    """

    inputs: Tensor
    targets: Tensor
    group: Tensor
    run: Tensor
    known: Tensor
    center: Tensor
    spread: Tensor

    def __init__(self, examples: int, features: int):
        super().__init__()
        for name, shape in (("inputs", (examples, features)), ("targets", (examples,)), ("known", (examples,)),
                            ("center", (features,)), ("spread", (features,))):  # fmt: skip
            self.register_buffer(name, torch.ones(shape))
        for name in ("group", "run"):
            self.register_buffer(name, torch.zeros(examples, dtype=torch.int32))
        start = (1.5 * features**0.5, 0.05, 0.02, 0.05, 0.02, 0.05, 0.01, 0.01)
        self.scales = nn.Parameter(torch.tensor([math.log(scale) for scale in start]))
        self.roughness = nn.Parameter(torch.zeros(features))
        self._solved: tuple[Tensor, Tensor] | None = None

    def set_examples(
        self, inputs: Tensor, targets: Tensor, group: Tensor, run: Tensor, known: Tensor
    ) -> None:
        """Set the training examples; features `(n, d)` are standardized by their mean and standard deviation.

        `known` is the variance of each target that comes from measuring it on few images.
        """
        self.center.copy_(inputs.mean(0))
        self.spread.copy_(inputs.std(0) + 1e-3)
        self.inputs.copy_(inputs)
        self.targets.copy_(targets)
        self.group.copy_(group)
        self.run.copy_(run)
        self.known.copy_(known)
        self.forget()

    def forget(self) -> None:
        """Drop the cached solution, after a change of the scales."""
        self._solved = None

    def forward(self, inputs: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `(m,)`, float64, at features `(m, d)` in these groups.

        They are those of a new training run, without measurement noise.
        """
        all_examples = torch.ones(len(self.targets), dtype=torch.bool)
        return self.predict_from(all_examples, inputs, group)

    @torch.no_grad()
    def predict_from(self, examples: Tensor, inputs: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, from a subset of the examples (a mask); the solution for all examples is cached."""
        if self._solved is None or not bool(examples.all()):
            solved = self._solve(examples)
            self._solved = solved if bool(examples.all()) else self._solved
        else:
            solved = self._solved
        factor, weights = solved
        x = self.standardize(inputs)
        across = self._kernel(x, group, self.standardize(self.inputs[examples]), self.group[examples])
        explained = torch.linalg.solve_triangular(factor, across.T, upper=False).square().sum(0)
        scale = self._scale()
        own = self._prior(x) + self._rough(x).square() * (scale["run"] ** 2 + scale["noise"] ** 2)
        return across @ weights, (own - explained).clamp_min(JITTER).sqrt()

    def loss(self) -> Tensor:
        """The negative log marginal likelihood of all targets, up to a constant."""
        factor, weights = self._solve(torch.ones(len(self.targets), dtype=torch.bool))
        return 0.5 * self.targets.double() @ weights + factor.diagonal().log().sum()

    def standardize(self, inputs: Tensor) -> Tensor:
        """Features standardized by the examples' mean and standard deviation, clamped to [-5, 5]."""
        return ((inputs.double() - self.center.double()) / self.spread.double()).clamp(-5, 5)

    def _scale(self) -> dict[str, Tensor]:
        return dict(zip(SCALES, self.scales.double().exp(), strict=True))

    def _rough(self, x: Tensor) -> Tensor:
        return (x @ self.roughness.double()).clamp(-ROUGHEST, ROUGHEST).exp()

    def _solve(self, examples: Tensor) -> tuple[Tensor, Tensor]:
        """The Cholesky factor of the examples' covariance, and the covariance's inverse times the targets."""
        x, group, run = self.standardize(self.inputs[examples]), self.group[examples], self.run[examples]
        scale = self._scale()
        rough = self._rough(x)
        noise = (rough * scale["noise"]).square() + self.known[examples].double() + JITTER
        same_run = (run[:, None] == run) * rough[:, None] * rough
        covariance = self._kernel(x, group, x, group) + scale["run"] ** 2 * same_run + noise.diag()
        factor = torch.linalg.cholesky(covariance)
        return factor, torch.cholesky_solve(self.targets[examples].double()[:, None], factor)[:, 0]

    def _kernel(self, x: Tensor, group: Tensor, y: Tensor, other: Tensor) -> Tensor:
        scale, same = self._scale(), (group[:, None] == other).double()
        near = (-0.5 * (torch.cdist(x, y) / scale["length"]).square()).exp()
        smooth = (scale["smooth"] ** 2 + scale["smooth_own"] ** 2 * same) * near
        linear = (scale["linear"] ** 2 + scale["linear_own"] ** 2 * same) * (x @ y.T) / x.shape[1]
        return smooth + linear + scale["level"] ** 2 * (1 / 3 + same)

    def _prior(self, x: Tensor) -> Tensor:
        """The kernel of each input with itself."""
        scale = self._scale()
        linear = (scale["linear"] ** 2 + scale["linear_own"] ** 2) * x.square().mean(1)
        return scale["smooth"] ** 2 + scale["smooth_own"] ** 2 + linear + scale["level"] ** 2 * 4 / 3
