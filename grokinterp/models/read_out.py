"""The linear read-out of a network, and the parts that write straight to its input."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from grokinterp.short_text import short_repr


@short_repr
@dataclass(frozen=True, eq=False, kw_only=True)
class ReadOut:
    """The last linear map: logits = ``scale`` (x W_U + b_U) of the classes, residues first."""

    W_U: Float[Tensor, "d classes"]
    b_U: Float[Tensor, " classes"] | None = None
    scale: float = 1.0
    hook: str | None = None  # the hook point of x, [batch, d] or [batch, pos, d]; None: unknown
    # W_U and b_U by their names among the network's parameters; those that are parameters of
    # their own. Multiplied by s together, they multiply every logit by s.
    parameters: Mapping[str, Tensor]
    is_tied: bool  # whether W_U is part of an input table

    @classmethod
    def of(
        cls,
        network: Any,
        W_U: Tensor,
        b_U: Tensor | None = None,
        *,
        hook: str | None = None,
        scale: float = 1.0,
    ) -> "ReadOut":
        """The read-out of a network: which of its parameters it is, and whether it is tied.

        Args:
            network: an :class:`~grokinterp.models.anatomy.Anatomy`, such as any ``HookedModel``.
            W_U: the matrix; a parameter, or a view of one, as in a tied read-out.
            b_U: the bias.
            hook: see above.
            scale: see above.
        """
        named = network.named_parameters()
        own = {name: weight for name, weight in named if weight is W_U or weight is b_U}
        memory = W_U.untyped_storage().data_ptr()
        tables = network.input_tables.values()
        is_tied = any(table.untyped_storage().data_ptr() == memory for table in tables)
        return cls(W_U=W_U, b_U=b_U, scale=scale, hook=hook, parameters=own, is_tied=is_tied)

    def logits(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch classes"]:
        """The classes' logits for some inputs."""
        logits = F.linear(x, self.W_U.T, self.b_U)
        return logits if self.scale == 1 else logits * self.scale


@short_repr
@dataclass(frozen=True, eq=False)
class Bias:
    """A constant that is added."""

    name: str  # of the parameter
    bias: Float[Tensor, " d"]


@short_repr
@dataclass(frozen=True, eq=False)
class Vector:
    """An activation [example, d] that is added as a whole."""

    hook: str


@short_repr
@dataclass(frozen=True, eq=False)
class Neurons:
    """Activations [example, neuron], each of which adds its row of ``weight``."""

    hook: str
    weight: Float[Tensor, "neuron d"] | None = None  # None: each neuron is one of the d entries


@short_repr
@dataclass(frozen=True, eq=False)
class Heads:
    """Attention heads' activations [example, head, d_head], each of which adds z W_O."""

    hook: str
    W_O: Float[Tensor, "head d_head d"]


@short_repr
@dataclass(frozen=True, eq=False)
class Norm:
    """A layer norm over the d entries: what is in front of it is centred, divided and scaled."""

    hook: str  # of what is divided by, [example, 1]
    weight: Float[Tensor, " d"] | None
    before: str  # the hook point of what is normalised
    eps: float  # added to the variance


Part = Bias | Vector | Neurons | Heads | Norm
