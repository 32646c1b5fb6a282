"""The paper's winning-ticket model: a conditional VAE of NP layers (arXiv:2302.14040, section 3.3)."""

import itertools

import torch
from torch import Tensor, nn

from nfn.features import WeightSpaceFeatures
from nfn.flat import flat_rows
from nfn.layers import NPLinear, SimpleLayerNorm, TupleOp
from nfn.spec import NetworkSpec
from nfn.tickets import TicketConfig, TicketPredictor, open_spec

LATENT = 5
KL_WEIGHT = 0.1
"""Weight of the KL divergence in the loss; the paper does not state its own."""


class TicketVae(TicketPredictor):
    """A conditional VAE that scores weights; prediction uses the prior's mean, 0.

    The encoder maps input channels and a mask to a normal distribution of 5 latent channels per weight, the decoder
    input channels and a sample of these to a logit per weight.
    """

    name = "winning-tickets-vae"

    def __init__(self, config: TicketConfig):
        super().__init__(config)
        spec = open_spec(config.shapes)
        self.encoder = _stack(spec, [config.inputs + 1, *[config.channels] * (config.depth - 1), 2 * LATENT])
        self.nfn = _stack(spec, [config.inputs + LATENT, *[config.channels] * (config.depth - 1), 1])

    def forward(self, inputs: WeightSpaceFeatures) -> list[Tensor]:
        """The channels of `input_channels` to one logit per weight, at the prior's mean."""
        return self._decode(
            inputs, inputs.map(lambda x: torch.zeros_like(x[:, :1]).expand(-1, LATENT, *x.shape[2:]))
        )

    def _decode(self, inputs: WeightSpaceFeatures, latent: WeightSpaceFeatures) -> list[Tensor]:
        return [x + self.offset for x in self.nfn(WeightSpaceFeatures.cat([inputs, latent], 1)).weights]

    def loss(self, inputs: WeightSpaceFeatures, masks: list[Tensor], generator: torch.Generator) -> Tensor:
        """The negative evidence lower bound per weight, its KL term times `KL_WEIGHT`."""
        mask_channel = WeightSpaceFeatures([m.to(inputs.weights[0]) - 0.5 for m in masks],
                                           [torch.zeros_like(b[:, :1]) for b in inputs.biases])  # fmt: skip
        posterior = self.encoder(WeightSpaceFeatures.cat([inputs, mask_channel], 1))
        latent = posterior.map(lambda x: _sample(x, generator))
        error = self.mask_error(self._decode(inputs, latent), masks)
        divergence = flat_rows([_kl_divergence(x) for x in posterior.weights]).mean()
        return error + KL_WEIGHT * divergence


def _stack(spec: NetworkSpec, widths: list[int]) -> nn.Sequential:
    """NP layers with layer norm and ReLU between them."""
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(widths[:-1]):
        parts += [NPLinear(spec, before, after), SimpleLayerNorm(spec, after), TupleOp(nn.ReLU())]
    return nn.Sequential(*parts, NPLinear(spec, widths[-2], widths[-1]))


def _sample(posterior: Tensor, generator: torch.Generator) -> Tensor:
    """A sample of the normal distribution whose mean and log variance are the channels."""
    mean, log_variance = posterior.chunk(2, 1)
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    return mean + noise * (0.5 * log_variance.clamp(-10, 10)).exp()


def _kl_divergence(posterior: Tensor) -> Tensor:
    """KL divergence from the standard normal distribution, summed over the latent channels: `(N, 1, ...)`."""
    mean, log_variance = posterior.chunk(2, 1)
    log_variance = log_variance.clamp(-10, 10)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1, keepdim=True)
