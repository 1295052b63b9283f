"""The accuracy of a mixture of two tables of logits or probabilities, for any two weights.

``w_mem M + w_gen G`` answers an example correctly where its label beats every other class. Each of
these conditions holds on a half-plane of weights whose edge passes through the origin, so together
they hold on a sector: an interval of the angle of (w_mem, w_gen). The length of the weights does
not matter.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.short_text import short_repr

_MEMBERS = 1 << 24  # comparisons at a time; the mask has as many bytes


@short_repr
@dataclass(frozen=True, eq=False)  # eq=False: tensors have no single truth value
class Sectors:
    """Angles at which each example is answered correctly: within ``half_width`` of ``centre``."""

    centre: Float[Tensor, " example"]  # radians, of atan2(w_gen, w_mem)
    half_width: Float[Tensor, " example"]  # radians, up to pi / 2; zero or negative: never

    @classmethod
    def of(
        cls,
        memorising: Float[Tensor, "example class"],
        generalising: Float[Tensor, "example class"],
        labels: Int[Tensor, " example"],
    ) -> "Sectors":
        """The sectors of two tables of logits or probabilities.

        A tie with another class counts as wrong, so at weights of 0 nothing is correct.
        """
        leads = []
        for table in (memorising.double(), generalising.double()):
            lead = table.gather(1, labels[:, None]) - table
            others = torch.ones_like(lead, dtype=torch.bool).scatter_(1, labels[:, None], False)
            axes = "(example other) -> example other"
            leads.append(rearrange(lead[others], axes, example=len(lead)))
        angle = torch.atan2(leads[1], leads[0])  # the middle of each half-plane
        from_first = _wrapped(angle - angle[:, :1])
        low, high = from_first.min(dim=1).values, from_first.max(dim=1).values
        half_width = (torch.pi - (high - low)) / 2
        tied = ((leads[0] == 0) & (leads[1] == 0)).any(
            dim=1
        )  # with some class, whatever the weights
        return cls(
            centre=_wrapped(angle[:, 0] + (low + high) / 2),
            half_width=half_width.masked_fill(tied, -1.0),
        )

    def accuracy(self, weights: Float[Tensor, "row 2"]) -> Float[Tensor, " row"]:
        """Share of examples answered correctly, for each row of weights; NaN if a weight is NaN."""
        angle = torch.atan2(weights[:, 1], weights[:, 0])
        at_once = max(1, _MEMBERS // max(1, len(self.centre)))
        inside = (
            _wrapped(part[:, None] - self.centre).abs() < self.half_width
            for part in angle.split(at_once)
        )
        share = torch.cat([mask.double().mean(dim=1) for mask in inside])
        share[(weights == 0).all(dim=1)] = 0.0  # no direction, and every class ties
        return share.masked_fill(weights.isnan().any(dim=1), torch.nan)


def _wrapped(angle: Tensor) -> Tensor:
    """The angle in [-pi, pi)."""
    return (angle + torch.pi).remainder(2 * torch.pi) - torch.pi
