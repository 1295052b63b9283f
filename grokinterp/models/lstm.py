"""An LSTM on token sequences, with a hook on every gate and state of every step."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_LAYERS
from grokinterp.models.anatomy import words_on
from grokinterp.models.base import HookedModel
from grokinterp.models.initial_weights import normal, uniform
from grokinterp.models.prompt import check_prompt, vocabulary
from grokinterp.models.read_out import ReadOut
from grokinterp.models.units import FREQUENCIES, UnitHooks
from grokinterp.randomness import generator

INITS = ("torch",)

_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# Least number of pairs, in units of p, for which sharing the steps before the second operand pays
# for a second call of the fused kernel.
_SHARE_FROM = 2

State = tuple[Float[Tensor, "layer rows d_hidden"], Float[Tensor, "layer rows d_hidden"]]  # (h, c)


@frozen_config
class LSTMConfig:
    """Architecture and initialisation of a :class:`HookedLSTM`.

    Initialisation "torch" takes PyTorch's defaults: embeddings are standard normal, all other
    weights and biases uniform within +-1 / sqrt(d_hidden).

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.LSTMConfig(n_layers=1, d_embed=16, d_hidden=32)
        >>> gi.HookedLSTM.describe(config)
        'LSTM 1x32'
    """

    n_layers: int = 2
    d_embed: int = 128
    d_hidden: int = 128  # width of the states h and c, in every layer
    prompt: str = "a b ="  # token sequence of a pair, see Prompt; the answer follows the last token
    d_vocab: int | None = None  # number of tokens; None: just those of the prompt
    d_vocab_out: int | None = None  # number of classes; None: p
    init: str = "torch"

    def __post_init__(self) -> None:
        check_int("n_layers", self.n_layers, minimum=1, maximum=MAX_LAYERS)
        for name in ("d_embed", "d_hidden"):
            check_int(name, getattr(self, name), minimum=1)
        check_prompt(self.prompt)
        for name in ("d_vocab", "d_vocab_out"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), minimum=2)
        check_choice("init", self.init, INITS)

    @classmethod
    def paper2(cls, **changes: Any) -> "LSTMConfig":
        """The second paper's LSTM, with the vocabulary of 239 tokens of the paper's code.

        Source: "Towards Understanding Grokking Phenomenon via Model and Training Efficiency",
        Figs. 1 and 3.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.LSTMConfig.paper2()
            >>> config.prompt, config.d_vocab, gi.HookedLSTM.describe(config)
            ('eos a + b =', 239, 'LSTM 2x128')
        """
        return cls(**{"prompt": "eos a + b =", "d_vocab": 239, "d_vocab_out": 239} | changes)


class HookedLSTM(HookedModel):
    """An embedding, the layers of a ``torch.nn.LSTM``, and a linear read-out of the last state.

    With s the logistic function and states h = c = 0 before the first step, step t of a layer is::

        i, f, o = s(W_i x_t + U_i h + b_i), s(W_f x_t + U_f h + b_f), s(W_o x_t + U_o h + b_o)
        g = tanh(W_g x_t + U_g h + b_g);  c <- f c + i g;  h <- o tanh(c)

    Weights:
        ``embed.W_E`` [d_vocab, d_embed]; ``unembed.W_U`` [d_hidden, d_vocab_out].
        ``lstm.weight_ih_l{l}`` [4 d_hidden, input], ``lstm.weight_hh_l{l}`` [4 d_hidden, d_hidden],
        ``lstm.bias_ih_l{l}`` and ``lstm.bias_hh_l{l}`` [4 d_hidden], as in ``torch.nn.LSTM``:
        rows belong to i, f, g and o in this order, and b is the sum of both biases.

    Hook points, in order:
        ``hook_embed`` [batch, pos, d_embed]; in layer l, for every step t, the gates
        ``layers.{l}.steps.{t}.hook_i``, ``hook_f``, ``hook_g``, ``hook_o`` after their nonlinearity
        and the states ``hook_c``, ``hook_h`` [batch, d_hidden]; then ``layers.{l}.hook_out``
        [batch, pos, d_hidden], the input of the next layer or the read-out; ``hook_logits``
        [batch, d_vocab_out].

    A network without hooks uses torch's fused kernel, and computes the steps before the second
    operand only once for each value of the first. Under ``torch.func`` transforms, which the kernel
    does not support, and with hooks, the steps are computed one by one.

    Args:
        config: the architecture.
        p: the modulus.
        seed: of the initial weights, which never come from torch's global generator.

    Raises:
        ValueError: the config's ``d_vocab`` or ``d_vocab_out`` is too small for p.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model = gi.HookedLSTM(gi.LSTMConfig(n_layers=1, d_embed=8, d_hidden=16), p=13)
        >>> logits, cache = model.run_with_cache(torch.tensor([[2, 3], [12, 5]]))
        >>> cache["layers.0.steps.2.hook_f"].shape
        torch.Size([2, 16])
        >>> read_out = cache["layers.0.steps.2.hook_h"] @ model.W_U
        >>> torch.allclose(read_out, logits, atol=1e-5)
        True
    """

    cfg: LSTMConfig
    p: int
    config_class = LSTMConfig
    dropout_places = ("embed", "between")

    def __init__(self, config: LSTMConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p)
        check_int("seed", seed, minimum=0)
        self.prompt, d_vocab, d_vocab_out = vocabulary(config, p)
        places = self.prompt.operands
        self._first, self._second = places.index(min(places)), max(places)
        rng, bound = generator(seed, "init"), config.d_hidden**-0.5
        self.embed = nn.ParameterDict({"W_E": normal((d_vocab, config.d_embed), 1.0, rng)})
        self.hook_embed = HookPoint()
        # Built on "meta": elsewhere nn.LSTM would draw its weights from torch's global generator.
        self.lstm = nn.LSTM(
            config.d_embed, config.d_hidden, config.n_layers, device="meta", dtype=torch.float32
        ).to_empty(device="cpu")
        with torch.no_grad():
            for weight in self.lstm.parameters():
                weight.uniform_(-bound, bound, generator=rng)
        self.layers = nn.ModuleList(_Layer(self.prompt.length) for _ in range(config.n_layers))
        W_U = uniform((config.d_hidden, d_vocab_out), config.d_hidden, rng)
        self.unembed = nn.ParameterDict({"W_U": W_U})
        self.hook_logits = HookPoint()
        self.setup()

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_embed"]:
        """The embedding; rows 0..p-1 are the residues."""
        return self.embed["W_E"]

    @property
    def W_U(self) -> Float[Tensor, "d_hidden d_vocab_out"]:
        """The read-out."""
        return self.unembed["W_U"]

    def logits(self, tokens: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch d_vocab_out"]:
        """Forward pass without token validation (safe under vmap)."""
        words = self.prompt.tokens(tokens)
        if self.is_hooked:
            if self.lstm._forward_hooks or self.lstm._forward_pre_hooks:
                raise ValueError(
                    "a torch hook on .lstm would never run, because a HookedLSTM with hooks does "
                    "not call it; hook layers.{l}.steps.{t}.hook_* or layers.{l}.hook_out instead"
                )
            embed = self.hook_embed(F.embedding(words, self.W_E))
            by_step = rearrange(embed, "batch pos d -> pos batch d")
            out, _ = self._step_by_step(by_step, self._zeros(len(tokens)))
            return self.hook_logits(out[-1] @ self.W_U)
        run = self._step_by_step if torch._C._are_functorch_transforms_active() else self.lstm
        state = self._zeros(len(tokens))
        if len(tokens) >= _SHARE_FROM * self.p:
            residues = torch.arange(self.p, device=tokens.device)
            same = residues[:, None].expand(-1, 2)  # the second operand is cut off
            beginnings = self.prompt.tokens(same)[:, : self._second]
            _, (h, c) = run(F.embedding(beginnings.T, self.W_E), self._zeros(self.p))
            first = tokens[:, self._first].long()
            state = h.index_select(1, first), c.index_select(1, first)
            words = words[:, self._second :]
        out, _ = run(F.embedding(words.T, self.W_E), state)
        return self.hook_logits(out[-1] @ self.W_U)

    @property
    def input_tables(self) -> Mapping[str, Tensor]:
        """``W_E``, or two parts of it where the prompt gives each operand a table."""
        return self.prompt.tables(self.W_E)

    @property
    def neuron_hooks(self) -> list[list[str]]:
        """Each layer's hidden states h at every step."""
        steps = range(self.prompt.length)
        return [[f"layers.{i}.steps.{t}.hook_h" for t in steps] for i in range(self.cfg.n_layers)]

    @property
    def unit_hooks(self) -> dict[str, UnitHooks]:
        """The embedding's frequencies; every layer's gates and hidden states at every step."""
        inherited = super().unit_hooks
        found = {name: inherited[name] for name in inherited if name == FREQUENCIES}
        steps = range(self.prompt.length)
        for i in range(self.cfg.n_layers):
            for kind in ("gate_i", "gate_f", "gate_g", "gate_o", "hidden"):
                letter = "h" if kind == "hidden" else kind[-1]
                hooks = tuple(f"layers.{i}.steps.{t}.hook_{letter}" for t in steps)
                found[f"{kind}.{i}"] = UnitHooks(hooks)
        return found

    @property
    def read_out(self) -> ReadOut:
        """``W_U``, applied to the last layer's last state."""
        hook = f"layers.{self.cfg.n_layers - 1}.hook_out"
        return ReadOut.of(self, self.W_U, hook=hook)

    @property
    def used_rows(self) -> dict[str, int]:
        """Only embeddings of the residues and of the prompt's symbols are used."""
        return {"embed.W_E": self.prompt.d_vocab}

    @classmethod
    def describe(cls, config: LSTMConfig) -> str:
        """Layers times width, such as "LSTM 2x128"."""
        return words_on(cls, f"{config.n_layers}x{config.d_hidden}")

    def _step_by_step(
        self, x: Float[Tensor, "pos rows d_embed"], state: State
    ) -> tuple[Float[Tensor, "pos rows d_hidden"], State]:
        """The same function as ``self.lstm``, with hook points."""
        ends = []
        for i, layer in enumerate(self.layers):
            weights = [getattr(self.lstm, f"{name}_l{i}") for name in _WEIGHTS]
            x, end = layer(x, (state[0][i], state[1][i]), weights)
            ends.append(end)
        h, c = zip(*ends, strict=True)
        return x, (torch.stack(h), torch.stack(c))

    def _zeros(self, rows: int) -> State:
        zeros = self.W_E.new_zeros(self.cfg.n_layers, rows, self.cfg.d_hidden)
        return zeros, zeros

    @classmethod
    def parameter_count(cls, config: LSTMConfig, p: int | None) -> int:
        """Parameters of the embedding, four gates per layer, and the read-out."""
        assert p is not None
        _, d_vocab, classes = vocabulary(config, p)
        first, later, width = config.d_embed, config.n_layers - 1, config.d_hidden
        inputs = first + later * width  # of all layers together
        gates = 4 * width * (inputs + config.n_layers * (width + 2))
        return d_vocab * config.d_embed + gates + width * classes

    @classmethod
    def dropout_points(cls, config: LSTMConfig, place: str) -> dict[str, tuple[int, ...]]:
        """The embeddings ("embed"), and the outputs of every layer but the last ("between")."""
        length = len(config.prompt.split())
        points: dict[str, tuple[int, ...]] = {}
        for name in place.split("+"):
            check_choice("place", name, cls.dropout_places)
            if name == "embed":
                points["hook_embed"] = (length, config.d_embed)
            else:
                for i in range(config.n_layers - 1):
                    points[f"layers.{i}.hook_out"] = (length, config.d_hidden)
        return points


