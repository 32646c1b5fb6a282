"""The two matrix products that dominate the cost of layers, by the fastest available kernel.

On CPUs with AVX-512, oneDNN's float32 convolutions are up to three times as fast as the BLAS behind `torch.mm`, and a
1x1 convolution of channels-last tensors is a matrix product. Other devices and dtypes use `torch.mm` and the like.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

AVX512 = "AVX512" in torch.backends.cpu.get_cpu_capability()


def _by_convolution(x: Tensor, out_width: int) -> bool:
    """Whether oneDNN supports `x` (..., D) and is faster: for small products the call overhead dominates."""
    return (
        AVX512
        and x.device.type == "cpu"
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


def _empty(x: Tensor, *shape: int) -> Tensor:
    """An uninitialized tensor like `x`: on CPUs NumPy's, which asks Linux for pages of 2 MiB if it is large."""
    if x.device.type == "cpu" and x.dtype == torch.float32 and type(x) is Tensor:
        return torch.from_numpy(np.empty(shape, np.float32))
    return x.new_empty(shape)


def _sum_into(out: Tensor, terms: Sequence[Tensor]) -> None:
    """Write the sum of terms that broadcast to `out`, two in one pass where nothing has to be differentiable."""
    if len(terms) > 1 and not torch.is_grad_enabled():
        torch.add(terms[0].expand_as(out), terms[1], out=out)
        rest = terms[2:]
    else:
        out.copy_(terms[0])
        rest = terms[1:]
    for term in rest:
        out.add_(term)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight.T` of `x` (..., D) and `weight` (E, D): a new tensor (..., E)."""
    if x.dim() > 2 and _by_convolution(x, weight.shape[0]):
        return F.conv2d(_as_images(x), weight[..., None, None]).permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)
    return F.linear(x, weight)


def product_plus(x: Tensor, weight: Tensor, terms: Sequence[Tensor], channels_first: bool = False) -> Tensor:
    """`product(x, weight)` of `x` (B, n, m, ..., D), plus terms that broadcast to it: a new tensor (B, n, m, ..., E),
    in memory with channels last, or first."""
    shape, width = x.shape[:-1], len(weight)
    out = _empty(x, len(x), width, *shape[1:]).movedim(1, -1) if channels_first else _empty(x, *shape, width)
    if _by_convolution(x, width):
        _sum_into(out, [product(x, weight), *terms])
        return out
    if terms:
        _sum_into(out, terms)
    start = 1 if terms else 0
    if x.is_contiguous() and not channels_first:
        out.view(math.prod(shape), width).addmm_(x.flatten(0, -2), weight.t(), beta=start)
    else:
        # Channels first in memory: BLAS reads or writes each network transposed, without a copy.
        each = out.view(len(x), math.prod(shape[1:]), width)
        each.baddbmm_(x.flatten(1, -2), weight.t().expand(len(x), -1, -1), beta=start)
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
