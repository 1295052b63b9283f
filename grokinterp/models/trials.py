"""What forward passes of a wrapped network tell of its parts, where names do not."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grokinterp.models.base import HookedModel
from grokinterp.models.named_parts import View, find
from grokinterp.models.wrapped_tables import tried_pairs

_FACTORS = (2.0**-10, 2.0, 2.0**10)  # small and large ones, for neurons that saturate or threshold


def find_read_out(
    model: Any,
    parts: Sequence[Any],
    names: Sequence[str],
    cache: Mapping[str, Tensor],
    logits: Tensor,
) -> tuple[list[View], str | None]:
    """The read-out's matrix [d, p] and bias, and the hook point of its input.

    Args:
        model: a wrapped network.
        parts: what was named as its read-out.
        names: those of them that are submodules.
        cache: its activations on some pairs.
        logits: its logits on them.

    Raises:
        TypeError, ValueError: the part is no linear map, or does not give these logits.
    """
    if not parts:
        return [], None
    neurons = [hooks[-1] for hooks in model.neuron_hooks]
    if names:
        name, module = names[0], model.net.get_submodule(names[0])
        if len(parts) > 1 or not isinstance(module, nn.Linear):
            raise TypeError(
                f"readout={name!r} is a {type(module).__name__}; it must be an nn.Linear, a "
                "parameter [d, classes], or a parameter and its bias"
            )
        tensors, hook = [module.weight.T, module.bias], f"{name}.hook_in"
        if hook not in model.hook_dict:
            raise ValueError(
                f"readout={name!r} is not called in a forward pass; name the map that is"
            )
    else:
        tensors = [find(model.net, "readout", part)[1] for part in parts]
        hook, name = (neurons[-1] if neurons else None), str(parts[0])
        if hook is None:
            raise ValueError(
                "readout is a parameter, and no submodule shows what is multiplied by it; name "
                "the neurons that it reads, too"
            )
    whole = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
    W, x = whole[0], cache[hook] if cache[hook].ndim == 2 else cache[hook][:, -1]
    if W.ndim != 2 or W.shape[0] != x.shape[1] or W.shape[1] < model.p:
        raise ValueError(
            f"readout={name!r} is {list(W.shape)} as [d, classes], but {hook} has {x.shape[1]} "
            f"entries and p={model.p} residues need as many classes; give weight.T if it is the "
            "other way round, or what the read-out reads as neurons"
        )
    found = (x @ W if len(whole) == 1 else x @ W + whole[1])[:, : model.p]
    if not same(found, logits):
        away = float((found - logits).abs().max())
        raise ValueError(
            f"readout={name!r} does not give the network's logits: they are up to {away:.3g} away "
            "from its input times its weight. Name the last linear map, and wrap the network "
            "without what stands behind it, such as a softmax or a scale"
        )
    residues = [W[:, : model.p], *(bias[: model.p] for bias in whole[1:])]
    return [View.of(model.net, tensor, f"readout={name!r}") for tensor in residues], hook


def see_a_sum(model: HookedModel, *, is_linear: bool) -> bool:
    """Whether neuron j of the first layer is a function of the sum of the tables' entries j.

    Args:
        model: a wrapped network.
        is_linear: what is taken for true where nothing is to be seen, because no neuron responds:
            a linear map of one-hots adds up by itself.
    """
    tables, hooks = list(model.input_tables.values()), model.neuron_hooks
    if not tables or not hooks or model.p is None:
        return False
    hook, others = hooks[0][-1], torch.arange(model.p) != 1
    pairs = torch.stack([torch.ones(model.p, dtype=torch.int64), torch.arange(model.p)], dim=1)
    pairs = pairs[others]

    def neurons(*changes: tuple[Tensor, Any, Tensor]) -> Tensor:
        with ExitStack() as stack:
            for change in changes:
                stack.enter_context(added(*change))
            return model.run_with_cache(pairs, names_filter=hook)[1][hook]

    before = neurons()
    width = before.shape[-1]
    if any(table.shape[1] != width for table in tables):
        return False
    half = torch.arange(width, device=tables[0].device) % 2 == 0
    step = 3 * tables[0].std() * half
    to_a, from_b = (tables[0], 1, step), (tables[-1], others.nonzero()[:, 0], -step)
    one = neurons(to_a)
    if same(one, before):
        return is_linear
    alone = same(one[..., ~half], before[..., ~half])
    return alone and same(neurons(to_a, from_b), before)


def find_powers(model: HookedModel, inputs: Collection[str]) -> dict[str, Sequence[int]] | None:
    """``Anatomy.scale_powers`` of one layer of neurons, found by multiplying what is before them.

    Args:
        model: a wrapped network whose read-out reads neurons that see a sum.
        inputs: the parameters that multiply the neurons before their nonlinearity.

    Returns:
        None if neurons are not homogeneous, or other parameters have a part in the logits.
    """
    read_out, named = model.read_out, dict(model.named_parameters())
    if read_out is None or read_out.is_tied or model.gains or len(model.neuron_hooks) != 1:
        return None
    outputs = list(read_out.parameters)
    if set(inputs) | set(outputs) != named.keys():
        return None
    hook, pairs = model.neuron_hooks[0][-1], tried_pairs(model.p)

    def neurons(factor: float) -> Tensor:
        with ExitStack() as stack:
            for name in inputs:
                stack.enter_context(restored(named[name]))
                named[name].mul_(factor)  # exactly, by a power of two
            return model.run_with_cache(pairs, names_filter=hook)[1][hook]

    before = neurons(1.0)
    multiplied = {factor: neurons(factor) for factor in _FACTORS}
    for degree in (1, 2, 3):
        is_power = all(same(x, factor**degree * before) for factor, x in multiplied.items())
        if is_power and bool(before.any()):
            powers: dict[str, Sequence[int]] = dict.fromkeys(sorted(inputs), (1,))
            return powers | dict(zip(outputs, ((-degree,), (0,)), strict=False))
    return None


@contextmanager
def recorded(net: nn.Module, names: set[str]) -> Iterator[dict[str, list[Tensor]]]:
    """What some submodules are given, call by call."""
    reads: dict[str, list[Tensor]] = {name: [] for name in names}
    with ExitStack() as stack:
        for name in names:

            def note(module: nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
                reads[name].append(inputs[0])

            handle = net.get_submodule(name).register_forward_pre_hook(note)
            stack.callback(handle.remove)
        yield reads


@contextmanager
def restored(weight: Tensor) -> Iterator[None]:
    """A weight that may change for a while, and is then exactly as before."""
    before = weight.detach().clone()
    try:
        yield
    finally:
        weight.copy_(before)


@contextmanager
def added(weight: Tensor, at: Any, change: Tensor) -> Iterator[None]:
    """Some rows of a weight changed for a while."""
    with restored(weight):
        weight[at] += change
        yield


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two results are equal up to rounding."""
    if one.shape != other.shape:
        return False
    scale = float(other.abs().max()) if other.numel() else 0.0
    eps = torch.finfo(other.dtype).eps
    tolerance = (1000 if eps < 1e-5 else 8) * eps * scale  # of half precision 8 roundings
    return bool(((one - other).abs() <= tolerance).all())
