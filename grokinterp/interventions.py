"""Hook functions that take neurons out of a network, or turn them up and down.

Each returns the ``fwd_hooks`` list that TransformerLens' ``run_with_hooks`` and ``hooks`` take::

    logits = model.run_with_hooks(tokens, fwd_hooks=ablate([3, 7]))
    with model.hooks(fwd_hooks=scale(ipr > 0.5, 2.0)):
        logits = model(tokens)
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp._checks import check_choice, check_int
from grokinterp.randomness import generator

ABLATIONS = ("zero", "mean", "resample")

# What TransformerLens takes: hook names (or predicates on names) with hook functions.
FwdHooks = list[tuple[str | Callable[..., Any], Callable[..., Any]]]
Neurons = Sequence[int] | Tensor


def ablate(
    neurons: Neurons,
    mode: str = "zero",
    *,
    layer: int = 0,
    reference: Float[Tensor, "example d_mlp"] | None = None,
    seed: int = 0,
) -> FwdHooks:
    """Replace the activations of some neurons after the nonlinearity.

    Args:
        neurons: indices 0..d_mlp-1, or a boolean mask over the layer's neurons.
        mode: "zero"; "mean" over examples; "resample": values from a random example, by one
            permutation of the batch (or one draw from ``reference``) for all neurons.
        layer: the hidden layer, 0 for the first.
        reference: activations [example, d_mlp] that means and samples are taken from; by default
            the batch that the hooked model is run on.
        seed: draws the examples of "resample".

    Returns:
        ``fwd_hooks`` on ``layers.{layer}.hook_post``.

    Raises:
        IndexError: a neuron does not exist (when the hook runs: only then is the width known).
    """
    check_choice("mode", mode, ABLATIONS)
    check_int("seed", seed, minimum=0)

    def replace(post: Tensor, hook: HookPoint) -> Tensor:
        index = _indices(neurons, post.shape[-1], str(hook.name)).to(post.device)
        source = post if reference is None else reference.to(post)
        if source.ndim != 2 or source.shape[1] != post.shape[1] or not len(source):
            raise ValueError(
                f"reference must be [example, {post.shape[1]}] like {hook.name}, with at least "
                f"one example, got {list(source.shape)}"
            )
        changed = post.clone()
        match mode:
            case "zero":
                changed[:, index] = 0.0
            case "mean":
                changed[:, index] = source[:, index].mean(dim=0)
            case "resample":
                changed[:, index] = source[_other_examples(len(source), len(post), seed)][:, index]
        return changed

    return [(_post_hook(layer), replace)]


def scale(neurons: Neurons, factor: float | Tensor, *, layer: int = 0) -> FwdHooks:
    """Multiply the activations of some neurons by ``factor`` (a number, or one per neuron).

    Returns ``fwd_hooks`` on ``layers.{layer}.hook_post``; errors as for :func:`ablate`.
    """

    def multiply(post: Tensor, hook: HookPoint) -> Tensor:
        index = _indices(neurons, post.shape[-1], str(hook.name)).to(post.device)
        by = torch.as_tensor(factor).to(post)
        if by.ndim and by.shape != index.shape:
            raise ValueError(
                f"factor must be one number or one per chosen neuron ({len(index)}), "
                f"got shape {list(by.shape)}"
            )
        changed = post.clone()
        changed[:, index] *= by
        return changed

    return [(_post_hook(layer), multiply)]


def _post_hook(layer: int) -> str:
    check_int("layer", layer, minimum=0)
    return f"layers.{layer}.hook_post"


def _indices(neurons: Neurons, width: int, where: str) -> Tensor:
    try:
        chosen = torch.as_tensor(neurons)
    except (TypeError, RuntimeError, ValueError) as error:
        raise TypeError(
            f"neurons must be a list of indices or a boolean mask, got {neurons!r}"
        ) from error
    if chosen.dtype == torch.bool:
        if chosen.shape != (width,):
            raise IndexError(
                f"neurons is a mask of shape {list(chosen.shape)}, "
                f"but {where} has {width} neurons; give one value per neuron"
            )
        return chosen.nonzero()[:, 0]
    if chosen.numel() == 0:
        return chosen.long().flatten()
    if chosen.is_floating_point() or chosen.ndim != 1:
        raise TypeError(
            "neurons must be a list of indices or a boolean mask, got "
            f"{chosen.dtype} of shape {list(chosen.shape)}"
        )
    outside = chosen[(chosen < 0) | (chosen >= width)]
    if len(outside):
        raise IndexError(
            f"neurons contains {outside[:5].tolist()}, but {where} has {width} neurons "
            f"(0..{width - 1})"
        )
    if len(chosen.unique()) != len(chosen):
        raise ValueError("neurons names a neuron twice; a mask must be boolean, not 0 and 1")
    return chosen.long()


def _other_examples(available: int, wanted: int, seed: int) -> Tensor:
    rng = generator(seed, "resample")
    if available == wanted:
        return torch.randperm(available, generator=rng)
    return torch.randint(available, (wanted,), generator=rng)
