"""Describe a checkpoint: `look` returns its tree of layers, and the name of its architecture if that is certain.

`recognise` asks one family after the other (`resnet`, `vgg`, `transformers`, `vision_transformers`, `diffusion`,
`adapters`, `small`); each compares names and shapes with what that architecture's own code writes, and says nothing
where any of them differs.
"""

from nfn.look.families import Architecture
from nfn.look.look import Look, look
from nfn.look.recognise import recognise
from nfn.look.tree import Node

__all__ = ["Architecture", "Look", "Node", "look", "recognise"]
