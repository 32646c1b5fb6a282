"""Transformers of text as Hugging Face's `transformers` names them: BERT, RoBERTa, DistilBERT, GPT-2, Llama's kin, T5.

Each layer must have exactly the tensors of one row of a table below, with shapes that belong together.
"""

from nfn.look.families import Architecture, Blocks, Part, Shape, Shapes, blocks, compared, parts

_BERT_LAYER = {
    f"{name}.{part}"
    for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                 "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")
    for part in ("weight", "bias")
}  # fmt: skip
_DISTIL_LAYER = {
    f"{name}.{part}"
    for name in ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
                 "ffn.lin1", "ffn.lin2", "output_layer_norm")
    for part in ("weight", "bias")
}  # fmt: skip
_GPT2_LAYER = {
    f"{name}.{part}"
    for name in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    for part in ("weight", "bias")
}
_MASKS = {"attn.bias", "attn.masked_bias"}
_LLAMA_LAYER = {
    *(f"self_attn.{name}_proj.weight" for name in "qkvo"),
    *(f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")),
    *(f"{name}_layernorm.weight" for name in ("input", "post_attention")),
}
_QKV_BIAS = {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"}
_QK_NORM = {"self_attn.q_norm.weight", "self_attn.k_norm.weight"}
_SANDWICH = {"pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight"}
_LLAMAS = (
    (_LLAMA_LAYER, "Llama-like", "Llama, Mistral and others"),
    (_LLAMA_LAYER | _QKV_BIAS, "Qwen2-like", "Qwen 1.5, 2 and 2.5: Llama's layers with biases in q, k and v"),
    (_LLAMA_LAYER | _QK_NORM, "Qwen3-like", "Qwen 3: Llama's layers with norms of q and k"),
    (_LLAMA_LAYER | _SANDWICH, "Gemma 2-like", "Gemma 2: Llama's layers with four norms"),
    (_LLAMA_LAYER | _SANDWICH | _QK_NORM, "Gemma 3-like", "Gemma 3: four norms, and norms of q and k"),
)
_BERT_SIZES: dict[tuple[int, int], str] = {
    (12, 768): "base",
    (24, 1024): "large",
    (2, 128): "tiny",
    (4, 256): "mini",
    (4, 512): "small",
    (8, 512): "medium",
}
_GPT2_SIZES = {"24 × 1024": " medium", "36 × 1280": " large", "48 × 1600": " XL", "6 × 768": ", distilled"}
"""GPT-2 sizes, by layers and width."""


def find_bert(shapes: Shapes) -> Architecture | None:
    """BERT (arXiv:1810.04805) or RoBERTa (1907.11692), which differ in the numbers of positions and token types."""
    for part in parts(shapes, "embeddings.word_embeddings.weight"):
        layers = blocks(part.shapes, r"encoder\.layer\.(\d+)\.(.+)")
        words, places, types = (part.shapes.get(f"embeddings.{kind}_embeddings.weight", ())
                                for kind in ("word", "position", "token_type"))  # fmt: skip
        if (
            layers is None
            or set(layers.block) != _BERT_LAYER
            or not len(words) == len(places) == len(types) == 2
        ):
            continue
        width = int(words[1])
        inner = layers.block["intermediate.dense.weight"][0]
        if layers.block["attention.self.query.weight"] != (width, width) or places[1] != width:
            continue
        family = {(514, 1): "RoBERTa", (512, 2): "BERT"}.get((places[0], types[0]), "")
        if family:
            size = _BERT_SIZES.get((layers.count, width))
            facts = _facts(layers.count, width, inner, words[0])
            return _named(
                f"{family}-{size}" if size else family, part, facts, f"transformers' {family}", _head(part)
            )
    return None


def find_distilbert(shapes: Shapes) -> Architecture | None:
    """DistilBERT (arXiv:1910.01108)."""
    for part in parts(shapes, "embeddings.word_embeddings.weight"):
        layers = blocks(part.shapes, r"transformer\.layer\.(\d+)\.(.+)")
        if layers is None or set(layers.block) != _DISTIL_LAYER:
            continue
        words, width = part.shapes["embeddings.word_embeddings.weight"]
        if layers.block["attention.q_lin.weight"] == (width, width):
            facts = _facts(layers.count, width, layers.block["ffn.lin1.weight"][0], words)
            return _named("DistilBERT", part, facts, "transformers' DistilBERT", _head(part))
    return None


def find_gpt2(shapes: Shapes) -> Architecture | None:
    """GPT-2: weights are (in, out) in transformers and (out, in) in nanoGPT, which may have no biases."""
    for part in parts(shapes, "wte.weight"):
        layers = blocks(part.shapes, r"h\.(\d+)\.(.+)")
        names = set(layers.block) - _MASKS if layers else set()
        weights = {name for name in _GPT2_LAYER if name.endswith("weight")}
        if layers is None or names not in (_GPT2_LAYER, weights) or "wpe.weight" not in layers.rest:
            continue
        words, width = part.shapes["wte.weight"]
        fused = layers.block["attn.c_attn.weight"]
        orders: dict[Shape, str] = {(width, 3 * width): "transformers' GPT-2", (3 * width, width): "nanoGPT"}
        whose = orders.get(fused)
        if whose is not None:
            size = _GPT2_SIZES.get(f"{layers.count} × {width}", "") if names == _GPT2_LAYER else ""
            context = ("context", f"{part.shapes['wpe.weight'][0]:,} tokens")
            facts = (*_facts(layers.count, width, max(layers.block["mlp.c_fc.weight"]), words), context)
            return _named(f"GPT-2{size}", part, facts, whose, None)
    return None


def find_llama(shapes: Shapes) -> Architecture | None:
    """Llama (arXiv:2302.13971) and models with the same names, which tensors cannot distinguish."""
    for part in parts(shapes, "embed_tokens.weight"):
        layers = blocks(part.shapes, r"layers\.(\d+)\.(.+)")
        row = next((row for row in _LLAMAS if layers and set(layers.block) == row[0]), None)
        if layers is None or row is None or set(layers.rest) != {"embed_tokens.weight", "norm.weight"}:
            continue
        words, width = part.shapes["embed_tokens.weight"]
        query, key = layers.block["self_attn.q_proj.weight"], layers.block["self_attn.k_proj.weight"]
        inner = layers.block["mlp.gate_proj.weight"][0]
        if query[1] != width or layers.block["mlp.down_proj.weight"] != (width, inner) or query[0] % key[0]:
            continue
        shared = query[0] // key[0]
        heads = "one query head" if shared == 1 else f"{shared} query heads"
        facts = (*_facts(layers.count, width, inner, words), ("attention", f"{heads} for each key and value"))
        facts += (("written so by", row[2]),)
        return _named(row[1], part, facts, "transformers' LlamaModel and its kin", None)
    return None


def find_mixtral(shapes: Shapes) -> Architecture | None:
    """Mixtral (arXiv:2401.04088): Llama's attention, and gated experts."""
    for part in parts(shapes, "embed_tokens.weight"):
        layers = blocks(part.shapes, r"layers\.(\d+)\.(.+)")
        if layers is None or "block_sparse_moe.gate.weight" not in layers.block:
            continue
        experts, width = layers.block["block_sparse_moe.gate.weight"]
        names = {
            f"block_sparse_moe.experts.{i}.w{k}.weight" for i in range(min(experts, 1000)) for k in (1, 2, 3)
        }
        attention = {name for name in _LLAMA_LAYER if not name.startswith("mlp.")}
        if set(layers.block) == {*attention, *names, "block_sparse_moe.gate.weight"}:
            inner = layers.block["block_sparse_moe.experts.0.w1.weight"][0]
            facts = (
                *_facts(layers.count, width, inner, part.shapes["embed_tokens.weight"][0]),
                ("experts", str(experts)),
            )
            return _named("Mixtral-like", part, facts, "transformers' Mixtral", None)
    return None


def find_t5(shapes: Shapes) -> Architecture | None:
    """T5 (arXiv:1910.10683), version 1.0, or 1.1 with gated feed-forward layers."""
    for part in parts(shapes, "shared.weight"):
        encoder = _t5_side(part.shapes, r"encoder\.block\.(\d+)\.(.+)")
        decoder = _t5_side(part.shapes, r"decoder\.block\.(\d+)\.(.+)")
        if encoder is None or decoder is None or "layer.1.EncDecAttention.q.weight" not in decoder.block:
            continue
        gated = "layer.1.DenseReluDense.wi_0.weight" in encoder.block
        if not gated and "layer.1.DenseReluDense.wi.weight" not in encoder.block:
            continue
        words, width = part.shapes["shared.weight"]
        facts = (
            ("layers", f"{encoder.count} + {decoder.count}"),
            ("width", str(width)),
            ("vocabulary", f"{words:,}"),
        )
        return _named("T5 1.1" if gated else "T5", part, facts, "transformers' T5", None)
    return None


def _t5_side(shapes: Shapes, pattern: str) -> Blocks | None:
    """Only the first block has a relative position bias."""
    return blocks(
        {name: shape for name, shape in shapes.items() if "relative_attention_bias" not in name}, pattern
    )


def _facts(layers: int, width: int, inner: int, words: int) -> tuple[tuple[str, str], ...]:
    return (
        ("layers", str(layers)),
        ("width", f"{width:,}"),
        ("feed-forward width", f"{inner:,}"),
        ("vocabulary", f"{words:,}"),
    )


def _head(part: Part) -> int | None:
    """The number of classes of a classification head, if there is one."""
    for name in ("classifier.weight", "classifier.out_proj.weight"):
        if len(part.beside.get(name, ())) == 2:
            return part.beside[name][0]
    return None


def _named(
    name: str, part: Part, facts: tuple[tuple[str, str], ...], whose: str, classes: int | None
) -> Architecture:
    count = len(part.beside)
    beside = f" {count:,} more {'stands' if count == 1 else 'stand'} beside them." if count else ""
    return Architecture(name, compared(len(part.shapes), whose) + beside, facts, "tokens", classes)
