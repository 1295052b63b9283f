"""Direct logit attribution: what neurons, heads, embeddings and biases write to a label's logit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.models.anatomy import anatomy
from grokinterp.models.base import check_tokens
from grokinterp.models.read_out import Bias, Heads, Neurons, Norm, Part, ReadOut, Vector
from grokinterp.short_text import short_repr
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.neuron_weights import check_no_norm, neuron_activations, neuron_weights
from probes.probe import probe
from probes.scores import check_labels


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


@probe
def model_neuron_attribution(
    model: object, tokens: Int[Tensor, "example 2"], labels: Int[Tensor, " example"]
) -> Float[Tensor, " neuron"]:
    """:func:`probes.neuron_attribution` of a hooked two-layer network on some examples."""
    instead = (
        "probes.logit_attribution(model, tokens, labels), which splits the logits of transformers "
        "and of MLPs of any depth, with norms and without; of an LSTM, gi.ablate(units, layer=...)"
    )
    weights = neuron_weights(model, instead=instead)
    check_no_norm(model, "model_neuron_attribution", instead=instead)
    return neuron_attribution(neuron_activations(model, tokens), weights.W, labels)


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
        model: a network with a ``direct_path``: a ``HookedTransformer`` for pairs, a ``HookedMLP``
            or a ``HookedEmbeddingMLP``, or one of your own.
        tokens: the examples, pairs (a, b).
        labels: one residue per example, right or not.

    Returns:
        float64 contributions, on the CPU, in the order in which the network computes the parts.

    Raises:
        TypeError: another network. An LSTM's states are products of gates and earlier states:
            nothing but the last state as a whole writes to the logits.
        ValueError: tokens or labels that are no residues, or not a label per example.
    """
    about = anatomy(model)
    read_out, p = about.read_out, getattr(model, "p", None)
    if not about.direct_path or read_out is None or not p:
        raise TypeError(
            f"{type(model).__name__} has no sum of parts that write straight to the logits of a "
            "pair, as a HookedTransformer with p, a HookedMLP and a HookedEmbeddingMLP have (an "
            "LSTM multiplies gates and states). Use gi.ablate(units, layer=...) and compare the "
            "logits, or probes.neuron_attribution on activations and weights of your choice"
        )
    check_tokens(tokens, p, prompt=about.template)
    check_labels(labels, p)
    walk = _Backwards(network_on_pairs(model), read_out, tokens.cpu(), labels.cpu())
    for part in about.direct_path:
        walk.through(part)
    return LogitAttribution(dict(reversed(walk.parts.items())))


class _Backwards:
    """A walk from the logits back to the inputs, which notes what each part contributes.

    ``towards`` [example, d] is what a unit vector, added where the walk is, does to the number that
    is split: the label's logit less the mean over the residues. It starts at the read-out's input.
    """

    def __init__(
        self, network: NetworkOnPairs, read_out: ReadOut, tokens: Tensor, labels: Tensor
    ) -> None:
        self.network, self.parts = network, dict[str, Tensor]()
        self.index = tokens[:, 0].long() * network.p + tokens[:, 1]
        classes = read_out.W_U.shape[1]
        towards = torch.zeros(len(labels), classes, dtype=torch.float64)
        towards[:, : network.p] = -1 / network.p
        towards[torch.arange(len(labels)), labels.long()] += 1
        self.towards = towards * read_out.scale
        if read_out.b_U is not None:
            names = (name for name, w in read_out.parameters.items() if w is read_out.b_U)
            self.through(Bias(next(names, "b_U"), read_out.b_U))
        self.towards = self.towards @ _plain(read_out.W_U).T

    def through(self, part: Part) -> None:
        """Note what a part adds, or go through a norm with its scale frozen."""
        match part:
            case Bias(name, bias):
                self.parts[name] = (self.towards @ _plain(bias))[:, None]
            case Vector(hook):
                self.parts[hook] = (self.seen(hook) * self.towards).sum(dim=1, keepdim=True)
            case Neurons(hook, weight):
                to_neurons = self.towards if weight is None else self.towards @ _plain(weight).T
                self.parts[hook] = self.seen(hook) * to_neurons
            case Heads(hook, W_O):
                to_heads = einsum(
                    self.towards, _plain(W_O), "example d, head d_head d -> example head d_head"
                )
                self.parts[hook] = (self.seen(hook) * to_heads).sum(dim=2)
            case Norm(hook, weight):
                if weight is not None:
                    self.towards = self.towards * _plain(weight)
                centred = self.towards - self.towards.mean(dim=1, keepdim=True)
                self.towards = centred / self.seen(hook)

    def seen(self, hook: str) -> Tensor:
        """The examples' activations at the last position."""
        return self.network.activations(hook)[self.index]


def _plain(weight: Tensor) -> Tensor:
    return weight.detach().double().cpu()
