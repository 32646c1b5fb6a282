"""Names and shapes of published architectures, written by hand from their own code; nothing of ours is used.

`FAMILIES` maps what a person would call a checkpoint to its tensors. Each is written by `write_sparse` as a safetensors
file whose zeros take no disk.
"""

import json
import struct
from math import prod
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]


def write_sparse(
    path: Path, shapes: Shapes, dtype: str = "F32", metadata: dict[str, str] | None = None
) -> Path:
    """A safetensors file of zeros that takes the disk of its header alone."""
    size = {"F32": 4, "F16": 2, "BF16": 2}[dtype]
    header: dict = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + prod(shape) * size
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


def linear(name: str, out: int, into: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into), **({f"{name}.bias": (out,)} if bias else {})}


def conv(name: str, out: int, into: int, kernel: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into, kernel, kernel), **({f"{name}.bias": (out,)} if bias else {})}


def norm2(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def batch_norm(name: str, width: int) -> Shapes:
    return {**norm2(name, width), f"{name}.running_mean": (width,), f"{name}.running_var": (width,),
            f"{name}.num_batches_tracked": ()}  # fmt: skip


def resnet(
    blocks, bottleneck=False, classes=1000, width=64, groups=1, stem=7, names=("downsample", "fc"), colours=3
) -> Shapes:
    shortcut, head = names
    out = {**conv("conv1", 64, colours, stem, False), **batch_norm("bn1", 64)}
    before = 64
    for stage, count in enumerate(blocks, 1):
        planes = 64 * 2 ** (stage - 1)
        after = planes * 4 if bottleneck else planes
        for i in range(count):
            at = f"layer{stage}.{i}."
            if bottleneck:
                inner = planes * width // 64 if groups == 1 else planes * width * groups // 64
                out |= {**conv(at + "conv1", inner, before, 1, False), **batch_norm(at + "bn1", inner)}
                out |= {
                    **conv(at + "conv2", inner, inner // groups, 3, False),
                    **batch_norm(at + "bn2", inner),
                }
                out |= {**conv(at + "conv3", after, inner, 1, False), **batch_norm(at + "bn3", after)}
            else:
                out |= {**conv(at + "conv1", planes, before, 3, False), **batch_norm(at + "bn1", planes)}
                out |= {**conv(at + "conv2", planes, planes, 3, False), **batch_norm(at + "bn2", planes)}
            if i == 0 and before != after:
                out |= {
                    **conv(f"{at}{shortcut}.0", after, before, 1, False),
                    **batch_norm(f"{at}{shortcut}.1", after),
                }
            before = after
    return out | (linear(head, classes, before) if classes else {})


def vgg16(normed: bool) -> Shapes:
    out: Shapes = {}
    at, before = 0, 3
    for group in ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)):
        for width in group:
            out |= conv(f"features.{at}", width, before, 3)
            if normed:
                out |= batch_norm(f"features.{at + 1}", width)
            at, before = at + (3 if normed else 2), width
        at += 1
    for at, (rows, columns) in {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}.items():
        out |= linear(f"classifier.{at}", rows, columns)
    return out


def alexnet() -> Shapes:
    out: Shapes = {}
    for at, (width, before, kernel) in {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3),
                                        10: (256, 256, 3)}.items():  # fmt: skip
        out |= conv(f"features.{at}", width, before, kernel)
    return {
        **out,
        **linear("classifier.1", 4096, 9216),
        **linear("classifier.4", 4096, 4096),
        **linear("classifier.6", 1000, 4096),
    }


