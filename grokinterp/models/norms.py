"""Normalisation after a hidden layer's activation, with its scale gamma reachable by name."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

NORMS = ("batch", "layer")
_EPS, _MOMENTUM = 1e-5, 0.1


class BatchNorm(nn.Module):
    """As ``torch.nn.BatchNorm1d``: batch statistics in training, running ones in evaluation.

    ``gamma`` and ``beta`` [width] are the affine part; hooks are
    ``hook_scale`` (what is divided by, [width]) and ``hook_normalized`` (the output: unlike in
    TransformerLens' norms the affine part is in it).

    Source: Doshi et al. 2023, arXiv:2310.13061, eq. 5.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, dtype=torch.float32, device="cpu"))
        self.beta = nn.Parameter(torch.zeros(width, dtype=torch.float32, device="cpu"))
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
                # lerp_ would say it in one call, but vmap has no rule for it
                running.mul_(1 - _MOMENTUM).add_(new.to(running), alpha=_MOMENTUM)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.hook_scale((var + _EPS).sqrt())
        return self.hook_normalized((x - mean) / scale * self.gamma + self.beta)


class LayerNorm(nn.Module):
    """As ``torch.nn.LayerNorm`` over the neurons; names and hooks as in :class:`BatchNorm`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, dtype=torch.float32, device="cpu"))
        self.beta = nn.Parameter(torch.zeros(width, dtype=torch.float32, device="cpu"))
        self.hook_scale = HookPoint()
        self.hook_normalized = HookPoint()

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """``gamma (x - mean) / sqrt(var + eps) + beta`` with moments over the neurons."""
        var, mean = torch.var_mean(x, dim=-1, unbiased=False, keepdim=True)
        scale = self.hook_scale((var + _EPS).sqrt())
        return self.hook_normalized((x - mean) / scale * self.gamma + self.beta)


def make_norm(kind: str | None, width: int) -> nn.Module | None:
    """The norm of a config's ``norm`` field; None for none."""
    match kind:
        case "batch":
            return BatchNorm(width)
        case "layer":
            return LayerNorm(width)
    return None
