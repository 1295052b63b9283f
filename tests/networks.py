"""Networks of others, and what any network is given: pairs, prompts, weights that all matter."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

import grokinterp as gi
from grokinterp.models import HookedModel

Network = TypeVar("Network", bound=HookedModel)


def all_pairs(p: int) -> Tensor:
    """Every (a, b), in the order of a data set: int64 [p * p, 2]."""
    return torch.cartesian_prod(torch.arange(p), torch.arange(p))


def sentences(prompt: str, pairs: Tensor, p: int) -> Tensor:
    """The prompt's tokens of every pair, as one would write them down: [pair, position]."""
    words = prompt.split()
    symbols = [word for word in dict.fromkeys(words) if word not in ("a", "b")]
    tokens = {word: torch.full((len(pairs),), p + i) for i, word in enumerate(symbols)}
    tokens |= {"a": pairs[:, 0], "b": pairs[:, 1]}
    return torch.stack([tokens[word] for word in words], dim=1)


def far_from_zero(model: Network, *, seed: int) -> Network:
    """In float64, with every parameter drawn from N(0, 1/4): biases and norms too."""
    rng = torch.Generator().manual_seed(seed)
    for weight in model.double().parameters():
        weight.data.normal_(0.0, 0.5, generator=rng)
    return model


def half_periodic_mlp(p: int, width: int, *, has_norm: bool) -> gi.HookedMLP:
    """Analytic weights with noise, in float64: neurons more or less periodic."""
    rng = torch.Generator().manual_seed(1)
    norm = "layer" if has_norm else None
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=width, norm=norm), p=p).double().eval()
    solved = gi.closed_form_mlp(p=p, d_mlp=width).double()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=rng, dtype=torch.float64)
            start = weight if has_norm and "norm" in name else solved.get_parameter(name)
            weight.copy_(start + 0.3 * noise)
    model.operation = "addition"
    return model


def adding_and_remembering(
    data: gi.Dataset, pairs: Tensor, *, periodic: int, writes: float
) -> gi.HookedMLP:
    """Analytic neurons that add, and for each of some pairs a neuron that sees it most.

    With 1/2 at each operand's residue, the square is 1 at the pair and 1/4 at its row and column.

    Args:
        data: tokens and labels, of a prime modulus.
        pairs: places of the remembered pairs.
        periodic: number of neurons that add.
        writes: what a pair's neuron adds to the logit of its label.
    """
    p = data.p
    adding = gi.closed_form_mlp(p, periodic, seed=1)
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=periodic + len(pairs)), p=p)
    model.operation = "addition"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.W_E[:, :, :periodic], model.W_U[:periodic] = adding.W_E, adding.W_U
        for neuron, pair in enumerate(pairs, start=periodic):
            for operand in range(2):
                model.W_E[operand, data.tokens[pair, operand], neuron] = 0.5
            model.W_U[neuron, data.labels[pair]] = writes
    return model.eval()


def native_transformer(p: int, **changes: Any) -> Any:
    """TransformerLens' own (``boot_native``): 3 positions, tokens 0 .. p-1 and "=", p classes."""
    config: dict[str, Any] = {"n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_mlp": 16}
    config |= {"d_vocab": p + 1, "d_vocab_out": p, "n_ctx": 3, "normalization_type": None}
    config |= {"act_fn": "relu", "attention_dir": "causal", "seed": 0}
    boot: Any = getattr(TransformerBridge, "boot_native")  # noqa: B009 (set at run time)
    return boot(config | changes)


class Logits(nn.Module):
    """A network whose forward pass does not look at the tokens' values, as vmap needs."""

    def __init__(self, model: HookedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pairs: Tensor) -> Tensor:
        return self.model.logits(pairs)