def vit_timm(depth=12, width=768, patch=16, side=14, classes=1000, scale=False) -> Shapes:
    out: Shapes = {"cls_token": (1, 1, width), "pos_embed": (1, side * side + 1, width)}
    out |= conv("patch_embed.proj", width, 3, patch)
    if scale:
        out["mask_token"] = (1, width)
    for i in range(depth):
        at = f"blocks.{i}."
        out |= {
            **norm2(at + "norm1", width),
            **linear(at + "attn.qkv", 3 * width, width),
            **linear(at + "attn.proj", width, width),
        }
        out |= {f"{at}ls1.gamma": (width,), f"{at}ls2.gamma": (width,)} if scale else {}
        out |= {
            **norm2(at + "norm2", width),
            **linear(at + "mlp.fc1", 4 * width, width),
            **linear(at + "mlp.fc2", width, 4 * width),
        }
    return {**out, **norm2("norm", width), **(linear("head", classes, width) if classes else {})}


def vit_hf() -> Shapes:
    at, width = "vit.embeddings.", 768
    out: Shapes = {at + "cls_token": (1, 1, width), at + "position_embeddings": (1, 197, width)}
    out |= conv(at + "patch_embeddings.projection", width, 3, 16)
    for i in range(12):
        at = f"vit.encoder.layer.{i}."
        for part in (
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
            "attention.output.dense",
        ):
            out |= linear(at + part, width, width)
        out |= {**linear(at + "intermediate.dense", 3072, width), **linear(at + "output.dense", width, 3072)}
        out |= {**norm2(at + "layernorm_before", width), **norm2(at + "layernorm_after", width)}
    return {**out, **norm2("vit.layernorm", width), **linear("classifier", 1000, width)}


def vit_torchvision() -> Shapes:
    out: Shapes = {
        "class_token": (1, 1, 768),
        "encoder.pos_embedding": (1, 50, 768),
        **conv("conv_proj", 768, 3, 32),
    }
    for i in range(12):
        at = f"encoder.layers.encoder_layer_{i}."
        out |= {
            **norm2(at + "ln_1", 768),
            f"{at}self_attention.in_proj_weight": (2304, 768),
            f"{at}self_attention.in_proj_bias": (2304,),
        }
        out |= {**linear(at + "self_attention.out_proj", 768, 768), **norm2(at + "ln_2", 768)}
        out |= {**linear(at + "mlp.0", 3072, 768), **linear(at + "mlp.3", 768, 3072)}
    return {**out, **norm2("encoder.ln", 768), **linear("heads.head", 1000, 768)}


def bert(
    prefix="bert.", layers=12, width=768, words=30522, places=512, types=2, head: Shapes | None = None
) -> Shapes:
    at = prefix + "embeddings."
    out: Shapes = {at + "word_embeddings.weight": (words, width), at + "position_embeddings.weight": (places, width),
                   at + "token_type_embeddings.weight": (types, width), **norm2(at + "LayerNorm", width)}  # fmt: skip
    for i in range(layers):
        at = f"{prefix}encoder.layer.{i}."
        for part in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ):
            out |= linear(at + part, width, width)
        out |= {
            **norm2(at + "attention.output.LayerNorm", width),
            **linear(at + "intermediate.dense", 4 * width, width),
        }
        out |= {**linear(at + "output.dense", width, 4 * width), **norm2(at + "output.LayerNorm", width)}
    return {**out, **linear(prefix + "pooler.dense", width, width), **(head or {})}


def distilbert() -> Shapes:
    at = "distilbert.embeddings."
    out: Shapes = {
        at + "word_embeddings.weight": (30522, 768),
        at + "position_embeddings.weight": (512, 768),
        **norm2(at + "LayerNorm", 768),
    }
    for i in range(6):
        at = f"distilbert.transformer.layer.{i}."
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            out |= linear(f"{at}attention.{part}", 768, 768)
        out |= {
            **norm2(at + "sa_layer_norm", 768),
            **linear(at + "ffn.lin1", 3072, 768),
            **linear(at + "ffn.lin2", 768, 3072),
        }
        out |= norm2(at + "output_layer_norm", 768)
    return {**out, **linear("pre_classifier", 768, 768), **linear("classifier", 2, 768)}


