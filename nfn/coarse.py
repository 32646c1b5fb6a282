"""MLPs on downsampled images: the same training as on block-constant images, with a smaller first layer.

An image that is constant on blocks of `size` by `size` pixels has one value `x` per block. The first layer needs
only the sum of its weights over each block, and the gradient of every weight of a block is the same. With `size * x`
as input and the block sum divided by `size` as weight, the outputs are the same, and so is every step of gradient
descent, momentum included: a block sum changes by `size ** 2` times the change of each weight, which is the product
of the two factors.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from nfn.features import WeightSpaceFeatures


@dataclass(frozen=True)
class CoarseImages:
    """Images of `shape` `(c, H, W)`, averaged over blocks of `size` by `size` pixels; size 1 changes nothing."""

    shape: tuple[int, ...]
    size: int

    def average(self, pixels: Tensor) -> Tensor:
        """Images `(n, c, H, W)` uint8 to coarse ones `(n, c, H / size, W / size)` uint8."""
        return average_blocks(pixels, self.size)

    def scale(self, images: Tensor) -> Tensor:
        """Coarse images as the inputs of a network that `fold` returned."""
        return images * self.size if self.size > 1 else images

    def fold(self, network: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """MLPs `(N, 1, ...)` on full-size images to MLPs on coarse ones."""
        if self.size == 1:
            return network
        first = self._pixels(network.weights[0], *self.shape[1:])
        summed = F.avg_pool2d(first, self.size) * self.size
        return _with_first(network, summed)

    def unfold(self, delta: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """The weight change of the folded network to that of the full-size one."""
        if self.size == 1:
            return delta
        first = self._pixels(delta.weights[0], *(side // self.size for side in self.shape[1:]))
        spread = F.interpolate(first, scale_factor=self.size) / self.size
        return _with_first(delta, spread)

    def _pixels(self, weight: Tensor, height: int, width: int) -> Tensor:
        """`(N, 1, out, c * H * W)` to `(N * out, c, H, W)`."""
        return weight.reshape(-1, self.shape[0], height, width)


def average_blocks(pixels: Tensor, size: int) -> Tensor:
    """Downsample images `(n, c, H, W)` uint8 by averaging blocks of `size` by `size` pixels."""
    if size == 1:
        return pixels
    return F.avg_pool2d(pixels.float(), size).round().to(pixels.dtype)


def _with_first(network: WeightSpaceFeatures, first: Tensor) -> WeightSpaceFeatures:
    weight, *others = network.weights
    return WeightSpaceFeatures([first.reshape(*weight.shape[:3], -1), *others], network.biases)
