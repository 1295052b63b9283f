"""Hooks that ablate or scale units: neurons, heads, hidden units, gates, frequencies."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int
from grokinterp.interventions.chosen import (
    Chosen,
    FwdHooks,
    Place,
    Selection,
    copied,
    other_examples,
)
from grokinterp.interventions.frequencies import (
    ABLATIONS,
    FrequencyHook,
    check_examples,
    check_factors,
)
from grokinterp.models.units import FREQUENCIES, HooksOf
from grokinterp.short_text import short


def ablate(
    units: Chosen,
    mode: str = "zero",
    *,
    layer: int = 0,
    unit: str | None = None,
    hook: str | None = None,
    reference: Float[Tensor, "example ..."] | Mapping[str, Tensor] | ActivationCache | None = None,
    seed: int = 0,
) -> FwdHooks:
    """Hooks that replace the activations of some units by zero, a mean or other examples.

    For example ``ablate([3, 7])`` takes out two neurons, ``ablate([0], unit="heads.1")`` the first
    head of the second layer, and ``ablate(gi.lowest(score, 0.6), "mean")`` the 60 % of the neurons
    with the lowest scores.

    Args:
        units: indices 0, 1, ... of units, or a boolean mask over them.
        mode: "zero"; "mean" over examples (separately per position, if there are positions); or
            "resample", the values of a randomly drawn example, the same one for all units.
        layer: units are the neurons of this layer, counted from 0. The hook point is
            ``layers.{layer}.hook_post`` in an MLP and ``blocks.{layer}.mlp.hook_post`` in a
            transformer. In an LSTM they are the hidden states,
            ``layers.{layer}.steps.{t}.hook_h`` at every step t.
        unit: instead of ``layer``, a name of units that ``model.list_units()`` lists, such as
            "neurons.1", "heads.0", "hidden.0", "gate_f.0" or "frequencies". Index i of
            "frequencies" is the frequency i + 1 of the task; what is replaced is its part of the
            operands' embeddings.
        hook: instead of both, the name of a hook point; the units are its activation's last axis.
        reference: activations from which means and samples are taken, of the same shape but for the
            number of examples; or several by hook point, such as the cache of ``run_with_cache``.
            None: the batch that the hooked model is run on, which then needs at least two examples.
        seed: of the random examples in "resample".

    Raises:
        TypeError: ``units`` are neither indices nor a boolean mask, or ``reference`` holds no
            floating-point tensor.
        IndexError: a unit does not exist. Raised when the hook runs, as the number is known then.
        ValueError: no such name of units; the network does not have them (raised when the hook is
            added); a batch of one example without ``reference``, or a reference of the wrong shape
            (when it runs).

    Examples:
        >>> import grokinterp as gi
        >>> from probes import subset_accuracy
        >>> data = gi.make_dataset(gi.DataConfig(p=13))
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> subset_accuracy(model(data.tokens), data)["test"]
        1.0
        >>> pruned = model.run_with_hooks(data.tokens, fwd_hooks=gi.ablate(range(40)))
        >>> 0.4 < subset_accuracy(pruned, data)["test"] < 0.9  # a third of the neurons is left
        True
    """
    return _replace(units, Place.of(layer, hook, unit), mode, reference, seed)


def ablate_heads(
    heads: Chosen,
    mode: str = "zero",
    *,
    layer: int = 0,
    reference: Float[Tensor, "example pos head d_head"] | None = None,
    seed: int = 0,
) -> FwdHooks:
    """:func:`ablate` of a layer's attention heads, ``unit=f"heads.{layer}"``.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
        >>> with model.hooks(fwd_hooks=gi.ablate_heads([1])):
        ...     _, cache = model.run_with_cache(torch.tensor([[2, 3], [12, 5]]))
        >>> cache["z", 0].abs().amax(dim=(0, 1, 3)) > 0  # of each head
        tensor([ True, False])
    """
    check_int("layer", layer, minimum=0)
    return _replace(heads, Place.of(0, None, f"heads.{layer}"), mode, reference, seed)


def scale(
    units: Chosen,
    factor: float | Tensor,
    *,
    layer: int = 0,
    unit: str | None = None,
    hook: str | None = None,
) -> FwdHooks:
    """Hooks that multiply the activations of some units by ``factor``.

    ``factor`` is a finite number, or a tensor with one number per chosen unit; gradients flow to
    it if it requires them. Other arguments and errors as in :func:`ablate`.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model, pairs = gi.closed_form_mlp(p=13, d_mlp=60), torch.tensor([[2, 3], [12, 5]])
        >>> whole = model(pairs)
        >>> without = model.run_with_hooks(pairs, fwd_hooks=gi.scale([3, 7], 0.0))
        >>> doubled = model.run_with_hooks(pairs, fwd_hooks=gi.scale([3, 7], 2.0))
        >>> torch.equal(without, whole)
        False
        >>> torch.allclose(doubled - whole, whole - without, atol=1e-4)  # a sum over neurons
        True
    """
    place, factors = Place.of(layer, hook, unit), _factors(factor)
    chosen = Selection(place.words, units)
    if place.kind == FREQUENCIES:
        return [(place.hook, FrequencyHook.scaling(chosen, factors))]

    def multiply(activation: Tensor, hook: HookPoint) -> Tensor:
        index = chosen.on_axis(place.axis, activation, hook)
        by = check_factors(factors, index).to(activation)
        if by.ndim:
            by = by.reshape(-1, *[1] * (-1 - place.axis))
        values = activation.index_select(place.axis, index)
        return activation.index_copy(place.axis, index, values * by)

    return [(place.hook, multiply)]


def _replace(
    units: Chosen,
    place: Place,
    mode: str,
    reference: Tensor | Mapping[str, Tensor] | ActivationCache | None,
    seed: int,
) -> FwdHooks:
    check_choice("mode", mode, ABLATIONS)
    check_int("seed", seed, minimum=0)
    chosen = Selection(place.words, units)
    if place.kind == FREQUENCIES:
        if reference is not None:
            raise ValueError(
                "reference is not for frequencies, which are not activations: leave it out and run "
                "the model on all examples whose mean or values are wanted"
            )
        return [(place.hook, FrequencyHook.ablation(chosen, mode, seed))]
    given = _reference(reference)

    def replace(activation: Tensor, hook: HookPoint) -> Tensor:
        index = chosen.on_axis(place.axis, activation, hook)
        if given is not None:
            source = given.at(activation, place, hook)
        else:
            source = activation.detach()
            instead = f"reference=..., activations of other examples at {hook.name}, for instance"
            check_examples(mode, len(activation), f"{instead} from run_with_cache")
        values = source.index_select(place.axis, index)
        match mode:
            case "zero":
                values = torch.zeros_like(values[:1])
            case "mean":
                values = values.mean(dim=0, keepdim=True)
            case "resample":
                values = values[other_examples(len(source), len(activation), seed)]
        values = values.expand(len(activation), *values.shape[1:])
        return activation.index_copy(place.axis, index, values)

    return [(place.hook, replace)]


class _Reference:
    """Activations of other examples, of one hook point or of several by name.

    Detached: no gradient flows through a mean or another example.
    """

    def __init__(self, given: Tensor | Mapping[str, Tensor]) -> None:
        self._given = (
            {name: copied(_floats(value)).detach() for name, value in given.items()}
            if isinstance(given, Mapping)
            else copied(_floats(given)).detach()
        )

    def at(self, activation: Tensor, place: Place, hook: HookPoint) -> Tensor:
        """Those of a hook point; raise unless they have the shape of an activation there."""
        name, given = str(hook.name), self._given
        if isinstance(given, dict):
            # TransformerLens' own models have several names for a hook point.
            name = str(place.hook) if name not in given and place.hook in given else name
            check_choice("reference", name, given.keys())
            given = given[name]
        elif isinstance(place.hook, HooksOf) and ".steps." in name:
            raise ValueError(
                f"reference is one tensor, but these {place.words[0]} have a hook point for each "
                "step; give a mapping from hook points to activations, as run_with_cache returns"
            )
        if given.shape[1:] != activation.shape[1:] or not len(given):
            shape = ", ".join(["example", *map(str, activation.shape[1:])])
            raise ValueError(
                f"reference must be [{shape}] like {name}, with at least one example, "
                f"got {list(given.shape)}"
            )
        return given.to(activation)


def _reference(given: Tensor | Mapping[str, Tensor] | ActivationCache | None) -> _Reference | None:
    if given is None:
        return None
    return _Reference(given.cache_dict if isinstance(given, ActivationCache) else given)


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
    return copied(given)


def _floats(reference: object) -> Tensor:
    if not isinstance(reference, Tensor) or not reference.is_floating_point():
        kind = reference.dtype if isinstance(reference, Tensor) else type(reference).__name__
        raise TypeError(f"reference must be a tensor of activations, got {kind}")
    return reference
