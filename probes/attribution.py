"""Direct logit attribution: what neurons, heads, embeddings and biases write to a label's logit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp._short import short_repr
from grokinterp.models.base import check_tokens
from grokinterp.models.embedding_mlp import HookedEmbeddingMLP
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_parts import Block, LayerNorm
from probes._probe import probe
from probes.scores import check_labels
from probes.surface import Surface, surface


@probe
def neuron_attribution(
    post: Float[Tensor, "example neuron"],
    W_U: Float[Tensor, "neuron p"],
    labels: Int[Tensor, " example"],
) -> Float[Tensor, " neuron"]:
    """Each neuron's contribution to the label's logit above the mean logit, mean over examples.

    The logits are a sum over neurons of ``post`` times a row of ``W_U``, so attributions over all
    neurons add up to the mean of (label logit - mean logit). Logit units, float64.
    """
    check_labels(labels, W_U.shape[1])
    centred = (W_U - W_U.mean(dim=1, keepdim=True)).double()
    return (post.double() * centred[:, labels].T).mean(dim=0)


@short_repr
@dataclass(frozen=True, eq=False)
class LogitAttribution:
    """What each part of a network adds to a label's logit above the mean over the residues."""

    parts: Mapping[str, Float[Tensor, "example unit"]]  # by hook point or bias; in logits

    @property
    def total(self) -> Float[Tensor, " example"]:
        """All parts together: the label's logit less the mean of the residues' logits."""
        return torch.cat(list(self.parts.values()), dim=1).sum(dim=1)


@probe
def logit_attribution(
    model: Any, tokens: Int[Tensor, "example 2"], labels: Int[Tensor, " example"]
) -> LogitAttribution:
    """Split the logits of some labels into what each part of a network writes straight to them.

    Parts are named by the hook point or the bias that they are read off:

    - of a transformer, ``hook_embed`` and ``hook_pos_embed`` at the last position (one unit each),
      every layer's ``attn.hook_z`` (a unit per head) and ``mlp.hook_post`` (a unit per neuron),
      and all biases behind the values. What a part does by way of later layers counts as theirs.
    - of an MLP, the last layer's neurons as the read-out gets them, ``hook_post`` or behind a norm
      ``norm.hook_normalized``, and ``unembed.b_U``.

    A norm's scale is frozen: it is the constant that it was at each example. Then everything is
    linear and the sum is exact, but a part is not what its ablation would take away, since that
    changes the scale as well.

    Args:
        model: a ``HookedTransformer`` for pairs, a ``HookedMLP`` or a ``HookedEmbeddingMLP``.
        tokens: the examples, pairs (a, b).
        labels: one residue per example, right or not.

    Returns:
        float64 contributions, on the CPU, in the order in which the network computes the parts.

    Raises:
        TypeError: another network. An LSTM's states are products of gates and earlier states:
            nothing but the last state as a whole writes to the logits.
        ValueError: tokens or labels that are no residues, or not a label per example.
    """
    if not isinstance(model, HookedTransformer | HookedMLP | HookedEmbeddingMLP) or not model.p:
        raise TypeError(
            f"{type(model).__name__} has no sum of parts that write straight to the logits of a "
            "pair, as a HookedTransformer with p, a HookedMLP and a HookedEmbeddingMLP have (an "
            "LSTM multiplies gates and states). Use gi.ablate(units, layer=...) and compare the "
            "logits, or probes.neuron_attribution on activations and weights of your choice"
        )
    check_tokens(tokens, model.p, prompt=getattr(model.cfg, "prompt", None))
    check_labels(labels, model.p)
    backwards = _Backwards(surface(model), tokens.cpu(), labels.cpu())
    if isinstance(model, HookedTransformer):
        _through_transformer(model, backwards)
    else:
        _through_mlp(model, backwards)
    return LogitAttribution(dict(reversed(backwards.parts.items())))


