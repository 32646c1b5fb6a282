"""Vision transformers (ViT, arXiv:2010.11929) by the names of timm, transformers and torchvision; CLIP (2103.00020)."""

import math

from nfn.look.families import Architecture, Blocks, Part, Shape, Shapes, blocks, compared, parts

_TIMM_BLOCK = {
    f"{name}.{part}"
    for name in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    for part in ("weight", "bias")
}
_SCALED = {"ls1.gamma", "ls2.gamma"}
_HF_BLOCK = {
    f"{name}.{part}"
    for name in ("attention.attention.query", "attention.attention.key", "attention.attention.value",
                 "attention.output.dense", "intermediate.dense", "output.dense", "layernorm_before", "layernorm_after")
    for part in ("weight", "bias")
}  # fmt: skip
_TORCH_BLOCK = {
    "ln_1.weight", "ln_1.bias", "self_attention.in_proj_weight", "self_attention.in_proj_bias",
    "self_attention.out_proj.weight", "self_attention.out_proj.bias", "ln_2.weight", "ln_2.bias"}  # fmt: skip
_SIZES = {
    (12, 192): "Ti",
    (12, 384): "S",
    (12, 768): "B",
    (24, 1024): "L",
    (32, 1280): "H",
    (40, 1408): "g",
    (40, 1536): "g",
}


def find_vit(shapes: Shapes) -> Architecture | None:
    """A ViT of timm (also DeiT and DINOv2), transformers or torchvision."""
    return _find_timm(shapes) or _find_hf(shapes) or _find_torchvision(shapes)


def _find_timm(shapes: Shapes) -> Architecture | None:
    for part in parts(shapes, "patch_embed.proj.weight"):
        layers = blocks(part.shapes, r"blocks\.(\d+)\.(.+)")
        scaled = layers is not None and set(layers.block) == _TIMM_BLOCK | _SCALED
        if layers is None or not (scaled or set(layers.block) == _TIMM_BLOCK):
            continue
        width = layers.block["attn.proj.bias"][0]
        if layers.block["attn.qkv.weight"] == (3 * width, width):
            extra = " with layer scale (as DINOv2 has it)" if scaled else ""
            whose = "timm's VisionTransformer"
            head = part.shapes.get("head.weight")
            return _named(part, layers, width, "patch_embed.proj.weight", "pos_embed", head, whose, extra)
    return None


def _find_hf(shapes: Shapes) -> Architecture | None:
    for part in parts(shapes, "embeddings.patch_embeddings.projection.weight"):
        layers = blocks(part.shapes, r"encoder\.layer\.(\d+)\.(.+)")
        if layers is not None and set(layers.block) == _HF_BLOCK:
            patch, places = "embeddings.patch_embeddings.projection.weight", "embeddings.position_embeddings"
            width = layers.block["output.dense.bias"][0]
            return _named(
                part,
                layers,
                width,
                patch,
                places,
                part.beside.get("classifier.weight"),
                "transformers' ViT",
                "",
            )
    return None


def _find_torchvision(shapes: Shapes) -> Architecture | None:
    for part in parts(shapes, "conv_proj.weight"):
        layers = blocks(part.shapes, r"encoder\.layers\.encoder_layer_(\d+)\.(.+)")
        inside = {name for name in layers.block if not name.startswith("mlp.")} if layers else set()
        if layers is not None and inside == _TORCH_BLOCK:
            head = part.shapes.get("heads.head.weight")
            width = layers.block["ln_1.bias"][0]
            whose = "torchvision's VisionTransformer"
            return _named(part, layers, width, "conv_proj.weight", "encoder.pos_embedding", head, whose, "")
    return None


def _named(
    part: Part,
    layers: Blocks,
    width: int,
    patch: str,
    places: str,
    head: Shape | None,
    whose: str,
    extra: str,
) -> Architecture | None:
    kernel, positions = part.shapes[patch], part.shapes.get(places, ())
    if len(kernel) != 4 or kernel[0] != width or kernel[2] != kernel[3] or positions[-1:] != (width,):
        return None
    side = math.isqrt(positions[1])
    marks = positions[1] - side * side
    size = _SIZES.get((layers.count, width))
    name = f"ViT-{size}/{kernel[2]}" if size else f"ViT/{kernel[2]} ({layers.count} layers, {width} wide)"
    colours = {3: "RGB pictures", 1: "gray pictures"}.get(kernel[1], f"pictures of {kernel[1]} channels")
    inputs = f"{colours} of {side * kernel[2]} × {side * kernel[2]}" if marks in (0, 1, 2) else colours
    facts = (("layers", str(layers.count)), ("width", str(width)), ("patches", f"{kernel[2]} × {kernel[3]}"))
    classes = head[0] if head and len(head) == 2 else None
    return Architecture(f"{name}{extra}", compared(len(part.shapes), whose), facts, inputs, classes)


def find_clip(shapes: Shapes) -> Architecture | None:
    """CLIP of transformers: a text and a vision model, and their projections to one space."""
    if not {"text_projection.weight", "visual_projection.weight", "logit_scale"} <= set(shapes):
        return None
    patch = shapes.get("vision_model.embeddings.patch_embedding.weight", ())
    text = blocks(shapes, r"text_model\.encoder\.layers\.(\d+)\.(.+)")
    vision = blocks(shapes, r"vision_model\.encoder\.layers\.(\d+)\.(.+)")
    if text is None or vision is None or set(text.block) != set(vision.block) or len(patch) != 4:
        return None
    size = _SIZES.get((vision.count, patch[0]), "")
    facts = (("text", f"{text.count} layers"), ("vision", f"{vision.count} layers, {patch[0]} wide"),
             ("shared space", str(shapes["text_projection.weight"][0])))  # fmt: skip
    name = f"CLIP ViT-{size}/{patch[2]}" if size else "CLIP"
    return Architecture(
        name, compared(len(shapes), "transformers' CLIPModel"), facts, "RGB pictures and tokens"
    )
