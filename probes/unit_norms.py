"""How large the weights of each unit are: neurons, heads, hidden units and gates of any network."""

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.models.base import HookedModel
from grokinterp.models.units import FREQUENCIES
from probes.network_on_pairs import network_on_pairs
from probes.own_parameters import own_parameters
from probes.probe import probe
from probes.unit_pruning import Removals


@probe
def unit_norms(model: HookedModel, unit: str = "neurons.0") -> Float[Tensor, " unit"]:
    """Joint norm of all parameters that the network uses for one unit and for nothing else.

    Of a neuron these are its input and output weights and its bias, of a head W_Q, W_K, W_V, W_O
    and their biases, of an LSTM's gate its own weights, of its hidden unit those of its four gates
    and those of the next layer that read it. Not among them are recurrent weights between two
    hidden units, and the output weights of units that a norm reads: these also pass on what the
    norm makes of a unit that is zero.

    For a network with one hidden layer, no norm and no biases: :func:`probes.model_neuron_norms`.

    Args:
        model: any network of ``grokinterp.models`` for pairs.
        unit: a name that ``model.list_units()`` lists; not "frequencies", which share all entries.

    Returns:
        float64, in the unit of the weights.

    Raises:
        ValueError: the network lacks these units; frequencies.

    Examples:
        The four attention heads of a transformer, which has no biases:

        >>> import grokinterp as gi
        >>> import torch
        >>> from probes import unit_norms
        >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=4), p=13)
        >>> parts = [model.W_Q, model.W_K, model.W_V, model.W_O]
        >>> by_hand = torch.cat([part[0].flatten(1) for part in parts], dim=1).norm(dim=1)
        >>> torch.allclose(unit_norms(model, "heads.0"), by_hand.double())
        True
    """
    if unit == FREQUENCIES:
        raise ValueError(
            "unit='frequencies' have no parameters of their own; see probes.model_table_spectra, "
            "which tells how much of the embedding each has"
        )
    taken_out = Removals(network_on_pairs(model), unit, "zero")
    number = torch.arange(taken_out.units.count)
    # The owner's number, bit by bit: an entry of one unit alone goes either with the units that
    # have a bit set or with those that have not. An entry of several goes with neither somewhere.
    bits = [(number >> k) & 1 == 1 for k in range(max(1, len(number) - 1).bit_length())]
    found = own_parameters(taken_out, [group for bit in bits for group in (bit, ~bit)])
    squares = torch.zeros(len(number), dtype=torch.float64)
    for name, weight in taken_out.network.model.named_parameters():
        entries = weight.detach().double().cpu()
        has_one = torch.ones_like(entries, dtype=torch.bool)
        owner = torch.zeros_like(entries, dtype=torch.int64)
        for k, (with_bit, without_bit) in enumerate(zip(found[::2], found[1::2], strict=True)):
            own, other = with_bit[name].cpu(), without_bit[name].cpu()
            has_one &= own ^ other
            owner += own.long() << k
        squares.index_add_(0, owner[has_one], entries[has_one].square())
    return squares.sqrt()