def gpt2(layers=12, width=768, prefix="", transposed=False, buffers=True) -> Shapes:
    def dense(name: str, into: int, out: int) -> Shapes:
        return {f"{name}.weight": (out, into) if transposed else (into, out), f"{name}.bias": (out,)}

    out: Shapes = {prefix + "wte.weight": (50257, width), prefix + "wpe.weight": (1024, width)}
    for i in range(layers):
        at = f"{prefix}h.{i}."
        out |= {**norm2(at + "ln_1", width), **({at + "attn.bias": (1, 1, 1024, 1024)} if buffers else {})}
        out |= {
            **dense(at + "attn.c_attn", width, 3 * width),
            **dense(at + "attn.c_proj", width, width),
            **norm2(at + "ln_2", width),
        }
        out |= {**dense(at + "mlp.c_fc", width, 4 * width), **dense(at + "mlp.c_proj", 4 * width, width)}
    return {**out, **norm2(prefix + "ln_f", width)}


def llama(
    layers=2,
    width=2048,
    inner=5632,
    heads=32,
    shared=4,
    head=64,
    words=32000,
    extra: tuple[str, ...] = (),
    tied=False,
) -> Shapes:
    out: Shapes = {"model.embed_tokens.weight": (words, width)}
    for i in range(layers):
        at = f"model.layers.{i}."
        keys = heads // shared * head
        out |= {f"{at}self_attn.q_proj.weight": (heads * head, width), f"{at}self_attn.k_proj.weight": (keys, width),
                f"{at}self_attn.v_proj.weight": (keys, width),
                f"{at}self_attn.o_proj.weight": (width, heads * head)}  # fmt: skip
        out |= {f"{at}mlp.{n}_proj.weight": (inner, width) for n in ("gate", "up")} | {
            f"{at}mlp.down_proj.weight": (width, inner)
        }
        out |= {f"{at}input_layernorm.weight": (width,), f"{at}post_attention_layernorm.weight": (width,)}
        if "bias" in extra:
            out |= {f"{at}self_attn.q_proj.bias": (heads * head,)} | {
                f"{at}self_attn.{n}_proj.bias": (keys,) for n in "kv"
            }
        if "norms" in extra:
            out |= {f"{at}self_attn.{n}_norm.weight": (head,) for n in "qk"}
        if "sandwich" in extra:
            out |= {f"{at}{n}_feedforward_layernorm.weight": (width,) for n in ("pre", "post")}
        if "strange" in extra:
            out |= {f"{at}self_attn.rotary_gate.weight": (width,)}
    return {**out, "model.norm.weight": (width,), **({} if tied else {"lm_head.weight": (words, width)})}


def mixtral() -> Shapes:
    out: Shapes = {"model.embed_tokens.weight": (32000, 1024)}
    for i in range(2):
        at = f"model.layers.{i}."
        out |= {
            f"{at}self_attn.{n}_proj.weight": (size, 1024)
            for n, size in {"q": 1024, "k": 256, "v": 256, "o": 1024}.items()
        }
        out |= {f"{at}block_sparse_moe.gate.weight": (8, 1024), f"{at}input_layernorm.weight": (1024,),
                f"{at}post_attention_layernorm.weight": (1024,)}  # fmt: skip
        for expert in range(8):
            e = f"{at}block_sparse_moe.experts.{expert}."
            out |= {
                f"{e}w1.weight": (3584, 1024),
                f"{e}w2.weight": (1024, 3584),
                f"{e}w3.weight": (3584, 1024),
            }
    return {**out, "model.norm.weight": (1024,), "lm_head.weight": (32000, 1024)}


def t5(gated=False) -> Shapes:
    out: Shapes = {"shared.weight": (32128, 512)}
    for side, parts in (("encoder", ("SelfAttention",)), ("decoder", ("SelfAttention", "EncDecAttention"))):
        for i in range(6):
            at = f"{side}.block.{i}."
            for number, part in enumerate(parts):
                out |= {f"{at}layer.{number}.{part}.{n}.weight": (512, 512) for n in "qkvo"}
                out |= {f"{at}layer.{number}.layer_norm.weight": (512,)}
            if i == 0:
                out |= {f"{at}layer.0.SelfAttention.relative_attention_bias.weight": (32, 8)}
            last = f"{at}layer.{len(parts)}."
            ups = ("wi_0", "wi_1") if gated else ("wi",)
            out |= {f"{last}DenseReluDense.{n}.weight": (2048, 512) for n in ups} | {
                f"{last}DenseReluDense.wo.weight": (512, 2048)
            }
            out |= {f"{last}layer_norm.weight": (512,)}
        out |= {f"{side}.final_layer_norm.weight": (512,)}
    return out


