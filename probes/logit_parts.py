"""Logits of a network with one hidden layer, split by the IPR of the neurons that write them."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.short_text import one_line
from probes.ipr import model_neuron_ipr
from probes.network_on_pairs import network_on_pairs
from probes.neuron_weights import neuron_weights
from probes.probe import probe

PARTS = ("memorising", "generalising", "rest")
_INSTEAD = (
    "analyses.corrupted_logits for other networks, or probes.logit_attribution for what each part "
    "writes"
)


class LogitParts(NamedTuple):
    """What each group of neurons writes to the logits, groups in the order of ``PARTS``."""

    logits: Float[Tensor, "part example p"]  # float64; their sum over parts are the logits
    n_neurons: Int[Tensor, " part"]

    def __repr__(self) -> str:
        return one_line(self)


@probe
def logit_parts(
    model: object, tokens: Int[Tensor, "example 2"], *, low: float, high: float
) -> LogitParts:
    """Logits by the neurons that write them.

    Args:
        model: a network with one hidden layer; with a norm behind it the sum is as exact.
        tokens: the examples, pairs (a, b).
        low: neurons with an IPR below it memorise.
        high: neurons with an IPR above it generalise. All others are the rest, dead ones among
            them.

    Raises:
        TypeError, ValueError: as :func:`probes.neuron_weights`: not one hidden layer.
    """
    neuron_weights(model, instead=_INSTEAD)
    ipr = model_neuron_ipr(model).ipr
    is_low, is_high = ipr < low, ipr > high
    members = torch.stack([is_low, is_high, ~(is_low | is_high)])
    network = network_on_pairs(model)
    read_out = network.anatomy.read_out
    assert read_out is not None
    # The read-out's input: with a norm, what comes out of it.
    at_read_out = network.activations(read_out.hook or network.neuron_hooks[0])
    post = at_read_out[tokens[:, 0] * network.p + tokens[:, 1]]
    W_U = read_out.W_U.detach().double().cpu()
    parts = torch.stack([(post * part) @ W_U for part in members])
    return LogitParts(parts, members.sum(dim=1))
