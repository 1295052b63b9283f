"""Folding the norms' gains and offsets into the matrices that follow them."""

import dataclasses
from typing import Any

from torch import Tensor

from grokinterp.models.transformer_config import TransformerConfig


def folded(config: TransformerConfig, model: Any) -> tuple[TransformerConfig, dict[str, Tensor]]:
    """The config and the weights of the same function without gains and offsets.

    (w x + b) W + c = x (diag(w) W) + (c + b W), for each matrix W behind a norm.

    Args:
        config: the network's, resolved.
        model: the network.

    Raises:
        ValueError: norms after the residual additions.
    """
    if config.norm_position == "post":
        raise ValueError(
            "norm_position='post': the residual stream itself goes through these norms, so their "
            "gains and offsets cannot be folded into a matrix"
        )
    state = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    if config.normalization_type != "LN":
        return config, state
    state["unembed.W_U"] = model.W_U.detach().clone()  # a tied one is W_E, which stays
    places = {"ln_final": [("unembed.W_U", "unembed.b_U")]}
    for i in range(config.n_layers):
        attn, mlp = f"blocks.{i}.attn", f"blocks.{i}.mlp"
        places[f"blocks.{i}.ln1"] = [(f"{attn}.W_{x}", f"{attn}.b_{x}") for x in "QKV"]
        state.setdefault(f"{attn}.b_O", state[f"{attn}.W_O"].new_zeros(config.d_model))
        if not config.attn_only:
            places[f"blocks.{i}.ln2"] = [(f"{mlp}.W_in", f"{mlp}.b_in")]
            state.setdefault(f"{mlp}.b_out", state[f"{mlp}.W_out"].new_zeros(config.d_model))
    for norm, matrices in places.items():
        gains, offsets = state.pop(f"{norm}.w"), state.pop(f"{norm}.b")
        for matrix, bias in matrices:
            W = state[matrix]
            before = state.get(bias, 0.0)
            state[bias] = before + offsets @ W
            state[matrix] = gains[:, None] * W
    changes: dict[str, Any] = {"normalization_type": "LNPre", "biases": True}
    return dataclasses.replace(config, **changes, tie_embedding=False), state
