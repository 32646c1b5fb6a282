"""MLPs on coarse images: what descent makes of the first layer, at a fraction of the work.

An image that is constant on squares of `size` by `size` pixels has one number `x` per square. The first layer needs
only the sum of its weights over each square, and the gradient of every weight there is the same. With `size * x` as
input and that sum over `size` as weight the outputs are the same, and so is every step of gradient descent, momentum
included: the sum of a square moves by `size ** 2` times what each weight does, which is the product of the two factors.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from nfn.features import WeightSpaceFeatures


@dataclass(frozen=True)
class CoarseImages:
    """Images of `shape` `(c, H, W)`, averaged over squares of `size` pixels a side; all is left as it is at size 1."""

    shape: tuple[int, ...]
    size: int

    def average(self, pixels: Tensor) -> Tensor:
        """Images `(n, c, H, W)` uint8 as coarse ones `(n, c, H / size, W / size)` uint8."""
        return averaged(pixels, self.size)

    def scale(self, images: Tensor) -> Tensor:
        """Coarse images as the networks that `fold` gives are to see them."""
        return images * self.size if self.size > 1 else images

    def fold(self, network: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """MLPs `(N, 1, ...)` on images as MLPs on coarse ones."""
        if self.size == 1:
            return network
        first = self._pixels(network.weights[0], *self.shape[1:])
        summed = F.avg_pool2d(first, self.size) * self.size
        return _with_first(network, summed)

    def unfold(self, way: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """How far each weight went, from how far those of the folded network went."""
        if self.size == 1:
            return way
        first = self._pixels(way.weights[0], *(side // self.size for side in self.shape[1:]))
        spread = F.interpolate(first, scale_factor=self.size) / self.size
        return _with_first(way, spread)

    def _pixels(self, weight: Tensor, height: int, width: int) -> Tensor:
        """`(N, 1, out, c * H * W)` as `(N * out, c, H, W)`."""
        return weight.reshape(-1, self.shape[0], height, width)


def averaged(pixels: Tensor, size: int) -> Tensor:
    """Images `(n, c, H, W)` uint8 in `1 / size` of their width and height."""
    if size == 1:
        return pixels
    return F.avg_pool2d(pixels.float(), size).round().to(pixels.dtype)


def _with_first(network: WeightSpaceFeatures, first: Tensor) -> WeightSpaceFeatures:
    weight, *others = network.weights
    return WeightSpaceFeatures([first.reshape(*weight.shape[:3], -1), *others], network.biases)
