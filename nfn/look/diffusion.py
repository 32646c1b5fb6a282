"""U-Nets: those of diffusion models (diffusers, and CompVis's latent diffusion, arXiv:2112.10752), and Ronneberger's
(1505.04597) as milesial/Pytorch-UNet names it."""

import re

from nfn.look.families import Architecture, Shapes, compared, parts, without_counters

_STABLE = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
"""Stable Diffusion versions, by the width of the text embedding."""
_ATTENDED = "down_blocks.{}.attentions.{}.transformer_blocks.0.attn2.to_k.weight"


def find_diffusers_unet(shapes: Shapes) -> Architecture | None:
    """`UNet2DConditionModel` or `UNet2DModel` of diffusers."""
    for part in parts(shapes, "down_blocks.0.resnets.0.conv1.weight"):
        stem, end = part.shapes.get("conv_in.weight", ()), part.shapes.get("conv_out.weight", ())
        needed = (
            "mid_block.resnets.0.conv1.weight",
            "up_blocks.0.resnets.0.conv1.weight",
            "time_embedding.linear_1.weight",
        )
        if len(stem) != 4 or len(end) != 4 or any(name not in part.shapes for name in needed):
            continue
        widths = {
            part.shapes[_ATTENDED.format(i, 0)][1] for i in range(8) if _ATTENDED.format(i, 0) in part.shapes
        }
        levels = sum(f"down_blocks.{i}.resnets.0.conv1.weight" in part.shapes for i in range(16))
        facts = (
            ("levels", str(levels)),
            ("first width", str(stem[0])),
            ("channels", f"{stem[1]} in, {end[0]} out"),
        )
        read = next(iter(widths)) if len(widths) == 1 else 0
        version = f" ({_STABLE[read]}'s shape)" if read in _STABLE and stem[0] == 320 else ""
        facts += (("reads text of width", str(read)),) if read else ()
        evidence = "The blocks, the stem and the time embedding are named as in diffusers' U-Net."
        inputs = f"noisy pictures or latents of {stem[1]} channels, and a time"
        return Architecture(f"U-Net of a diffusion model{version}", evidence, facts, inputs)
    return None


def find_latent_diffusion(shapes: Shapes) -> Architecture | None:
    """A full checkpoint of CompVis's code: U-Net, autoencoder and text encoder in one file."""
    stem = shapes.get("model.diffusion_model.input_blocks.0.0.weight", ())
    places = [
        f"model.diffusion_model.input_blocks.{i}.1.transformer_blocks.0.attn2.to_k.weight" for i in (1, 4)
    ]
    key = next((shapes[name] for name in places if name in shapes), ())
    if len(stem) != 4 or len(key) != 2 or not any(name.startswith("first_stage_model.") for name in shapes):
        return None
    name = _STABLE.get(key[1]) if stem[0] == 320 else None
    kind = {9: " for inpainting", 8: " with a picture as input"}.get(stem[1], "")
    facts = (("channels of latents", str(stem[1])), ("reads text of width", str(key[1])))
    evidence = "U-Net and autoencoder are named as in CompVis's latent diffusion."
    return Architecture(
        f"{name or 'Latent diffusion model'}{kind}, whole checkpoint", evidence, facts, "text"
    )


def find_unet(shapes: Shapes) -> Architecture | None:
    """milesial/Pytorch-UNet, for segmentation, with upsampling by interpolation or by transposed convolutions."""
    for part in parts(without_counters(shapes), "inc.double_conv.0.weight"):
        stem, end = part.shapes["inc.double_conv.0.weight"], part.shapes.get("outc.conv.weight", ())
        if part.beside or len(stem) != 4 or len(end) != 4:
            continue
        biases = {
            name for name in part.shapes if re.search(r"double_conv\.[03]\.bias$", name)
        }  # of older versions
        named = {name: shape for name, shape in part.shapes.items() if name not in biases}
        fits = all(part.shapes[name] == named.get(name[:-4] + "weight", ())[:1] for name in biases)
        if fits and any(named == _unet(stem[1], end[0], stem[0], how) for how in (True, False)):
            facts = (("levels", "5"), ("first width", str(stem[0])))
            colours = {3: "RGB pictures", 1: "gray pictures"}.get(stem[1], f"pictures of {stem[1]} channels")
            return Architecture("U-Net", compared(len(part.shapes), "Pytorch-UNet"), facts, colours, end[0])
    return None


def _unet(channels: int, classes: int, width: int, bilinear: bool) -> Shapes:
    """The tensors of Pytorch-UNet; `bilinear` halves the widths from the bottom up."""
    out = _double("inc", channels, width, width)
    halved = 2 if bilinear else 1
    for i in range(1, 5):
        down, up = width << i, width << (4 - i)
        below = down // (halved if i == 4 else 1)
        out |= _double(f"down{i}.maxpool_conv.1", down // 2, below, below)
        above = up // (halved if i < 4 else 1)
        out |= _double(f"up{i}.conv", 2 * up, up if bilinear else above, above)
        if not bilinear:
            out |= {f"up{i}.up.weight": (2 * up, up, 2, 2), f"up{i}.up.bias": (up,)}
    return out | {"outc.conv.weight": (classes, width, 1, 1), "outc.conv.bias": (classes,)}


def _double(name: str, into: int, middle: int, to: int) -> dict[str, tuple[int, ...]]:
    out: dict[str, tuple[int, ...]] = {}
    for place, takes, gives in ((0, into, middle), (3, middle, to)):
        out[f"{name}.double_conv.{place}.weight"] = (gives, takes, 3, 3)
        norm = ("weight", "bias", "running_mean", "running_var")
        out |= {f"{name}.double_conv.{place + 1}.{end}": (gives,) for end in norm}
    return out
