"""Maximum pooling without gradients: torch's own notes where each maximum was, which takes ten times as long."""

import math
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]


def max_pool2d(
    x: Tensor, kernel: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1), ceil: bool = False
) -> Tensor:
    """`F.max_pool2d` of pictures `(n, c, h, w)`, to the bit; its gradient is torch's own."""
    if x.requires_grad:
        return F.max_pool2d(x, kernel, stride, padding, dilation, ceil)
    for axis in (2, 3):
        k, s, p, d = (pair[axis - 2] for pair in (kernel, stride, padding, dilation))
        x = _max_along(x, axis, d * (k - 1) + 1, s, p, d, ceil)
    return x


def _max_along(
    x: Tensor, axis: int, span: int, stride: int, padding: int, dilation: int, ceil: bool
) -> Tensor:
    size = x.shape[axis] + padding
    room = size + padding - span
    places = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (places - 1) * stride >= size:  # torch: the last window starts inside the picture
        places -= 1
    behind = max(padding, (places - 1) * stride + span - size)
    if padding or behind:
        sides = (padding, behind) if axis == 3 else (0, 0, padding, behind)
        x = F.pad(x, sides, value=-math.inf)
    windows = x.unfold(axis, span, stride).narrow(axis, 0, places)
    return reduce(torch.maximum, windows[..., ::dilation].unbind(-1))