def clip() -> Shapes:
    out: Shapes = {
        "logit_scale": (),
        "text_projection.weight": (512, 512),
        "visual_projection.weight": (512, 768),
    }
    out |= {
        "text_model.embeddings.token_embedding.weight": (49408, 512),
        "vision_model.embeddings.class_embedding": (768,),
    }
    out |= conv("vision_model.embeddings.patch_embedding", 768, 3, 32, False)
    for side, width in (("text_model", 512), ("vision_model", 768)):
        for i in range(12):
            at = f"{side}.encoder.layers.{i}."
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                out |= linear(f"{at}self_attn.{part}", width, width)
            out |= {**norm2(at + "layer_norm1", width), **norm2(at + "layer_norm2", width)}
            out |= {**linear(at + "mlp.fc1", 4 * width, width), **linear(at + "mlp.fc2", width, 4 * width)}
    return out


def sd_unet(text: int = 768, levels: int = 4) -> Shapes:
    """The blocks that matter of diffusers' UNet2DConditionModel."""
    out: Shapes = {**conv("conv_in", 320, 4, 3), **conv("conv_out", 4, 320, 3),
                   **linear("time_embedding.linear_1", 1280, 320),
                   **linear("time_embedding.linear_2", 1280, 1280)}  # fmt: skip
    for i in range(levels):
        width = min(320 * 2**i, 1280)
        for j in range(2):
            out |= {
                **conv(f"down_blocks.{i}.resnets.{j}.conv1", width, width, 3),
                **conv(f"up_blocks.{i}.resnets.{j}.conv1", width, width, 3),
            }
            at = f"down_blocks.{i}.attentions.{j}.transformer_blocks.0."
            if i < levels - 1:
                out |= {f"{at}attn1.to_k.weight": (width, width), f"{at}attn2.to_k.weight": (width, text)}
    return {**out, **conv("mid_block.resnets.0.conv1", 1280, 1280, 3)}


