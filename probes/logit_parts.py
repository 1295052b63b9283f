"""Logits of a network with one hidden layer, split into groups of neurons by IPR."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.models.base import check_tokens
from grokinterp.short_text import one_line
from probes.ipr import model_neuron_ipr
from probes.network_on_pairs import network_on_pairs
from probes.neuron_weights import neuron_weights
from probes.probe import probe

PARTS = ("memorising", "generalising", "rest")
_INSTEAD = (
    "analyses.corrupted_logits for other networks, or probes.logit_attribution for what each part "
    "adds"
)


class LogitParts(NamedTuple):
    """What each group of neurons adds to the logits, in the order of ``PARTS``.

    A bias of the read-out is in the rest.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import logit_parts
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> parts = logit_parts(model, data.tokens, low=0.4, high=0.6)
        >>> parts.logits.shape, parts.n_neurons.tolist()  # all generalise
        (torch.Size([3, 169, 13]), [0, 60, 0])
    """

    logits: Float[Tensor, "part example p"]  # float64; add up to the logits
    n_neurons: Int[Tensor, " part"]

    def __repr__(self) -> str:
        return one_line(self)


@probe
def logit_parts(
    model: object, tokens: Int[Tensor, "example 2"], *, low: float, high: float
) -> LogitParts:
    """Split the logits into contributions of memorising, generalising and all other neurons.

    Args:
        model: a network with one hidden layer, with or without a norm after it.
        tokens: the examples, pairs (a, b).
        low: neurons with an IPR below this memorise.
        high: neurons with an IPR above this generalise. All others, dead ones included, are the
            rest.

    Raises:
        TypeError, ValueError: not one hidden layer, tokens that are not pairs of residues, or
            ``low`` above ``high``.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import logit_parts
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> data = run.dataset
        >>> logits = logit_parts(run.model, data.tokens[data.is_test], low=0.5, high=0.7).logits
        >>> hits = logits.argmax(dim=2) == data.labels[data.is_test]
        >>> memorising, generalising, _ = hits.double().mean(dim=1).tolist()
        >>> memorising < 0.3, generalising > 0.8
        (True, True)
    """
    neuron_weights(model, instead=_INSTEAD)
    if not low <= high:
        raise ValueError(
            f"low={low} must not be above high={high}, or neurons between them are in both groups"
        )
    ipr = model_neuron_ipr(model).ipr
    is_low, is_high = ipr < low, ipr > high
    members = torch.stack([is_low, is_high, ~(is_low | is_high)])
    network = network_on_pairs(model)
    check_tokens(tokens, network.p)
    read_out = network.anatomy.read_out
    assert read_out is not None
    a, b = tokens.long().unbind(dim=1)
    post = network.neurons(read_out.hook or network.neuron_hooks[0])[a, b]
    W_U = read_out.W_U.detach().double().cpu()
    parts = torch.stack([(post * part) @ W_U for part in members])
    if read_out.b_U is not None:
        parts[PARTS.index("rest")] += read_out.b_U.detach().double().cpu()
    return LogitParts(parts, members.sum(dim=1))
