"""Maxima over windows are those of torch, to the bit and of any window, also where a pixel is no number."""

import random

import torch
import torch.nn.functional as F

from nfn.architecture.pooling import max_pool2d


def test_maxima_are_those_of_torch():
    draw, tried = random.Random(0), 0
    while tried < 300:
        kernel, stride, dilation = ((draw.randint(1, 4), draw.randint(1, most)) for most in (4, 4, 2))
        padding = (draw.randint(0, kernel[0] // 2), draw.randint(0, kernel[1] // 2))
        window = (kernel, stride, padding, dilation, draw.random() < 0.5)
        x = torch.randn(2, 2, draw.randint(4, 12), draw.randint(4, 12))
        x[0, 0, 0, 0] = torch.nan
        try:
            wanted = F.max_pool2d(x, *window)
        except RuntimeError:  # a picture smaller than the window
            continue
        torch.testing.assert_close(max_pool2d(x, *window), wanted, rtol=0, atol=0, equal_nan=True)
        tried += 1


def test_gradients_are_those_of_torch():
    """Where several pixels are largest, the first gets all of it."""
    x, y = (torch.zeros(1, 1, 4, 4, requires_grad=True) for _ in range(2))
    max_pool2d(x, (2, 2), (2, 2)).sum().backward()
    F.max_pool2d(y, 2).sum().backward()
    assert x.grad is not None and y.grad is not None and torch.equal(x.grad, y.grad)
