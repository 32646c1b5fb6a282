"""`recognise`: name a checkpoint's architecture, trying one family after the other."""

from collections.abc import Callable

from nfn.look.adapters import find_lora
from nfn.look.diffusion import find_diffusers_unet, find_latent_diffusion, find_unet
from nfn.look.families import Architecture, Shapes
from nfn.look.resnet import find_resnet
from nfn.look.small import find_mlp, find_recurrent, find_siren
from nfn.look.transformers import find_bert, find_distilbert, find_gpt2, find_llama, find_mixtral, find_t5
from nfn.look.vgg import find_alexnet, find_lenet, find_vgg
from nfn.look.vision_transformers import find_clip, find_vit

FAMILIES: tuple[Callable[[Shapes], Architecture | None], ...] = (
    find_lora,
    find_latent_diffusion,
    find_clip,
    find_resnet,
    find_vgg,
    find_alexnet,
    find_lenet,
    find_vit,
    find_bert,
    find_distilbert,
    find_gpt2,
    find_llama,
    find_mixtral,
    find_t5,
    find_diffusers_unet,
    find_unet,
    find_recurrent,
    find_siren,
    find_mlp,
)
"""Fingerprints: functions from names and shapes to an `Architecture`, or None if anything differs. Add new ones."""


def recognise(shapes: Shapes) -> Architecture | None:
    """The architecture whose names and shapes these are; None rather than a guess.

    Example: `recognise(torchvision_state_dict_shapes).name` is "ResNet-50".
    """
    return next((architecture for find in FAMILIES if (architecture := _ask(find, shapes)) is not None), None)


def _ask(find: Callable[[Shapes], Architecture | None], shapes: Shapes) -> Architecture | None:
    try:
        return find(shapes)
    except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError):
        return None  # a tensor of another rank than the architecture's, or one that is not there
