"""The parts whose sum is the input of a transformer's read-out."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from grokinterp.models.read_out import Bias, Heads, Neurons, Norm, Part, Vector
from grokinterp.models.transformer_parts import Block, LayerNorm


def direct_path(blocks: nn.ModuleList, ln_final: LayerNorm | None) -> Sequence[Part]:
    """``Anatomy.direct_path`` of a transformer, from the last norm back to the embeddings."""
    last = f"blocks.{len(blocks) - 1}.hook_resid_post"
    path = [*_norm("ln_final", ln_final, last)]
    for layer, block in reversed(list(enumerate(blocks))):
        assert isinstance(block, Block)
        path += _block(f"blocks.{layer}", block)
    return [*path, Vector("hook_pos_embed"), Vector("hook_embed")]


def _block(name: str, block: Block) -> Iterator[Part]:
    # A pre-norm acts on the inputs of attention and MLP, so it is not on this path.
    if block.mlp is not None:
        if block.post_norm:
            yield from _norm(f"{name}.ln2", block.ln2, f"{name}.hook_resid_post")
        yield from _bias(f"{name}.mlp.b_out", block.mlp.b_out)
        yield Neurons(f"{name}.mlp.hook_post", block.mlp.W_out)
    if block.post_norm:
        at = "post" if block.mlp is None else "mid"
        yield from _norm(f"{name}.ln1", block.ln1, f"{name}.hook_resid_{at}")
    yield from _bias(f"{name}.attn.b_O", block.attn.b_O)
    yield Heads(f"{name}.attn.hook_z", block.attn.W_O)


def _norm(name: str, norm: LayerNorm | None, before: str) -> Iterator[Part]:
    if norm is not None:
        yield from _bias(f"{name}.b", norm.b)
        yield Norm(f"{name}.hook_scale", norm.w, before, norm.eps)


def _bias(name: str, bias: Tensor | None) -> Iterator[Part]:
    if bias is not None:
        yield Bias(name, bias)