class _Backwards:
    """A walk from the logits back to the inputs, which notes what each part contributes.

    ``towards`` [example, d] is what a unit vector, added where the walk is, does to the number that
    is split: at first to the label's logit less the mean over the residues, among the classes.
    """

    def __init__(self, network: Surface, tokens: Tensor, labels: Tensor) -> None:
        self.network, self.parts = network, dict[str, Tensor]()
        self.index = tokens[:, 0].long() * network.p + tokens[:, 1]
        classes = network.model.W_U.shape[1]
        self.towards = torch.zeros(len(labels), classes, dtype=torch.float64)
        self.towards[:, : network.p] = -1 / network.p
        self.towards[torch.arange(len(labels)), labels.long()] += 1

    def seen(self, hook: str) -> Tensor:
        """The examples' activations at the last position."""
        return self.network.activations(hook)[self.index]

    def vector(self, hook: str) -> None:
        """An activation [example, d] that is added as it is."""
        self.parts[hook] = (self.seen(hook) * self.towards).sum(dim=1, keepdim=True)

    def bias(self, name: str, bias: Tensor | None) -> None:
        """A constant [d] that is added."""
        if bias is not None:
            self.parts[name] = (self.towards @ _plain(bias))[:, None]

    def neurons(self, hook: str, weight: Tensor) -> None:
        """Activations [example, neuron], each of which adds its row of ``weight`` [neuron, d]."""
        self.parts[hook] = self.seen(hook) * (self.towards @ _plain(weight).T)

    def heads(self, hook: str, W_O: Tensor) -> None:
        """Activations [example, head, d_head], which add up to z W_O over [head, d_head, d]."""
        read = torch.einsum("nd,hed->nhe", self.towards, _plain(W_O))
        self.parts[hook] = (self.seen(hook) * read).sum(dim=2)

    def norm(self, name: str, norm: LayerNorm | None) -> None:
        """Through a LayerNorm with its scale frozen."""
        if norm is None:
            return
        self.bias(f"{name}.b", norm.b)
        if norm.w is not None:
            self.towards = self.towards * _plain(norm.w)
        centred = self.towards - self.towards.mean(dim=1, keepdim=True)
        self.towards = centred / self.seen(f"{name}.hook_scale")


def _through_mlp(model: HookedMLP | HookedEmbeddingMLP, backwards: _Backwards) -> None:
    if isinstance(model, HookedEmbeddingMLP):
        backwards.bias("unembed.b_U", model.unembed.b_U)
    point = "hook_post" if model.cfg.norm is None else "norm.hook_normalized"
    backwards.neurons(f"layers.{len(model.layers) - 1}.{point}", model.W_U)


def _through_transformer(model: HookedTransformer, backwards: _Backwards) -> None:
    backwards.towards = backwards.towards * model.unembed.scale
    backwards.bias("unembed.b_U", model.unembed.b_U)
    backwards.towards = backwards.towards @ _plain(model.unembed.W_U).T
    backwards.norm("ln_final", model.ln_final)
    for layer, block in reversed(list(enumerate(model.blocks))):
        assert isinstance(block, Block)
        _through_block(block, f"blocks.{layer}", backwards)
    backwards.vector("hook_pos_embed")
    backwards.vector("hook_embed")


def _through_block(block: Block, name: str, backwards: _Backwards) -> None:
    # A norm in front of attention or MLP is on their side of what they write.
    if block.mlp is not None:
        if block.post_norm:
            backwards.norm(f"{name}.ln2", block.ln2)
        backwards.bias(f"{name}.mlp.b_out", block.mlp.b_out)
        backwards.neurons(f"{name}.mlp.hook_post", block.mlp.W_out)
    if block.post_norm:
        backwards.norm(f"{name}.ln1", block.ln1)
    backwards.bias(f"{name}.attn.b_O", block.attn.b_O)
    backwards.heads(f"{name}.attn.hook_z", block.attn.W_O)


def _plain(weight: Tensor) -> Tensor:
    return weight.detach().double().cpu()
