"""Direct logit attribution: what neurons, heads, embeddings and biases add to a label's logit."""

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
from grokinterp.models.unnamed import unnamed
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
    """Each neuron's contribution to (label logit - mean logit), averaged over the examples.

    The logits are a sum over neurons of ``post`` times a row of ``W_U``, so the contributions of
    all neurons add up to the mean of (label logit - mean logit).

    Args:
        post: the neurons' activations.
        W_U: their output weights.
        labels: one class per example.

    Returns:
        float64, in units of logits; positive where a neuron favours the labels.

    Examples:
        >>> import torch
        >>> from probes import neuron_attribution
        >>> post = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # two examples, two neurons
        >>> W_U = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # each neuron votes for its own class
        >>> neuron_attribution(post, W_U, torch.tensor([0, 1])).tolist()
        [0.5, 1.0]
        >>> neuron_attribution(post, W_U, torch.tensor([1, 0])).tolist()
        [-0.5, -1.0]
    """
    check_labels(labels, W_U.shape[1])
    centred = (W_U - W_U.mean(dim=1, keepdim=True)).double()
    return (post.double() * centred[:, labels].T).mean(dim=0)


@probe
def model_neuron_attribution(
    model: object, tokens: Int[Tensor, "example 2"], labels: Int[Tensor, " example"]
) -> Float[Tensor, " neuron"]:
    """:func:`probes.neuron_attribution` of a hooked two-layer network on some examples.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_attribution
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> wrong = (data.clean_labels + 1) % 13
        >>> for labels in (data.clean_labels, wrong):
        ...     print(round(model_neuron_attribution(model, data.tokens, labels).sum().item(), 1))
        0.9
        -0.1
    """
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
    """What each part of a network adds to (label logit - mean logit of all residues).

    Examples:
        >>> import grokinterp as gi
        >>> from probes import logit_attribution
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> attribution = logit_attribution(model, data.tokens, data.clean_labels)
        >>> list(attribution.parts), bool((attribution.total > 0).all())
        (['layers.0.hook_post'], True)
    """

    parts: Mapping[str, Float[Tensor, "example unit"]]  # by hook point or bias; units of logits

    @property
    def total(self) -> Float[Tensor, " example"]:
        """Sum of all parts: label logit - mean logit of all residues."""
        return torch.cat(list(self.parts.values()), dim=1).sum(dim=1)


@probe
def logit_attribution(
    model: Any, tokens: Int[Tensor, "example 2"], labels: Int[Tensor, " example"]
) -> LogitAttribution:
    """Split (label logit - mean logit of all residues) into the parts of a network that add to it.

    Only direct contributions count: the effect of a part through a later layer is a contribution
    of that layer. Parts are named by their hook point or bias:

    - of a transformer, ``hook_embed`` and ``hook_pos_embed`` at the last position (one unit each),
      every layer's ``attn.hook_z`` (a unit per head) and ``mlp.hook_post`` (a unit per neuron),
      and every bias that is added to the residual stream or the logits.
    - of an MLP, the last layer's neurons (``hook_post``, or ``norm.hook_normalized`` if there is a
      norm) and ``unembed.b_U``.

    Norms are linearised: the divisor of each example is taken as a constant. So the parts add up
    exactly. But ablating a part can change the logit by another amount, because it also changes
    the divisor.

    Args:
        model: a network with a ``direct_path``: a ``HookedTransformer`` for pairs, a ``HookedMLP``
            or a ``HookedEmbeddingMLP``, or one of your own.
        tokens: the examples, pairs (a, b).
        labels: one residue per example, right or wrong.

    Returns:
        float64 contributions, on the CPU, in the order in which the network computes the parts.

    Raises:
        TypeError: another network, such as an LSTM: its states are products of gates and earlier
            states, so only the last state as a whole adds to the logits.
        ValueError: tokens or labels that are not residues, or not one label per example.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import logit_attribution
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> model = gi.build_model(config.replace({"data.p": 13}))
        >>> data = gi.make_dataset(gi.DataConfig(p=13))
        >>> parts = logit_attribution(model, data.tokens, data.clean_labels).parts
        >>> {name: tuple(part.shape) for name, part in parts.items() if part.shape[1] > 1}
        {'blocks.0.attn.hook_z': (169, 4), 'blocks.0.mlp.hook_post': (169, 64)}
    """
    about = anatomy(model)
    read_out, p = about.read_out, getattr(model, "p", None)
    if not about.direct_path or read_out is None or not p:
        raise TypeError(
            f"{type(model).__name__} has no sum of parts that add directly to the logits of a "
            "pair, as a HookedTransformer with p, a HookedMLP and a HookedEmbeddingMLP have (an "
            "LSTM multiplies gates and states). Use gi.ablate(units, layer=...) and compare the "
            "logits, or probes.neuron_attribution on activations and weights of your choice."
            f"{unnamed(model, 'neurons', 'readout')}"
        )
    check_tokens(tokens, p, prompt=about.template)
    check_labels(labels, p)
    walk = _Backwards(network_on_pairs(model), read_out, tokens.cpu(), labels.cpu())
    for part in about.direct_path:
        walk.through(part)
    return LogitAttribution(dict(reversed(walk.parts.items())))


class _Backwards:
    """Goes from the logits back to the inputs and records what each part contributes.

    ``gradient`` [example, d]: d(label logit - mean logit of all residues) / d(activation at the
    current point), with the divisors of norms held constant.
    """

    def __init__(
        self, network: NetworkOnPairs, read_out: ReadOut, tokens: Tensor, labels: Tensor
    ) -> None:
        self.network, self.parts = network, dict[str, Tensor]()
        self.index = tokens[:, 0].long() * network.p + tokens[:, 1]
        classes = read_out.W_U.shape[1]
        gradient = torch.zeros(len(labels), classes, dtype=torch.float64)
        gradient[:, : network.p] = -1 / network.p
        gradient[torch.arange(len(labels)), labels.long()] += 1
        self.gradient = gradient * read_out.scale
        if read_out.b_U is not None:
            names = (name for name, w in read_out.parameters.items() if w is read_out.b_U)
            self.through(Bias(next(names, "b_U"), read_out.b_U))
        self.gradient = self.gradient @ _plain(read_out.W_U).T

    def through(self, part: Part) -> None:
        """Record what a part adds, or go through a norm with a constant divisor."""
        match part:
            case Bias(name, bias):
                self.parts[name] = (self.gradient @ _plain(bias))[:, None]
            case Vector(hook):
                self.parts[hook] = (self.seen(hook) * self.gradient).sum(dim=1, keepdim=True)
            case Neurons(hook, weight):
                to_neurons = self.gradient if weight is None else self.gradient @ _plain(weight).T
                self.parts[hook] = self.seen(hook) * to_neurons
            case Heads(hook, W_O):
                to_heads = einsum(
                    self.gradient, _plain(W_O), "example d, head d_head d -> example head d_head"
                )
                self.parts[hook] = (self.seen(hook) * to_heads).sum(dim=2)
            case Norm(hook, weight, _, _):
                if weight is not None:
                    self.gradient = self.gradient * _plain(weight)
                centred = self.gradient - self.gradient.mean(dim=1, keepdim=True)
                self.gradient = centred / self.seen(hook)

    def seen(self, hook: str) -> Tensor:
        """The examples' activations at the last position."""
        return self.network.activations(hook)[self.index]


def _plain(weight: Tensor) -> Tensor:
    return weight.detach().double().cpu()
