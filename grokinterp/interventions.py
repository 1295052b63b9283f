"""Hook functions that take parts of a network out, turn them up and down, or exchange them.

Each returns the ``fwd_hooks`` list that TransformerLens' ``run_with_hooks`` and ``hooks`` take::

    logits = model.run_with_hooks(tokens, fwd_hooks=ablate([3, 7]))
    with model.hooks(fwd_hooks=scale(ipr > 0.5, 2.0, layer=1)):
        logits = model(tokens)

Arguments are copied when the hook is made: changing a mask, a list or a cache afterwards does not
change what the hook does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.hook_points import HookPoint

from grokinterp._checks import check_choice, check_int, check_names
from grokinterp._short import short
from grokinterp.models.base import LayerNeurons
from grokinterp.randomness import generator

ABLATIONS = ("zero", "mean", "resample")

# What TransformerLens takes: hook names (or predicates on names) with hook functions.
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
    """Replace the activations of some neurons, after the nonlinearity or at any hook point.

    Args:
        neurons: indices 0..d-1 on the activation's last axis, or a boolean mask over it.
        mode: "zero"; "mean" over examples (of each position, if the activation has positions);
            "resample": values from a random example, by one permutation of the batch (or one draw
            from ``reference``) for all neurons.
        layer: the layer of neurons, 0 for the first, wherever the network has them: an MLP at
            ``layers.{layer}.hook_post``, a transformer at ``blocks.{layer}.mlp.hook_post``. In an
            LSTM they are the hidden states, ``layers.{layer}.steps.{t}.hook_h`` at every step t.
        hook: or the hook point, whose activation is [example, ..., d].
        reference: activations of the same shape, for any number of examples, that means and samples
            are taken from; by default the batch that the hooked model is run on. That batch then
            needs two examples at least: the mean of one is the example itself.
        seed: draws the examples of "resample".

    Raises:
        TypeError: neurons that are neither indices nor a boolean mask, or a reference that is no
            tensor of floating-point numbers.
        IndexError: a neuron does not exist (when the hook runs: only then is the width known).
        ValueError: a layer that the network does not have (when the hook is put on it); a single
            example without ``reference``, or a reference of another shape (when it runs).
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
    """Replace what some attention heads hand on, ``blocks.{layer}.attn.hook_z``.

    ``heads`` are indices or a boolean mask over the heads; the rest is as in :func:`ablate`.
    """
    check_int("layer", layer, minimum=0)
    return _replace("heads", heads, f"blocks.{layer}.attn.hook_z", mode, reference, seed)


def scale(
    neurons: Chosen, factor: float | Tensor, *, layer: int = 0, hook: str | None = None
) -> FwdHooks:
    """Multiply the activations of some neurons by ``factor`` (a number, or one per neuron).

    Gradients reach a factor that asks for them. Neurons, ``layer``, ``hook`` and errors are as in
    :func:`ablate`; a factor that is not finite, or not a number, is refused as well.
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
    """Put activations of another run in the place of this one's: activation patching.

    Args:
        cache: activations by hook name, as from ``run_with_cache`` on as many examples. Those of
            ``names`` are copied.
        names: the hook points to patch.

    Raises:
        TypeError: ``names`` is no list of texts; the cache is none, or holds no tensor there.
        ValueError: a name that the cache does not hold; other shapes (when the hook runs).
    """
    if not isinstance(cache, Mapping | ActivationCache):
        raise TypeError(
            "cache must hold activations by hook name, as the one that run_with_cache returns, "
            f"got {short(cache)} ({type(cache).__name__})"
        )
    check_names("names", names)
    return [(name, _put(_cached(cache, name))) for name in names]


def _put(other: Tensor) -> Callable[[Tensor, HookPoint], Tensor]:
    def put(activation: Tensor, hook: HookPoint) -> Tensor:
        if other.shape != activation.shape:
            raise ValueError(
                f"the cache holds {list(other.shape)} for {hook.name}, but this run has "
                f"{list(activation.shape)}; run both on as many examples"
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
    # Detached: a mean is a constant to the network, through which no gradient may pass.
    given = None if reference is None else _copy(_floats(reference)).detach()

    def replace(activation: Tensor, hook: HookPoint) -> Tensor:
        index = units.on_axis(axis, activation, hook)
        source = activation.detach() if given is None else given.to(activation)
        if given is not None:
            _check_reference(source, activation, place, hook)
        elif mode != "zero" and len(activation) == 1:
            raise ValueError(
                f"mode={mode!r} takes its values from the batch, whose only example would keep its "
                f"own; give reference=..., activations at {hook.name} of other examples, as from "
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
            f"reference is of one hook point, but the units of layer {place.layer} are seen at "
            f"every step; ablate step by step, with hook={hook.name!r} and a reference of its own"
        )
    if reference.shape[1:] != activation.shape[1:] or not len(reference):
        shape = ", ".join(["example", *map(str, activation.shape[1:])])
        raise ValueError(
            f"reference must be [{shape}] like {hook.name}, with at least one example, "
            f"got {list(reference.shape)}"
        )


class _Chosen:
    """A copy of the choice: indices, or a boolean mask, of units whose number is not known yet."""

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
            raise ValueError(f"{what} names one of them twice; a mask must be boolean, not 0 and 1")

    def on_axis(self, axis: int, activation: Tensor, hook: HookPoint) -> Int[Tensor, " unit"]:
        """Their indices, on the activation's device; raise for units that it does not have."""
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
    """A copy of one number, or of one per neuron."""
    wanted = "factor must be a number, or one for each chosen neuron, got "
    try:
        # Named, for torch's default would round a number to float32 even for a float64 network.
        given = (
            factor
            if isinstance(factor, Tensor)
            else torch.as_tensor(factor, dtype=torch.float64, device="cpu")
        )
    except OverflowError:
        raise ValueError("factor must be finite, got an integer beyond float64's range") from None
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
    """A copy that autograd can use later, even if it is made under ``torch.inference_mode``."""
    with torch.inference_mode(False):
        return value.clone()


def _other_examples(available: int, wanted: int, seed: int) -> Int[Tensor, " wanted"]:
    """Which example each example gets its values from; not all of them from themselves."""
    rng = generator(seed, "resample")
    if available != wanted:
        return torch.randint(available, (wanted,), generator=rng, device="cpu")
    own = torch.arange(available, device="cpu")
    drawn = torch.randperm(available, generator=rng, device="cpu")
    while available > 1 and torch.equal(drawn, own):  # as every other permutation of two is
        drawn = torch.randperm(available, generator=rng, device="cpu")
    return drawn
