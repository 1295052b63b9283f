"""How often a mixture of two tables is right, at any two weights.

``w_mem M + w_gen G`` puts the label of an example first where it beats every other class. Each of
those conditions is a half-plane of weights with the origin on its edge, so together they are a
sector: an interval of the angle of (w_mem, w_gen). The length of the weights does not matter.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.short_text import short_repr

_MEMBERS = 1 << 24  # comparisons made at once; a mask of as many bytes


@short_repr
@dataclass(frozen=True, eq=False)  # eq=False: tensors have no single truth value
class Sectors:
    """Where each example is answered rightly: angles within ``half_width`` of ``centre``."""

    centre: Float[Tensor, " example"]  # radians, of atan2(w_gen, w_mem)
    half_width: Float[Tensor, " example"]  # radians, up to pi / 2; not positive: nowhere right

    @classmethod
    def of(
        cls,
        memorising: Float[Tensor, "example class"],
        generalising: Float[Tensor, "example class"],
        labels: Int[Tensor, " example"],
    ) -> "Sectors":
        """The sectors of two tables of logits or probabilities.

        A tie with another class counts as wrong: at weights of 0 nothing is right.
        """
        leads = []
        for table in (memorising.double(), generalising.double()):
            lead = table.gather(1, labels[:, None]) - table
            others = torch.ones_like(lead, dtype=torch.bool).scatter_(1, labels[:, None], False)
            leads.append(
                rearrange(lead[others], "(example other) -> example other", example=len(lead))
            )
        angle = torch.atan2(leads[1], leads[0])  # the middle of each half-plane
        from_first = _wrapped(angle - angle[:, :1])
        low, high = from_first.min(dim=1).values, from_first.max(dim=1).values
        half_width = (torch.pi - (high - low)) / 2
        tied = ((leads[0] == 0) & (leads[1] == 0)).any(dim=1)  # with a class at all weights
        return cls(
            centre=_wrapped(angle[:, 0] + (low + high) / 2),
            half_width=half_width.masked_fill(tied, -1.0),
        )

    def accuracy(self, weights: Float[Tensor, "row 2"]) -> Float[Tensor, " row"]:
        """Share of the examples that are answered rightly at each row of weights; NaN for NaN."""
        angle = torch.atan2(weights[:, 1], weights[:, 0])
        at_once = max(1, _MEMBERS // max(1, len(self.centre)))
        share = torch.cat([
            (_wrapped(part[:, None] - self.centre).abs() < self.half_width).double().mean(dim=1)
            for part in angle.split(at_once)
        ])  # fmt: skip
        share[(weights == 0).all(dim=1)] = 0.0  # no direction, and every class ties
        return share.masked_fill(weights.isnan().any(dim=1), torch.nan)


def _wrapped(angle: Tensor) -> Tensor:
    """The same angle in [-pi, pi)."""
    return (angle + torch.pi).remainder(2 * torch.pi) - torch.pi
