"""The vectors with which units write straight to the logits."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.models.base import HookedModel
from grokinterp.models.read_out import Neurons, Norm
from grokinterp.models.units import Units
from grokinterp.short_text import short_repr
from probes.network_on_pairs import NetworkOnPairs


@short_repr
@dataclass(frozen=True, eq=False)
class DirectOutput:
    """What each unit of a layer adds to the residues' logits, per unit of its activation."""

    hook: str  # where the activation is that the vectors are multiplied by
    W: Float[Tensor, "unit p"]  # float64
    # Whether the logits are a sum of activation times vector over the units, and of other parts
    # that do not depend on them. Behind a norm they are not.
    is_exact: bool
    is_all: bool  # whether nothing else writes to the logits
    dtype: torch.dtype  # of the network's weights


def direct_output(network: NetworkOnPairs, units: Units) -> DirectOutput | None:
    """The output vectors of units; None for units that write to the logits by way of others.

    The last layer's neurons have them. Behind a norm, which divides by a number that depends on the
    example, they are the vectors up to that number: gains are multiplied in, means are taken off.
    """
    about = network.anatomy
    read_out, hooks = about.read_out, about.neuron_hooks
    if read_out is None or not hooks or units.last != hooks[-1][-1]:
        return None
    dtype, is_all = read_out.W_U.dtype, len(about.direct_path) == 1 and read_out.b_U is None
    W_U = read_out.scale * read_out.W_U.detach()[:, : network.p].double().cpu()
    through_norm = False
    for part in about.direct_path:
        match part:
            case Norm(_, weight, _, _):
                through_norm = True
                if weight is not None:
                    W_U = weight.detach().double().cpu()[:, None] * W_U
                W_U = W_U - W_U.mean(dim=0)
            case Neurons(hook, weight) if hook == units.last:
                W = W_U if weight is None else weight.detach().double().cpu() @ W_U
                return DirectOutput(hook, W, not through_norm, is_all, dtype)
            case Neurons(hook, None) if len(W_U) == units.count:
                # The read-out's input, behind the layer's own norm, which keeps neurons apart.
                return DirectOutput(hook, W_U, not _has_norm(network), is_all, dtype)
            case _:
                pass
    if len(units.hooks) > 1 and len(W_U) == units.count and not about.direct_path:
        # A recurrent layer's last state; earlier steps of a unit reach the logits by way of others.
        return DirectOutput(units.last, W_U, False, False, dtype)
    return None


def as_built(network: NetworkOnPairs) -> bool:
    """Whether the network computes what its weights say, so that a shortcut to its logits holds.

    Not under a hook, or with a module put in another's place, such as a sparse autoencoder.
    """
    model = network.model
    return not (model.is_hooked if isinstance(model, HookedModel) else network.is_hooked)


def _has_norm(network: NetworkOnPairs) -> bool:
    about = network.anatomy
    return len(about.neuron_hooks) - 1 in about.gains
