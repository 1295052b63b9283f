"""TransformerLens' own model (``boot_native``) with the weights of one of ours."""

from typing import Any

import torch

from grokinterp.models.transformer import HookedTransformer
from tests.networks import native_transformer

_PARTS = {
    "ln1.weight": "ln1.w",
    "ln1.bias": "ln1.b",
    "ln2.weight": "ln2.w",
    "ln2.bias": "ln2.b",
    "attn.o.bias": "attn.b_O",
    "mlp.fc_in.bias": "mlp.b_in",
    "mlp.fc_out.bias": "mlp.b_out",
}
_SIZES = ("n_layers", "d_model", "n_heads", "d_head", "d_mlp", "d_vocab", "d_vocab_out", "n_ctx")
_KINDS = ("act_fn", "attention_dir", "normalization_type")


def native_twin(model: HookedTransformer) -> Any:
    """In float64 and evaluation mode. The unembedding has no bias there, so ours is set to zero."""
    config = model.cfg
    if model.unembed.b_U is not None:
        model.unembed.b_U.data.zero_()
    fields = {name: getattr(config, name) for name in (*_SIZES, *_KINDS)}
    native = native_transformer(model.W_U.shape[1], **fields).double()
    state = model.state_dict()
    for name, weight in native.named_parameters():
        weight.data = _ours(name.replace("._original_component", ""), state).double().clone()
    return native.eval()


def _ours(name: str, state: dict[str, torch.Tensor]) -> torch.Tensor:
    whole = {
        "tok_embed.weight": state["embed.W_E"],
        "pos.weight": state["pos_embed.W_pos"],
        "head.weight": state["unembed.W_U"].T,
        "ln_out.weight": state.get("ln_final.w"),
        "ln_out.bias": state.get("ln_final.b"),
    }
    if (found := whole.get(name)) is not None:
        return found
    _, layer, part = name.split(".", 2)
    block = f"blocks.{layer}"
    if part in _PARTS:
        return state[f"{block}.{_PARTS[part]}"]
    module, leaf, kind = part.split(".")
    if module == "mlp":
        return state[f"{block}.mlp.W_{leaf.removeprefix('fc_')}"].T
    if leaf == "o":
        return state[f"{block}.attn.W_O"].flatten(0, 1).T
    if kind == "bias":
        return state[f"{block}.attn.b_{leaf.upper()}"].flatten()
    return state[f"{block}.attn.W_{leaf.upper()}"].mT.flatten(0, 1)