def sd_whole() -> Shapes:
    at = "model.diffusion_model."
    return {**conv(at + "input_blocks.0.0", 320, 4, 3), **linear(at + "time_embed.0", 1280, 320),
            at + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
            **conv("first_stage_model.encoder.conv_in", 128, 3, 3),
            "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768)}  # fmt: skip


def unet(bilinear: bool = True) -> Shapes:
    def double(name: str, into: int, out: int, mid: int = 0) -> Shapes:
        mid = mid or out
        return {**conv(f"{name}.double_conv.0", mid, into, 3, False), **batch_norm(f"{name}.double_conv.1", mid),
                **conv(f"{name}.double_conv.3", out, mid, 3, False),
                **batch_norm(f"{name}.double_conv.4", out)}  # fmt: skip

    out = double("inc", 3, 64)
    for i, (into, width) in enumerate(((64, 128), (128, 256), (256, 512), (512, 512)), 1):
        out |= double(f"down{i}.maxpool_conv.1", into, width)
    if not bilinear:
        out |= double("down4.maxpool_conv.1", 512, 1024)
        for i, into in enumerate((1024, 512, 256, 128), 1):
            out |= {f"up{i}.up.weight": (into, into // 2, 2, 2), f"up{i}.up.bias": (into // 2,)}
            out |= double(f"up{i}.conv", into, into // 2)
        return {**out, **conv("outc.conv", 2, 64, 1)}
    for i, (into, width) in enumerate(((1024, 256), (512, 128), (256, 64), (128, 64)), 1):
        out |= double(f"up{i}.conv", into, width, into // 2)
    return {**out, **conv("outc.conv", 2, 64, 1)}


def lora_peft(rank: int = 16) -> Shapes:
    out: Shapes = {}
    for i in range(4):
        for name, rows in (("q_proj", 4096), ("v_proj", 1024)):
            at = f"base_model.model.model.layers.{i}.self_attn.{name}."
            out |= {at + "lora_A.weight": (rank, 4096), at + "lora_B.weight": (rows, rank)}
    return out


def lora_kohya() -> Shapes:
    out: Shapes = {}
    for i in range(3):
        for name, into in (("attn2_to_q", 320), ("attn2_to_k", 768)):
            at = f"lora_unet_down_blocks_{i}_attentions_0_transformer_blocks_0_{name}."
            out |= {at + "alpha": (), at + "lora_down.weight": (8, into), at + "lora_up.weight": (320, 8)}
    return out


def recurrent(gates: int, layers: int = 2, both: bool = False) -> Shapes:
    out: Shapes = {}
    for i in range(layers):
        for end in ("", "_reverse") if both else ("",):
            into = 40 if i == 0 else (256 if both else 128)
            out |= {f"rnn.weight_ih_l{i}{end}": (gates * 128, into), f"rnn.weight_hh_l{i}{end}": (gates * 128, 128),
                    f"rnn.bias_ih_l{i}{end}": (gates * 128,), f"rnn.bias_hh_l{i}{end}": (gates * 128,)}  # fmt: skip
    return {**out, **linear("fc", 10, 256 if both else 128)}


def siren() -> Shapes:
    return {
        **linear("net.0.linear", 256, 2),
        **linear("net.1.linear", 256, 256),
        **linear("net.2.linear", 256, 256),
        **linear("net.3", 3, 256),
    }


def lenet5(names=("conv1", "conv2", "fc1", "fc2", "fc3")) -> Shapes:
    a, b, c, d, e = names
    return {
        **conv(a, 6, 3, 5),
        **conv(b, 16, 6, 5),
        **linear(c, 120, 400),
        **linear(d, 84, 120),
        **linear(e, 10, 84),
    }


def mlp() -> Shapes:
    return {**linear("layers.0", 300, 784), **linear("layers.2", 100, 300), **linear("layers.4", 10, 100)}


def prefixed(shapes: Shapes, prefix: str) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def without(shapes: Shapes, name: str) -> Shapes:
    return {key: shape for key, shape in shapes.items() if key != name}


FAMILIES: dict[str, tuple[Shapes, str | None]] = {
    "resnet18": (resnet((2, 2, 2, 2)), "ResNet-18"),
    "resnet34": (resnet((3, 4, 6, 3), classes=37), "ResNet-34"),
    "resnet50": (resnet((3, 4, 6, 3), True), "ResNet-50"),
    "resnet50 under DataParallel": (prefixed(resnet((3, 4, 6, 3), True), "module."), "ResNet-50"),
    "resnet101 without a head": (resnet((3, 4, 23, 3), True, 0), "ResNet-101"),
    "wide resnet50": (resnet((3, 4, 6, 3), True, width=128), "Wide ResNet-50-2"),
    "resnext50": (resnet((3, 4, 6, 3), True, width=4, groups=32), "ResNeXt-50 32×4d"),
    "resnet18 of pytorch-cifar": (resnet((2, 2, 2, 2), classes=10, stem=3, names=("shortcut", "linear")),
                                  "ResNet-18, with a 3×3 stem as for CIFAR"),
    "vgg16": (vgg16(False), "VGG-16"),
    "vgg16 with batch norm": (vgg16(True), "VGG-16 with batch norm"),
    "alexnet": (alexnet(), "AlexNet"),
    "lenet": (lenet5(), "LeNet-5"),
    "lenet under other names": (lenet5(("a.0", "a.3", "b.0", "b.2", "b.4")), "LeNet-5"),
    "vit of timm": (vit_timm(), "ViT-B/16"),
    "small vit for CIFAR": (vit_timm(6, 192, 4, 8, 10), "ViT/4 (6 layers, 192 wide)"),
    "dinov2": (vit_timm(12, 384, 14, 37, 0, True), "ViT-S/14 with layer scale (as DINOv2 has it)"),
    "vit of transformers": (vit_hf(), "ViT-B/16"),
    "vit of torchvision": (vit_torchvision(), "ViT-B/32"),
    "clip": (clip(), "CLIP ViT-B/32"),
    "bert": (bert(head=linear("classifier", 4, 768)), "BERT-base"),
    "bert without its prefix": (bert("", 24, 1024), "BERT-large"),
    "roberta": (bert("roberta.", words=50265, places=514, types=1), "RoBERTa-base"),
    "distilbert": (distilbert(), "DistilBERT"),
    "gpt2": (gpt2(), "GPT-2"),
    "gpt2 xl": (gpt2(48, 1600, "transformer.", buffers=False), "GPT-2 XL"),
    "nanogpt": (prefixed(gpt2(6, 384, "transformer.", True, False), "_orig_mod."), "GPT-2"),
    "llama": (llama(shared=8), "Llama-like"),
    "qwen2": (llama(extra=("bias",), tied=True), "Qwen2-like"),
    "qwen3": (llama(extra=("norms",)), "Qwen3-like"),
    "gemma2": (llama(extra=("sandwich",), tied=True), "Gemma 2-like"),
    "mixtral": (mixtral(), "Mixtral-like"),
    "t5": (t5(), "T5"),
    "flan-t5": (t5(True), "T5 1.1"),
    "stable diffusion's unet": (sd_unet(), "U-Net of a diffusion model (Stable Diffusion 1.x's shape)"),
    "stable diffusion, whole": (sd_whole(), "Stable Diffusion 1.x, whole checkpoint"),
    "unet": (unet(), "U-Net"),
    "unet that learns its upsampling": (unet(False), "U-Net"),
    "unet of older versions": (unet() | {f"{at}.double_conv.{i}.bias": (64,) for at in ("inc", "up4.conv")
                                         for i in (0, 3)}, "U-Net"),
    "lora of peft": (lora_peft(), "LoRA of rank 16"),
    "lora of kohya": (lora_kohya(), "LoRA of rank 8"),
    "lstm": (recurrent(4, both=True), "Bidirectional LSTM"),
    "gru": (recurrent(3), "GRU"),
    "rnn": (recurrent(1), "RNN"),
    "siren": (siren(), "SIREN"),
    "mlp": (mlp(), "MLP 784–300–100–10"),
    # near misses, which must be called nothing
    "resnet50 that lost a tensor": (without(resnet((3, 4, 6, 3), True), "layer3.2.conv2.weight"), None),
    "resnet with squeeze and excitation": ({**resnet((2, 2, 2, 2)), **linear("layer1.0.se.fc1", 4, 64)}, None),
    "resnet of an unknown depth": (resnet((1, 2, 2, 1)), None),
    "resnet18 of other widths": ({name: tuple(2 * size if size >= 64 else size for size in shape)
                                  for name, shape in resnet((2, 2, 2, 2)).items()}, None),
    "bert whose layers differ": (without(bert(), "bert.encoder.layer.7.output.dense.bias"), None),
    "llama with one more tensor a layer": (llama(extra=("strange",)), None),
    "vgg16 with a bias less": (without(vgg16(False), "features.28.bias"), None),
    "lenet with seven channels": ({**lenet5(), **conv("conv2", 16, 7, 5), **conv("conv1", 7, 3, 5)}, None),
    "tensors of one word": ({"a": (4, 4), "b": (3, 3), "c": (2,)}, None),
    "weights of rank one": ({"layer1.0.conv1.weight": (3,), "wte.weight": (),
                             "embeddings.word_embeddings.weight": (1,)}, None),
}  # fmt: skip
"""What a person calls it: its tensors, and the name that is right; None where only "unknown" is."""
