"""The papers' MLP on one-hot pairs, with a hook on every activation."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_LAYERS
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.anatomy import words_on
from grokinterp.models.base import HookedModel
from grokinterp.models.hidden_layers import HiddenLayer, last_hook, layer_gains, layer_powers
from grokinterp.models.initial_weights import normal
from grokinterp.models.norms import NORMS
from grokinterp.models.read_out import Neurons, Part, ReadOut
from grokinterp.randomness import generator

INITS = ("paper", "standard", "lazy")


@frozen_config
class MLPConfig:
    """Architecture and initialisation of a :class:`HookedMLP`, which has no biases.

    Initial weights are normal with zero mean. ``init`` says the variance of every matrix:
    "paper" (16 d_mlp)^(-2/3), "standard" 2 / fan_in, "lazy" 2 / d_mlp^(2/3). The fan_in of the
    one-hot pair is 2 p. Source: Doshi et al. 2023, arXiv:2310.13061, appendix A and Fig. 14.

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.MLPConfig(d_mlp=100, act="relu", norm="batch")
        >>> gi.HookedMLP.describe(config), gi.HookedMLP.parameter_count(config, p=97)
        ('MLP 1x100 relu batch', 29300)
    """

    d_mlp: int = 500  # neurons per hidden layer, the papers' N
    n_layers: int = 1  # hidden layers; 1 is the paper's "two-layer" network
    act: str = "square"  # square, relu or gelu
    init: str = "paper"  # paper, standard or lazy
    norm: str | None = None  # after every activation: None, "batch" or "layer"

    def __post_init__(self) -> None:
        check_int("d_mlp", self.d_mlp, minimum=1)
        check_int("n_layers", self.n_layers, minimum=1, maximum=MAX_LAYERS)
        check_choice("act", self.act, ACTIVATIONS)
        check_choice("init", self.init, INITS)
        if self.norm is not None:
            check_choice("norm", self.norm, NORMS)


class HookedMLP(HookedModel):
    """An MLP on one-hot pairs: logits(a, b) = act(... act(W_E[0, a] + W_E[1, b])) W_U.

    Source: Doshi et al. 2023, arXiv:2310.13061, eq. 1, whose matrices are transposed here.

    Weights:
        ``W_E`` [operand 2, p, d_mlp]: ``W_E[0]`` is the paper's U^T and ``W_E[1]`` its V^T.
        ``layers.{i}.W_in`` [d_mlp, d_mlp] for i >= 1: the hidden matrices.
        ``W_U`` [d_mlp, p]: the paper's W^T.
        ``layers.{i}.norm.gamma`` and ``.beta`` [d_mlp], if there are norms.

    Hook points, in order:
        ``hook_embed`` [batch, operand 2, d_mlp]; ``layers.{i}.hook_pre`` and
        ``layers.{i}.hook_post`` [batch, d_mlp], then the norm's ``layers.{i}.norm.hook_scale`` and
        ``layers.{i}.norm.hook_normalized``; ``hook_logits`` [batch, p].

    Args:
        config: the architecture.
        p: the modulus: size of the vocabulary and number of classes.
        seed: of the initial weights, which never come from torch's global generator.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model = gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13)
        >>> logits, cache = model.run_with_cache(torch.tensor([[2, 3], [12, 5]]))
        >>> for name, activation in cache.items():
        ...     print(name, tuple(activation.shape))
        hook_embed (2, 2, 20)
        layers.0.hook_pre (2, 20)
        layers.0.hook_post (2, 20)
        hook_logits (2, 13)
    """

    cfg: MLPConfig
    p: int
    config_class = MLPConfig
    dropout_places = ("pre", "post")

    def __init__(self, config: MLPConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p)
        check_int("seed", seed, minimum=0)
        rng, width = generator(seed, "init"), config.d_mlp
        self.W_E = normal((2, p, width), _std(config, fan_in=2 * p), rng)
        self.hook_embed = HookPoint()
        self.layers, std = nn.ModuleList(), _std(config, width)
        for layer in range(config.n_layers):
            W_in = normal((width, width), std, rng) if layer else None
            self.layers.append(HiddenLayer(width, act=config.act, norm=config.norm, W_in=W_in))
        self.W_U = normal((width, p), std, rng)
        self.hook_logits = HookPoint()
        self.setup()

    def logits(self, tokens: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch p"]:
        """Forward pass without token validation (safe under vmap)."""
        first, second = tokens.long().unbind(dim=1)
        embed = torch.stack([self.W_E[0][first], self.W_E[1][second]], dim=1)
        hidden = self.hook_embed(embed).sum(dim=1)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.hook_logits(hidden @ self.W_U)

    @property
    def input_weights(self) -> Sequence[Float[Tensor, "p d_mlp"]]:
        """The two operands' tables."""
        return list(self.W_E)

    @property
    def gains(self) -> dict[int, str]:
        """The gains of every layer's norm; empty without norms."""
        return layer_gains(self.layers)

    @property
    def read_out(self) -> ReadOut:
        """``W_U``, applied to the last layer's neurons, normalised if there is a norm."""
        return ReadOut.of(self, self.W_U, hook=last_hook(self.layers))

    @property
    def direct_path(self) -> Sequence[Part]:
        """Only the last layer's neurons."""
        return [Neurons(last_hook(self.layers))]

    @property
    def scale_powers(self) -> dict[str, Sequence[int]] | None:
        """Known for relu and square neurons without norms, otherwise None."""
        return layer_powers(self.layers, self.cfg.act, table="W_E", read_out=["W_U"])

    @classmethod
    def describe(cls, config: MLPConfig) -> str:
        """Layers times width, neurons and norm, such as "MLP 1x500 square"."""
        return words_on(cls, f"{config.n_layers}x{config.d_mlp}", config.act, config.norm)

    def only_neurons(self, keep: Bool[Tensor, " neuron"]) -> "HookedMLP | None":
        """A narrower copy; None with several hidden layers or a norm."""
        if len(self.layers) > 1 or self.gains:
            return None
        part = HookedMLP(replace(self.cfg, d_mlp=int(keep.sum())), p=self.p)
        weights = {"W_E": self.W_E.detach()[..., keep], "W_U": self.W_U.detach()[keep]}
        part.adopt({name: weight.clone() for name, weight in weights.items()})
        return part

    @staticmethod
    def weight_matrices(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The matrices of a ``state_dict``, with ``W_E`` split into the two operands' tables.

        Leading axes, such as that of a stack of runs, are kept.
        """
        operands = {f"W_E[{i}]": state["W_E"][..., i, :, :] for i in range(2)}
        return operands | {name: weight for name, weight in state.items() if name != "W_E"}

    @classmethod
    def parameter_count(cls, config: MLPConfig, p: int | None) -> int:
        """Parameters of the two input tables, the hidden matrices, the norms and the read-out."""
        assert p is not None
        norms = 0 if config.norm is None else 2 * config.n_layers
        return config.d_mlp * (3 * p + (config.n_layers - 1) * config.d_mlp + norms)

    @classmethod
    def dropout_points(cls, config: MLPConfig, place: str) -> dict[str, tuple[int, ...]]:
        """Every hidden layer's neurons, before ("pre") or after ("post") the activation."""
        return {
            f"layers.{i}.hook_{name}": (config.d_mlp,)
            for i in range(config.n_layers)
            for name in place.split("+")
        }


def _std(config: MLPConfig, fan_in: int) -> float:
    match config.init:
        case "paper":
            return (16 * config.d_mlp) ** (-1 / 3)
        case "standard":
            return (2 / fan_in) ** 0.5
    return 2**0.5 * config.d_mlp ** (-1 / 3)
