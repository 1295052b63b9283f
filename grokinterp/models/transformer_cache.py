"""TransformerLens' cache, for networks of which some of its sums would be wrong."""

from typing import Any

import torch
from transformer_lens import ActivationCache


class PostNormCache(ActivationCache):
    """TransformerLens' cache, for a network with norms after the residual additions.

    Norms rescale such a residual stream, so what the layers wrote does not add up to it.
    """

    def decompose_resid(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: there is no such decomposition."""
        raise ValueError(
            "norm_position='post': every norm rescales the residual stream, which is therefore no "
            "sum of the layers' outputs. Look at them one by one: cache['attn_out', layer], "
            "cache['mlp_out', layer], or stack them with accumulated_resid"
        )

    def get_full_resid_decomposition(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: there is no such decomposition."""
        self.decompose_resid()

    def logit_attrs(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: there is no norm in front of the read-out whose scale could be applied."""
        self.decompose_resid()


class UnfoldedCache(ActivationCache):
    """TransformerLens' cache, for a network whose norms have gains and offsets.

    ``apply_ln`` leaves these out, as in TransformerLens, and so would attributions to logits.
    """

    def logit_attrs(self, *args: Any, **kwargs: Any) -> Any:
        """TransformerLens' ``logit_attrs``; refused unless the last norm's gains are 1, offsets 0.

        Raises:
            ValueError: the attributions would leave the last norm's gains and offsets out.
        """
        last = self.model.ln_final
        if not torch.equal(last.w, torch.ones_like(last.w)) or last.b.any():
            raise ValueError(
                "logit_attrs leaves out the gains ln_final.w and offsets ln_final.b, so the "
                "attributions would not add up to the logits. Take model.folded(), the same "
                "function with gains and offsets folded into the next matrices"
            )
        return super().logit_attrs(*args, **kwargs)
