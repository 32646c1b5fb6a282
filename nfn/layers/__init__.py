"""NF-layers: modules from `WeightSpaceFeatures` to `WeightSpaceFeatures`, or to a tensor.

Names and constructor arguments are those of the published `nfn` 0.1.2, the reference code of
arXiv:2302.14040. Message-passing layers, which it lacks, are in `nfn.layers.messages`.
"""

from nfn.layers.attention import ChannelLinear, NPAttention
from nfn.layers.cross_attention import CrossAttnDecoder, CrossAttnEncoder
from nfn.layers.encoding import GaussianFourierFeatureTransform, IOSinusoidalEncoding, LearnedPosEmbedding
from nfn.layers.flatten import FlattenWeights, UnflattenWeights
from nfn.layers.linear_hnp import HNPLinear
from nfn.layers.linear_np import NPLinear
from nfn.layers.misc import LearnedScale, ResBlock, TupleOp
from nfn.layers.norm import ChannelDropout, ChannelLayerNorm, ParamLayerNorm, SimpleLayerNorm
from nfn.layers.pointwise import Pointwise
from nfn.layers.pool import HNPPool, NPPool
from nfn.layers.statistics import StatFeaturizer

__all__ = [
    "ChannelDropout",
    "ChannelLayerNorm",
    "ChannelLinear",
    "CrossAttnDecoder",
    "CrossAttnEncoder",
    "FlattenWeights",
    "GaussianFourierFeatureTransform",
    "HNPLinear",
    "HNPPool",
    "IOSinusoidalEncoding",
    "LearnedPosEmbedding",
    "LearnedScale",
    "NPAttention",
    "NPLinear",
    "NPPool",
    "ParamLayerNorm",
    "Pointwise",
    "ResBlock",
    "SimpleLayerNorm",
    "StatFeaturizer",
    "TupleOp",
    "UnflattenWeights",
]
