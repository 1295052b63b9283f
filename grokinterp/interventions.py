"""Interventions on activations: hooks that ablate, scale or patch parts of a network.

Each returns the ``fwd_hooks`` list that TransformerLens' ``run_with_hooks`` and ``hooks`` take::

    logits = model.run_with_hooks(tokens, fwd_hooks=ablate([3, 7]))
    with model.hooks(fwd_hooks=scale(ipr > 0.5, 2.0, layer=1)):
        logits = model(tokens)

Arguments are copied when the hook is made, so changing a mask, list or cache later has no effect.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int, check_names
from grokinterp.models.base import LayerNeurons
from grokinterp.randomness import generator
from grokinterp.short_text import short

ABLATIONS = ("zero", "mean", "resample")

# TransformerLens' format: pairs of a hook name (or a predicate on names) and a hook function.
FwdHooks = list[tuple[str | Callable[..., Any], Callable[..., Any]]]
Chosen = Sequence[int] | np.ndarray | Tensor

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def ablate(
    neurons: Chosen,
    mode: str = "zero",
    *,
    layer: int = 0,
    hook: str | None = None,
    reference: Float[Tensor, "example ..."] | None = None,
    seed: int = 0,
) -> FwdHooks:
    """Hooks that replace the activations of some neurons by zero, a mean or other examples.

    Args:
        neurons: indices 0..d-1 on the activation's last axis, or a boolean mask over it.
        mode: "zero"; "mean" over examples (separately per position, if there are positions); or
            "resample", the values of a randomly drawn example, the same one for all neurons.
        layer: the layer of neurons, from 0. The hook point is ``layers.{layer}.hook_post`` in an
            MLP and ``blocks.{layer}.mlp.hook_post`` in a transformer. In an LSTM the neurons are
            the hidden states, ``layers.{layer}.steps.{t}.hook_h`` at every step t.
        hook: name of a hook point to use instead of ``layer``; its activation is [example, ..., d].
        reference: activations from which means and samples are taken, of the same shape but for the
            number of examples. None: the batch that the hooked model is run on, which then needs at
            least two examples.
        seed: of the random examples in "resample".

    Raises:
        TypeError: ``neurons`` is neither indices nor a boolean mask, or ``reference`` is not a
            floating-point tensor.
        IndexError: a neuron does not exist. Raised when the hook runs, as the width is known then.
        ValueError: the network does not have this layer (raised when the hook is added); a batch of
            one example without ``reference``, or a reference of the wrong shape (when it runs).
    """
    return _replace("neurons", neurons, _place(layer, hook), mode, reference, seed)


def ablate_heads(
    heads: Chosen,
    mode: str = "zero",
    *,
    layer: int = 0,
    reference: Float[Tensor, "example pos head d_head"] | None = None,
    seed: int = 0,
) -> FwdHooks:
    """Hooks that replace the outputs of some attention heads, ``blocks.{layer}.attn.hook_z``.

    ``heads`` are indices or a boolean mask over the heads; other arguments as in :func:`ablate`.
    """
    check_int("layer", layer, minimum=0)
    return _replace("heads", heads, f"blocks.{layer}.attn.hook_z", mode, reference, seed)


def scale(
    neurons: Chosen, factor: float | Tensor, *, layer: int = 0, hook: str | None = None
) -> FwdHooks:
    """Hooks that multiply the activations of some neurons by ``factor``.

    ``factor`` is a finite number, or a tensor with one number per chosen neuron; gradients flow to
    it if it requires them. Other arguments and errors as in :func:`ablate`.
    """
    chosen, factors = _Chosen("neurons", neurons), _factors(factor)

    def multiply(activation: Tensor, hook: HookPoint) -> Tensor:
        index = chosen.on_axis(-1, activation, hook)
        by = factors.to(activation)
        if by.ndim and by.shape != index.shape:
            raise ValueError(
                f"factor must be one number or one per chosen neuron ({len(index)}), "
                f"got shape {list(by.shape)}"
            )
        return activation.index_copy(-1, index, activation[..., index] * by)

    return [(_place(layer, hook), multiply)]


def patch(cache: Mapping[str, Tensor] | ActivationCache, names: Sequence[str]) -> FwdHooks:
    """Activation patching: hooks that replace activations by those of another forward pass.

    Args:
        cache: hook name -> activation, as from ``run_with_cache`` on the same number of examples.
            The activations in ``names`` are copied.
        names: the hook points to patch.

    Raises:
        TypeError: ``names`` is not a list of strings; ``cache`` is not a mapping of tensors.
        ValueError: a name is not in the cache; or the shapes differ (raised when the hook runs).
    """
    if not isinstance(cache, Mapping | ActivationCache):
        raise TypeError(
            "cache must map hook names to activations, as returned by run_with_cache, got "
            f"{short(cache)} ({type(cache).__name__})"
        )
    check_names("names", names)
    return [(name, _put(_cached(cache, name))) for name in names]


def _put(other: Tensor) -> Callable[[Tensor, HookPoint], Tensor]:
    def put(activation: Tensor, hook: HookPoint) -> Tensor:
        if other.shape != activation.shape:
            raise ValueError(
                f"the cache holds {list(other.shape)} for {hook.name}, but this run has "
                f"{list(activation.shape)}; run both on the same number of examples"
            )
        return other.to(activation)

    return put


def _cached(cache: Mapping[str, Tensor] | ActivationCache, name: str) -> Tensor:
    check_choice("names", name, cache.keys())
    value = cache[name]
    if not isinstance(value, Tensor):
        raise TypeError(f"cache[{short(name)}] must be a tensor, got {type(value).__name__}")
    return _copy(value)


def _place(layer: int, hook: str | None) -> str:
    check_int("layer", layer, minimum=0)
    if hook is None:
        return LayerNeurons.of(layer)
    if not isinstance(hook, str):
        raise TypeError(f"hook must be the name of a hook point, got {short(hook)}")
    if layer:
        raise ValueError(
            f"layer={layer} and hook={short(hook)} exclude each other; leave out layer"
        )
    return hook


def _replace(
    what: str, chosen: Chosen, place: str, mode: str, reference: Tensor | None, seed: int
) -> FwdHooks:
    check_choice("mode", mode, ABLATIONS)
    check_int("seed", seed, minimum=0)
    axis = {"neurons": -1, "heads": -2}[what]
    units = _Chosen(what, chosen)
    # Detached: no gradient flows through a mean or another example.
    given = None if reference is None else _copy(_floats(reference)).detach()

    def replace(activation: Tensor, hook: HookPoint) -> Tensor:
        index = units.on_axis(axis, activation, hook)
        source = activation.detach() if given is None else given.to(activation)
        if given is not None:
            _check_reference(source, activation, place, hook)
        elif mode != "zero" and len(activation) == 1:
            raise ValueError(
                f"mode={mode!r} takes its values from the batch, which has only one example; pass "
                f"reference=..., activations of other examples at {hook.name}, for instance from "
                "run_with_cache"
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

    return [(place, replace)]


def _check_reference(reference: Tensor, activation: Tensor, place: str, hook: HookPoint) -> None:
    if isinstance(place, LayerNeurons) and ".steps." in str(hook.name):
        raise ValueError(
            f"reference belongs to one hook point, but layer {place.layer} has one per step; "
            f"ablate step by step, with hook={hook.name!r} and a reference for each"
        )
    if reference.shape[1:] != activation.shape[1:] or not len(reference):
        shape = ", ".join(["example", *map(str, activation.shape[1:])])
        raise ValueError(
            f"reference must be [{shape}] like {hook.name}, with at least one example, "
            f"got {list(reference.shape)}"
        )


class _Chosen:
    """The chosen units: a copy of the indices or mask, checked against the width when used."""

    def __init__(self, what: str, chosen: Chosen) -> None:
        self._what = what
        wanted = f"{what} must be a list of indices or a boolean mask, got "
        try:
            given = chosen if isinstance(chosen, Tensor) else torch.as_tensor(chosen, device="cpu")
        except (TypeError, RuntimeError, ValueError) as error:
            raise TypeError(f"{wanted}{short(chosen)}") from error
        given = _copy(given)
        if given.dtype == torch.bool:
            self._given = given
            return
        if given.numel() and (given.dtype not in _INTEGERS or given.ndim != 1):
            raise TypeError(f"{wanted}{given.dtype} of shape {list(given.shape)}")
        self._given = given.flatten().long()
        if len(self._given.unique()) != len(self._given):
            raise ValueError(f"{what} has an index twice; a mask must be boolean, not 0 and 1")

    def on_axis(self, axis: int, activation: Tensor, hook: HookPoint) -> Int[Tensor, " unit"]:
        """The chosen indices, on the activation's device; raise if it lacks one of them."""
        what, given, width = self._what, self._given, activation.shape[axis]
        if given.dtype == torch.bool:
            if given.shape != (width,):
                raise IndexError(
                    f"{what} is a mask of shape {list(given.shape)}, "
                    f"but {hook.name} has {width} {what}; give one value per {what[:-1]}"
                )
            return given.nonzero()[:, 0].to(activation.device)
        outside = given[(given < 0) | (given >= width)]
        if len(outside):
            raise IndexError(
                f"{what} contains {outside[:5].tolist()}, but {hook.name} has {width} {what} "
                f"(0..{width - 1})"
            )
        return given.to(activation.device)


