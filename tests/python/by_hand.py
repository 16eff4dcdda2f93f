"""For test_transformers.py: forward passes of Llama and Gemma 3 written out, attention by hand.

Projections, norms and the angles of rotation are the model's own modules.
"""

import lostbits
import numpy as np
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cos[:, :, None] + turned * sin[:, :, None]


def forward(model, ids, start, attend):
    """Logits of Llama or Gemma 3, attend(layer, q, k, v) being the attention; [batch, len, heads,
    dim] each."""
    body = model.model
    is_gemma = hasattr(body.layers[0], "pre_feedforward_layernorm")
    positions = torch.arange(start, start + ids.shape[1])[None]
    x = body.embed_tokens(ids)
    for i, layer in enumerate(body.layers):
        attn, y = layer.self_attn, layer.input_layernorm(x)
        q, k, v = (project(y).unflatten(-1, (-1, attn.head_dim))
                   for project in (attn.q_proj, attn.k_proj, attn.v_proj))
        if is_gemma:
            q, k = attn.q_norm(q), attn.k_norm(k)
        kind = [model.config.layer_types[i]] if is_gemma else []
        cos, sin = body.rotary_emb(x, positions, *kind)
        y = attn.o_proj(attend(attn, rotate(q, cos, sin), rotate(k, cos, sin), v).flatten(2))
        if is_gemma:
            x = x + layer.post_attention_layernorm(y)
            x = x + layer.post_feedforward_layernorm(layer.mlp(layer.pre_feedforward_layernorm(x)))
        else:
            x = x + y
            x = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.lm_head(body.norm(x))


def window_of(attn):
    return getattr(attn, "sliding_window", None)


class Fp8Cache:
    """K and V of every layer as E4M3 codes, each token's encoded when it comes."""

    def __init__(self, scales, skipped=(), **options):
        self.scales, self.skipped, self.options, self.cache = scales, skipped, options, {}

    def __call__(self, attn, q, k, v):
        i, new = attn.layer_idx, [k, v]
        skipped = i in self.skipped
        if skipped:
            codes = new
        else:
            scales = self.scales(i, q, k, v)
            heads_kv = k.shape[2]
            q_scale = np.repeat(np.broadcast_to(scales[0], heads_kv), q.shape[2] // heads_kv)
            q = self.encode(q, q_scale)
            codes = [self.encode(x, s) for x, s in zip(new, scales[1:])]
        if i in self.cache:
            codes = [torch.cat([a, b], 1) for a, b in zip(self.cache[i], codes)]
        self.cache[i] = k, v = codes
        if skipped:
            q_len, kv_len = q.shape[1], k.shape[1]
            seen = torch.ones(q_len, kv_len, dtype=torch.bool).tril(kv_len - q_len)
            if window_of(attn):
                seen &= ~seen.tril(kv_len - q_len - window_of(attn))
            heads = [x.transpose(1, 2) for x in (q, k, v)]
            plain = window_of(attn) is None and q_len in (1, kv_len)
            return sdpa_attention_forward(
                attn, *heads, None if plain else seen[None, None], scaling=attn.scaling)[0]
        o = lostbits.attention(
            q, k, v, causal=True, softmax_scale=attn.scaling, threads=1,
            window=(window_of(attn) - 1, 0) if window_of(attn) else None,
            **dict(zip(("q_descale", "k_descale", "v_descale"), scales)), **self.options)
        return o

    @staticmethod
    def encode(x, scale):
        """Divided in float32, then nearest even, saturating."""
        scaled = x.float() / torch.from_numpy(np.broadcast_to(scale, x.shape[2]).copy())[:, None]
        return lostbits.encode(scaled, "e4m3").view(torch.uint8)


def by_hand(model, ids, attend, decode=0):
    start, out = 0, []
    for step in ids.split([ids.shape[1] - decode] + [1] * decode, 1):
        out.append(forward(model, step, start, attend))
        start += step.shape[1]
    return torch.cat(out, 1)
