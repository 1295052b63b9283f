"""Activation patching: activations replaced by those of another forward pass."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_names
from grokinterp.interventions.chosen import FwdHooks, copied
from grokinterp.short_text import short


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
    return copied(value)