def _factors(factor: object) -> Tensor:
    """A copy of the factor, checked: one number, or one per neuron."""
    wanted = "factor must be a number, or one for each chosen neuron, got "
    try:
        # float64, as torch's default would round to float32 even for a float64 network.
        given = (
            factor
            if isinstance(factor, Tensor)
            else torch.as_tensor(factor, dtype=torch.float64, device="cpu")
        )
    except OverflowError:
        raise ValueError("factor must be finite, got an integer too large for float64") from None
    except (TypeError, RuntimeError, ValueError) as error:
        raise TypeError(f"{wanted}{short(factor)}") from error
    if given.is_complex():
        raise TypeError(f"{wanted}{given.dtype}")
    if not bool(given.isfinite().all()):
        raise ValueError(f"factor must be finite, got {short(given)}")
    return _copy(given)


def _floats(reference: object) -> Tensor:
    if not isinstance(reference, Tensor) or not reference.is_floating_point():
        kind = reference.dtype if isinstance(reference, Tensor) else type(reference).__name__
        raise TypeError(f"reference must be a tensor of activations, got {kind}")
    return reference


def _copy(value: Tensor) -> Tensor:
    """A copy that autograd can use, even if made under ``torch.inference_mode``."""
    with torch.inference_mode(False):
        return value.clone()


def _other_examples(available: int, wanted: int, seed: int) -> Int[Tensor, " wanted"]:
    """For each example, the index of the example whose values it takes; not all their own."""
    rng = generator(seed, "resample")
    if available != wanted:
        return torch.randint(available, (wanted,), generator=rng, device="cpu")
    own = torch.arange(available, device="cpu")
    drawn = torch.randperm(available, generator=rng, device="cpu")
    while available > 1 and torch.equal(drawn, own):  # happens half of the time for 2 examples
        drawn = torch.randperm(available, generator=rng, device="cpu")
    return drawn
