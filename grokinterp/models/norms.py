"""Batch and layer norms after a hidden layer's activation, with hooks and a named gain gamma."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.models.initial_weights import constant

NORMS = ("batch", "layer")
_EPS, _MOMENTUM = 1e-5, 0.1


class BatchNorm(nn.Module):
    """As ``torch.nn.BatchNorm1d``: batch statistics in training, running ones in evaluation.

    Weights: ``gamma`` (gain) and ``beta`` (offset), each [width]. Hook points: ``hook_scale``
    [width], the divisor, and ``hook_normalized`` [batch, width], the output. Unlike in
    TransformerLens' norms, gain and offset are already applied at ``hook_normalized``.

    Source: Doshi et al. 2023, arXiv:2310.13061, eq. 5.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = constant((width,), 1.0), constant((width,), 0.0)
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(width, device="cpu").float())
        self.register_buffer("running_var", torch.ones(width, device="cpu").float())
        self.hook_scale = HookPoint()
        self.hook_normalized = HookPoint()

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """``gamma (x - mean) / sqrt(var + eps) + beta``."""
        if self.training:
            if len(x) < 2:
                raise ValueError(
                    f"batch normalisation in training needs at least 2 examples, got {len(x)}; "
                    "call .eval() on the model to use its running statistics"
                )
            var, mean = torch.var_mean(x, dim=0, unbiased=False)
            unbiased = var.detach() * (len(x) / (len(x) - 1))
            for running, new in ((self.running_mean, mean.detach()), (self.running_var, unbiased)):
                # lerp_ would do this in one call, but vmap does not support it.
                running.mul_(1 - _MOMENTUM).add_(new.to(running), alpha=_MOMENTUM)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.hook_scale((var + _EPS).sqrt())
        return self.hook_normalized((x - mean) / scale * self.gamma + self.beta)


class LayerNorm(nn.Module):
    """As ``torch.nn.LayerNorm`` over the neurons; weights and hooks as in :class:`BatchNorm`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = constant((width,), 1.0), constant((width,), 0.0)
        self.hook_scale = HookPoint()
        self.hook_normalized = HookPoint()

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """``gamma (x - mean) / sqrt(var + eps) + beta``, mean and variance over the neurons."""
        var, mean = torch.var_mean(x, dim=-1, unbiased=False, keepdim=True)
        scale = self.hook_scale((var + _EPS).sqrt())
        return self.hook_normalized((x - mean) / scale * self.gamma + self.beta)


def make_norm(kind: str | None, width: int) -> nn.Module | None:
    """The norm that a config's ``norm`` field names; None for None."""
    match kind:
        case "batch":
            return BatchNorm(width)
        case "layer":
            return LayerNorm(width)
    return None
