"""The two matrix products that dominate the cost of layers, by the fastest available kernel.

On CPUs oneDNN's float32 convolutions are up to three times as fast as the BLAS behind `torch.mm`, and a 1x1
convolution of channels-last tensors is a matrix product. Other devices and dtypes use `torch.mm` and the like.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight


def _by_convolution(x: Tensor, out_width: int) -> bool:
    """Whether oneDNN supports `x` (..., D) and is faster: for small products the call overhead dominates."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and x.is_contiguous()
        and min(x.shape[-1], out_width) >= 32
        and x.shape[0] * x.shape[1] >= 16
        and x.numel() >= 2**15
    )


def _as_images(x: Tensor) -> Tensor:
    """`(B, ..., D)` to `(B, D, m, 1)`, a channels-last view; few large images are faster than many small ones."""
    return x.reshape(x.shape[0], -1, 1, x.shape[-1]).permute(0, 3, 1, 2)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight.T` of `x` (..., D) and `weight` (E, D): a new tensor (..., E)."""
    if x.dim() > 2 and _by_convolution(x, weight.shape[0]):
        return F.conv2d(_as_images(x), weight[..., None, None]).permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)
    return F.linear(x, weight)


def product_plus(x: Tensor, weight: Tensor, terms: Sequence[Tensor]) -> Tensor:
    """`product(x, weight)` of `x` (B, n, m, ..., D), plus terms that broadcast to it."""
    if not terms or _by_convolution(x, weight.shape[0]):
        out = product(x, weight)
        for term in terms:
            out.add_(term)
        return out
    # Not a sum of the terms: its memory layout would follow its operands, and the views below need this one.
    out = terms[0].expand(*x.shape[:-1], -1).contiguous()
    for term in terms[1:]:
        out.add_(term)
    if x.is_contiguous():
        out.view(-1, out.shape[-1]).addmm_(x.flatten(0, -2), weight.t())
    else:
        # Channels first in memory: BLAS reads each network transposed, without a copy.
        out.view(len(x), -1, out.shape[-1]).baddbmm_(x.flatten(1, -2), weight.t().expand(len(x), -1, -1))
    return out


def outer(grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of `product(x, weight)` by `weight`: the summed outer products of (..., E) and (..., D), (E, D)."""
    if x.dim() == 2:
        return grad.t() @ x
    width = grad.shape[-1]
    if not torch.is_grad_enabled() and _by_convolution(x, width) and grad.is_contiguous():
        shape = (width, x.shape[-1], 1, 1)
        return conv2d_weight(_as_images(x), shape, _as_images(grad))[..., 0, 0]
    if grad.is_contiguous() and x.is_contiguous():
        return grad.flatten(0, -2).t() @ x.flatten(0, -2)
    return torch.bmm(grad.flatten(1, -2).transpose(1, 2), x.flatten(1, -2)).sum(0)