class _Layer(nn.Module):
    """One layer's hook points; its weights are in ``HookedLSTM.lstm``."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(_Step() for _ in range(length))
        self.hook_out = HookPoint()

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor], weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Outputs [pos, rows, d_hidden] and the final (h, c) for inputs [pos, rows, input]."""
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        h, c = state
        outputs = []
        inputs = x @ weight_ih.T + (bias_ih + bias_hh)
        for step, from_input in zip(self.steps, inputs, strict=False):
            h, c = step(from_input + h @ weight_hh.T, c)
            outputs.append(h)
        return self.hook_out(torch.stack(outputs, dim=1)).transpose(0, 1), (h, c)


class _Step(nn.Module):
    """The LSTM cell of one layer at one position."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_i, self.hook_f = HookPoint(), HookPoint()
        self.hook_g, self.hook_o = HookPoint(), HookPoint()
        self.hook_c, self.hook_h = HookPoint(), HookPoint()

    def forward(
        self, gates: Float[Tensor, "rows four_d_hidden"], c: Float[Tensor, "rows d_hidden"]
    ) -> tuple[Float[Tensor, "rows d_hidden"], Float[Tensor, "rows d_hidden"]]:
        """The next (h, c), from the gates before their nonlinearity and the previous c."""
        i, f, g, o = gates.chunk(4, dim=-1)
        i, f = self.hook_i(i.sigmoid()), self.hook_f(f.sigmoid())
        g, o = self.hook_g(g.tanh()), self.hook_o(o.sigmoid())
        c = self.hook_c(f * c + i * g)
        return self.hook_h(o * c.tanh()), c
