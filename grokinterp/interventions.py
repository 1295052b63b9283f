"""Hook functions that take parts of a network out, turn them up and down, or exchange them.

Each returns the ``fwd_hooks`` list that TransformerLens' ``run_with_hooks`` and ``hooks`` take::

    logits = model.run_with_hooks(tokens, fwd_hooks=ablate([3, 7]))
    with model.hooks(fwd_hooks=scale(ipr > 0.5, 2.0, hook="blocks.0.mlp.hook_post")):
        logits = model(tokens)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.hook_points import HookPoint

from grokinterp._checks import check_choice, check_int
from grokinterp.randomness import generator

ABLATIONS = ("zero", "mean", "resample")

# What TransformerLens takes: hook names (or predicates on names) with hook functions.
FwdHooks = list[tuple[str | Callable[..., Any], Callable[..., Any]]]
Chosen = Sequence[int] | Tensor


def ablate(
    neurons: Chosen,
    mode: str = "zero",
    *,
    layer: int = 0,
    hook: str | None = None,
    reference: Float[Tensor, "example ..."] | None = None,
    seed: int = 0,
) -> FwdHooks:
    """Replace the activations of some neurons, after the nonlinearity or at any hook point.

    Args:
        neurons: indices 0..d-1 on the activation's last axis, or a boolean mask over it.
        mode: "zero"; "mean" over examples (of each position, if the activation has positions);
            "resample": values from a random example, by one permutation of the batch (or one draw
            from ``reference``) for all neurons.
        layer: the hidden layer of an MLP, 0 for the first: short for
            ``hook="layers.{layer}.hook_post"``.
        hook: the hook point, whose activation is [example, ..., d].
        reference: activations of the same shape, for any number of examples, that means and samples
            are taken from; by default the batch that the hooked model is run on.
        seed: draws the examples of "resample".

    Raises:
        IndexError: a neuron does not exist (when the hook runs: only then is the width known).
    """
    return _replace("neurons", neurons, _post_hook(layer, hook), mode, reference, seed)


def ablate_heads(
    heads: Chosen,
    mode: str = "zero",
    *,
    layer: int = 0,
    reference: Float[Tensor, "example pos head d_head"] | None = None,
    seed: int = 0,
) -> FwdHooks:
    """Replace what some attention heads hand on, ``blocks.{layer}.attn.hook_z``.

    ``heads`` are indices or a boolean mask over the heads; the rest is as in :func:`ablate`.
    """
    check_int("layer", layer, minimum=0)
    return _replace("heads", heads, f"blocks.{layer}.attn.hook_z", mode, reference, seed)


def scale(
    neurons: Chosen, factor: float | Tensor, *, layer: int = 0, hook: str | None = None
) -> FwdHooks:
    """Multiply the activations of some neurons by ``factor`` (a number, or one per neuron).

    Neurons, ``layer``, ``hook`` and errors are as in :func:`ablate`.
    """

    def multiply(activation: Tensor, hook: HookPoint) -> Tensor:
        index = _indices("neurons", neurons, activation.shape[-1], hook).to(activation.device)
        by = torch.as_tensor(factor).to(activation)
        if by.ndim and by.shape != index.shape:
            raise ValueError(
                f"factor must be one number or one per chosen neuron ({len(index)}), "
                f"got shape {list(by.shape)}"
            )
        return activation.index_copy(-1, index, activation[..., index] * by)

    return [(_post_hook(layer, hook), multiply)]


def patch(cache: Mapping[str, Tensor] | ActivationCache, names: Sequence[str]) -> FwdHooks:
    """Put activations of another run in the place of this one's: activation patching.

    Args:
        cache: activations by hook name, as from ``run_with_cache`` on as many examples.
        names: the hook points to patch.

    Raises:
        ValueError: a name that the cache does not hold; other shapes (when the hook runs).
    """

    def put(activation: Tensor, hook: HookPoint) -> Tensor:
        other = cache[str(hook.name)]
        if other.shape != activation.shape:
            raise ValueError(
                f"the cache holds {list(other.shape)} for {hook.name}, but this run has "
                f"{list(activation.shape)}; run both on as many examples"
            )
        return other.to(activation)

    for name in names:
        check_choice("names", name, cache.keys())
    return [(name, put) for name in names]


def _post_hook(layer: int, hook: str | None) -> str:
    check_int("layer", layer, minimum=0)
    if hook is None:
        return f"layers.{layer}.hook_post"
    if layer:
        raise ValueError(f"layer={layer} and hook={hook!r} exclude each other; leave out layer")
    return hook


def _replace(
    what: str, chosen: Chosen, name: str, mode: str, reference: Tensor | None, seed: int
) -> FwdHooks:
    check_choice("mode", mode, ABLATIONS)
    check_int("seed", seed, minimum=0)
    axis = {"neurons": -1, "heads": -2}[what]

    def replace(activation: Tensor, hook: HookPoint) -> Tensor:
        index = _indices(what, chosen, activation.shape[axis], hook).to(activation.device)
        # Detached: a mean is a constant to the network, through which no gradient may pass.
        source = (activation if reference is None else reference.to(activation)).detach()
        if source.shape[1:] != activation.shape[1:] or not len(source):
            shape = ", ".join(["example", *map(str, activation.shape[1:])])
            raise ValueError(
                f"reference must be [{shape}] like {hook.name}, with at least one example, "
                f"got {list(source.shape)}"
            )
        values = source.index_select(axis, index)
        match mode:
            case "zero":
                values = torch.zeros_like(values[:1])
            case "mean":
                values = values.mean(dim=0, keepdim=True)
            case "resample":
                values = values[_other_examples(len(source), len(activation), seed)]
        values = values.expand(len(activation), *values.shape[1:])
        return activation.index_copy(axis, index, values)

    return [(name, replace)]


def _indices(what: str, chosen: Chosen, width: int, hook: HookPoint) -> Tensor:
    try:
        index = torch.as_tensor(chosen)
    except (TypeError, RuntimeError, ValueError) as error:
        raise TypeError(
            f"{what} must be a list of indices or a boolean mask, got {chosen!r}"
        ) from error
    if index.dtype == torch.bool:
        if index.shape != (width,):
            raise IndexError(
                f"{what} is a mask of shape {list(index.shape)}, "
                f"but {hook.name} has {width} {what}; give one value per {what[:-1]}"
            )
        return index.nonzero()[:, 0]
    if index.numel() == 0:
        return index.long().flatten()
    if index.is_floating_point() or index.ndim != 1:
        raise TypeError(
            f"{what} must be a list of indices or a boolean mask, got "
            f"{index.dtype} of shape {list(index.shape)}"
        )
    outside = index[(index < 0) | (index >= width)]
    if len(outside):
        raise IndexError(
            f"{what} contains {outside[:5].tolist()}, but {hook.name} has {width} {what} "
            f"(0..{width - 1})"
        )
    if len(index.unique()) != len(index):
        raise ValueError(f"{what} names one of them twice; a mask must be boolean, not 0 and 1")
    return index.long()


def _other_examples(available: int, wanted: int, seed: int) -> Tensor:
    rng = generator(seed, "resample")
    if available == wanted:
        return torch.randperm(available, generator=rng)
    return torch.randint(available, (wanted,), generator=rng)
