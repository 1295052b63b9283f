"""How TransformerLens and its tools call a network: what it returns, and where it stops."""

import sys
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache
from transformer_lens.utilities.lm_utils import lm_cross_entropy_loss

from grokinterp.checks import check_choice, check_int
from grokinterp.models.base import HookedModel, check_tokens
from grokinterp.models.prompt import Prompt
from grokinterp.models.transformer_cache import PostNormCache, UnfoldedCache
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.models.transformer_parts import Unembed

_RETURNED = ("logits", "loss", "both")
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class TransformerCalls(HookedModel):
    """``forward``, ``run_with_cache`` and ``run_with_hooks`` with TransformerLens' arguments."""

    cfg: TransformerConfig
    blocks: nn.ModuleList
    unembed: Unembed
    prompt: Prompt | None

    def forward(
        self,
        tokens: Int[Tensor, "batch pos"],
        return_type: str | None = "logits",
        *,
        loss_per_token: bool = False,
        prepend_bos: bool | None = None,
        stop_at_layer: int | None = None,
    ) -> Any:
        """Logits of pairs at the last position; of token sequences at all positions.

        Args:
            tokens: without ``p`` any token sequences. With ``p`` pairs [batch, 2]; or sequences
                [batch, pos] of as many tokens as the prompt has, if these are not two.
            return_type: "logits"; "loss", the mean cross-entropy of predicting each next token of
                sequences; "both"; or None for nothing, if only hooks matter.
            loss_per_token: the loss [batch, pos - 1] of every token, not their mean.
            prepend_bos: False or None. There are no tokens for the beginning of a text.
            stop_at_layer: return the residual stream [batch, pos, d_model] in front of this layer
                and compute no further; negative numbers count from the last layer.

        Raises:
            TypeError, ValueError: an argument, named, that this network cannot serve.
        """
        if prepend_bos:
            raise ValueError(
                "prepend_bos=True: this network has no token for the beginning of a text; write "
                'such a symbol into the prompt, as in prompt="eos a + b =", and train with it'
            )
        if return_type is not None:
            check_choice("return_type", return_type, _RETURNED)
        is_pairs = self._check_input(tokens)
        if is_pairs and return_type in ("loss", "both"):
            raise ValueError(
                f"return_type={return_type!r} is the loss of predicting every next token, which a "
                "network for pairs does not learn; take logits = model(pairs) and "
                "torch.nn.functional.cross_entropy(logits, labels)"
            )
        if stop_at_layer is not None:
            stream: Any = self._stream
            if torch.compiler.is_compiling() or "torch._dynamo" in sys.modules:
                stream = torch.compiler.disable(stream)  # compiled code sees no later hooks
            return stream(tokens, self._first_layers(stop_at_layer))
        logits = self._hooked_logits(tokens)
        if return_type in (None, "logits"):
            return logits if return_type else None
        if logits.shape[-1] < self.cfg.d_vocab:  # pyright: ignore[reportOperatorIssue]
            raise ValueError(
                f"return_type={return_type!r} needs a class for each of the {self.cfg.d_vocab} "
                f"tokens, this network has {logits.shape[-1]} classes; compute your loss from "
                "model(tokens)"
            )
        loss = lm_cross_entropy_loss(logits, tokens.long(), per_token=loss_per_token)
        return loss if return_type == "loss" else (logits, loss)

    def sequences(self, pairs: Int[Tensor, "batch 2"]) -> Int[Tensor, "batch pos"]:
        """What to give to tools that count the positions of their input, such as patching sweeps.

        These are the tokens of the prompt, of which the network returns logits [batch, pos,
        classes] at all positions; for a prompt of two tokens they are the pairs themselves.

        Raises:
            TypeError: the network has no ``p``.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> config = gi.TransformerConfig(d_model=16, n_heads=2, prompt="a b =")
            >>> model = gi.HookedTransformer(config, p=13)
            >>> tokens = model.sequences(torch.tensor([[2, 3], [12, 5]]))
            >>> tokens.tolist()  # 13 is "="
            [[2, 3, 13], [12, 5, 13]]
            >>> model(tokens).shape
            torch.Size([2, 3, 13])
        """
        if self.prompt is None or self.p is None:
            raise TypeError("a network without p reads any sequences and writes no pairs")
        check_tokens(pairs, self.p)
        return pairs if self.prompt.length == 2 else self.prompt.tokens(pairs)

    def run_with_hooks(self, *args: Any, fwd_hooks: Sequence[Any] = (), **kwargs: Any) -> Any:
        """TransformerLens' ``run_with_hooks``.

        Raises:
            ValueError: a sweep of ``transformer_lens.patching`` is given pairs, whose two numbers
                it would take for all positions of a longer prompt.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> config = gi.TransformerConfig(d_model=16, init="paper1")
            >>> model, pairs = gi.HookedTransformer(config, p=13), torch.tensor([[2, 3], [12, 5]])
            >>> half = ("blocks.0.mlp.hook_post", lambda neurons, hook: neurons / 2)
            >>> torch.equal(model.run_with_hooks(pairs, fwd_hooks=[half]), model(pairs))
            False
        """
        sweeps = any(_is_sweep(hook) for _, hook in fwd_hooks)
        if sweeps and self.prompt is not None and args[0].shape[-1] != self.prompt.length:
            raise ValueError(
                f"this network writes a pair as {self.prompt.length} tokens, but the sweep counts "
                f"{args[0].shape[-1]} positions; give it corrupted_tokens=model.sequences(pairs), "
                "and a metric of logits [batch, pos, classes]"
            )
        return super().run_with_hooks(*args, fwd_hooks=list(fwd_hooks), **kwargs)

    def run_with_cache(
        self,
        *args: Any,
        return_cache_object: bool = True,
        remove_batch_dim: bool = False,
        incl_bwd: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """TransformerLens' ``run_with_cache``: the output and all activations.

        Args:
            *args: the tokens.
            return_cache_object: return activations as ``ActivationCache``; False: as a dict.
            remove_batch_dim: drop the batch axis of a single example.
            incl_bwd: gradients of the loss too, by names that end in "_grad"; needs
                ``return_type="loss"``.
            **kwargs: ``names_filter`` and more, see ``HookedRootModule.run_with_cache``; and what
                :meth:`forward` takes.

        Raises:
            ValueError: ``incl_bwd`` without a loss or without gradients.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
            >>> pairs = torch.tensor([[2, 3], [12, 5]])
            >>> logits, cache = model.run_with_cache(pairs, names_filter=["blocks.0.mlp.hook_post"])
            >>> cache["post", 0].shape
            torch.Size([2, 3, 64])
        """
        if incl_bwd:
            self._check_backward(kwargs)
        output, cache = super().run_with_cache(
            *args, remove_batch_dim=remove_batch_dim, incl_bwd=incl_bwd, **kwargs
        )
        if not return_cache_object:
            return output, cache
        make = ActivationCache
        if self.cfg.norm_position == "post":
            make = PostNormCache
        elif self.cfg.normalization_type == "LN":
            make = UnfoldedCache
        return output, make(cache, self, has_batch_dim=not remove_batch_dim)

    def set_use_attn_result(self, use: bool) -> None:
        """Refused, unless it changes nothing.

        Examples:
            >>> import grokinterp as gi
            >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
            >>> try:
            ...     model.set_use_attn_result(True)
            ... except NotImplementedError as error:
            ...     print(str(error).split("; ")[1])
            use cache.stack_head_results(), or hook attn.hook_z
        """
        _refuse(use, "attn.hook_result", "cache.stack_head_results(), or hook attn.hook_z")

    def set_use_split_qkv_input(self, use: bool) -> None:
        """Refused, unless it changes nothing.

        Examples:
            >>> import grokinterp as gi
            >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
            >>> try:
            ...     model.set_use_split_qkv_input(True)
            ... except NotImplementedError as error:
            ...     print(str(error).split("; ")[1])
            use probes.path_patching, or gi.patch of hook_q, _k or _v
        """
        _refuse(use, "attn.hook_q_input", "probes.path_patching, or gi.patch of hook_q, _k or _v")

    def set_use_attn_in(self, use: bool) -> None:
        """Refused, unless it changes nothing.

        Examples:
            >>> import grokinterp as gi
            >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
            >>> try:
            ...     model.set_use_attn_in(True)
            ... except NotImplementedError as error:
            ...     print(str(error).split("; ")[1])
            use a hook at hook_resid_pre, attn.hook_q, hook_k or hook_v
        """
        _refuse(use, "hook_attn_in", "a hook at hook_resid_pre, attn.hook_q, hook_k or hook_v")

    def set_use_hook_mlp_in(self, use: bool) -> None:
        """Refused, unless it changes nothing.

        Examples:
            >>> import grokinterp as gi
            >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
            >>> try:
            ...     model.set_use_hook_mlp_in(True)
            ... except NotImplementedError as error:
            ...     print(str(error).split("; ")[1])
            use a hook at hook_resid_mid or mlp.hook_pre
        """
        _refuse(use, "hook_mlp_in", "a hook at hook_resid_mid or mlp.hook_pre")

    def blocks_with(self, part: str) -> list[tuple[int, nn.Module]]:
        """The layers, with their numbers, that have "attn" or "mlp".

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.TransformerConfig(n_layers=2, d_model=16, n_heads=2, attn_only=True)
            >>> model = gi.HookedTransformer(config, p=13)
            >>> [layer for layer, _ in model.blocks_with("attn")], model.blocks_with("mlp")
            ([0, 1], [])
        """
        found = ((i, block) for i, block in enumerate(self.blocks))
        return [(i, block) for i, block in found if getattr(block, part, None) is not None]

    @property
    def adapter(self) -> SimpleNamespace | None:
        """How TransformerLens' logit lens finds the scale of a config with ``mup``."""
        scale = self.unembed.scale
        if scale == 1:
            return None
        return SimpleNamespace(apply_output_logits_transform=lambda logits: scale * logits)

    def _stream(
        self, tokens: Int[Tensor, "batch word"], n_layers: int
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream behind the first ``n_layers`` layers, at all positions."""
        raise NotImplementedError

    def _check_input(self, tokens: Tensor) -> bool:
        """Raise unless the network can read the tokens; say whether they are pairs."""
        if self.p is not None:
            is_sequence = (
                self.prompt is not None
                and isinstance(tokens, Tensor)
                and tokens.ndim == 2
                and tokens.shape[1] == self.prompt.length != 2
            )
            if not is_sequence:
                check_tokens(tokens, self.p, prompt=self.template)
                return True
        check_sequences(tokens, self.cfg)
        return False

    def _first_layers(self, stop_at_layer: int) -> int:
        n_layers = self.cfg.n_layers
        check_int("stop_at_layer", stop_at_layer, minimum=-n_layers)
        if stop_at_layer >= n_layers:
            raise ValueError(
                f"stop_at_layer={stop_at_layer} is not before one of the {n_layers} layers; the "
                "stream behind the last is cache['resid_post', -1]"
            )
        return stop_at_layer % n_layers

    def _check_backward(self, kwargs: dict[str, Any]) -> None:
        if kwargs.get("return_type") != "loss" or kwargs.get("stop_at_layer") is not None:
            raise ValueError(
                "incl_bwd=True needs return_type='loss' and no stop_at_layer. For any other loss: "
                "cache = model.add_caching_hooks(incl_bwd=True), loss(model(tokens)).backward(), "
                "model.reset_hooks()"
            )
        if not torch.is_grad_enabled():
            raise ValueError("incl_bwd=True needs gradients, but they are switched off")


def check_sequences(tokens: Tensor, config: TransformerConfig) -> None:
    """Raise unless ``tokens`` is an integer tensor [batch, pos] that fits a resolved config."""
    n_ctx, d_vocab = config.n_ctx, config.d_vocab
    assert n_ctx is not None
    assert d_vocab is not None
    if not isinstance(tokens, Tensor) or tokens.dtype not in _INTEGERS:
        kind = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
        raise TypeError(f"tokens must be an integer tensor [batch, pos], got {kind}")
    if tokens.ndim != 2 or not 0 < tokens.shape[1] <= n_ctx:
        raise ValueError(
            f"tokens must have shape [batch, pos] with 1 to n_ctx={n_ctx} positions, "
            f"got {list(tokens.shape)}"
        )
    if tokens.numel() and (int(tokens.min()) < 0 or int(tokens.max()) >= d_vocab):
        raise ValueError(
            f"tokens must lie in 0..{d_vocab - 1} for d_vocab={d_vocab}, got values from "
            f"{int(tokens.min())} to {int(tokens.max())}"
        )


def _is_sweep(hook: object) -> bool:
    """Whether a hook is one of those that ``transformer_lens.patching`` adds."""
    return isinstance(hook, partial) and hook.func.__module__ == "transformer_lens.patching"


def _refuse(use: bool, name: str, instead: str) -> None:
    if use:
        raise NotImplementedError(f"this network has no hook points named {name}; use {instead}")
